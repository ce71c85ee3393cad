"""Gaps between slices: which of them are even, and where slices must be missing."""

from __future__ import annotations

from collections import Counter

import numpy as np

GAP_TOLERANCE = 0.02
"""mm by which even gaps may differ: positions are often written with two decimals."""

USUAL_GAP = 8.0
"""mm. Thick, but some scanners' ordinary spacing: no gap up to this is out of the ordinary."""

UNUSUAL_GAP = 1.5
"""A gap of more than so many slice thicknesses, or of the median gap, misses slices."""


def stretches_of(gaps: np.ndarray) -> list[range]:
    """The evenly spaced stretches of a scan, as ranges of slices.

    Each begins with the slice that ends the one before, so that every gap belongs to one of them;
    two slices between two stretches may make one of their own.

    Args:
        gaps: (n − 1,) mm between the planes of neighbouring slices.
    """
    parts, start = [], 0
    for last in range(1, len(gaps) + 1):
        if last == len(gaps) or np.ptp(gaps[start : last + 1]) > 2 * GAP_TOLERANCE:
            parts.append(range(start, last + 1))
            start = last
    return parts or [range(1)]


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
