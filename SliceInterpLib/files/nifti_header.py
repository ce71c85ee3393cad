"""NIfTI headers checked before ITK sees them: it mends what contradicts itself, and says nothing.

Fields: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h and nifti2.h.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Literal

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.checks import check_size, damaged
from SliceInterpLib.volume_checks import ORTHONORMAL, check_finite, slanted_axes

_FIELDS = (
    *("dim", "datatype", "bitpix", "pixdim", "vox_offset", "scl_slope", "scl_inter"),
    *("qform_code", "sform_code", "quatern", "offset", "srow"),
)
_LAYOUTS = {
    348: np.dtype(
        {
            "names": _FIELDS,
            "formats": ("8i2", "i2", "i2", "8f4", *3 * ["f4"], "i2", "i2", *2 * ["3f4"], "(3,4)f4"),
            "offsets": (40, 70, 72, 76, 108, 112, 116, 252, 254, 256, 268, 280),
            "itemsize": 348,
        }
    ),
    540: np.dtype(
        {
            "names": _FIELDS,
            "formats": (
                "8i8",
                "i2",
                "i2",
                "8f8",
                "i8",
                "f8",
                "f8",
                "i4",
                "i4",
                *2 * ["3f8"],
                "(3,4)f8",
            ),
            "offsets": (16, 12, 14, 104, 168, 176, 184, 344, 348, 352, 376, 400),
            "itemsize": 540,
        }
    ),
}
"""By the length of the header: NIfTI-1 and NIfTI-2."""

_MAGIC = {348: (344, b"n+1\0"), 540: (4, b"n+2\0")}
"""Where which word stands in a file that holds header and voxels."""

_BITS = {
    **{2: 8, 4: 16, 8: 32, 16: 32, 64: 64, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64},
    **{32: 64, 1792: 128, 128: 24, 2304: 32},
}
"""Bits a voxel of each type that ITK reads; the second line are complex numbers and colours."""

_FLOATS = {16: "f4", 64: "f8"}

_PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"

_APART_MM = 0.5
"""How far qform and sform may place a voxel from each other."""


def check_nifti(path: Path) -> None:
    """Raise VolumeError, with the cause, unless a NIfTI file says one thing and holds it all.

    Reads the whole file, a piece at a time: that it is not cut off shows only at its end, and ITK
    makes 0 of voxels that are missing or NaN.
    """
    try:
        with (gzip.open if path.name.lower().endswith(".gz") else open)(path, "rb") as file:
            start = file.read(540)
            length = _header_length(start)
            order: Literal["<", ">"] = "<" if int.from_bytes(start[:4], "little") == length else ">"
            layout = _LAYOUTS[length].newbyteorder(order)
            header = np.frombuffer(start.ljust(540, b"\0")[:length], layout)[0]
            sizes = _sizes(header)
            _check_numbers(header, length)
            _check_place(header, sizes)
            file.seek(int(header["vox_offset"]))
            _check_voxels(file, header, sizes, order)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise damaged() from error


def _header_length(start: bytes) -> int:
    """Of a single-file NIfTI; raises VolumeError if it is none."""
    for order in ("little", "big"):
        length = int.from_bytes(start[:4], order)
        if length in _MAGIC:
            place, magic = _MAGIC[length]
            if start[place : place + 4] == magic and len(start) >= length:
                return length
    raise damaged()


def _sizes(header: np.void) -> list[int]:
    """Voxels along each axis, checked."""
    dimensions = int(header["dim"][0])
    if not 1 <= dimensions <= 7:
        raise damaged()
    sizes = [int(size) for size in header["dim"][1 : dimensions + 1]]
    check_size(sizes)
    return sizes


def _check_numbers(header: np.void, length: int) -> None:
    """Raise VolumeError for a type, a rescale or a place of the voxels that cannot be."""
    if _BITS.get(int(header["datatype"])) != int(header["bitpix"]):
        raise damaged()
    # Written without a rescale, the slope is 0 or NaN.
    scaled = np.nan_to_num(header["scl_slope"], nan=0.0) != 0
    if scaled and not np.isfinite([header["scl_slope"], header["scl_inter"]]).all():
        raise VolumeError(
            "The header's rescale slope or intercept is not finite. Export the scan again."
        )
    if not scaled and np.isfinite(header["scl_inter"]) and header["scl_inter"] != 0:
        raise VolumeError(
            f"The header has a rescale intercept ({header['scl_inter']:g}) but no slope: by the "
            "standard neither counts, yet ITK adds the intercept, so that programs read other HU. "
            "Set scl_slope to 1, or scl_inter to 0, whichever gives HU (-1000 in air)."
        )
    if not (np.isfinite(header["vox_offset"]) and length + 4 <= header["vox_offset"] < 2**28):
        raise damaged()


def _check_place(header: np.void, sizes: list[int]) -> None:
    """Raise VolumeError unless spacing, qform and sform are sound and say the same."""
    spacing = np.abs(header["pixdim"][1:4].astype(np.float64))
    if len(sizes) < 3 or len(sizes) > 3 and max(sizes[3:]) > 1:
        return  # no volume, which is told later
    if not (np.isfinite(spacing).all() and spacing.min() > 0):
        raise VolumeError(
            "The voxel spacing in the header is not above 0 along every axis. "
            "Correct the file's header, or export the scan again."
        )
    transforms = []
    if header["sform_code"] > 0:
        transforms.append(_sform(header, spacing))
    if header["qform_code"] > 0:
        transforms.append(_qform(header, spacing))
    if len(transforms) == 2:
        corner = np.append(np.array(sizes[:3]) - 1, 1)
        if np.abs(np.subtract(*transforms) @ np.diag(corner)).sum(1).max() > _APART_MM:
            raise VolumeError(
                "The header places the volume twice, by qform and by sform, and not in the same "
                "place: programs differ in which they take. Save it with one of them."
            )


def _sform(header: np.void, spacing: np.ndarray) -> np.ndarray:
    """(3, 4), from voxels to mm; raises VolumeError if it is sheared or not of that spacing."""
    sform = header["srow"].astype(np.float64)
    lengths = np.linalg.norm(sform[:, :3], axis=0)
    if not (np.isfinite(sform).all() and lengths.min() > 0):
        raise _another_spacing()
    axes = sform[:, :3] / lengths
    off = np.abs(axes.T @ axes)[np.triu_indices(3, 1)]  # from right angles, each two of them
    if off.max() > ORTHONORMAL:
        # A tilt slants the slices' axis against one or both of the others, which stay at right
        # angles. Some converters write other lengths then, too, so it is told first.
        raise sheared_nifti() if off.min() <= ORTHONORMAL else slanted_axes()
    if not np.allclose(lengths, spacing, rtol=0.01):
        raise _another_spacing()
    return sform


def _qform(header: np.void, spacing: np.ndarray) -> np.ndarray:
    """(3, 4), from voxels to mm; raises VolumeError for a quaternion that is none."""
    b, c, d = quaternion = header["quatern"].astype(np.float64)
    rest = 1 - quaternion @ quaternion
    if not (np.isfinite(header["offset"]).all() and rest > -ORTHONORMAL):
        raise VolumeError(
            "The qform in the header is no rotation. "
            "Correct the file's header, or export the scan again."
        )
    a = np.sqrt(max(rest, 0.0))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    rotation[:, 2] *= -1 if header["pixdim"][0] < 0 else 1
    return np.column_stack([rotation * spacing, header["offset"]])


def _check_voxels(file: BufferedIOBase, header: np.void, sizes: list[int], order: str) -> None:
    """Raise VolumeError unless all voxels come next, and are finite."""
    size = int(header["bitpix"]) // 8
    left = math.prod(sizes) * size
    floats = _FLOATS.get(int(header["datatype"]))
    while chunk := file.read(min(left, 1 << 20)):
        left -= len(chunk)
        if floats and len(chunk) % size == 0:
            check_finite(np.frombuffer(chunk, order + floats))
    file.read(1)  # to the end of the file, where gzip has its checksum
    if left:
        raise damaged()


@contextmanager
def rounded_axes() -> Iterator[None]:
    """Have ITK put an sform's axes at right angles where rounding has turned them off.

    ITK refuses what is off by more than 1e-4, and programs round headers to as little as three
    digits. It asks the environment, so this is for the one call only; `check_nifti` comes first.
    """
    before = os.environ.get(_PERMISSIVE)
    os.environ[_PERMISSIVE] = "1"
    try:
        yield
    finally:
        del os.environ[_PERMISSIVE]
        if before is not None:
            os.environ[_PERMISSIVE] = before


def _another_spacing() -> VolumeError:
    return VolumeError(
        "The sform in the header does not agree with the voxel spacing there. "
        "Correct the file's header, or export the scan again."
    )


def sheared_nifti() -> VolumeError:
    """The error for a gantry tilt in a NIfTI header: ITK takes the qform, which has lost it."""
    return VolumeError(
        "Gantry tilt: the axes in the NIfTI header are not at right angles, which programs read "
        "in different ways. Give the DICOM series or an NRRD file, which hold a tilt, or a series "
        "that was made upright (dcm2niix names the file '_Tilt')."
    )
