"""A mask in a volume: what every measurement starts from."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from SliceInterpLib.errors import SliceInterpError
from SliceInterpLib.volume import Volume

SAME_PLACE_MM = 0.5
"""Corners of a scan and of its segmentation may differ by this: headers are rounded."""


_SAME_VOXEL = 0.25
"""Voxels of a segmentation may be off those of the scan by this part of one."""


class SegmentationError(SliceInterpError):
    """A hematoma cannot be found or measured."""


def mask_of_label(volume: Volume, labels: Volume, label: int) -> np.ndarray:
    """Where a label volume has the label.

    Args:
        volume: the scan.
        labels: on the grid of the scan, or on a part of it; in any order of the axes.
        label: the number that is looked for.

    Returns:
        bool, shaped as `volume.slices`.

    Raises:
        SegmentationError: if the label is nowhere, or the voxels are not those of the scan.
    """
    mask = np.asarray(labels.slices == label)
    if not mask.any():
        there = ", ".join(f"{value:g}" for value in np.unique(labels.slices)[:8] if value != 0)
        if not there:
            raise SegmentationError(
                "The segmentation is empty: all of its voxels are 0. Give one with the hematoma in "
                "it."
            )
        raise SegmentationError(
            f"The segmentation has no label {label}: 0 ml. It has {there}. Choose one of these "
            "(--label)."
        )
    if mask.shape == volume.slices.shape and _corners_apart(volume, labels) <= SAME_PLACE_MM:
        return mask
    return _onto_grid(volume, labels, mask)


def _corners_apart(volume: Volume, other: Volume) -> float:
    """mm along x, y or z between the first or the last voxels of two volumes; the most."""
    ours, theirs = (
        one.places(np.array([[0, 0, 0], np.array(one.slices.shape) - 1])) for one in (volume, other)
    )
    return float(np.abs(ours - theirs).max())


def _onto_grid(volume: Volume, labels: Volume, mask: np.ndarray) -> np.ndarray:
    """A mask on the grid of some labels, brought onto the scan's by where its voxels lie.

    Nothing is interpolated: each voxel has to be one of the scan, or lie outside and be empty.
    """
    first, *others = volume.indices(labels.places(np.vstack([np.zeros(3), np.eye(3)])))
    along = np.array(others) - first  # a step along each axis of the labels, in voxels of the scan
    axes = np.abs(along).argmax(axis=1)
    if sorted(axes.tolist()) != [0, 1, 2]:
        raise _another_grid(volume, labels)
    box = bounds(mask)
    # The outermost voxels, in each of the scan's slices, as gaps may be uneven.
    ends = [
        range(one.start, one.stop) if axis == 0 else (one.start, one.stop - 1)
        for one, axis in zip(box, axes, strict=True)
    ]
    voxels = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    signs = np.sign(along[range(3), axes]).astype(int)
    indices = np.empty_like(voxels)
    indices[:, axes] = np.round(first[axes]).astype(int) + signs * voxels
    places = labels.places(voxels)
    apart = np.linalg.norm(volume.places(indices) - places, axis=1).max()
    if apart > SAME_PLACE_MM or np.abs(volume.indices(places) - indices).max() > _SAME_VOXEL:
        raise _another_grid(volume, labels)
    low, high = indices.min(axis=0), indices.max(axis=0) + 1
    if (low < 0).any() or (high > volume.slices.shape).any():
        raise SegmentationError(
            "The segmentation reaches beyond the scan. Give the scan that it was made on, or cut "
            "the segmentation to this one."
        )
    turned = np.flip(mask[box], tuple(np.flatnonzero(signs < 0).tolist())).transpose(
        np.argsort(axes)
    )
    result = np.zeros(volume.slices.shape, bool)
    result[tuple(map(slice, low, high))] = turned
    return result


def _another_grid(volume: Volume, labels: Volume) -> SegmentationError:
    """The error for a segmentation whose voxels are not those of the scan."""
    if labels.slices.shape == volume.slices.shape:
        apart = f"its corners are up to {_corners_apart(volume, labels):.1f} mm away"
    else:
        size, ours = (" × ".join(map(str, v.slices.shape[::-1])) for v in (labels, volume))
        apart = f"it has {size} voxels, the scan {ours}, and they do not lie on one grid"
    return SegmentationError(
        f"The segmentation lies elsewhere than the scan: {apart}. Give a segmentation that was "
        "made on this scan, or resample it to the scan's geometry first."
    )


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


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a mask; all of an empty one."""
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask.copy()
    return pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))


def check_shape(volume: Volume, mask: np.ndarray) -> None:
    """Raise SegmentationError unless the mask has as many voxels as the volume, axis by axis."""
    if mask.shape != volume.slices.shape:
        size, wanted = (" × ".join(map(str, s[::-1])) for s in (mask.shape, volume.slices.shape))
        raise SegmentationError(
            f"The segmentation has {size} voxels, the scan {wanted}. Give a segmentation that was "
            "made on this scan, or resample it to the scan's geometry first."
        )
