"""The phantom study in numbers: its groups, its table, and what the doubled grids gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from SliceInterpLib.lab.patient_statistics import with_interval
from SliceInterpLib.lab.volumetry_study.study import ACQUIRED, SIZES_ML, Row

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


def mean_of(rows: Sequence[Row], value: Callable[[Row], float | None]) -> float:
    """Mean of a value over the rows that have it; NaN where none has."""
    values = [found for row in rows if (found := value(row)) is not None]
    return float(np.mean(values)) if values else float("nan")


def markdown(rows: Sequence[Row]) -> str:
    """Legend, table, and the ratios to the acquired grid."""
    lesions = len({row.lesion for row in rows})
    spacings = sorted({row.spacing_mm for row in rows})
    legend = f"""\
{lesions} lesions, each scanned at {", ".join(f"{s:g}" for s in spacings)} mm: \
{lesions * len(spacings)} cases.

- Found: in how many cases the segmentation found the lesion (Dice above 0). Where it did not, the \
volume is 0 and counts as such; there are no distances then.
- Bias: mean of (measured − true) / true, with the limits of agreement, ± 1.96 standard deviations \
(Bland & Altman 1986).
- Error: mean absolute error of the sum of voxels; corrected: the same for the volume corrected \
for partial volume.
- Surface: mean distance of the borders. Ends: mean distance, at top and bottom, of where the mask \
and the lesion end."""
    return "\n\n".join([legend, _table(rows), _ratios(rows), _repeatability(rows)]) + "\n"


def _table(rows: Sequence[Row]) -> str:
    groups = size_groups(rows)
    groups[f"under {SMALL_ML:g} ml"] = [row for row in rows if row.true_ml < SMALL_ML]
    for spacing in sorted({row.spacing_mm for row in rows}):
        groups[f"{spacing:g} mm"] = [row for row in rows if row.spacing_mm == spacing]
    for shape in dict.fromkeys(row.shape for row in rows):
        groups[shape] = [row for row in rows if row.shape == shape]
    groups["all"] = list(rows)
    titles = (
        *("cases", "method", "found", "bias %", "error ml", "corrected ml", "Dice"),
        *("surface mm", "ends mm"),
    )
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for group, members in groups.items():
        for method in dict.fromkeys(row.method for row in members):
            ours = [row for row in members if row.method == method]
            lines.append(f"| {group} | {method} | " + " | ".join(_cells(ours)) + " |")
    return "\n".join(lines)


def _cells(rows: Sequence[Row]) -> list[str]:
    percent = [100.0 * (row.ml - row.true_ml) / row.true_ml for row in rows]
    bias, spread = float(np.mean(percent)), 1.96 * float(np.std(percent))
    return [
        f"{sum(row.agreement.dice > 0 for row in rows)} of {len(rows)}",
        with_interval(bias, (bias - spread, bias + spread), "+.1f"),
        f"{mean_of(rows, error_ml):.2f}",
        f"{mean_of(rows, lambda row: abs(row.partial_ml - row.true_ml)):.2f}",
        f"{mean_of(rows, lambda row: row.agreement.dice):.3f}",
        f"{mean_of(rows, lambda row: row.agreement.surface_mm):.2f}",
        f"{mean_of(rows, lambda row: row.agreement.ends_mm):.2f}",
    ]


def _ratios(rows: Sequence[Row]) -> str:
    """Each method's errors as a part of the acquired grid's, on the cases that both have."""
    small = [row for row in rows if row.true_ml < SMALL_ML]
    lines = [
        f"As a part of the acquired grid's, with 95 % intervals over lesions (volume error of "
        f"lesions under {SMALL_ML:g} ml; distances of all):",
        "",
        "| method | error | surface | ends |",
        "|---|---|---|---|",
    ]
    for method in dict.fromkeys(row.method for row in rows if row.method != ACQUIRED):
        cells = (
            _ratio(small, method, error_ml),
            _ratio(rows, method, lambda row: row.agreement.surface_mm),
            _ratio(rows, method, lambda row: row.agreement.ends_mm),
        )
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _ratio(rows: Sequence[Row], method: str, value: Callable[[Row], float | None]) -> str:
    acquired = {(r.lesion, r.spacing_mm): value(r) for r in rows if r.method == ACQUIRED}
    pairs: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        ours, theirs = value(row), acquired[row.lesion, row.spacing_mm]
        if row.method == method and ours is not None and theirs is not None:
            pairs.setdefault(row.lesion, []).append((ours, theirs))
    if not pairs:
        return "–"
    ours, theirs = np.array([np.sum(of_lesion, axis=0) for of_lesion in pairs.values()]).T
    ratio = float(ours.sum() / theirs.sum())
    if len(pairs) < 3:
        return f"{ratio:.2f}"
    interval = stats.bootstrap(
        (ours, theirs),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return with_interval(ratio, (interval.low, interval.high), ".2f")


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
