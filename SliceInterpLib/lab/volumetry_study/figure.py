"""The phantom study of volumetry as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from SliceInterpLib.lab.volumetry_study.study import ACQUIRED, SIZES_ML, Row
from SliceInterpLib.lab.volumetry_study.tables import error_ml, mean_of, size_groups
from SliceInterpLib.report.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("tab:gray", "tab:olive", "tab:blue", "tab:green", "tab:red")
"""Of the methods, in their order."""


def save_volumetry_figure(path: Path, rows: Sequence[Row]) -> None:
    """Write a PNG of what `run_study` returned.

    Above, the error of every case over its true volume, on the acquired grid and by the last
    method, with bias and limits of agreement; below, by size class: mean absolute error of the
    volume in %, distance of the surfaces, distance of the ends.

    Args:
        path: the file.
        rows: of `run_study`.

    Raises:
        MethodError: if matplotlib is missing.
    """
    figure = new_figure(figsize=(10.0, 7.0), layout="constrained")
    grid = figure.add_gridspec(2, 6)
    methods = list(dict.fromkeys(row.method for row in rows))
    left, right = figure.add_subplot(grid[0, :3]), figure.add_subplot(grid[0, 3:])
    for axis, method in ((left, ACQUIRED), (right, methods[-1])):
        _errors(axis, [row for row in rows if row.method == method], method)
    right.sharey(left)
    measures = (
        ("mean absolute error, %", lambda row: 100.0 * error_ml(row) / row.true_ml),
        ("distance of surfaces, mm", lambda row: row.agreement.surface_mm),
        ("distance of ends, mm", lambda row: row.agreement.ends_mm),
    )
    for column, (title, value) in enumerate(measures):
        axis = figure.add_subplot(grid[1, 2 * column : 2 * column + 2])
        _bars(axis, rows, methods, value)
        axis.set_title(title, fontsize=10)
        if column == 0:
            axis.legend(fontsize=8)
    figure.suptitle(
        f"Hematomas of known volume: {len({r.lesion for r in rows})} lesions, each at "
        f"{len({r.spacing_mm for r in rows})} slice spacings",
        fontsize=11,
    )
    figure.savefig(path, dpi=110, format="png")


def _errors(axis: Axes, rows: Sequence[Row], method: str) -> None:
    import numpy as np

    percent = np.array([100.0 * (row.ml - row.true_ml) / row.true_ml for row in rows])
    for spacing, mark in zip(sorted({row.spacing_mm for row in rows}), "os^", strict=False):
        at = [row.spacing_mm == spacing for row in rows]
        volumes = [row.true_ml for row, shown in zip(rows, at, strict=True) if shown]
        axis.scatter(volumes, percent[at], 10, marker=mark, alpha=0.6, label=f"{spacing:g} mm")
    bias, spread = percent.mean(), 1.96 * percent.std()
    axis.axhline(bias, color="black", linewidth=0.8)
    for limit in (bias - spread, bias + spread):
        axis.axhline(limit, color="black", linestyle="--", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_xticks(SIZES_ML, [f"{size:g}" for size in SIZES_ML])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("true volume, ml")
    axis.set_ylabel("error, %")
    axis.set_title(
        f"{method}: bias {bias:+.1f} %, limits {bias - spread:+.0f}…{bias + spread:+.0f} %",
        fontsize=10,
    )
    axis.legend(fontsize=8)


def _bars(
    axis: Axes, rows: Sequence[Row], methods: Sequence[str], value: Callable[[Row], float | None]
) -> None:
    """A group of bars for each size class, a bar a method."""
    groups = size_groups(rows)
    width = 0.8 / len(methods)
    for place, (method, colour) in enumerate(zip(methods, _COLOURS, strict=False)):
        shift = (place - (len(methods) - 1) / 2) * width
        means = [mean_of([r for r in g if r.method == method], value) for g in groups.values()]
        axis.bar(
            [x + shift for x in range(len(groups))],
            [float("nan") if mean is None else mean for mean in means],
            width,
            color=colour,
            label=method,
        )
    axis.set_xticks(range(len(groups)), [name.removesuffix(" ml") for name in groups])
    axis.set_xlabel("true volume, ml")
