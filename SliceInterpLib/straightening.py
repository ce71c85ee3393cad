"""Tilted volumes made upright: their slices shifted until they lie straight over each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from scipy import ndimage

from SliceInterpLib.volume import Volume

AnyVolume = TypeVar("AnyVolume", bound=Volume)


def straightened(volume: AnyVolume) -> AnyVolume:
    """The volume with its slices shifted within their planes so that all axes are at right angles.

    Every slice stays in its plane and keeps its place in the patient; the frame of pixels around
    it moves and grows so that nothing is cut off, filled with the volume's lowest value. HU between
    pixels come from cubic splines, kept within the range of the slice. So no slice is bit for bit
    as it was acquired; `provenance`, if any, says so.

    A volume without a tilt is returned as it is.
    """
    if not volume.tilt_degrees:
        return volume
    slices, axes = volume.slices, volume.in_plane_axes
    normal = np.cross(*axes.T)
    origins = volume.slice_origins
    if (origins[-1] - origins[0]) @ normal < 0:
        normal = -normal
    # Where each slice's first pixel lies, in pixels (row, column) of the first slice.
    places = ((origins - origins[0]) @ axes)[:, ::-1] / np.array(volume.pixel_spacing)
    lowest = np.floor(places.min(0))
    shape = tuple(np.array(slices.shape[1:]) + (np.ceil(places.max(0)) - lowest).astype(int))
    upright = np.stack(
        [
            _shifted(hu, place - lowest, shape, fill=float(volume.hu.min()))
            for hu, place in zip(slices, places, strict=True)
        ]
    )
    axis = volume.slice_axis
    spacing, direction = list(volume.spacing), volume.direction.copy()
    spacing[2 - axis], direction[:, 2 - axis] = volume.slice_spacing, normal
    first = axes @ (lowest * volume.pixel_spacing)[::-1]
    changes = {}
    if hasattr(volume, "provenance"):
        changes["provenance"] = {**volume.provenance, "straightened": True}
    return replace(
        volume,
        hu=np.moveaxis(upright, 0, axis),
        origin=tuple(np.array(volume.origin) + first),
        spacing=tuple(spacing),
        direction=direction,
        **changes,
    )


def _shifted(
    hu: np.ndarray, place: np.ndarray, shape: tuple[int, int], *, fill: float
) -> np.ndarray:
    """`hu` with its first pixel at `place` (row, column) in a larger slice."""
    whole = np.floor(place).astype(int)
    moved = ndimage.affine_transform(
        hu.astype(np.float32),
        np.ones(2),
        offset=-(place - whole),
        output_shape=(hu.shape[0] + 1, hu.shape[1] + 1),
        order=3,
        mode="constant",
        cval=fill,
    )
    moved = np.clip(moved, hu.min(), hu.max())
    larger = np.full(shape, fill, np.float32)
    rows, columns = np.minimum(np.array(moved.shape), np.array(shape) - whole)
    larger[whole[0] : whole[0] + rows, whole[1] : whole[1] + columns] = moved[:rows, :columns]
    return np.rint(larger).astype(hu.dtype) if hu.dtype.kind in "iu" else larger.astype(hu.dtype)
