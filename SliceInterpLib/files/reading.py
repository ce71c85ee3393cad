"""Volumes from NIfTI, NRRD, MetaImage and DICOM: read by SimpleITK, and not taken on trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.checks import (
    check_channels,
    check_dimensions,
    check_is_file,
    check_size,
    damaged,
    naming,
)
from SliceInterpLib.files.dicom_marks import warn_if_derived
from SliceInterpLib.files.nifti_header import check_nifti, rounded_axes
from SliceInterpLib.files.quiet import quiet_itk
from SliceInterpLib.files.sidecar import read_sidecar
from SliceInterpLib.files.suffixes import READABLE, is_dicom, matching_suffix
from SliceInterpLib.files.text_header import check_metaimage, check_nrrd
from SliceInterpLib.marks import marked, marks_in
from SliceInterpLib.volume import Volume

_HEADER_CHECKS = {
    ".nii": check_nifti,
    ".nii.gz": check_nifti,
    ".nrrd": check_nrrd,
    ".nhdr": check_nrrd,
    ".mha": check_metaimage,
    ".mhd": check_metaimage,
}
"""What is asked of each format before ITK reads it."""

_MOST_LAYERS = 1000
"""Values a voxel that a segmentation may have."""


def read_volume(path: str | Path, *, series: str | None = None) -> Volume:
    """Read a NIfTI, NRRD or MetaImage file, a DICOM folder, or the series of one DICOM file.

    Args:
        path: the file or folder.
        series: the series instance UID to take from a DICOM folder that holds several.

    Returns:
        A volume in which integer and float types stay what they are in the file; DICOM becomes
        int16 where the HU allow it, else float32, and each slice keeps its place, be the gaps even
        or not. A result of SliceInterp has its marks, `synthetic` and `provenance`.

    Raises:
        VolumeError: with cause and way out, for what is missing, unreadable or not one stack of CT
            slices.
    """
    path = Path(path)
    with naming(path):
        return _read(path, series)


def header_texts(path: Path) -> dict[str, Any]:
    """What a NIfTI, NRRD or MetaImage file says besides its geometry, without its voxels.

    Nothing of one that cannot be read.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with quiet_itk(), rounded_axes():
            reader.ReadImageInformation()
    except RuntimeError:
        return {}
    return _texts(reader, path)


def _read(path: Path, series: str | None) -> Volume:
    if not path.exists():
        raise VolumeError("There is no such file or folder. Check the path.")
    if is_dicom(path):
        from SliceInterpLib.files.dicom_reading import read_dicom  # pydicom takes its time

        return read_dicom(path, series=series)
    if series:
        raise VolumeError("A series can be chosen in a DICOM folder only. Ask for none here.")
    return _read_file(path)


def _read_file(path: Path) -> Volume:
    """The volume in one NIfTI, NRRD or MetaImage file."""
    image = _image(path, most_values=1)
    texts = _texts(image, path)
    marks = marks_in(texts)
    if not marks:
        warn_if_derived(texts.get("ImageType"))
    hu = sitk.GetArrayFromImage(image)
    slice_axis = marks.axis_in(hu.shape[-3:]) if marks else None
    return marked(_volume(hu, image, slice_axis=slice_axis), marks)


def read_layers(path: Path) -> tuple[list[Volume], dict[str, Any]]:
    """The volumes that the values of each voxel make, and the header's keys; see `read_volume`.

    Segmentations have several where segments overlap.
    """
    if not path.exists():
        raise VolumeError("There is no such file or folder. Check the path.")
    image = _image(path, most_values=_MOST_LAYERS)
    array = sitk.GetArrayFromImage(image)
    arrays = np.moveaxis(array, -1, 0) if image.GetNumberOfComponentsPerPixel() > 1 else [array]
    return [_volume(layer, image) for layer in arrays], _texts(image, path)


def _image(path: Path, most_values: int) -> sitk.Image:
    """What ITK reads from a file, checked before; at most so many values a voxel."""
    check_is_file(path)
    suffix = matching_suffix(path, READABLE)
    assert suffix is not None  # without one it would be taken for DICOM
    _HEADER_CHECKS[suffix](path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with quiet_itk(), rounded_axes():
            reader.ReadImageInformation()
        values = reader.GetNumberOfComponents()
        check_dimensions(reader.GetSize())
        if values > most_values:
            check_channels(values)
        check_size((*reader.GetSize(), values))
        with quiet_itk(), rounded_axes():
            return reader.Execute()
    except RuntimeError as error:
        raise damaged() from error


def _volume(array: np.ndarray, image: sitk.Image, *, slice_axis: int | None = None) -> Volume:
    # Of four dimensions and more, all but the first three have one voxel.
    axes = np.reshape(image.GetDirection(), (image.GetDimension(), -1))
    return Volume.from_grid(
        array.reshape(array.shape[-3:]),
        image.GetOrigin()[:3],
        image.GetSpacing()[:3],
        axes[:3, :3],
        slice_axis=slice_axis,
    )


def _texts(header: sitk.Image | sitk.ImageFileReader, path: Path) -> dict[str, Any]:
    """What a file's header and the JSON file beside it say besides the geometry."""
    return {key: header.GetMetaData(key) for key in header.GetMetaDataKeys()} | read_sidecar(path)
