"""Hematomas found by their density, from seed points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry import morphology
from SliceInterpLib.volumetry.intracranial import AIR_HU, bone_hu, intracranial_mask
from SliceInterpLib.volumetry.mask import SegmentationError, bounds, voxel_ml
from SliceInterpLib.volumetry.settings import (
    DEFAULTS,
    USUAL_HIGH_HU,
    Segmentation,
    SegmentationSettings,
)

SMOOTHING_MM = 1.0

PLAUSIBLE_ML = 150.0
"""A larger hematoma is rare, and a leak is likelier."""

SEED_REACH_MM = 3.0
"""A seed stands for blood that is at most this far away in its slice: clots have dark spots."""

_GREY_HU = 10.0
"""Grey matter and its noise are that much above the median of the intracranial space."""

_BRIGHTEST_HU = 100.0
"""Blood is not brighter; bone beside it is."""

_TOUCHING_MM = 1.5
_TOUCHING_SHARE = 0.02
"""Where more than this share of the result is that close to bone, a warning says so."""

_DENSE_SHARE = 0.2
"""Where more of the intracranial space than this is in the threshold range, brain is in it too."""


class Segmenter:
    """Segments one volume, again and again: what does not depend on the settings is kept.

    HU are smoothed by a median over SMOOTHING_MM to each side of a pixel within its slice, which
    moves no straight edge. `space` is the intracranial mask where it is known, bool, shaped as
    `volume.slices`; by default it is found. Raises VolumeError where there is none.
    """

    def __init__(self, volume: Volume, *, space: np.ndarray | None = None) -> None:
        self.volume = volume
        self.space = intracranial_mask(volume) if space is None else space
        self._box = bounds(self.space)
        self._inside = self.space[self._box]

    @cached_property
    def _smoothed(self) -> np.ndarray:
        rows, columns = (max(1, round(SMOOTHING_MM / s)) for s in self.volume.pixel_spacing)
        image = sitk.GetImageFromArray(np.ascontiguousarray(self.volume.slices[self._box]))
        return sitk.GetArrayFromImage(sitk.Median(image, (columns, rows, 0)))

    def segment(
        self,
        seeds: Sequence[Sequence[float]],
        settings: SegmentationSettings = DEFAULTS,
    ) -> Segmentation:
        """The hematoma at the seeds.

        Args:
            seeds: points in mm, LPS, each in a hematoma; at least one.
            settings: what counts as blood.

        Raises:
            SegmentationError: without a seed, and for one outside the volume, in air, in bone,
                outside the skull or not in blood.
        """
        if not seeds:
            raise SegmentationError("There is no seed. Place one in the hematoma.")
        places = [self._place(seed) for seed in seeds]
        low, high = self._limits(min(map(self._clot_hu, places)), settings)
        found = self._blood(low, high, places, settings)
        # A seed may lie in a dark spot; the whole clot is not to depend on it.
        low, high = self._limits(float(np.median(self._smoothed[found])), settings)
        found = self._blood(low, high, places, settings)
        mask = np.zeros(self.volume.slices.shape, bool)
        mask[self._box] = morphology.filled(found)
        doubts = tuple(self._doubts(mask, low, high))
        return Segmentation(mask, (low, high), doubts)

    def _limits(self, clot_hu: float, settings: SegmentationSettings) -> tuple[float, float]:
        low, high = settings.low_hu, settings.high_hu
        if low is None:
            brain = self._brain_hu
            low = max((brain + clot_hu) / 2.0, brain + _GREY_HU)
        if high is None:
            high = max(USUAL_HIGH_HU, 2.0 * clot_hu - low)
        return low, high

    @cached_property
    def _brain_hu(self) -> float:
        return float(np.median(self._smoothed[self._inside]))

    def _clot_hu(self, place: tuple[int, ...]) -> float:
        """HU of the blood at a seed, though there may be brain and bone beside a thin clot."""
        here = self._beside(place)
        around = self._smoothed[here][self._inside[here]]
        around = around[around <= _BRIGHTEST_HU]
        return float(np.percentile(around, 75)) if around.size else _BRIGHTEST_HU

    def _dense(self, low: float, high: float) -> np.ndarray:
        return (self._smoothed >= low) & (self._smoothed <= high) & self._inside

    def _blood(
        self,
        low: float,
        high: float,
        places: Sequence[tuple[int, ...]],
        settings: SegmentationSettings,
    ) -> np.ndarray:
        """The dense pieces at the places, without rim of bone and narrow necks."""
        found = self._dense(low, high)
        if settings.reach_mm is not None:
            near = [self._near(place, settings.reach_mm) for place in places]
            found &= np.logical_or.reduce(near)
        found = self._pieces_at(found, places, low, high)
        reach = 2.0 * settings.bone_margin_mm  # so that the bone beside it is in the box
        box = bounds(found, (0, *(int(reach / s) + 1 for s in self.volume.pixel_spacing)))
        bright = self._inside[box] & (self._smoothed[box] >= low)
        found[box] = self._freed(found[box], bright, self._inside[box], settings)
        return self._pieces_at(found, places, low, high)

    def _place(self, seed: Sequence[float]) -> tuple[int, ...]:
        """Index (slice, row, column) in `volume.slices` of a seed that may be in blood."""
        volume = self.volume
        index = np.rint(volume.indices(np.array(seed))[0]).astype(int)
        where = _in_words(seed)
        if (index < 0).any() or (index >= volume.slices.shape).any():
            raise SegmentationError(
                f"{where} is outside the volume. Place it in the hematoma; coordinates are mm "
                "towards the right, the front and above (RAS)."
            )
        if not self.space[tuple(index)]:
            hu = float(volume.slices[tuple(index)])
            tissue = "bone" if hu >= bone_hu(volume) else "air or fat" if hu < AIR_HU else None
            what = f"in {tissue} ({hu:.0f} HU)" if tissue else "outside the intracranial space"
            raise SegmentationError(f"{where} is {what}. Place it in the hematoma.")
        return tuple(index.tolist())

    def _near(self, place: tuple[int, ...], reach_mm: float) -> np.ndarray:
        """Where in the box a voxel is within the reach of a place, (slice, row, column)."""
        volume, (planes, rows, columns) = self.volume, self._box
        across = np.arange(planes.start, planes.stop)
        # Where the place lies in each slice's plane, in mm from its first pixel.
        seed = volume.places(np.array(place)) - volume.slice_origins[across]
        x, y = (seed @ np.linalg.pinv(volume.in_plane_axes).T).T
        down, along = volume.pixel_spacing
        far = (volume.positions[across] - volume.positions[place[0]]) ** 2
        far_rows = (np.arange(rows.start, rows.stop) * down - y[:, None]) ** 2
        far_columns = (np.arange(columns.start, columns.stop) * along - x[:, None]) ** 2
        squares = far[:, None, None] + far_rows[:, :, None] + far_columns[:, None, :]
        return squares <= reach_mm**2

    def _beside(self, place: tuple[int, ...]) -> tuple[slice, ...]:
        """The part of the box within SEED_REACH_MM of a place, in its slice."""
        index, row, column = (i - part.start for i, part in zip(place, self._box, strict=True))
        high, wide = (int(SEED_REACH_MM / size) for size in self.volume.pixel_spacing)
        return (
            slice(index, index + 1),
            slice(max(0, row - high), row + high + 1),
            slice(max(0, column - wide), column + wide + 1),
        )

    def _pieces_at(
        self, mask: np.ndarray, places: Sequence[tuple[int, ...]], low: float, high: float
    ) -> np.ndarray:
        """The connected pieces of a mask that are within SEED_REACH_MM of the seeds."""
        pieces, _ = ndimage.label(mask)
        chosen: set[int] = set()
        for place in places:
            here = self._beside(place)
            near = np.unique(pieces[here])
            if not near.any():
                raise SegmentationError(
                    f"The seed in slice {place[0] + 1} is not in blood: around it are "
                    f"{np.median(self._smoothed[here]):.0f} HU, and the threshold range is "
                    f"{low:.0f}…{high:.0f} HU. Place it in the hematoma, or change the range."
                )
            chosen.update(near[near > 0].tolist())
        return np.isin(pieces, list(chosen))

    def _freed(
        self,
        dense: np.ndarray,
        bright: np.ndarray,
        inside: np.ndarray,
        settings: SegmentationSettings,
    ) -> np.ndarray:
        """Dense voxels without the rim of the bone and without what hangs on by narrow necks."""
        pixel, margin = self.volume.pixel_spacing, settings.bone_margin_mm
        depth = morphology.depth(inside, pixel)
        free = morphology.opened(dense & (depth > margin), pixel, settings.neck_mm)
        rim = bright & (depth <= 2.0 * margin)
        return free | (morphology.dilated(free, pixel, 2.0 * margin) & rim)

    def _doubts(self, mask: np.ndarray, low: float, high: float) -> Iterator[str]:
        """What a user should look at."""
        size = voxel_ml(self.volume, mask)
        if size > PLAUSIBLE_ML:
            yield (
                f"{size:.0f} ml is more than a hematoma usually has: the segmentation may have "
                "leaked into other tissue. Look at it; a narrower range or a reach helps."
            )
        if self._dense(low, high).sum() > _DENSE_SHARE * self._inside.sum():
            yield (
                "Much of the brain itself is within the threshold range. Raise its lower limit "
                "to midway between brain and clot."
            )
        rim = ~morphology.eroded(self._inside, self.volume.pixel_spacing, _TOUCHING_MM)
        touching = np.count_nonzero(mask[self._box] & rim)
        if touching > _TOUCHING_SHARE * np.count_nonzero(mask):
            yield "The segmentation touches bone: look whether a rim of bone was taken for blood."
        shown = np.any(mask, axis=(1, 2))
        guessed = np.flatnonzero(self.volume.missing & shown[:-1] & shown[1:])
        if guessed.size:
            yield (
                f"Slices are missing behind slice {', '.join(str(i + 1) for i in guessed)}, inside "
                "the hematoma: its volume there is a guess."
            )
        if mask[0].any() or mask[-1].any():
            yield "The hematoma reaches the first or last slice: part of it may not be on the scan."


def _in_words(seed: Sequence[float]) -> str:
    left, back, up = seed
    return f"The seed at R {-left:.1f}, A {-back:.1f}, S {up:.1f} mm"
