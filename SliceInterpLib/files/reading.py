"""Volumes from NIfTI, NRRD, MetaImage and DICOM: read by SimpleITK, and not taken on trust."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.dicom_reading import naming, read_dicom
from SliceInterpLib.volume import ORTHONORMAL, Volume, check_finite

READABLE = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
NIFTI = (".nii", ".nii.gz")


def read_volume(path: str | Path, *, series: str | None = None) -> Volume:
    """Read a NIfTI, NRRD or MetaImage file, a DICOM folder, or the series of one DICOM file.

    `series` is the series instance UID to take from a DICOM folder that holds several. Integer and
    float types stay what they are in the file; DICOM becomes int16 where the HU allow it, else
    float32. Raises VolumeError, with cause and way out, for what is missing, unreadable or not one
    evenly spaced stack of CT slices (`read_dicom` reads uneven ones).
    """
    path = Path(path)
    with naming(path), quiet_itk():
        return _read(path, series)


def is_dicom(path: Path) -> bool:
    """Whether the path is taken for DICOM: a folder, or a file with no other format's suffix."""
    return path.is_dir() or not matching_suffix(path, READABLE)


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
    if not path.exists():
        raise VolumeError("There is no such file or folder. Check the path.")
    if is_dicom(path):
        return read_dicom(path, series=series).volume()
    if series:
        raise VolumeError("A series can be chosen in a DICOM folder only. Ask for none here.")
    return _read_file(path)


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
            raise _sheared_nifti() from error
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
        axes /= np.linalg.norm(axes, axis=0)
        if np.abs(axes.T @ axes - np.eye(3)).max() > ORTHONORMAL:
            raise _sheared_nifti()


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


def _sheared_nifti() -> VolumeError:
    return VolumeError(
        "Gantry tilt: the axes in the NIfTI header are not at right angles, which programs read "
        "in different ways. Give the DICOM series or an NRRD file, which hold a tilt, or a series "
        "that was straightened (dcm2niix names the file '_Tilt')."
    )


def _damaged() -> VolumeError:
    return VolumeError(
        "The file cannot be read: it is damaged, cut off, lacks its data file, or is not what its "
        "name says. Copy or export it anew."
    )
