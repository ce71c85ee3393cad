"""Check on this scan: every inner slice with a head is hidden and predicted by each method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from SliceInterpLib.errors import Cancelled
from SliceInterpLib.evidence.holdout import hold_out, left_out, to_hide
from SliceInterpLib.evidence.metrics import METRICS, slice_metrics
from SliceInterpLib.head_box import has_full_range
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
    """Hide the slices of `to_hide` in turn and compare each with each method's prediction.

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
        neighbours, "without_head": number of those that are, but show no head, "methods": {name:
        {"slices": [a Row a slice], "mean": {metric: …}, "worst": the Row with the lowest PSNR}}}.
        Metrics are those of `slice_metrics` and mae_window_hu, its mae in HU; mae_hu is None where
        the scan lacks the full range.

    Raises:
        VolumeError: as `hold_out` does.
        Cancelled: as soon as `cancelled()` is true.
    """
    rows = {}
    hidden = to_hide(volume)
    per_method = len(hidden.indices)
    for number, method in enumerate(methods):

        def count(done: int, before: int = number * per_method) -> None:
            if progress:
                progress(before + done, per_method * len(methods))

        rows[method.name] = hidden_slices(volume, method, progress=count, cancelled=cancelled)
    found = next(iter(rows.values()))
    gap = float(np.mean([volume.gaps[int(row["slice"])] for row in found]))
    return {
        "gap_mm": gap,
        "hidden_gap_mm": 2.0 * gap,
        "not_hidden": volume.slice_count - 2 - per_method - hidden.without_head,
        "without_head": hidden.without_head,
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
    """The metrics of the slices of `to_hide`, each predicted by one method.

    Args:
        volume: as it was acquired.
        method: what predicts.
        progress: called with the number of slices done.
        cancelled: asked after every prediction.

    Raises:
        VolumeError: as `hold_out` does.
        Cancelled: as soon as `cancelled()` is true.
    """
    full_range = has_full_range(volume.slices)
    rows: list[Row] = []
    for index, predicted, truth in hold_out(volume, method):
        if cancelled and cancelled():
            raise Cancelled("The check was cancelled; nothing was kept.")
        row: Row = {"slice": index, **slice_metrics(predicted, truth)}
        row["mae_window_hu"] = row["mae"] * BRAIN.width
        rows.append(row | ({} if full_range else {"mae_hu": None}))
        if progress:
            progress(len(rows))
    return rows


def check_table(result: Mapping) -> Table:
    """A check's means by method, with the worst slice of each, numbered from 1.

    The caption says over how many slices, and how many are left out.
    """
    rows = []
    for name, found in result["methods"].items():
        worst = found["worst"]
        place = f"{worst['slice'] + 1} ({worst['psnr']:.2f} dB)"
        rows.append({"method": name, **found["mean"], "worst": place})
    caption = f"{hidden_count(result)} slices hidden in turn{left_out(result['without_head'])}"
    if result["not_hidden"]:
        caption += f", {result['not_hidden']} not midway between their neighbours left out"
    return Table([Column("method"), *SHOWN, Column("worst", "worst slice")], rows, caption)


def hidden_count(result: Mapping) -> int:
    """How many slices a check has hidden in turn."""
    return len(next(iter(result["methods"].values()))["slices"])


def slice_table(result: Mapping) -> Table:
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
