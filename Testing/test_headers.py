"""Headers as other programs write them: what they state is read, and nothing is guessed."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hostile.images import HEAD, metaimage, nrrd

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files import read_volume

VOXELS = HEAD.tobytes()
SPACINGS = {"space": None, "space origin": None, "space directions": None}
"""What an NRRD without a space leaves out."""


def read(path: Path, content: bytes, voxels: bytes | None = None) -> np.ndarray:
    """The HU that are read from a file with this content, with its voxels beside it as v.raw."""
    path.write_bytes(content)
    if voxels is not None:
        path.with_name("v.raw").write_bytes(voxels)
    volume = read_volume(path)
    assert volume.spacing == (0.5, 0.5, 5.0)
    return volume.hu


@pytest.mark.parametrize(
    "fields",
    [
        SPACINGS,
        SPACINGS | {"spacings": "0.5 0.5 nan"},
        SPACINGS | {"spacings": "0.5 0.5 0"},
        SPACINGS | {"spacings": "0.5 0.5 -5"},
        SPACINGS | {"thicknesses": "nan nan 5", "axis mins": "0 0 0", "axis maxs": "5 6 30"},
        {"space directions": None},
        {"space directions": "none none none"},
        {"space directions": "(0.5,0,0) (0,0.5,0) none"},
        {"space directions": "(0.5,0,0) (0,0.5,0) (nan,nan,nan)"},
        {"space directions": "(0.5,0,0) (0,0.5,0) (0,0,0)"},
        {"dimension": "4", "sizes": "10 12 6 1", "space": None, "space origin": None}
        | {"space directions": None, "spacings": "0.5 0.5 nan 5"},
    ],
)
def test_spacing_that_an_nrrd_does_not_state_is_refused(
    fields: dict[str, str | None], tmp_path: Path
) -> None:
    with pytest.raises(VolumeError, match="does not state the voxel spacing.*Correct"):
        read(tmp_path / "scan.nrrd", nrrd(fields))


@pytest.mark.parametrize(
    "fields",
    [
        SPACINGS | {"spacings": "0.5 0.5 5"},
        SPACINGS | {"SPACINGS": "0.5 5e-1 5.0", "units": '"mm" "mm" "mm"'},
        SPACINGS | {"spacings": "0.5 0.5 5 nan", "dimension": "4", "sizes": "10 12 6 1"},
        {"space directions": "(0.5, 0, 0) (0, 0.5, 0) (0, 0, -5)"},
        {"space": None, "sizes": "10 12 6\nspace dimension: 3"},
        {"dimension": "4", "sizes": "1 10 12 6", "kinds": "list domain domain domain"}
        | {"space directions": "none (0.5,0,0) (0,0.5,0) (0,0,5)"},
    ],
)
def test_spacing_that_an_nrrd_states_is_read(fields: dict[str, str | None], tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(tmp_path / "scan.nrrd", nrrd(fields)), HEAD)


@pytest.mark.parametrize("spacing", [None, "0.5 0.5 nan", "0.5 0.5 0", "0.5 0.5 -5", "0.5 0.5 inf"])
def test_spacing_that_a_metaimage_does_not_state_is_refused(
    spacing: str | None, tmp_path: Path
) -> None:
    with pytest.raises(VolumeError, match="does not state the voxel spacing.*Correct"):
        read(tmp_path / "scan.mha", metaimage({"ElementSpacing": spacing}))


@pytest.mark.parametrize(
    ("fields", "voxels"),
    [
        ({"BinaryData": None, "BinaryDataByteOrderMSB": None}, VOXELS),
        ({"BinaryData": None, "BinaryDataByteOrderMSB": None, "CompressedData": "T"},
         zlib.compress(VOXELS)),
        ({"BinaryDataByteOrderMSB": None, "ElementByteOrderMSB": "True"},
         HEAD.astype(">i2").tobytes()),
        ({"HeaderSize": "-1"}, bytes(30) + VOXELS),
        ({"HeaderSize": "30"}, bytes(30) + VOXELS),
        ({"HeaderSize": "30", "CompressedData": "True",
          "CompressedDataSize": str(len(zlib.compress(VOXELS)))},
         bytes(30) + zlib.compress(VOXELS)),
        ({"CompressedData": "True"}, gzip.compress(VOXELS)),
        ({"ElementType": "MET_LONG"}, HEAD.astype("<i4").tobytes()),
        ({"ElementType": "MET_LONG_LONG"}, HEAD.astype("<i8").tobytes()),
        ({"ElementType": "MET_SHORT_ARRAY"}, VOXELS),
        ({"ElementSpacing": None, "ElementSize": "0.5 0.5 5"}, VOXELS),
        ({"NDims": "4", "DimSize": "10 12 6 1", "ElementSpacing": "0.5 0.5 5 1",
          "Offset": "0 0 0 0", "TransformMatrix": "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"}, VOXELS),
    ],
)  # fmt: skip
def test_metaimages_that_itk_reads_are_read(
    fields: dict[str, str | None], voxels: bytes, tmp_path: Path
) -> None:
    content = metaimage(fields | {"ElementDataFile": "v.raw"}, voxels=b"")
    np.testing.assert_array_equal(read(tmp_path / "scan.mhd", content, voxels), HEAD)
    by_itk = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "scan.mhd")))
    np.testing.assert_array_equal(by_itk.reshape(HEAD.shape), HEAD)


@pytest.mark.parametrize(
    ("fields", "voxels"),
    [
        ({"HeaderSize": "-1"}, VOXELS[:-1]),
        ({"HeaderSize": "-2"}, bytes(30) + VOXELS),
        ({"HeaderSize": "30"}, VOXELS),
        ({"HeaderSize": "1000000"}, VOXELS),
        ({"HeaderSize": "-1", "CompressedData": "True"}, bytes(30) + zlib.compress(VOXELS)),
        ({"HeaderSize": "30", "CompressedData": "True"}, bytes(30) + zlib.compress(VOXELS)),
        ({"CompressedData": "True", "CompressedDataSize": "50"}, zlib.compress(VOXELS)),
        ({"CompressedData": "True", "CompressedDataSize": "9999"}, zlib.compress(VOXELS)),
        ({"CompressedData": "True", "CompressedDataSize": "-5"}, zlib.compress(VOXELS)),
        ({"CompressedData": "True"}, gzip.compress(VOXELS[:-2])),
        ({"ElementType": "MET_LONG"}, HEAD.astype("<i8").tobytes()),
        ({"NDims": "4", "DimSize": "10 12 3 2", "ElementSpacing": "0.5 0.5 5 1",
          "Offset": None, "TransformMatrix": None}, VOXELS),
        ({"NDims": "4", "DimSize": "10 12 6 1", "ElementSpacing": "0.5 0.5 5 1", "Offset": None,
          "TransformMatrix": "1 0 0 0 0 1 0 0 0 0 0 1 0 0 1 0"}, VOXELS),
    ],
)  # fmt: skip
def test_metaimages_that_lie_are_refused(
    fields: dict[str, str | None], voxels: bytes, tmp_path: Path
) -> None:
    content = metaimage(fields | {"ElementDataFile": "v.raw"}, voxels=b"")
    with pytest.raises(VolumeError, match=r"scan\.mhd: .*(damaged|CompressedDataSize|4 dim|dir)"):
        read(tmp_path / "scan.mhd", content, voxels)


def test_packed_voxels_of_no_said_length_are_refused(tmp_path: Path) -> None:
    """Within the header's file, where ITK passes on what lay in the memory."""
    content = metaimage({"CompressedData": "True"}, voxels=zlib.compress(VOXELS))
    with pytest.raises(VolumeError, match="CompressedDataSize.*Save the scan again"):
        read(tmp_path / "scan.mha", content)


