"""What counts as blood, and what is found: all that Slicer itself has to know of segmenting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SliceInterpLib.volumetry.mask import SegmentationError

USUAL_HIGH_HU = 90.0
"""Most fresh blood is not brighter."""


@dataclass(frozen=True)
class SegmentationSettings:
    """What counts as blood. HU after smoothing; lengths in mm, within the slices.

    A limit that is None is found for each clot, since scanners differ by more than 10 HU in what
    they make of a brain: the lower one midway between brain and clot, where a blurred edge lies,
    but above grey matter; the upper one as far above the clot as the lower one is below it, or
    USUAL_HIGH_HU if that is higher.
    """

    low_hu: float | None = None
    high_hu: float | None = None
    neck_mm: float = 0.75
    """Bridges up to twice this wide (vessels, dura) are cut."""
    bone_margin_mm: float = 0.75
    """So close to bone, where every threshold finds a rim, nothing is found by itself. What was
    found farther inside grows back through twice this, into what bone has made brighter too."""
    reach_mm: float | None = None
    """Nothing farther than this from every seed is taken, slices included; None: no limit."""

    def __post_init__(self) -> None:
        if self.low_hu is None or self.high_hu is None:
            return
        if not self.low_hu < self.high_hu:
            raise SegmentationError(
                f"The threshold range {self.low_hu:g}…{self.high_hu:g} HU is empty. Give a lower "
                "limit that is below the upper one."
            )


DEFAULTS = SegmentationSettings()


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A hematoma in a volume."""

    mask: np.ndarray
    """bool, shaped as the volume's `slices`."""
    limits_hu: tuple[float, float]
    """The threshold range that was used."""
    warnings: tuple[str, ...]
    """What makes the result doubtful, as sentences for the user; empty if nothing does."""
    bright: np.ndarray | None = None
    """Of a clot of two densities the bright part alone, shaped so; None if there is one density."""
