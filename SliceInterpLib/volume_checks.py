"""What the array and the geometry of a volume must be, and how it is said that they are not."""

from __future__ import annotations

import numpy as np

from SliceInterpLib.errors import VolumeError

ORTHONORMAL = 1e-3
"""How far axes may be from unit length and right angles: the rounding of written headers."""

SMALLEST_SPACING, LARGEST_SPACING = 1e-3, 1e3
"""mm. What is beyond was written in another unit, or is no spacing."""


def check_finite(values: np.ndarray) -> None:
    """Raise VolumeError if any of the values is NaN or infinite."""
    if not np.isfinite(values).all():
        raise VolumeError(
            "The volume has values that are not finite (NaN or infinity). "
            "Replace them first, for example by -1024, the HU of air."
        )


def slanted_axes() -> VolumeError:
    """The error for axes that lie at angles which no scanner makes."""
    return VolumeError(
        "The volume's axes are not at right angles, in a way that no gantry tilt explains. "
        "Correct the file's header, or export the scan again."
    )


def check_unit(axes: np.ndarray) -> None:
    """Raise VolumeError unless the columns are unit vectors."""
    if np.abs((axes**2).sum(axis=0) - 1).max() > ORTHONORMAL:
        raise VolumeError(
            "The direction of the volume's axes is not given as unit vectors. "
            "Correct the file's header, or export the scan again."
        )


def check_axes(in_plane: np.ndarray) -> None:
    """Raise VolumeError unless the two columns are unit vectors at right angles."""
    check_unit(in_plane)
    if abs(in_plane[:, 0] @ in_plane[:, 1]) > ORTHONORMAL:
        raise slanted_axes()


def check_spacing(spacing: np.ndarray) -> None:
    """Raise VolumeError unless all of some spacings in mm can be those of a CT."""
    if not ((spacing >= SMALLEST_SPACING) & (spacing <= LARGEST_SPACING)).all():
        raise VolumeError(
            f"The voxel spacing is {_mm(spacing)}, but it must be above 0 along every axis, "
            f"and from {SMALLEST_SPACING:g} to {LARGEST_SPACING:g} mm. "
            "Correct the file's header, or export the scan again."
        )


def check_array(hu: np.ndarray) -> None:
    """Raise VolumeError unless `hu` is a 3-D array of finite real numbers."""
    if hu.ndim != 3:
        raise VolumeError(
            f"The image has {hu.ndim} dimensions, but a volume of slices has 3. "
            "Give one volume: a whole series, one phase or time point, no colours."
        )
    if hu.size == 0:
        raise VolumeError("The volume is empty. Export the scan again.")
    if hu.dtype.kind not in "iuf":
        raise VolumeError(
            f"The voxels are of type {hu.dtype}, but HU are integers or real numbers. "
            "Give the CT itself, not a mask or a complex image."
        )
    if hu.dtype.kind == "f":
        for plane in hu:
            check_finite(plane)


def numbers(name: str, values: object, count: int) -> np.ndarray:
    """`values` as a new flat float64 array of `count` finite numbers."""
    try:
        array = np.array(values, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.size != count or not np.isfinite(array).all():
        raise VolumeError(
            f"The volume's {name} must be {count} finite numbers. "
            "Correct the file's header, or export the scan again."
        )
    return array


def _mm(values: np.ndarray) -> str:
    return " × ".join(f"{value:.4g}" for value in values) + " mm"
