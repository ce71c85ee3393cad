"""A mask in a volume: what every measurement starts from."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from SliceInterpLib.errors import SliceInterpError
from SliceInterpLib.volume import Volume

SAME_PLACE_MM = 0.5
"""Corners of a scan and of its segmentation may differ by this: headers are rounded."""


class SegmentationError(SliceInterpError):
    """A hematoma cannot be found or measured."""


def mask_of_label(volume: Volume, labels: Volume, label: int) -> np.ndarray:
    """Where a label volume has the label; bool, shaped as `volume.hu`.

    Raises SegmentationError if the label is nowhere, or the geometries differ.
    """
    check_shape(volume, labels.hu)
    corners = np.array([[0, 0, 0], np.array(volume.hu.shape)[::-1] - 1])
    ours, theirs = (
        one.origin + (corners * one.spacing) @ one.direction.T for one in (volume, labels)
    )
    if np.abs(ours - theirs).max() > SAME_PLACE_MM:
        raise SegmentationError(
            f"The segmentation lies elsewhere than the scan: its corners are up to "
            f"{np.abs(ours - theirs).max():.1f} mm away. Give a segmentation that was made on this "
            "scan, or resample it to the scan's geometry first."
        )
    mask = labels.hu == label
    if not mask.any():
        there = ", ".join(f"{value:g}" for value in np.unique(labels.hu)[:8] if value != 0)
        raise SegmentationError(
            f"The segmentation has no label {label}: 0 ml. It has {there or 'none at all'}. "
            "Choose one of these."
        )
    return mask


def voxel_mm3(volume: Volume) -> float:
    """Volume of one voxel in mm³; its edges need not be at right angles."""
    return float(abs(np.linalg.det(volume.direction)) * np.prod(volume.spacing))


def voxel_ml(volume: Volume, mask: np.ndarray) -> float:
    """Volume of a mask as the sum of its voxels, in ml: Segment Statistics' "labelmap" volume."""
    return int(np.count_nonzero(mask)) * voxel_mm3(volume) / 1000.0


def in_slices(volume: Volume, mask: np.ndarray) -> np.ndarray:
    """View of a mask that is shaped as `volume.hu`, with the slices along the first axis."""
    return np.moveaxis(mask, volume.slice_axis, 0)


def from_slices(volume: Volume, mask: np.ndarray) -> np.ndarray:
    """The reverse of `in_slices`."""
    return np.moveaxis(mask, 0, volume.slice_axis)


def bounds(mask: np.ndarray, margin: tuple[int, int, int] = (0, 0, 0)) -> tuple[slice, ...]:
    """The box around what is set, with a margin as far as the array goes; empty if nothing is."""
    box = []
    for axis, more in enumerate(margin):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        box.append(slice(max(0, hits[0] - more), hits[-1] + 1 + more) if len(hits) else slice(0))
    return tuple(box)


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a mask; all of an empty one."""
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask.copy()
    return pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))


def check_shape(volume: Volume, mask: np.ndarray) -> None:
    """Raise SegmentationError unless the mask has as many voxels as the volume, axis by axis."""
    if mask.shape != volume.hu.shape:
        size, wanted = (" × ".join(map(str, s[::-1])) for s in (mask.shape, volume.hu.shape))
        raise SegmentationError(
            f"The segmentation has {size} voxels, the scan {wanted}. Give a segmentation that was "
            "made on this scan, or resample it to the scan's geometry first."
        )
