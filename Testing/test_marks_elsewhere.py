"""Marks after other programs (these themselves, but for dcm2niix), damaged, and of others."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import write_series
from dicom_head import write_head
from marked import assert_source, assert_unknown, doubled, head, saved

from SliceInterpLib.acquired import acquired_only
from SliceInterpLib.files import read_dicom, read_volume, write_volume
from SliceInterpLib.files.dicom_writing import write_dicom


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return saved(doubled(head()), tmp_path / "result.nrrd")


# ---- After other programs


def test_simpleitk_saves_the_marks_of_nrrd_and_metaimage(tmp_path: Path) -> None:
    source = head()
    for first in (".nrrd", ".mha"):
        made = saved(doubled(source), tmp_path / f"result{first}")
        for then in (".nrrd", ".mha"):
            again = tmp_path / f"again{first}{then}"
            sitk.WriteImage(sitk.ReadImage(str(made)), str(again))
            assert_source(acquired_only(read_volume(again)), source)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_nifti_saved_under_another_name_is_still_a_result(suffix: str, tmp_path: Path) -> None:
    made = saved(doubled(head()), tmp_path / "result.nii.gz")
    again = tmp_path / f"again{suffix}"
    if suffix == ".nii.gz":
        nibabel.save(nibabel.as_closest_canonical(nibabel.load(made)), again)
    else:
        sitk.WriteImage(sitk.ReadImage(str(made)), str(again))
    assert_unknown(again)


@pytest.mark.parametrize(
    ("aux_file", "beside"),
    [
        ("ACQUIRED slice, HU unch", None),
        ("PROCESSED slice: acquir", None),
        (
            "",
            {
                "ImageType": ["DERIVED", "SECONDARY", "AXIAL"],
                "ImageComments": "ACQUIRED slice, HU unchanged, in a series with synthetic slices.",
            },
        ),
    ],
)
def test_what_dcm2niix_makes_of_a_derived_series(
    aux_file: str, beside: dict | None, tmp_path: Path
) -> None:
    """As its version 1.0.20260724 wrote it."""
    image = nibabel.Nifti1Image(head().hu.T, np.diag([0.5, 0.5, 5.0, 1.0]))
    image.header["descrip"], image.header["aux_file"] = "Time=0.000", aux_file
    nibabel.save(image, tmp_path / "converted.nii.gz")
    if beside:
        (tmp_path / "converted.json").write_text(json.dumps(beside), encoding="latin-1")
    assert_unknown(tmp_path / "converted.nii.gz")


@pytest.mark.parametrize(
    ("gone", "known"),
    [
        (("ImageComments",), True),
        (("DerivationDescription",), True),
        (("ContributingEquipmentSequence",), True),
        (("ImageComments", "ContributingEquipmentSequence"), False),
        (("ImageComments", "DerivationDescription"), False),
    ],
)
def test_archives_may_drop_some_of_the_attributes(
    gone: tuple[str, ...], known: bool, tmp_path: Path
) -> None:
    source = read_dicom(write_head(tmp_path / "scan")[0].parent)
    write_dicom(doubled(source), source.files, tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        image = pydicom.dcmread(path)
        for name in gone:
            delattr(image, name)
        image.save_as(path)
    if known:
        assert_source(acquired_only(read_dicom(tmp_path / "out")), source)
    else:
        assert_unknown(tmp_path / "out")


def test_a_series_without_its_synthetic_images_is_acquired(tmp_path: Path) -> None:
    source = read_dicom(write_head(tmp_path / "scan")[0].parent)
    write_dicom(doubled(source), source.files, tmp_path / "out")
    for path in sorted((tmp_path / "out").iterdir())[1::2]:
        path.unlink()
    assert_source(read_dicom(tmp_path / "out"), source)


def test_a_cropped_result_is_not_taken_for_acquired(result: Path, tmp_path: Path) -> None:
    image = sitk.ReadImage(str(result))
    cropped = image[:, :, 1:]
    for key in image.GetMetaDataKeys():
        cropped.SetMetaData(key, image.GetMetaData(key))
    sitk.WriteImage(cropped, str(tmp_path / "cropped.nrrd"))
    assert_unknown(tmp_path / "cropped.nrrd")


# ---- Damaged marks, and those of others

_GOOD = {
    "SliceInterp_provenance": '{"method":"linear","factor":2}',
    "SliceInterp_synthetic_slices": "1,3,5,7,9",
    "SliceInterp_slices": '{"axis":0,"count":11}',
}


@pytest.mark.parametrize(
    "change",
    [
        {"SliceInterp_provenance": "{"},
        {"SliceInterp_provenance": "[1]"},
        {"SliceInterp_provenance": "[" * 100_000},
        {"SliceInterp_provenance": None},
        {"SliceInterp_synthetic_slices": None},
        {"SliceInterp_synthetic_slices": "1,3,11"},
        {"SliceInterp_synthetic_slices": "1,-3"},
        {"SliceInterp_synthetic_slices": "one"},
        {"SliceInterp_synthetic_slices": "9" * 5000},
        {"SliceInterp_slices": '{"axis":0,"count":9}'},
        {"SliceInterp_slices": '{"axis":7,"count":11}'},
        {"SliceInterp_slices": '{"axis":true,"count":11}'},
        {"SliceInterp_slices": "0"},
        {"SliceInterp_slices": '{"axis":0,"count":11,"first":["x"]}'},
    ],
    ids=str,
)
@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_damaged_marks_still_say_that_it_is_a_result(
    suffix: str, change: dict, tmp_path: Path
) -> None:
    marks = {key: value for key, value in (_GOOD | change).items() if value is not None}
    path = tmp_path / f"scan{suffix}"
    image = sitk.GetImageFromArray(doubled(head()).hu)
    image.SetSpacing((0.5, 0.5, 2.5))
    if suffix == ".nrrd":
        for key, value in marks.items():
            image.SetMetaData(key, value)
    else:
        (tmp_path / "scan.json").write_text(json.dumps(marks))
    sitk.WriteImage(image, str(path))
    assert_unknown(path)


@pytest.mark.parametrize(
    "text", ["{", "[]", '"x"', "[" * 100_000, "\xff\xfe", '{"Modality": "CT"}']
)
def test_a_json_file_of_others_beside_nifti_says_nothing(text: str, tmp_path: Path) -> None:
    write_volume(head(), tmp_path / "scan.nii.gz")
    (tmp_path / "scan.json").write_text(text, encoding="latin-1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not read_volume(tmp_path / "scan.nii.gz").is_derived


@pytest.mark.parametrize(
    ("image_type", "word"),
    [
        (["DERIVED", "SECONDARY", "MPR"], "DERIVED, MPR"),
        (["DERIVED", "SECONDARY", "AXIAL", "CSA MPR"], "DERIVED, MPR"),
        (["ORIGINAL", "PRIMARY", "AXIAL", "MIP"], "MIP"),
        (["DERIVED", "PRIMARY"], "DERIVED"),
        (["ORIGINAL", "PRIMARY", "AXIAL"], None),
        (["ORIGINAL", "PRIMARY", "AXIAL", "AMPROL"], None),
    ],
)
def test_a_series_that_others_derived_is_told_once(
    image_type: list[str], word: str | None, tmp_path: Path
) -> None:
    write_series(tmp_path / "scan", [0.0, 5.0, 10.0], ImageType=image_type)
    write_volume(head(), tmp_path / "converted.nii.gz")
    (tmp_path / "converted.json").write_text(json.dumps({"ImageType": image_type}))
    for path in (tmp_path / "scan", tmp_path / "converted.nii.gz"):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert not read_volume(path).is_derived
        assert len(told) == (word is not None)
        assert word is None or f"(Image Type: {word})" in str(told[0].message)
