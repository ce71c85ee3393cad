"""A mask in a volume: what every measurement starts from."""

from __future__ import annotations

import numpy as np

from SliceInterpLib.errors import SliceInterpError
from SliceInterpLib.volume import Volume

RIM_MM = 2.0
"""Voxels this far on both sides of the outline may be part blood, part brain."""


class SegmentationError(SliceInterpError):
    """A hematoma cannot be found or measured."""


def voxel_ml(volume: Volume, mask: np.ndarray) -> float:
    """Volume of a mask as the sum of its voxels, each of which reaches halfway to the next slices.

    With even gaps that is the "labelmap" volume of Slicer's Segment Statistics.

    Args:
        volume: the scan, for its geometry.
        mask: bool, shaped as `volume.slices`.

    Returns:
        ml.
    """
    return float(np.count_nonzero(mask, axis=(1, 2)) @ volume.voxel_mm3) / 1000.0


def bounds(mask: np.ndarray, margin: tuple[int, ...] = (0, 0, 0)) -> tuple[slice, ...]:
    """The box around what is set.

    Args:
        mask: bool, of any shape.
        margin: elements to add along each axis, as far as the array goes.

    Returns:
        A slice for each axis, to index with; empty ones if nothing is set.
    """
    box = []
    for axis, more in enumerate(margin):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        box.append(slice(max(0, hits[0] - more), hits[-1] + 1 + more) if len(hits) else slice(0))
    return tuple(box)


def check_shape(volume: Volume, mask: np.ndarray) -> None:
    """Raise SegmentationError unless the mask has as many voxels as the volume, axis by axis."""
    if mask.shape != volume.slices.shape:
        size, wanted = (" × ".join(map(str, s[::-1])) for s in (mask.shape, volume.slices.shape))
        raise SegmentationError(
            f"The segmentation has {size} voxels, the scan {wanted}. Give a segmentation that was "
            "made on this scan, or resample it to the scan's geometry first."
        )
