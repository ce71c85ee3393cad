"""Slices as they were acquired: at gaps that may differ, along a line that may slant."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.volume import Volume

GAP_TOLERANCE = 0.02
"""mm by which even gaps may differ: positions are often written with two decimals."""

DRIFT_TOLERANCE = 0.05
"""mm by which slices may leave the line through the first and the last one."""

USUAL_GAP = 8.0
"""mm. Thick, but some scanners' ordinary spacing: no gap up to this is out of the ordinary."""

UNUSUAL_GAP = 1.5
"""A gap of more than so many slice thicknesses, or of the median gap, misses slices."""


@dataclass(frozen=True, eq=False)
class SliceStack:
    """CT slices of one orientation, in order along a line on the side of their normal.

    `slices`: (n, rows, columns) HU. `slice_origins`: (n, 3) mm, LPS, the centre of each slice's
    first pixel. `pixel_spacing`: mm between rows and between columns. `in_plane_axes`: (3, 2), the
    unit vectors along which the column and the row index grow. `thickness`: (n,) mm, NaN where it
    is not known.

    Raises VolumeError for fewer than two slices, for two at one place and for slices that are not
    in order along one line.
    """

    slices: np.ndarray
    slice_origins: np.ndarray
    pixel_spacing: tuple[float, float]
    in_plane_axes: np.ndarray
    thickness: np.ndarray

    def __post_init__(self) -> None:
        """Check that there is one slice after the other."""
        if len(self.slices) < 2:
            raise VolumeError("The series has one slice only. Give a whole series.")
        again = np.count_nonzero(self.gaps < GAP_TOLERANCE)
        if again:
            raise VolumeError(
                f"{again} of the series' {len(self.slices)} slices lie where another one lies "
                "already: duplicates, or several phases in one series. Leave one slice for each "
                "position."
            )
        along = self.positions / self.positions[-1]
        line = np.outer(along, self.slice_origins[-1] - self.slice_origins[0])
        drift = np.linalg.norm(self.slice_origins - self.slice_origins[0] - line, axis=1)
        if drift.max() > DRIFT_TOLERANCE:
            worst = int(drift.argmax())
            raise VolumeError(
                f"The slices do not lie along one line: slice {worst + 1} is {drift[worst]:.1f} mm "
                "beside the line from the first to the last. Several stacks may be mixed in one "
                "series: leave one in the folder."
            )

    @property
    def positions(self) -> np.ndarray:
        """(n,) mm from the first plane to each, along their normal."""
        return (self.slice_origins - self.slice_origins[0]) @ np.cross(*self.in_plane_axes.T)

    @property
    def gaps(self) -> np.ndarray:
        """(n − 1,) mm between the planes of neighbouring slices."""
        return np.diff(self.positions)

    @property
    def is_even(self) -> bool:
        """Whether all gaps are the same."""
        return len(self.stretches()) == 1

    def stretches(self) -> list[range]:
        """The evenly spaced parts, in order; each begins with the slice that ends the one before.

        Two slices at the border of two parts may make a part of their own.
        """
        gaps, parts, start = self.gaps, [], 0
        for last in range(1, len(gaps) + 1):
            if last == len(gaps) or np.ptp(gaps[start : last + 1]) > 2 * GAP_TOLERANCE:
                parts.append(range(start, last + 1))
                start = last
        return parts

    def missing(self) -> np.ndarray:
        """(n − 1,) bool: where a gap is so wide that slices must be missing."""
        return missing_slices(self.gaps, np.fmax(self.thickness[:-1], self.thickness[1:]))

    def volume(self, part: range | None = None) -> Volume:
        """The volume that the slices of an evenly spaced part make, or all of them.

        Raises VolumeError, with the gaps, if they are uneven.
        """
        part = part or range(len(self.slices))
        gaps = self.gaps[part.start : part.stop - 1]
        if np.ptp(gaps) > 2 * GAP_TOLERANCE:
            raise VolumeError(
                f"The gaps between the slices are uneven: {gaps_in_words(gaps)}. A slice may be "
                "missing. If not: `sliceinterp upsample --gaps even` fills each gap by itself and "
                "then spaces the slices evenly, `--gaps longest` takes the longest even part (in "
                "Python read_dicom and upsample_stack)."
            )
        rows, columns = self.pixel_spacing
        step = (self.slice_origins[part[-1]] - self.slice_origins[part[0]]) / len(gaps)
        length = float(np.linalg.norm(step))
        return Volume(
            hu=self.slices[part.start : part.stop],
            origin=tuple(self.slice_origins[part[0]].tolist()),
            spacing=(columns, rows, length),
            direction=np.column_stack([self.in_plane_axes, step / length]),
        )


def missing_slices(gaps: np.ndarray, thickness: np.ndarray | float = np.nan) -> np.ndarray:
    """Which of the gaps (mm) are so wide that slices must be missing, as booleans.

    Wider than UNUSUAL_GAP slice thicknesses; where the thickness is not known (NaN), wider than
    USUAL_GAP and UNUSUAL_GAP times the median gap.
    """
    by_median = max(USUAL_GAP, UNUSUAL_GAP * float(np.median(gaps)))
    usual = UNUSUAL_GAP * np.broadcast_to(thickness, np.shape(gaps))
    return gaps > np.where(np.isnan(usual), by_median, usual)


def gaps_in_words(gaps: np.ndarray) -> str:
    """How often each gap occurs, the commonest six first."""
    counts = Counter(f"{gap:.2f} mm" for gap in gaps)
    found = [f"{gap} ({count} times)" for gap, count in counts.most_common()]
    return ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")
