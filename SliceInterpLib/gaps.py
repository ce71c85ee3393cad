"""Gaps between slices: along which axis, which of them are even, where slices must be missing."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np

SAME_SPACING = 0.01
"""Two spacings are the same when they differ by less than this part of the smaller one."""

GAP_TOLERANCE = 0.02
"""mm by which even gaps may differ: positions are often written with two decimals."""

ROUNDING = 0.07
"""mm by which evenly spaced slices may lie beside their grid: what writing positions with one
decimal does along the normal of a gantry tilted by 30°."""

USUAL_GAP = 8.0
"""mm. Thick, but some scanners' ordinary spacing: no gap up to this is out of the ordinary."""

UNUSUAL_GAP = 1.5
"""A gap of more than so many slice thicknesses, or of the median gap, misses slices."""


def stretches_of(gaps: np.ndarray) -> list[range]:
    """The evenly spaced stretches of a scan, as ranges of slices.

    Each begins with the slice that ends the one before, so that every gap belongs to one of them;
    two slices between two stretches may make one of their own. Slices count as evenly spaced if
    their gaps hardly differ, or if none lies beside an even grid by more than ROUNDING.

    Args:
        gaps: (n − 1,) mm between the planes of neighbouring slices.
    """
    positions = np.concatenate([[0.0], np.cumsum(gaps)])
    bounds, start, finest, coarsest = [], 0, -np.inf, np.inf
    for last in range(1, len(gaps) + 1):
        # The spacings of the grids which all slices from the first to this one may lie on.
        apart, steps = positions[last] - positions[start:last], np.arange(last - start, 0, -1)
        finest = max(finest, float(((apart - 2 * ROUNDING) / steps).max()))
        coarsest = min(coarsest, float(((apart + 2 * ROUNDING) / steps).min()))
        if np.ptp(gaps[start:last]) > 2 * GAP_TOLERANCE and finest > coarsest:
            start = last - 1
            bounds.append(start)
            finest, coarsest = gaps[start] - 2 * ROUNDING, gaps[start] + 2 * ROUNDING
    ends = [0, *bounds, len(gaps)]
    return [range(one, other + 1) for one, other in pairwise(ends)] if len(gaps) else [range(1)]


def missing_slices(gaps: np.ndarray, thickness: np.ndarray | float = np.nan) -> np.ndarray:
    """Where gaps are so wide that slices must be missing.

    Args:
        gaps: (n − 1,) mm between the planes of neighbouring slices.
        thickness: mm of the slices beside each gap, one value for all or (n − 1,). Where it is
            known, a gap may be UNUSUAL_GAP times as wide; where it is not (NaN), the limit is
            USUAL_GAP or UNUSUAL_GAP times the median gap, whichever is larger.

    Returns:
        (n − 1,) bool.
    """
    by_median = max(USUAL_GAP, UNUSUAL_GAP * float(np.median(gaps)))
    usual = UNUSUAL_GAP * np.broadcast_to(thickness, np.shape(gaps))
    return gaps > np.where(np.isnan(usual), by_median, usual)


def gaps_in_words(gaps: np.ndarray) -> str:
    """How often each gap (mm) occurs, the commonest six first."""
    counts = Counter(f"{gap:.2f} mm" for gap in gaps)
    found = [f"{gap} ({count} times)" for gap, count in counts.most_common()]
    return ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")


def through_plane_axis(spacing: np.ndarray) -> int:
    """Axis of an array (z, y, x) that runs through-plane, from its spacing (x, y, z) in mm.

    Pixels are square, so the spacing that differs from two equal ones is that of the slices, be it
    larger or smaller. All three equal: 0. All different: the largest.
    """
    along = spacing[::-1]
    if _same(min(along), max(along)):
        return 0
    for axis, odd in enumerate(along):
        one, other = (along[i] for i in range(3) if i != axis)
        if _same(one, other) and not _same(one, odd) and not _same(other, odd):
            return axis
    return int(np.argmax(along))


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= SAME_SPACING * min(one, other)
