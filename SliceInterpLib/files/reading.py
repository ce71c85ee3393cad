"""Volumes from NIfTI, NRRD, MetaImage and DICOM: read by SimpleITK, and not taken on trust."""

from __future__ import annotations

import gzip
import math
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.volume import Volume, check_axes, check_finite, gantry_tilt

READABLE = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
NIFTI = (".nii", ".nii.gz")

GAP_TOLERANCE = 0.02
"""mm by which gaps between slices may differ: positions are often written with two decimals."""

DRIFT_TOLERANCE = 0.05
"""mm by which slices may leave the line that runs through the first one along its normal."""

CT_IMAGE_STORAGE = b"1.2.840.10008.5.1.4.1.1.2\0"


def read_volume(path: str | Path, *, series: str | None = None) -> Volume:
    """Read a NIfTI, NRRD or MetaImage file, a DICOM folder, or the series of one DICOM file.

    `series` is the series instance UID to take from a DICOM folder that holds several. Integer and
    float types stay what they are in the file; DICOM becomes int16 where the HU allow it, else
    float32. Raises VolumeError, with cause and way out, for what is missing, unreadable or not one
    straight, evenly spaced stack of CT slices.
    """
    path = Path(path)
    try:
        with quiet_itk():
            return _read(path, series)
    except VolumeError as error:
        raise VolumeError(f"{path}: {error}") from error
    except OSError as error:
        raise VolumeError(
            f"{path}: It cannot be opened ({error.strerror}). Check its permissions."
        ) from error


def matching_suffix(path: Path, suffixes: tuple[str, ...]) -> str | None:
    """The one of `suffixes` that the file's name ends in, whatever its case; None without one."""
    return next((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), None)


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK's own warnings off stderr: what matters of them is told in our errors."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _read(path: Path, series: str | None) -> Volume:
    if path.is_dir():
        return _read_series(path, series)
    if not path.exists():
        raise VolumeError("There is no such file or folder. Check the path.")
    if matching_suffix(path, READABLE):
        if series:
            raise VolumeError("A series can be chosen in a DICOM folder only. Ask for none here.")
        return _read_file(path)
    image = _dicom_slice(path)
    if image is None:
        raise VolumeError(
            f"This is neither a DICOM image that can be read nor one of {', '.join(READABLE)}. "
            "Give one of these, or a folder of DICOM files."
        )
    if image.unusable:
        raise VolumeError(f"This is not a CT slice but {image.unusable}. Give a CT slice.")
    if series and series != image.series:
        raise VolumeError("The file is not of the series that was asked for. Give its folder.")
    return _read_series(path.parent, image.series)


# ---- One file: NIfTI, NRRD, MetaImage


def _read_file(path: Path) -> Volume:
    """The volume in one NIfTI, NRRD or MetaImage file."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _check_is_volume(reader)
        if matching_suffix(path, NIFTI):
            _check_nifti_shear(reader)
            check_nifti_voxels(path)
        image = reader.Execute()
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise gantry_tilt("the axes in the NIfTI header are not at right angles") from error
        raise _damaged() from error
    return Volume(
        sitk.GetArrayFromImage(image), image.GetOrigin(), image.GetSpacing(), image.GetDirection()
    )


def _check_is_volume(reader: sitk.ImageFileReader) -> None:
    """Raise VolumeError unless the file holds one 3-D image with one number a voxel."""
    size = " × ".join(map(str, reader.GetSize()))
    if reader.GetDimension() < 3:
        raise VolumeError(f"This is a 2-D image ({size}). Give the whole series as one volume.")
    if reader.GetDimension() > 3:
        raise VolumeError(
            f"This image has {reader.GetDimension()} dimensions ({size}). "
            "Save one of its volumes (time points, phases) to a file of its own and give that."
        )
    if reader.GetNumberOfComponents() != 1:
        raise VolumeError(
            f"This image has {reader.GetNumberOfComponents()} values a voxel (colours or vectors). "
            "Give the CT itself, with one HU a voxel."
        )


def _check_nifti_shear(reader: sitk.ImageFileReader) -> None:
    """Raise VolumeError for a sheared sform: ITK takes the qform then, which has lost the shear."""
    if int(reader.GetMetaData("sform_code")) > 0:
        rows = [reader.GetMetaData(f"srow_{axis}").split()[:3] for axis in "xyz"]
        axes = np.array(rows, dtype=np.float64)
        check_axes(axes / np.linalg.norm(axes, axis=0))


def check_nifti_voxels(path: Path) -> None:
    """Raise VolumeError for a truncated NIfTI or NaN in it: ITK makes both 0 and says nothing."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    voxel_bytes = int(reader.GetMetaData("bitpix")) // 8
    left = math.prod(reader.GetSize()) * voxel_bytes
    floats = {"16": "f4", "64": "f8"}.get(reader.GetMetaData("datatype"))
    try:
        with (gzip.open if path.name.lower().endswith(".gz") else open)(path, "rb") as file:
            order = "<" if int.from_bytes(file.read(4), "little") in (348, 540) else ">"
            file.seek(int(float(reader.GetMetaData("vox_offset"))))
            while chunk := file.read(min(left, 1 << 20)):
                left -= len(chunk)
                if floats and len(chunk) % voxel_bytes == 0:
                    check_finite(np.frombuffer(chunk, order + floats))
            file.read(1)  # to the end of the file, where gzip has its checksum
    except (EOFError, OSError, zlib.error) as error:
        raise _damaged() from error
    if left:
        raise _damaged()


