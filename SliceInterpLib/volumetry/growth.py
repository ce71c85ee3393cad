"""Growth of a hematoma between two scans, and how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

REFERENCE_ML, REFERENCE_PERCENT = 6.0, 33.0
"""The usual definition of expansion (Dowlatshahi et al. 2011, Neurology 76:1238): more than
either. For reference only: no decision is taken here."""

REPEATABILITY = 0.22
"""Standard deviation of a measured volume's error over volume^⅔, ml^⅓, as the laboratory's
volumetry-study prints it for the acquired grid.

The error lies on the surface, so that it grows as a surface does with the volume. It holds the
lesions' different shapes and places, so that for two scans of one lesion it is on the safe side.
"""


@dataclass(frozen=True)
class Growth:
    """From an earlier to a later volume."""

    ml: float
    percent: float
    interval_ml: tuple[float, float]
    """95 %, from the repeatability of the segmentation; scanners and positions come on top."""
    above_6_ml: bool
    above_33_percent: bool

    def __str__(self) -> str:
        low, high = self.interval_ml
        marks = [
            name
            for name, reached in (
                (f"{REFERENCE_ML:g} ml", self.above_6_ml),
                (f"{REFERENCE_PERCENT:g} %", self.above_33_percent),
            )
            if reached
        ]
        above = f"above {' and '.join(marks)}" if marks else "below 6 ml and 33 %"
        return (
            f"Growth {self.ml:+.1f} ml ({low:+.1f}…{high:+.1f}), {self.percent:+.0f} %; {above} "
            "(the usual thresholds, for reference only)."
        )


def growth(earlier_ml: float, later_ml: float) -> Growth:
    """Growth from two volumes above 0 in ml, each with the error that the phantom study found."""
    if min(earlier_ml, later_ml) <= 0:
        raise ValueError("growth needs two volumes above 0")
    change = later_ml - earlier_ml
    sigma = REPEATABILITY * math.hypot(earlier_ml ** (2 / 3), later_ml ** (2 / 3))
    percent = 100.0 * change / earlier_ml
    return Growth(
        change,
        percent,
        (change - 1.96 * sigma, change + 1.96 * sigma),
        change > REFERENCE_ML,
        percent > REFERENCE_PERCENT,
    )
