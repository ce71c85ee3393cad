"""A segment brought onto the slices of its scan: where its voxels lie decides."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.volume import Volume

_SAME_PLACE_MM = 0.5
"""Corners of a scan and of its segmentation may differ by this: headers are rounded."""

_SAME_VOXEL = 0.25
"""Voxels of a segmentation may be off those of the scan by this part of one."""

_COARSER = 1.5
"""A grid of a spacing that is more than so many times another's is coarser."""


def onto_scan(scan: Volume, segment: Volume, *, same_series: bool = False) -> np.ndarray:
    """The voxels of a scan in which a segment lies.

    Nothing is interpolated: each voxel has to be one of the scan's, or lie outside and be empty.

    Args:
        scan: that the segmentation was made on.
        segment: not 0 where it is, and somewhere it is. In any order of the axes, on the grid of
            the scan or on a part of it, and not necessarily with all of its slices; its thickness
            is what each of these stands for, where that is known.
        same_series: whether the segmentation says that it was made on this series, so that slices
            which it lacks are empty ones.

    Returns:
        bool, shaped as `scan.slices`.

    Raises:
        VolumeError: if the voxels are not those of the scan.
    """
    mask = segment.slices != 0
    if mask.shape == scan.slices.shape and _corners_apart(scan, segment) <= _SAME_PLACE_MM:
        return mask
    axes, numbers = _numbers(scan, segment)
    if _is_coarser(scan, segment, axes[0], numbers[0], same_series):
        raise _elsewhere("its slices are further apart than those of the scan")
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    # The outermost voxels, in each of the slices of both, as gaps may be uneven.
    ends = [
        range(one.start, one.stop) if 0 in (own, axis) else (one.start, one.stop - 1)
        for own, (one, axis) in enumerate(zip(box, axes, strict=True))
    ]
    voxels = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    indices = np.empty_like(voxels)
    for own, axis in enumerate(axes):
        indices[:, axis] = numbers[own][voxels[:, own]]
    places = _places(segment, voxels)
    apart = np.linalg.norm(scan.places(indices) - places, axis=1).max()
    filled = [number[part] for number, part in zip(numbers, box, strict=True)]
    if (
        apart > _SAME_PLACE_MM
        or np.abs(scan.indices(places) - indices).max() > _SAME_VOXEL
        or len(np.unique(filled[0])) < len(filled[0])
    ):
        raise _another_grid(scan, segment)
    if (indices < 0).any() or (indices >= scan.slices.shape).any():
        raise VolumeError(
            "The segmentation reaches beyond the scan. Give the scan that it was made on, or cut "
            "the segmentation to this one."
        )
    order = np.argsort(axes)
    result = np.zeros(scan.slices.shape, bool)
    result[np.ix_(*(filled[own] for own in order))] = mask[box].transpose(order)
    return result


def _numbers(scan: Volume, segment: Volume) -> tuple[list[int], list[np.ndarray]]:
    """Which axis of the scan each axis of a segment is, and which index there each of its own.

    The slices of the segment may have others between them, its rows and columns not.
    """
    first, *others = scan.indices(_places(segment, np.array([[0, 0, 0], [0, 1, 0], [0, 0, 1]])))
    steps = np.array(others) - first  # along the rows and the columns, in voxels of the scan
    rows, columns = np.abs(steps).argmax(axis=1).tolist()
    if rows == columns:
        raise _another_grid(scan, segment)
    axes = [3 - rows - columns, rows, columns]
    numbers = [np.rint(scan.indices(segment.slice_origins)[:, axes[0]]).astype(int)]
    for axis, step, count in zip(axes[1:], steps, segment.slices.shape[1:], strict=True):
        numbers.append(round(first[axis]) + int(np.sign(step[axis])) * np.arange(count))
    return axes, numbers


def _is_coarser(
    scan: Volume, segment: Volume, axis: int, numbers: np.ndarray, same_series: bool
) -> bool:
    """Whether slices that a segment lacks may be missing because its grid is coarser."""
    if 1 in np.abs(np.diff(numbers)):
        return False
    spacing = scan.slab_mm.max() if axis == 0 else scan.pixel_spacing[axis - 1]
    known = segment.thickness[~np.isnan(segment.thickness)]
    if len(known):
        return bool(known.max() > _COARSER * spacing)
    return len(numbers) > 1 and not same_series


def _places(volume: Volume, voxels: np.ndarray) -> np.ndarray:
    """(m, 3) mm, LPS, of (m, 3) voxels (slice, row, column), also of a slice of any thickness."""
    within = voxels[:, :0:-1] * volume.pixel_spacing[::-1]
    return volume.slice_origins[voxels[:, 0]] + within @ volume.in_plane_axes.T


def _corners_apart(volume: Volume, other: Volume) -> float:
    """mm along x, y or z between the first or the last voxels of two volumes; the most."""
    corners = np.array([[0, 0, 0], np.array(volume.slices.shape) - 1])
    return float(np.abs(_places(volume, corners) - _places(other, corners)).max())


def _another_grid(scan: Volume, segment: Volume) -> VolumeError:
    """The error for a segmentation whose voxels are not those of the scan."""
    if segment.slices.shape == scan.slices.shape:
        apart = f"its corners are up to {_corners_apart(scan, segment):.1f} mm away"
    else:
        size, ours = (" × ".join(map(str, v.slices.shape[::-1])) for v in (segment, scan))
        apart = f"it has {size} voxels, the scan {ours}, and they do not lie on one grid"
    return _elsewhere(apart)


def _elsewhere(how: str) -> VolumeError:
    return VolumeError(
        f"The segmentation lies elsewhere than the scan: {how}. Give a segmentation that was made "
        "on this scan, or resample it to the scan's geometry first."
    )
