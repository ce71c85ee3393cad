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


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT volume with its geometry, checked when it is made.

    `hu`: real numbers, (z, y, x) in the order of the file, as SimpleITK's GetArrayFromImage gives
    them. `origin`: centre of the first voxel, (x, y, z) in mm, LPS. `spacing`: mm along the array's
    x, y and z index axes. `direction`: 3×3; its columns are the unit vectors of those three axes in
    LPS (a left-handed set, from negative strides, is fine). Sequences of numbers are accepted for
    the geometry, also a flat direction of nine.

    Raises VolumeError where the array or the geometry is not that of a straight stack of slices.
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
        if not (spacing > 0).all():
            raise VolumeError(
                f"The voxel spacing is {_mm(spacing)}, but it must be above 0 along every axis. "
                "Correct the file's header, or export the scan anew."
            )
        check_axes(direction)
        for name, value in (
            ("hu", hu),
            ("origin", tuple(origin.tolist())),
            ("spacing", tuple(spacing.tolist())),
            ("direction", direction),
        ):
            object.__setattr__(self, name, value)

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
        """Distance of neighbouring slices in mm."""
        return self.spacing[2 - self.slice_axis]

    @property
    def pixel_spacing(self) -> tuple[float, float]:
        """The two spacings within a slice in mm, in the order of the last two axes of `slices`."""
        rows, columns = (s for i, s in enumerate(self.spacing[::-1]) if i != self.slice_axis)
        return rows, columns


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


def gantry_tilt(detail: str) -> VolumeError:
    """The error for slices that are sheared against each other; `detail` says how it shows."""
    return VolumeError(
        f"Gantry tilt: {detail}. The slices are sheared against each other and cannot be doubled "
        "as a straight stack. Straighten the series first: 3D Slicer's DICOM import does it with "
        "its acquisition geometry regularization, dcm2niix in the file that it names '_Tilt'."
    )


def check_axes(direction: np.ndarray) -> None:
    """Raise VolumeError unless the columns of `direction` are unit vectors at right angles."""
    products = direction.T @ direction
    if np.abs(np.diag(products) - 1).max() > ORTHONORMAL:
        raise VolumeError(
            "The direction of the volume's axes is not given as unit vectors. "
            "Correct the file's header, or export the scan anew."
        )
    shear = np.abs(products - np.diag(np.diag(products))).max()
    if shear > ORTHONORMAL:
        angle = math.degrees(math.asin(min(shear, 1.0)))
        raise gantry_tilt(f"the volume's axes are {angle:.1f}° off the right angle")


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
