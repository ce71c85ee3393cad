"""Check on this scan: every inner acquired slice is hidden and predicted by each method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from SliceInterpLib.errors import Cancelled
from SliceInterpLib.evidence.holdout import hidden_count, hold_one_out
from SliceInterpLib.evidence.metrics import METRICS, has_full_range, slice_metrics
from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.table import Column, Table
from SliceInterpLib.volume import Volume

SHOWN = (
    Column("psnr", "PSNR", "dB", ".2f"),
    Column("ssim", "SSIM", "", ".3f"),
    Column("ms_ssim", "MS-SSIM", "", ".3f"),
    Column("mae_window_hu", "MAE", "HU, brain window", ".2f"),
    Column("mae_hu", "MAE", "HU, inside the head", ".1f"),
)
"""What the tables show."""

Row = dict[str, Any]
"""The metrics of one hidden slice, floats or None; "slice" is its index."""


def check_scan(
    volume: Volume,
    methods: Sequence[Interpolator],
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Hide each inner slice of `volume` in turn and compare it with each method's prediction.

    The slices beside a hidden one lie twice the real gap apart, so that the figures are
    conservative.

    Args:
        volume: as it was acquired.
        methods: those that predict.
        progress: called with the number of predictions done and their number.
        cancelled: asked after every prediction.

    Returns:
        {"gap_mm": real gap, in an uneven scan the mean beside hidden slices, "hidden_gap_mm":
        twice that, "not_hidden": number of inner slices that are not midway between their
        neighbours, "methods": {name: {"slices": [a Row a slice], "mean": {metric: …}, "worst": the
        Row with the lowest PSNR}}}. Metrics are those of `slice_metrics` and mae_window_hu, its mae
        in HU; mae_hu is None where the scan lacks the full range.

    Raises:
        VolumeError: without three evenly spaced slices in a row.
        Cancelled: as soon as `cancelled()` is true.
    """
    rows = {}
    hidden = hidden_count(volume)
    for number, method in enumerate(methods):

        def count(done: int, before: int = number * hidden) -> None:
            if progress:
                progress(before + done, hidden * len(methods))

        rows[method.name] = hidden_slices(volume, method, progress=count, cancelled=cancelled)
    found = next(iter(rows.values()))
    gap = float(np.mean([volume.gaps[int(row["slice"])] for row in found]))
    return {
        "gap_mm": gap,
        "hidden_gap_mm": 2.0 * gap,
        "not_hidden": volume.slice_count - 2 - hidden,
        "methods": {
            name: {
                "slices": found,
                "mean": {key: _mean(found, key) for key in (*METRICS, "mae_window_hu")},
                "worst": min(found, key=lambda row: row["psnr"]),
            }
            for name, found in rows.items()
        },
    }


def hidden_slices(
    volume: Volume,
    method: Interpolator,
    *,
    progress: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Row]:
    """The metrics of each inner slice, hidden in turn and predicted by one method.

    Args:
        volume: as it was acquired.
        method: what predicts.
        progress: called with the number of slices done.
        cancelled: asked after every prediction.

    Raises:
        VolumeError: without three evenly spaced slices in a row.
        Cancelled: as soon as `cancelled()` is true.
    """
    full_range = has_full_range(volume.slices)
    rows: list[Row] = []
    for index, predicted, truth in hold_one_out(volume, method):
        if cancelled and cancelled():
            raise Cancelled("The check was cancelled; nothing was kept.")
        row: Row = {"slice": index, **slice_metrics(predicted, truth)}
        row["mae_window_hu"] = row["mae"] * BRAIN.width
        rows.append(row | ({} if full_range else {"mae_hu": None}))
        if progress:
            progress(len(rows))
    return rows


def check_table(result: dict) -> Table:
    """A check's means by method, with the worst slice of each, numbered from 1."""
    rows = []
    for name, found in result["methods"].items():
        worst = found["worst"]
        place = f"{worst['slice'] + 1} ({worst['psnr']:.2f} dB)"
        rows.append({"method": name, **found["mean"], "worst": place})
    return Table([Column("method"), *SHOWN, Column("worst", "worst slice")], rows)


def slice_table(result: dict) -> Table:
    """PSNR of every hidden slice by method; slices are numbered from 1."""
    methods = result["methods"]
    rows = [
        {"slice": of_methods[0]["slice"] + 1}
        | {name: row["psnr"] for name, row in zip(methods, of_methods, strict=True)}
        for of_methods in zip(*(found["slices"] for found in methods.values()), strict=True)
    ]
    columns = [Column("slice"), *(Column(name, style=".2f") for name in methods)]
    return Table(columns, rows, caption="PSNR in dB")


def _mean(rows: Sequence[Row], key: str) -> float | None:
    known = [row[key] for row in rows if row[key] is not None]
    return float(np.mean(known)) if known else None
