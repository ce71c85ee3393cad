"""A CT volume and where it lies in the patient: what every other part of SliceInterp works on."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from SliceInterpLib.errors import VolumeError

SAME_SPACING = 0.01
"""Two spacings are the same when they differ by less than this part of the smaller one."""

ORTHONORMAL = 1e-3
"""How far the axes may be from unit length and right angles: the rounding of written headers."""

SMALLEST_SPACING, LARGEST_SPACING = 1e-3, 1e3
"""mm. What is beyond was written in another unit, or is no spacing."""

STEEPEST_TILT = 45.0
"""Degrees. Gantries tilt by up to 30; a header that says more than this is wrong."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT volume with its geometry, checked when it is made.

    `hu`: real numbers, (z, y, x) in the order of the file, as SimpleITK's GetArrayFromImage gives
    them. `origin`: centre of the first voxel, (x, y, z) in mm, LPS. `spacing`: mm along the array's
    x, y and z index axes. `direction`: 3×3; its columns are the unit vectors of those three axes in
    LPS (a left-handed set, from negative strides, is fine). They are at right angles, but that the
    through-plane one slants where the gantry was tilted: each slice then lies shifted within its
    plane against the one before. Sequences of numbers are accepted for the geometry, also a flat
    direction of nine.

    Raises VolumeError where the array or the geometry is not that of an even stack of slices.
    """

    hu: np.ndarray
    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    direction: np.ndarray

    def __post_init__(self) -> None:
        """Normalise the fields and check them."""
        hu = np.asarray(self.hu)
        _check_array(hu)
        origin = _numbers("origin", self.origin, 3)
        spacing = _numbers("spacing", self.spacing, 3)
        direction = _numbers("direction", self.direction, 9).reshape(3, 3)
        if not ((spacing >= SMALLEST_SPACING) & (spacing <= LARGEST_SPACING)).all():
            raise VolumeError(
                f"The voxel spacing is {_mm(spacing)}, but it must be above 0 along every axis, "
                f"and from {SMALLEST_SPACING:g} to {LARGEST_SPACING:g} mm. "
                "Correct the file's header, or export the scan anew."
            )
        for name, value in (
            ("hu", hu),
            ("origin", tuple(origin.tolist())),
            ("spacing", tuple(spacing.tolist())),
            ("direction", direction),
        ):
            object.__setattr__(self, name, value)
        check_axes(direction, slanted=2 - self.slice_axis)

    @property
    def slice_axis(self) -> int:
        """Axis of the array (0, 1 or 2) that runs through-plane, found from the spacings.

        Pixels are square, so the spacing that differs from two equal ones is that of the slices,
        be it larger or smaller. All three equal: 0. All different: the largest.
        """
        spacing = self.spacing[::-1]
        if _same(min(spacing), max(spacing)):
            return 0
        for axis, odd in enumerate(spacing):
            one, other = (spacing[i] for i in range(3) if i != axis)
            if _same(one, other) and not _same(one, odd) and not _same(other, odd):
                return axis
        return int(np.argmax(spacing))

    @property
    def slices(self) -> np.ndarray:
        """View of `hu` with the slices along the first axis: (slice, row, column)."""
        return np.moveaxis(self.hu, self.slice_axis, 0)

    @property
    def slice_count(self) -> int:
        """Number of slices."""
        return self.hu.shape[self.slice_axis]

    @property
    def slice_spacing(self) -> float:
        """Distance in mm of the planes of neighbouring slices, along their normal."""
        step = self.spacing[2 - self.slice_axis]
        tilt = self.tilt_degrees
        return step * math.cos(math.radians(tilt)) if tilt else step

    @property
    def pixel_spacing(self) -> tuple[float, float]:
        """The two spacings within a slice in mm, in the order of the last two axes of `slices`."""
        rows, columns = (s for i, s in enumerate(self.spacing[::-1]) if i != self.slice_axis)
        return rows, columns

    @property
    def in_plane_axes(self) -> np.ndarray:
        """(3, 2): the unit vectors along which the column and the row index of a slice grow, LPS.

        The order is that of DICOM's Image Orientation (Patient).
        """
        rows, columns = (2 - axis for axis in range(3) if axis != self.slice_axis)
        return self.direction[:, [columns, rows]]

    @property
    def slice_origins(self) -> np.ndarray:
        """(slice_count, 3): the centre of each slice's first pixel in mm, LPS."""
        axis = 2 - self.slice_axis
        step = self.direction[:, axis] * self.spacing[axis]
        return np.array(self.origin) + np.arange(self.slice_count)[:, None] * step

    @property
    def tilt_degrees(self) -> float:
        """Angle between the through-plane axis and the slices' normal; 0 for a straight stack."""
        return _tilt(self.direction, 2 - self.slice_axis)


