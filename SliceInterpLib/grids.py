"""Volumes on an even, upright grid: for files, nodes and pictures that can hold nothing else.

What is resampled here is not what was acquired, and the provenance says so: `spaced_evenly_mm` and
`mixed_slices`, and `upright`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from SliceInterpLib.hounsfield import Ranges
from SliceInterpLib.padding import AIR, is_padding, padding_as_air, without_padding
from SliceInterpLib.volume import Volume

SAME_PLACE = 0.005
"""mm: half the last digit of positions that are written with two decimals."""

_DRAWN_MM = 0.5


def longest_stretch(volume: Volume) -> range:
    """The evenly spaced stretch with the most slices."""
    return max(volume.stretches, key=len)


def evenly_spaced(volume: Volume, spacing: float | None = None) -> Volume:
    """An evenly spaced volume with the slices of `volume`, from its first slice on.

    Where a slice lies at a place of the new grid, it is taken bit for bit; elsewhere the two around
    it are mixed in proportion, and what comes out counts as synthetic. The grid goes on to the end
    of what the last slice stands for, half a gap beyond its plane; there it is repeated, and counts
    as synthetic too, so that the end of the scan is not lost.

    Args:
        volume: even ones are returned as they are, unless another spacing is asked for.
        spacing: mm between the planes; by default the smallest gap that occurs several times in a
            row.
    """
    if volume.is_even and spacing is None:
        return volume
    positions, slices = volume.positions, volume.slices
    spacing = spacing or _smallest_common_gap(volume)
    end = positions[-1] + 0.5 * volume.gaps[-1]
    wanted = np.arange(0.0, end + SAME_PLACE, spacing)
    nearest = np.abs(wanted[:, None] - positions).argmin(1)
    same = np.abs(wanted - positions[nearest]) <= SAME_PLACE
    after = np.clip(np.searchsorted(positions, wanted), 1, len(positions) - 1)
    weights = (wanted - positions[after - 1]) / (positions[after] - positions[after - 1])
    shape = list(slices.shape[1:])
    shape.insert(volume.slice_axis, len(wanted))
    filled = np.moveaxis(np.empty(shape, slices.dtype), volume.slice_axis, 0)
    for index, (second, weight) in enumerate(zip(after, np.minimum(weights, 1.0), strict=True)):
        if same[index]:
            filled[index] = slices[nearest[index]]
        else:
            mixed = _mixed(slices[second - 1], slices[second], weight, volume.padding)
            filled[index] = np.rint(mixed) if filled.dtype.kind in "iu" else mixed
    step = (volume.slice_origins[-1] - volume.slice_origins[0]) * (spacing / positions[-1])
    marks = {"spaced_evenly_mm": spacing, "mixed_slices": int(np.count_nonzero(~same))}
    return replace(
        volume,
        slices=filled,
        slice_origins=volume.slice_origins[0] + np.arange(len(wanted))[:, None] * step,
        thickness=volume.thickness[nearest],
        synthetic=np.where(same, volume.synthetic[nearest], True),
        provenance={**volume.provenance, **marks},
        files=(),
    )


def upright(volume: Volume, *, fill: float | None = None) -> Volume:
    """The volume with its slices shifted within their planes until they lie over each other.

    Every slice stays in its plane and keeps its place in the patient; the frame of pixels around
    it moves and grows so that nothing is cut off. HU between pixels come from cubic splines, kept
    within the range of the slice. So no slice is bit for bit as it was acquired.

    Args:
        volume: one without a tilt is returned as it is.
        fill: what the frame is filled with; by default the padding around the slices or, without
            any, the volume's lowest value.
    """
    if not volume.tilt_degrees:
        return volume
    slices, axes = volume.slices, volume.in_plane_axes
    origins = volume.slice_origins
    # Where each slice's first pixel lies, in pixels (row, column) of the first slice.
    places = ((origins - origins[0]) @ axes)[:, ::-1] / np.array(volume.pixel_spacing)
    lowest = np.floor(places.min(0))
    shape = tuple(np.array(slices.shape[1:]) + (np.ceil(places.max(0)) - lowest).astype(int))
    fill = _surroundings(volume) if fill is None else fill
    shifted = np.stack(
        [
            _shifted(hu, is_padding(hu, volume.padding), place - lowest, shape, fill)
            for hu, place in zip(slices, places, strict=True)
        ]
    )
    first = origins[0] + axes @ (lowest * volume.pixel_spacing)[::-1]
    return replace(
        volume,
        slices=shifted,
        slice_origins=first + volume.positions[:, None] * volume.normal,
        provenance={**volume.provenance, "upright": True},
        files=(),
    )


def as_drawn(volume: Volume) -> Volume:
    """The volume on an even, upright grid, as pictures need it, with air for padding.

    Slices of an uneven volume are repeated every _DRAWN_MM over what each stands for, so that
    stairs are where they are.
    """
    shown = upright(without_padding(volume))
    if shown.is_even:
        return shown
    edges = shown.slab_edges
    count = max(1, round((edges[-1] - edges[0]) / _DRAWN_MM))
    places = edges[0] + (np.arange(count) + 0.5) * (edges[-1] - edges[0]) / count
    numbers = shown.slice_at(places)
    return replace(
        shown,
        slices=shown.slices[numbers],
        slice_origins=shown.slice_origins[0] + places[:, None] * shown.normal,
        thickness=shown.thickness[numbers],
        synthetic=shown.synthetic[numbers],
        files=(),
    )


def _mixed(one: np.ndarray, other: np.ndarray, weight: float, declared: Ranges) -> np.ndarray:
    """One slice (h, w) and, with this weight, another; padding of both stays padding."""
    first = padding_as_air(one, declared)
    mixed = first + np.float32(weight) * (padding_as_air(other, declared) - first)
    stays = is_padding(one, declared) & is_padding(other, declared)
    return np.where(stays, np.minimum(one, other), mixed)


def _surroundings(volume: Volume) -> float:
    """What is around the slices: their padding or, without any, the lowest value."""
    for hu in volume.slices:
        padding = is_padding(hu, volume.padding)
        if padding.any():
            return float(hu[padding][0])
    return float(volume.slices.min())


def _shifted(
    hu: np.ndarray, padding: np.ndarray, place: np.ndarray, shape: tuple[int, ...], fill: float
) -> np.ndarray:
    """`hu` (h, w), some of it padding, with its first pixel at `place` in a larger slice."""
    from scipy import ndimage  # takes its time, and most scans are even and upright

    whole = np.floor(place).astype(int)
    move = partial(
        ndimage.affine_transform,
        matrix=np.ones(2),
        offset=-(place - whole),
        output_shape=(hu.shape[0] + 1, hu.shape[1] + 1),
        mode="constant",
    )
    seen = np.where(padding, AIR, hu.astype(np.float32))
    moved = np.clip(move(seen, order=3, cval=fill), seen.min(), seen.max())
    if padding.any():
        stays = move(padding.astype(np.float32), order=0, cval=1.0) > 0
        moved[stays] = move(hu.astype(np.float32), order=0, cval=fill)[stays]
    larger = np.full(shape, fill, np.float32)
    rows, columns = np.minimum(np.array(moved.shape), np.array(shape) - whole)
    larger[whole[0] : whole[0] + rows, whole[1] : whole[1] + columns] = moved[:rows, :columns]
    return np.rint(larger).astype(hu.dtype) if hu.dtype.kind in "iu" else larger.astype(hu.dtype)


def _smallest_common_gap(volume: Volume) -> float:
    """The smallest mean gap of the stretches with at least three gaps; else the median gap."""
    common = [
        float(volume.gaps[part.start : part.stop - 1].mean())
        for part in volume.stretches
        if len(part) > 3
    ]
    return min(common, default=float(np.median(volume.gaps)))
