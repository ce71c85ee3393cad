"""The phantom study in numbers: its groups, its table, and what the doubled grids gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from SliceInterpLib.lab.volumetry_study.study import ACQUIRED, SIZES_ML, Row
from SliceInterpLib.table import Column, Estimate, Table, Value

SMALL_ML = 10.0
"""Below this, the gain is expected."""


def size_groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each size class."""
    return {
        f"{low:g}–{high:g} ml": [row for row in rows if low <= row.true_ml < high]
        for low, high in zip(SIZES_ML[:-1], SIZES_ML[1:], strict=True)
    }


def error_ml(row: Row) -> float:
    """Absolute error of the volume."""
    return abs(row.ml - row.true_ml)


def mean_of(rows: Sequence[Row], value: Callable[[Row], float | None]) -> float | None:
    """Mean of a value over the rows that have it; None where none has."""
    values = [found for row in rows if (found := value(row)) is not None]
    return float(np.mean(values)) if values else None


def markdown(rows: Sequence[Row]) -> str:
    """Legend, table, and the ratios to the acquired grid."""
    lesions = len({row.lesion for row in rows})
    spacings = sorted({row.spacing_mm for row in rows})
    counted = f"{lesions} lesion{'s' if lesions != 1 else ''}"
    legend = f"""\
{counted}, each scanned at {", ".join(f"{s:g}" for s in spacings)} mm: \
{lesions * len(spacings)} cases.

- Found: in how many cases the segmentation found the lesion (Dice above 0). Where it did not, the \
volume is 0 and counts as such; there are no distances then.
- Bias: mean of (measured − true) / true, with the limits of agreement, ± 1.96 standard deviations \
(Bland & Altman 1986).
- Error: mean absolute error of the sum of voxels; corrected: the same for the volume corrected \
for partial volume.
- Surface: mean distance of the borders. Ends: mean distance, at top and bottom, of where the mask \
and the lesion end."""
    tables = (_table(rows).markdown(), _ratios(rows).markdown())
    return "\n\n".join([legend, *tables, _repeatability(rows)]) + "\n"


def _table(rows: Sequence[Row]) -> Table:
    groups = size_groups(rows)
    groups[f"under {SMALL_ML:g} ml"] = [row for row in rows if row.true_ml < SMALL_ML]
    for spacing in sorted({row.spacing_mm for row in rows}):
        groups[f"{spacing:g} mm"] = [row for row in rows if row.spacing_mm == spacing]
    for shape in dict.fromkeys(row.shape for row in rows):
        groups[shape] = [row for row in rows if row.shape == shape]
    groups["all"] = list(rows)
    found = []
    for group, members in groups.items():
        for method in dict.fromkeys(row.method for row in members):
            ours = [row for row in members if row.method == method]
            found.append({"cases": group, "method": method, **_errors(ours)})
    return Table(
        (
            Column("cases"),
            Column("method"),
            Column("found"),
            Column("bias", unit="%", style="+.1f"),
            Column("error", unit="ml", style=".2f"),
            Column("corrected", unit="ml", style=".2f"),
            Column("dice", "Dice", "", ".3f"),
            Column("surface", unit="mm", style=".2f"),
            Column("ends", unit="mm", style=".2f"),
        ),
        found,
    )


def _errors(rows: Sequence[Row]) -> dict[str, Value]:
    percent = [100.0 * (row.ml - row.true_ml) / row.true_ml for row in rows]
    bias, spread = float(np.mean(percent)), 1.96 * float(np.std(percent))
    return {
        "found": f"{sum(row.agreement.dice > 0 for row in rows)} of {len(rows)}",
        "bias": Estimate(bias, (bias - spread, bias + spread)),
        "error": mean_of(rows, error_ml),
        "corrected": mean_of(rows, lambda row: abs(row.partial_ml - row.true_ml)),
        "dice": mean_of(rows, lambda row: row.agreement.dice),
        "surface": mean_of(rows, lambda row: row.agreement.surface_mm),
        "ends": mean_of(rows, lambda row: row.agreement.ends_mm),
    }


def _ratios(rows: Sequence[Row]) -> Table:
    """Each method's errors as a part of the acquired grid's, on the cases that both have."""
    small = [row for row in rows if row.true_ml < SMALL_ML]
    return Table(
        (
            Column("method"),
            Column("error", style=".2f"),
            Column("surface", style=".2f"),
            Column("ends", style=".2f"),
        ),
        [
            {
                "method": method,
                "error": _ratio(small, method, error_ml),
                "surface": _ratio(rows, method, lambda row: row.agreement.surface_mm),
                "ends": _ratio(rows, method, lambda row: row.agreement.ends_mm),
            }
            for method in dict.fromkeys(row.method for row in rows if row.method != ACQUIRED)
        ],
        caption="As a part of the acquired grid's, with 95 % intervals over lesions (volume error "
        f"of lesions under {SMALL_ML:g} ml; distances of all):",
    )


def _ratio(
    rows: Sequence[Row], method: str, value: Callable[[Row], float | None]
) -> Estimate | None:
    acquired = {(r.lesion, r.spacing_mm): value(r) for r in rows if r.method == ACQUIRED}
    pairs: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        ours, theirs = value(row), acquired[row.lesion, row.spacing_mm]
        if row.method == method and ours is not None and theirs is not None:
            pairs.setdefault(row.lesion, []).append((ours, theirs))
    if not pairs:
        return None
    ours, theirs = np.array([np.sum(of_lesion, axis=0) for of_lesion in pairs.values()]).T
    ratio = float(ours.sum() / theirs.sum())
    if len(pairs) < 3:
        return Estimate(ratio)
    interval = stats.bootstrap(
        (ours, theirs),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Estimate(ratio, (interval.low, interval.high))


def _repeatability(rows: Sequence[Row]) -> str:
    texts = []
    for method in dict.fromkeys(row.method for row in rows):
        ours = [row for row in rows if row.method == method and row.agreement.dice > 0]
        spread = np.std([(row.ml - row.true_ml) / row.true_ml ** (2 / 3) for row in ours])
        texts.append(f"{method} {spread:.3f}")
    return (
        "Repeatability, the standard deviation of the error over volume^⅔ in ml^⅓, where the "
        f"lesion was found: {', '.join(texts)}."
    )
