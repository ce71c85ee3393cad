"""The phantom study: hematomas of known volume, measured on thick slices and on doubled ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy import ndimage

from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.lab.agreement import Agreement, agreement
from SliceInterpLib.lab.segmentation_check import mask_from
from SliceInterpLib.lab.volumetry_study.lesions import (
    LATTICE_MM,
    SHAPES,
    Head,
    Lesion,
    draw_lesion,
    scan,
)
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.carrying import carried_over
from SliceInterpLib.volumetry.intracranial import INNER_TABLE_HU, intracranial_mask
from SliceInterpLib.volumetry.mask import voxel_ml
from SliceInterpLib.volumetry.measures import partial_volume_ml
from SliceInterpLib.volumetry.segmentation import Segmenter

SPACINGS_MM = (2.5, 4.0, 5.0)
SIZES_ML = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Limits of the size classes; within one, sizes are even on a logarithmic scale."""

ACQUIRED, CARRIED = "acquired", "mask carried over"
"""Names of the rows that need no interpolator."""

_AnyVolume = TypeVar("_AnyVolume", bound=Volume)

_PAIRS = len(SHAPES) * (len(SIZES_ML) - 1)
"""Of shape and size class, each drawn once in every head."""

_AIR_ROWS = 8
"""Beside the part that methods see, since they refuse a scan without air."""

_AROUND_MM = 25.0
"""Methods and segmentation see this much around a lesion, within the slices: leaks end there."""


@dataclass(frozen=True)
class Row:
    """One lesion, scanned at one spacing, as one method shows it."""

    lesion: int
    shape: str
    true_ml: float
    spacing_mm: float
    method: str
    ml: float
    """Sum of voxels; 0 where the segmentation found nothing."""
    partial_ml: float
    """The same corrected for partial volume."""
    agreement: Agreement


def run_study(
    methods: Sequence[Interpolator],
    *,
    lesions: int = 40,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Measure lesions at each of SPACINGS_MM.

    Shapes and size classes take turns, so that 40 lesions have each pair in each of two heads.
    Every volume is segmented anew by the same rule, from the place deepest in the lesion; only
    the row CARRIED is the acquired slices' mask, carried over to the doubled grid by its shape.

    Args:
        methods: those that double the scans.
        lesions: how many.
        seed: of lesions and noise; the heads are always the same.
        progress: called with the number of lesions done and their number.

    Returns:
        A row a method, lesion and spacing.
    """
    rows: list[Row] = []
    for number in range(lesions):
        if number % _PAIRS == 0:
            head = Head(number // _PAIRS)
        lesion = _lesion(head, number % _PAIRS, np.random.default_rng((seed, number)))
        for spacing in SPACINGS_MM:
            rng = np.random.default_rng((seed, number, round(10 * spacing)))
            rows += [
                Row(number, lesion.shape, lesion.ml, spacing, *found)
                for found in _measured(lesion, spacing, methods, rng)
            ]
        if progress:
            progress(number + 1, lesions)
    return rows


def _lesion(head: Head, turn: int, rng: np.random.Generator) -> Lesion:
    size = turn // len(SHAPES)
    ml = float(np.exp(rng.uniform(*np.log(SIZES_ML[size : size + 2]))))
    return draw_lesion(head, SHAPES[turn % len(SHAPES)], ml, rng)


def _measured(
    lesion: Lesion, spacing_mm: float, methods: Sequence[Interpolator], rng: np.random.Generator
) -> Iterator[tuple[str, float, float, Agreement]]:
    """Name, ml, ml corrected for partial volume, and agreement of each method."""
    head, start = scan(lesion, spacing_mm, rng)
    window = _window(lesion)
    space = intracranial_mask(head)[window]
    volume = _part(head, window)
    truth = _truth(lesion, volume, start, window)
    seed = _deepest(lesion)
    mask = mask_from(Segmenter(volume, space=space), seed)
    # A slice put between two may show the space of either, but for its own bone.
    either = np.repeat(space, 2, axis=0)[1:]
    either[1::2] |= space[:-1]
    doubled = [_doubled(volume, method) for method in methods]
    carried = carried_over(volume, mask, doubled[0])
    grids = [(ACQUIRED, volume, mask), (CARRIED, doubled[0], carried)]
    for method, finer in zip(methods, doubled, strict=True):
        segmenter = Segmenter(finer, space=either & (finer.slices < INNER_TABLE_HU))
        grids.append((method.name, finer, mask_from(segmenter, seed)))

    def lattice(voxels: np.ndarray) -> np.ndarray:
        return voxels * LATTICE_MM

    for name, grid, found in grids:
        partial_ml = partial_volume_ml(grid, found) if found.any() else 0.0
        on_lattice = found[_slice_of_plane(grid, start, len(truth))]
        yield name, voxel_ml(grid, found), partial_ml, agreement(on_lattice, truth, lattice)


def _doubled(volume: Volume, method: Interpolator) -> Volume:
    """What the method makes of a part of a head."""
    air = ((0, 0), (0, _AIR_ROWS), (0, 0))
    beside = replace(volume, slices=np.pad(volume.slices, air, constant_values=-1000))
    doubled = upsample(beside, method)
    return replace(doubled, slices=doubled.slices[:, :-_AIR_ROWS])


def _part(volume: _AnyVolume, window: tuple[slice, ...]) -> _AnyVolume:
    """Some rows and columns of all slices of a volume."""
    starts = [[0.0, *(part.start or 0 for part in window[1:])]]
    shift = volume.places(np.array(starts)) - volume.slice_origins[0]
    return replace(volume, slices=volume.slices[window], slice_origins=volume.slice_origins + shift)


def _deepest(lesion: Lesion) -> np.ndarray:
    """The place in mm, LPS, deepest in the lesion."""
    depth = ndimage.distance_transform_edt(np.pad(lesion.truth, 1))
    index = np.array(np.unravel_index(depth.argmax(), depth.shape)) - 1 + lesion.corner
    return index[::-1] * LATTICE_MM


def _window(lesion: Lesion) -> tuple[slice, ...]:
    """All slices, and of them the rows and columns around the lesion that methods see."""
    margin = round(_AROUND_MM / LATTICE_MM)
    within = (
        slice(max(0, first - margin), first + size + margin)
        for first, size in zip(lesion.corner[1:], lesion.truth.shape[1:], strict=True)
    )
    return (slice(None), *within)


def _truth(lesion: Lesion, volume: Volume, start: int, window: tuple[slice, ...]) -> np.ndarray:
    """The lesion on the lattice's planes that make the slices of a window."""
    planes = round(volume.slice_spacing / LATTICE_MM) * volume.slice_count
    truth = np.zeros((planes, *volume.slices.shape[1:]), bool)
    low = np.subtract(lesion.corner, (start, window[1].start, window[2].start))
    box = tuple(slice(a, a + size) for a, size in zip(low, lesion.truth.shape, strict=True))
    truth[box] = lesion.truth
    return truth


def _slice_of_plane(volume: Volume, start: int, planes: int) -> np.ndarray:
    """For each plane of the lattice, the slice that is nearest to it."""
    height = (start + np.arange(planes)) * LATTICE_MM
    nearest = np.rint((height - volume.slice_origins[0, 2]) / volume.slice_spacing)
    return np.clip(nearest, 0, volume.slice_count - 1).astype(int)
