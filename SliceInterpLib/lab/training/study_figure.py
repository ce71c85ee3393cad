"""The loss study as a picture: which settings diverged, and what each remedy bought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from SliceInterpLib.lab.training.study_run import MARGIN_DB
from SliceInterpLib.report.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = "OrRd"
"""Of the share of runs that diverged, 0…1."""


def save_study_figure(path: Path, result: Mapping) -> None:
    """Write a PNG of what `run_study` returned.

    Above, losses × batches with the guard off and on: the colour is the share of runs that
    diverged; the numbers are the mean PSNR, how many of the runs diverged, and the share of steps
    whose loss or gradient was not finite. Below, the setting that failed most with one remedy at
    a time: bars of PSNR in the same colours; a row without a finite run has no bar.

    Args:
        path: the file.
        result: of `run_study`.

    Raises:
        MethodError: if matplotlib is missing.
    """
    plan, remedies = result["plan"], result["remedies"]
    heights = [0.62 * len(plan["losses"]) + 0.6, 0.3 * len(remedies) + 0.6]
    figure = new_figure(figsize=(9.0, sum(heights) + 0.9), layout="constrained")
    from matplotlib.cm import ScalarMappable

    grid = figure.add_gridspec(2, 2, height_ratios=heights)
    tops = [figure.add_subplot(grid[0, column]) for column in (0, 1)]
    for axis, guarded in zip(tops, (False, True), strict=True):
        rows = [row for row in result["rows"] if row["guarded"] == guarded]
        _settings(axis, rows, plan["losses"], plan["batches"], plan["steps"])
        title = f"guard {'on' if guarded else 'off'}: PSNR in dB, runs diverged, bad steps"
        axis.set_title(title, fontsize=10)
    figure.colorbar(ScalarMappable(cmap=_COLOURS), ax=tops, label="share of runs that diverged")
    if remedies:
        bottom = figure.add_subplot(grid[1, :])
        _remedies(bottom, remedies, result["mean_of_two"]["psnr"])
        worst = result["worst"]
        bottom.set_title(
            f"{worst['loss']}, batch {worst['batch']}, guard off, with one remedy at a time",
            fontsize=10,
        )
    figure.suptitle(
        f"Loss study, {plan['steps']} steps a run. Diverged: not finite, or PSNR more than "
        f"{MARGIN_DB:g} dB below the mean of the two slices",
        fontsize=10,
    )
    figure.savefig(path, dpi=110, format="png")


def _settings(
    axis: Axes,
    rows: Sequence[Mapping],
    losses: Sequence[str],
    batches: Sequence[int],
    steps: int,
) -> None:
    by_place = {(row["loss"], row["batch"]): row for row in rows}
    shares = [[_share(by_place[loss, batch]) for batch in batches] for loss in losses]
    axis.imshow(shares, cmap=_COLOURS, vmin=0.0, vmax=1.0, aspect="auto")
    for y, loss in enumerate(losses):
        for x, batch in enumerate(batches):
            row = by_place[loss, batch]
            bad = _bad_steps(row) / (row["runs"] * steps)
            axis.text(
                x,
                y,
                f"{_decibels(row)}\n{row['diverged']} of {row['runs']}\n{bad:.0%}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if _share(row) > 0.6 else "black",
            )
    axis.set_xticks(range(len(batches)), [f"batch {batch}" for batch in batches])
    axis.set_yticks(range(len(losses)), losses)


def _remedies(axis: Axes, rows: Sequence[Mapping], mean_of_two: float) -> None:
    from matplotlib import colormaps

    right = max(mean_of_two, *(row["psnr"] or 0.0 for row in rows))
    for y, row in enumerate(rows):
        axis.barh(
            y,
            row["psnr"] or 0.0,
            color=colormaps[_COLOURS](_share(row)),
            edgecolor="black",
            linewidth=0.5,
        )
        note = f"{_decibels(row)}: {row['diverged']} of {row['runs']} diverged"
        if row["not_finite"]:
            note += f" ({row['not_finite']} not finite)"
        note += f", {_bad_steps(row)} bad steps"
        axis.text(1.02 * right, y, note, va="center", fontsize=8)
    axis.axvline(mean_of_two, color="black", linestyle="--", linewidth=0.8)
    axis.set_xlim(0.0, 1.9 * right)
    axis.set_xticks(range(0, int(right) + 1, 5))
    axis.set_yticks(range(len(rows)), [row["remedy"] for row in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlabel(
        "PSNR in dB (dashed: the mean of the two slices). "
        "Bad steps: loss or gradient not finite, in all runs of the row."
    )


def _share(row: Mapping) -> float:
    return row["diverged"] / row["runs"]


def _bad_steps(row: Mapping) -> int:
    return row["bad_losses"] + row["bad_gradients"]


def _decibels(row: Mapping) -> str:
    return "–" if row["psnr"] is None else f"{row['psnr']:.1f}"