def test_tilt_as_converters_write_it_is_named(tmp_path: Path) -> None:
    """The sform sheared and of other lengths than the spacing, the qform upright."""
    tilt = np.radians(12.0)
    sform = np.diag([-0.5, 0.5 / np.cos(tilt), 5 * np.cos(tilt), 1.0])
    sform[2, 1] = 0.5 * np.sin(tilt)
    image = nibabel.Nifti1Image(HEAD.T, sform)
    image.set_sform(sform, 1)
    image.set_qform(np.diag([-0.5, 0.5, 5.0, 1.0]), 1)
    image.header["pixdim"][1:4] = (0.5, 0.5, 5)
    nibabel.save(image, tmp_path / "scan.nii")
    with pytest.raises(VolumeError, match="Gantry tilt.*Give the DICOM series"):
        read_volume(tmp_path / "scan.nii")


def test_axes_that_no_tilt_explains_are_not_called_one(tmp_path: Path) -> None:
    sform = np.diag([0.5, 0.5, 5.0, 1.0])
    sform[:3, :3] = sform[:3, :3] + [[0, 0.1, 1], [0, 0, 1], [0, 0, 0]]
    nibabel.save(nibabel.Nifti1Image(HEAD.T, sform), tmp_path / "scan.nii")
    with pytest.raises(VolumeError, match="no gantry tilt explains"):
        read_volume(tmp_path / "scan.nii")


@pytest.mark.parametrize("qform", [0, 1])
@pytest.mark.parametrize("skew", [1.2e-4, 6e-4, 9.5e-4])
def test_nifti_skewed_by_rounding_is_read(skew: float, qform: int, tmp_path: Path) -> None:
    sform = np.diag([-0.5, -0.5, 5.0, 1.0])
    sform[0, 1] = 0.5 * skew
    image = nibabel.Nifti1Image(HEAD.T, sform)
    image.set_qform(sform, qform, strip_shears=True)
    nibabel.save(image, tmp_path / "scan.nii")
    before = dict(os.environ)
    volume = read_volume(tmp_path / "scan.nii")
    assert dict(os.environ) == before
    np.testing.assert_array_equal(volume.hu, HEAD)
    np.testing.assert_allclose(volume.direction.T @ volume.direction, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(volume.direction, np.eye(3), atol=skew)
    assert volume.tilt_degrees == 0


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_rescale_without_a_slope(slope: float, tmp_path: Path) -> None:
    """By the standard it is none; ITK adds the intercept."""
    for intercept in (0.0, np.nan, -1024.0):
        image = nibabel.Nifti1Image(HEAD.T, np.diag([0.5, 0.5, 5.0, 1.0]))
        nibabel.save(image, tmp_path / "scan.nii")
        with (tmp_path / "scan.nii").open("r+b") as file:
            file.seek(112)
            file.write(np.array([slope, intercept], "<f4").tobytes())
        if intercept != -1024:
            np.testing.assert_array_equal(read_volume(tmp_path / "scan.nii").hu, HEAD)
    with pytest.raises(VolumeError, match="intercept .-1024. but no slope.*scl_slope to 1"):
        read_volume(tmp_path / "scan.nii")
