"""Hematomas found by their density, from seed points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry import doubts, morphology
from SliceInterpLib.volumetry.grey_part import grey_part
from SliceInterpLib.volumetry.intracranial import AIR_HU, bone_hu, intracranial_mask
from SliceInterpLib.volumetry.mask import RIM_MM, SegmentationError, bounds
from SliceInterpLib.volumetry.settings import (
    DEFAULTS,
    USUAL_HIGH_HU,
    Segmentation,
    SegmentationSettings,
)

SMOOTHING_MM = 1.0


SEED_REACH_MM = 3.0
"""A seed stands for blood that is at most this far away in its slice: clots have dark spots."""

_GREY_HU = 10.0
"""Grey matter and its noise are that much above the median of the intracranial space."""

_UNSURE_HU = 3.0
"""By so much the limit of dim blood may be wrong."""

_DARK_AND_BRIGHT = (10, 90)
_SEEN_DARK_AND_BRIGHT = (5, 95)
_LARGEST_SPREAD = 0.1
"""Seeds where the clot is dark and bright (percentiles), and where what the rule sees around a seed
is, not at its edge; and how far apart the volumes that they find may be, as a part of the volume,
before it is told."""

_PLACES_COMPARED = 200
"""About so many places in a clot are looked at for these seeds."""

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

    @property
    def _voxel_ml(self) -> np.ndarray:
        """Of each slice in the box."""
        return self.volume.voxel_mm3[self._box[0]] / 1000.0

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
        places = self._places(seeds)
        found, whole, low, high = self._clot(places, settings)
        warnings: list[str] = []
        if _automatic(settings):
            warnings += self._two_densities(found, whole)
            warnings += self._dim(found, low, high, places, settings)
            warnings += self._spread(found, whole, settings)
        mask = self._on_the_scan(whole)
        warnings += doubts.of_place_and_size(self.volume, mask)
        warnings += self._leaks(mask, low, high)
        bright = None if whole is found else self._on_the_scan(found)
        return Segmentation(mask, (low, high), tuple(warnings), bright)

    def mask(
        self,
        seeds: Sequence[Sequence[float]],
        settings: SegmentationSettings = DEFAULTS,
    ) -> np.ndarray:
        """The mask of `segment` alone: to look for what makes it doubtful takes longer.

        Returns:
            bool, shaped as the volume's `slices`.
        """
        _, whole, _, _ = self._clot(self._places(seeds), settings)
        return self._on_the_scan(whole)

    def _clot(
        self, places: Sequence[tuple[int, ...]], settings: SegmentationSettings
    ) -> tuple[np.ndarray, np.ndarray, float, float]:
        """The clot, the same with its grey part (itself, if it has none), and the range."""
        found, low, high = self._grown(places, settings)
        whole = found
        if _automatic(settings):
            whole = self._with_grey_part(found)
            self._pieces_at(whole, places, low, high)  # raises where a seed is in none
        return found, whole, low, high

    def _places(self, seeds: Sequence[Sequence[float]]) -> list[tuple[int, ...]]:
        if not seeds:
            raise SegmentationError("There is no seed. Place one in the hematoma.")
        return [self._place(seed) for seed in seeds]

    def _on_the_scan(self, found: np.ndarray) -> np.ndarray:
        mask = np.zeros(self.volume.slices.shape, bool)
        mask[self._box] = found
        return mask

    def _ml(self, found: np.ndarray) -> float:
        return float(np.count_nonzero(found, axis=(1, 2)) @ self._voxel_ml)

    def _grown(
        self, places: Sequence[tuple[int, ...]], settings: SegmentationSettings
    ) -> tuple[np.ndarray, float, float]:
        """The clot at the places, without holes, and the threshold range that it has."""
        low, high = self._limits(min(map(self._clot_hu, places)), settings)
        first = self._blood(low, high, places, settings)
        # A seed may lie in a dark spot; the whole clot is not to depend on it.
        low, high = self._limits(self._core_hu(first), settings)
        try:
            found = self._blood(low, high, places, settings)
        except SegmentationError:
            # It lies in the grey part of a clot: what is bright there is the same clot's.
            bright = morphology.largest_piece(self._dense(low, high) & first)
            if len(places) > 1 or not bright.any():
                raise
            found = self._blood(low, high, [self._deepest(bright)], settings)
        return morphology.filled(found), low, high

    def _core_hu(self, found: np.ndarray) -> float:
        """HU of blood without its rim, which is part brain; of all of it, if it is thin."""
        core = morphology.eroded(found, self.volume.pixel_spacing, RIM_MM)
        return float(np.median(self._smoothed[core if core.any() else found]))

    def _deepest(self, found: np.ndarray) -> tuple[int, ...]:
        """The place (slice, row, column) in `volume.slices` that is deepest in what was found."""
        depth = morphology.depth(found, self.volume.pixel_spacing)
        return self._from_box(np.unravel_index(int(depth.argmax()), depth.shape))

    def _from_box(self, index: Sequence[np.integer]) -> tuple[int, ...]:
        return tuple(int(i) + part.start for i, part in zip(index, self._box, strict=True))

    def _with_grey_part(self, found: np.ndarray) -> np.ndarray:
        """What was found, and with it a part that is less dense and yet no brain, if any."""
        hu, pixel = self.volume.slices[self._box], self.volume.pixel_spacing
        grey = grey_part(hu, self._inside, found, pixel, self._voxel_ml, self._brain_hu)
        return found | grey if grey.any() else found

    def _two_densities(self, bright: np.ndarray, whole: np.ndarray) -> Iterator[str]:
        if whole is bright:
            return
        grey_hu = float(np.median(self._smoothed[whole & ~bright]))
        yield doubts.two_densities(self._ml(bright), self._ml(whole), grey_hu)

    def _dim(
        self,
        found: np.ndarray,
        low: float,
        high: float,
        places: Sequence[tuple[int, ...]],
        settings: SegmentationSettings,
    ) -> Iterator[str]:
        """Of blood so little denser than brain that its limit is not midway between the two."""
        above = self._core_hu(found) - self._brain_hu
        if above >= 2.0 * _GREY_HU:
            return
        sizes = []
        for limit in (low + _UNSURE_HU, low - _UNSURE_HU):
            try:
                sizes.append(self._ml(self._blood(limit, high, places, settings)))
            except SegmentationError:
                sizes.append(0.0)
        yield doubts.dim(above, _UNSURE_HU, *sizes)

    def _spread(
        self, found: np.ndarray, whole: np.ndarray, settings: SegmentationSettings
    ) -> Iterator[str]:
        """Whether seeds elsewhere in what was found find the same; of one piece only."""
        if ndimage.label(whole)[1] > 1:
            return
        sizes = [self._ml(whole)]
        for place in self._elsewhere(whole):
            try:
                other, _, _ = self._grown([place], settings)
            except SegmentationError:
                continue  # a spot that nobody would take for blood
            same = abs(self._ml(other) - self._ml(found)) < 0.02 * self._ml(found)
            sizes.append(sizes[0] if same else self._ml(self._with_grey_part(other)))
        if max(sizes) - min(sizes) > _LARGEST_SPREAD * sizes[0]:
            yield doubts.depends_on_seed(min(sizes), max(sizes))

    def _elsewhere(self, whole: np.ndarray) -> list[tuple[int, ...]]:
        """Places in the clot where it is dark or bright, or where a seed sees such blood."""
        deep = morphology.eroded(whole, self.volume.pixel_spacing, RIM_MM)
        places = np.argwhere(deep if deep.any() else whole)
        some = places[:: max(1, len(places) // _PLACES_COMPARED)]
        seen = np.array([self._clot_hu(self._from_box(place)) for place in some])
        ways = (
            (places, self._smoothed[tuple(places.T)], _DARK_AND_BRIGHT),
            (some, seen, _SEEN_DARK_AND_BRIGHT),
        )
        chosen = [
            self._from_box(where[np.abs(hu - one).argmin()])
            for where, hu, percentiles in ways
            for one in np.percentile(hu, percentiles)
        ]
        return list(dict.fromkeys(chosen))

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
        pixel, margin = self.volume.pixel_spacing, settings.bone_margin_mm
        reach = 2.0 * margin  # so that the bone beside it is in the box
        box = bounds(found, (0, *(int(reach / size) + 1 for size in pixel)))
        inside = self._inside[box]
        bright = inside & (self._smoothed[box] >= low)
        found[box] = morphology.freed(
            found[box], bright, inside, pixel, margin_mm=margin, neck_mm=settings.neck_mm
        )
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
        wanted = np.zeros(pieces.max() + 1, bool)
        wanted[list(chosen)] = True
        return wanted[pieces]

    def _leaks(self, mask: np.ndarray, low: float, high: float) -> Iterator[str]:
        """Whether brain or bone is in what was found, or is likely to be."""
        if self._dense(low, high).sum() > _DENSE_SHARE * self._inside.sum():
            yield doubts.BRAIN_IN_RANGE
        rim = ~morphology.eroded(self._inside, self.volume.pixel_spacing, _TOUCHING_MM)
        touching = np.count_nonzero(mask[self._box] & rim)
        if touching > _TOUCHING_SHARE * np.count_nonzero(mask):
            yield doubts.TOUCHES_BONE


def _automatic(settings: SegmentationSettings) -> bool:
    """Whether nobody has said what is wanted, by a limit of their own or by a reach."""
    return settings.low_hu is None and settings.reach_mm is None


def _in_words(seed: Sequence[float]) -> str:
    left, back, up = seed
    return f"The seed at R {-left:.1f}, A {-back:.1f}, S {up:.1f} mm"