def _damaged() -> VolumeError:
    return VolumeError(
        "The file cannot be read: it is damaged, cut off, lacks its data file, or is not what its "
        "name says. Copy or export it anew."
    )


# ---- A DICOM series


@dataclass(frozen=True)
class _Slice:
    """What the header of one DICOM image says; lengths in mm, LPS."""

    path: Path
    series: str
    unusable: str
    """What the image is instead of a CT slice with a place in space; empty if it is one."""
    size: tuple[int, ...]
    spacing: tuple[float, float]
    origin: np.ndarray
    direction: np.ndarray


def _read_series(folder: Path, series: str | None) -> Volume:
    """The volume of the one CT series in the folder, or of that with the given UID."""
    slices = _one_series(_ct_slices(folder), series)
    slices, gap = _in_order(slices)
    first = slices[0]
    return Volume(_pixels(slices), first.origin, (*first.spacing, gap), first.direction)


def _dicom_slice(path: Path) -> _Slice | None:
    """The header of a DICOM image; None if the file is none.

    Raises VolumeError if it is the beginning of a CT slice that was cut off: leaving it out could
    shorten the series unnoticed.
    """
    reader = _dicom_reader(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        with path.open("rb") as file:
            head = file.read(1024)
        if head[128:132] == b"DICM" and CT_IMAGE_STORAGE in head:
            raise _damaged_slice(path) from None
        return None
    return _Slice(
        path=path,
        series=_tag(reader, "0020|000e"),
        unusable=_unusable(reader),
        size=reader.GetSize(),
        spacing=reader.GetSpacing()[:2],
        origin=np.array(reader.GetOrigin()),
        direction=np.array(reader.GetDirection()).reshape(3, 3),
    )


def _unusable(reader: sitk.ImageFileReader) -> str:
    """What the DICOM image is instead of a CT slice with a place in space; empty if it is one."""
    modality = _tag(reader, "0008|0060")
    if modality != "CT":
        return f"an image of modality {modality or 'unknown'}"
    if "LOCALIZER" in _tag(reader, "0008|0008").upper():
        return "a localizer"
    if reader.GetSize()[2] > 1:
        return "a multi-frame image (dcm2niix converts these to NIfTI)"
    if reader.GetNumberOfComponents() != 1:
        return "a colour picture"
    if not all(_tag(reader, tag) for tag in ("0020|0032", "0020|0037", "0028|0030")):
        return "an image without position, orientation or pixel spacing"
    return ""


def _ct_slices(folder: Path) -> list[_Slice]:
    """Every CT slice in the folder, sub-folders not included; raises VolumeError if none is."""
    images = [_dicom_slice(path) for path in sorted(folder.iterdir()) if path.is_file()]
    images = [image for image in images if image]
    if not images:
        raise VolumeError(
            "The folder has no DICOM images. Give the folder that holds them directly; "
            "NIfTI, NRRD and MetaImage are given as a file."
        )
    slices = [image for image in images if not image.unusable]
    if not slices:
        others = Counter(image.unusable for image in images)
        found = "; ".join(f"{count} × {what}" for what, count in others.items())
        raise VolumeError(f"The folder has no CT slices, only {found}. Give a series of CT slices.")
    return slices


def _one_series(slices: list[_Slice], series: str | None) -> list[_Slice]:
    """The slices of the series that was asked for, or of the only one."""
    counts = Counter(image.series for image in slices)
    listed = "\n".join(f"  {uid}  {count} slices" for uid, count in sorted(counts.items()))
    if series is None and len(counts) > 1:
        raise VolumeError(
            f"The folder has {len(counts)} CT series. Choose one with --series UID "
            f"(in Python series=UID):\n{listed}"
        )
    if series is not None and series not in counts:
        raise VolumeError(f"The folder has no CT series {series}. It has:\n{listed}")
    return [image for image in slices if series in (None, image.series)]


def _in_order(slices: list[_Slice]) -> tuple[list[_Slice], float]:
    """The slices sorted along their normal and their gap in mm.

    Raises VolumeError unless they are one straight, evenly spaced stack.
    """
    first = slices[0]
    if len(slices) < 2:
        raise VolumeError("The series has one slice only. Give a whole series.")
    strangers = [image.path.name for image in slices if not _alike(image, first)]
    if strangers:
        raise VolumeError(
            f"{len(strangers)} of the series' {len(slices)} images differ from the others in size, "
            f"pixel spacing or orientation: {_some(strangers)}. Leave one stack in the folder."
        )
    normal = first.direction[:, 2]
    slices = sorted(slices, key=lambda image: float(image.origin @ normal))
    offsets = np.array([image.origin - slices[0].origin for image in slices])
    positions = offsets @ normal
    _check_gaps_above_zero(positions)
    _check_straight(offsets - np.outer(positions, normal), positions)
    return slices, _even_gap(positions)


def _alike(one: _Slice, other: _Slice) -> bool:
    return (
        one.size == other.size
        and np.allclose(one.spacing, other.spacing, rtol=1e-4)
        and np.allclose(one.direction, other.direction, rtol=0, atol=1e-3)
    )


def _check_gaps_above_zero(positions: np.ndarray) -> None:
    again = int(np.count_nonzero(np.diff(positions) < GAP_TOLERANCE))
    if again:
        raise VolumeError(
            f"{again} of the series' {len(positions)} slices lie where another one lies already: "
            "duplicates, or several phases in one series. Leave one slice for each position."
        )


def _check_straight(drift: np.ndarray, positions: np.ndarray) -> None:
    """`drift`: (n, 3) mm by which each slice has left the normal through the first one."""
    shift = np.linalg.norm(drift, axis=1)
    if shift.max() > DRIFT_TOLERANCE:
        worst = int(shift.argmax())
        angle = math.degrees(math.atan2(shift[worst], positions[worst]))
        raise gantry_tilt(
            f"over {positions[worst]:.1f} mm of the series, the slices shift by "
            f"{shift[worst]:.1f} mm within their own plane ({angle:.1f}°)"
        )


def _even_gap(positions: np.ndarray) -> float:
    """The gap in mm between neighbouring slices; raises VolumeError unless all are the same."""
    gaps = np.diff(positions)
    gap = float(gaps.mean())
    if np.abs(gaps - gap).max() > GAP_TOLERANCE:
        counts = Counter(f"{value:.2f} mm" for value in gaps)
        found = [f"{value} ({count} times)" for value, count in counts.most_common()]
        raise VolumeError(
            f"The gaps between the slices are uneven: {_some(found)}. A slice may be missing; else "
            "give an evenly spaced part of the series, or another reconstruction of it."
        )
    return gap


def _pixels(slices: list[_Slice]) -> np.ndarray:
    """HU of the sorted slices, (slice, row, column): int16, or float32 where int16 cannot do."""
    columns, rows = slices[0].size[:2]
    hu = np.empty((len(slices), rows, columns), dtype=np.int16)
    for index, image in enumerate(slices):
        try:
            plane = sitk.GetArrayFromImage(_dicom_reader(image.path).Execute())[0]
        except RuntimeError as error:
            raise _damaged_slice(image.path) from error
        if hu.dtype == np.int16 and not _fits_int16(plane):
            hu = hu.astype(np.float32)
        hu[index] = plane
    return hu


def _fits_int16(plane: np.ndarray) -> bool:
    if plane.dtype.kind == "f" and not np.array_equal(plane, np.rint(plane)):
        return False
    return plane.min() >= -32768 and plane.max() <= 32767


def _dicom_reader(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    return reader


def _tag(reader: sitk.ImageFileReader, tag: str) -> str:
    """The header's value without padding; empty if there is none."""
    return reader.GetMetaData(tag).strip(" \0") if reader.HasMetaDataKey(tag) else ""


def _damaged_slice(path: Path) -> VolumeError:
    return VolumeError(
        f"The slice {path.name} cannot be read: it is damaged or cut off. Copy the series anew."
    )


def _some(items: list[str]) -> str:
    """The first six of the items, and how many there are beyond."""
    beyond = f" and {len(items) - 6} more" if len(items) > 6 else ""
    return ", ".join(items[:6]) + beyond