def require_doublable(volume: Volume, *, allow_thin: bool = False) -> None:
    """Raise VolumeError, with cause and way out, if no honest slice can be put between the slices.

    Refused: fewer than 2 slices; values that are not those of a CT in HU; slices already as close
    as the pixels, or closer (`allow_thin` turns this last refusal into a warning). Looks at one
    plane of the array at a time, so that memory does not grow by a copy of the volume.
    """
    if volume.slice_count < 2:
        raise VolumeError(
            "The volume has fewer than 2 slices through-plane, so there is nothing to put a slice "
            "between. Give the whole series, not a single image of it."
        )
    _check_ct_values(volume.hu)
    gap, pixel = volume.slice_spacing, max(volume.pixel_spacing)
    if gap < pixel or _same(gap, pixel):
        message = (
            f"The slices are {gap:.4g} mm apart and the pixels {pixel:.4g} mm: the through-plane "
            "resolution is already at or above the in-plane one"
        )
        if not allow_thin:
            raise VolumeError(
                f"{message}, so doubling adds no detail. To do it all the same, allow thin slices "
                "(allow_thin=True)."
            )
        warnings.warn(f"{message}: doubling adds no detail.", stacklevel=2)


def check_axes(direction: np.ndarray, slanted: int) -> None:
    """Raise VolumeError unless the columns of `direction` are unit vectors at right angles.

    Column `slanted`, the through-plane axis, may slant against the other two by STEEPEST_TILT.
    """
    products = direction.T @ direction
    if np.abs(np.diag(products) - 1).max() > ORTHONORMAL:
        raise VolumeError(
            "The direction of the volume's axes is not given as unit vectors. "
            "Correct the file's header, or export the scan anew."
        )
    one, other = (axis for axis in range(3) if axis != slanted)
    if abs(products[one, other]) > ORTHONORMAL or _tilt(direction, slanted) > STEEPEST_TILT:
        raise VolumeError(
            "The volume's axes are not at right angles, in a way that no gantry tilt explains. "
            "Correct the file's header, or export the scan anew."
        )


def _tilt(direction: np.ndarray, slanted: int) -> float:
    """Degrees between column `slanted` and the normal of the other two; rounding counts as 0."""
    one, other = (direction[:, axis] for axis in range(3) if axis != slanted)
    within = np.hypot(direction[:, slanted] @ one, direction[:, slanted] @ other)
    return math.degrees(math.asin(min(within, 1.0))) if within > math.sqrt(2) * ORTHONORMAL else 0.0


def check_finite(values: np.ndarray) -> None:
    """Raise VolumeError if any of the values is NaN or infinite."""
    if not np.isfinite(values).all():
        raise VolumeError(
            "The volume has values that are not finite (NaN or infinity). "
            "Replace them first, for example by -1024, the HU of air."
        )


def _check_array(hu: np.ndarray) -> None:
    """Raise VolumeError unless `hu` is a 3-D array of finite real numbers."""
    if hu.ndim != 3:
        raise VolumeError(
            f"The image has {hu.ndim} dimensions, but a volume of slices has 3. "
            "Give one volume: a whole series, one phase or time point, no colours."
        )
    if hu.size == 0:
        raise VolumeError("The volume is empty. Export the scan anew.")
    if hu.dtype.kind not in "iuf":
        raise VolumeError(
            f"The voxels are of type {hu.dtype}, but HU are integers or real numbers. "
            "Give the CT itself, not a mask or a complex image."
        )
    if hu.dtype.kind == "f":
        for plane in hu:
            check_finite(plane)


def _check_ct_values(hu: np.ndarray) -> None:
    """Raise VolumeError unless the values look like HU; one plane at a time."""
    # -10 and not less: in a CT that was saved in a brain window, all that is darker has -20.
    low, high, dark = math.inf, -math.inf, 0
    for plane in hu:
        low, high = min(low, plane.min()), max(high, plane.max())
        dark += np.count_nonzero(plane < -10)
    if low >= 0 and high <= 255:
        raise VolumeError(
            "The values are not HU: all lie within 0…255, as in an 8-bit picture or a rescaled "
            "image. Give the CT itself, as the scanner's DICOM or a conversion that keeps HU."
        )
    if low >= 0:
        raise VolumeError(
            "The values are not HU: none is below 0, though air is -1000 HU. This may be an MR, or "
            "a CT as stored values without its rescale intercept. Give a CT converted to HU."
        )
    if dark < 0.01 * hu.size:
        raise VolumeError(
            f"The values are not HU: only {dark / hu.size:.1%} of the voxels are below -10, though "
            "a CT of a head is surrounded by air. This may be an MR. Give a CT in HU."
        )


def _numbers(name: str, values: object, count: int) -> np.ndarray:
    """`values` as a new flat float64 array of `count` finite numbers."""
    try:
        array = np.array(values, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.size != count or not np.isfinite(array).all():
        raise VolumeError(
            f"The volume's {name} must be {count} finite numbers. "
            "Correct the file's header, or export the scan anew."
        )
    return array


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= SAME_SPACING * min(one, other)


def _mm(values: np.ndarray) -> str:
    return " × ".join(f"{value:.4g}" for value in values) + " mm"
