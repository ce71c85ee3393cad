"""Derived series: what is in them, and what outside readers and a validator make of them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from derived_series import (
    LINEAR,
    Head,
    assert_read_back,
    assert_valid,
    images_in,
    make_head,
    written,
)
from dicom_files import write_enhanced
from dicom_head import write_head
from scipy import ndimage

from SliceInterpLib.errors import OutputError
from SliceInterpLib.files import read_dicom
from SliceInterpLib.files.dicom_writing import write_dicom
from SliceInterpLib.grids import evenly_spaced, upright
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume


@pytest.fixture
def head(tmp_path: Path) -> Head:
    return make_head(tmp_path / "acquired")


# ---- What is written


def test_geometry_and_hu(head: Head, tmp_path: Path) -> None:
    images = written(head, tmp_path / "out")
    assert_read_back(tmp_path / "out", head.result)
    acquired = read_dicom(tmp_path / "acquired")
    for index, image in enumerate(images[::2]):
        np.testing.assert_array_equal(image.pixel_array, acquired.slices[index])
    assert {image.SpacingBetweenSlices for image in images} == {2.5}
    assert {image.SliceThickness for image in images} == {5}
    assert np.diff([float(image.SliceLocation) for image in images]) == pytest.approx(2.5)


def test_between_slices_of_two_thicknesses_a_slice_stands_for_the_thicker(tmp_path: Path) -> None:
    """What is made of a thin and a thick slice shows no more detail than the thick one."""
    folder = tmp_path / "acquired"
    files = write_head(folder)
    for path, thickness in zip(files, [5, 3, 4, 4, 3, 5, 5, 5, 5], strict=True):
        image = pydicom.dcmread(path)
        image.SliceThickness = thickness
        image.save_as(path)
    head = Head(files, upsample(read_dicom(folder), LINEAR))
    images = written(head, tmp_path / "out")
    between = [5, 4, 4, 4, 5, 5, 5, 5]
    assert [image.SliceThickness for image in images[1::2]] == between


@pytest.mark.parametrize("factor", [2, 4])
def test_every_slice_names_its_sources(factor: int, tmp_path: Path) -> None:
    head = make_head(tmp_path / "acquired", factor=factor)
    sources = [pydicom.dcmread(path).SOPInstanceUID for path in head.files]
    for index, image in enumerate(written(head, tmp_path / "out", keep_identity=True)):
        named = [item.ReferencedSOPInstanceUID for item in image.SourceImageSequence]
        before, beyond = divmod(index, factor)
        assert named == sources[before : before + (2 if beyond else 1)]
        for item in image.SourceImageSequence:
            assert item.ReferencedSOPClassUID == image.SOPClassUID
            assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert image.ImageType == ["DERIVED", "SECONDARY", "AXIAL"]
        assert image.ImageComments.startswith("SYNTHETIC" if beyond else "ACQUIRED")
        assert ("DerivationCodeSequence" in image) == bool(beyond)
        assert image.BurnedInAnnotation == "NO"


def test_a_series_of_its_own_in_the_same_study(head: Head, tmp_path: Path) -> None:
    source = pydicom.dcmread(head.files[0])
    images = written(head, tmp_path / "out", keep_identity=True)
    for name in (
        *("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID", "StudyDate"),
        *("PatientBirthDate", "AccessionNumber", "ReferringPhysicianName", "InstitutionName"),
        *("Manufacturer", "KVP", "ConvolutionKernel", "WindowCenter", "WindowWidth"),
        *("GantryDetectorTilt", "AcquisitionNumber"),
    ):
        assert {str(image[name].value) for image in images} == {str(source[name].value)}
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert len({image.SeriesInstanceUID for image in images}) == 1
    assert images[0].SeriesInstanceUID != source.SeriesInstanceUID
    assert images[0].SeriesDescription == "Schädel 5 mm ×2 synthetic"
    assert images[0].ProcedureCodeSequence[0].CodeMeaning == "Schädel"
    assert images[0].ContributingEquipmentSequence[0].Manufacturer == "SliceInterp"
    assert len({image.ContentTime for image in images}) == 1  # Slicer splits a series by it


def test_only_what_is_true_of_a_slice_is_in_it(head: Head, tmp_path: Path) -> None:
    images = written(head, tmp_path / "out", keep_identity=True)
    assert [image.TableHeight for image in images[::2]] == [150 + index for index in range(9)]
    assert not any("TableHeight" in image for image in images[1::2])
    assert not any("XRayTubeCurrent" in image for image in images)


def test_the_model_is_named(head: Head, tmp_path: Path) -> None:
    provenance = {**head.result.provenance, "model": "small", "model_sha256": "ab" * 32}
    head = replace(head, result=replace(head.result, provenance=provenance))
    equipment = written(head, tmp_path / "out")[1].ContributingEquipmentSequence[0]
    assert f"Model: small, SHA-256 {'ab' * 32}." in equipment.ContributionDescription


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Åström^Bengt"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 192", "Γιώργος^Ω"),
    ],
)
def test_names_survive_in_any_character_set(charset: str, name: str, tmp_path: Path) -> None:
    head = make_head(
        tmp_path / "acquired",
        SpecificCharacterSet=charset,
        PatientName=name,
        SeriesDescription="CT",
    )
    image = written(head, tmp_path / "out", keep_identity=True)[1]
    assert image.SpecificCharacterSet == "ISO_IR 192"
    assert str(image.PatientName) == name


def test_without_identity_nothing_tells_who_or_when(head: Head, tmp_path: Path) -> None:
    source = pydicom.dcmread(head.files[0])
    images = written(head, tmp_path / "out")
    raw = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    for word in ("Müller", "P-4711", "19500102", "20200102", "A7\0", "Wei", "Schädel", "Klinik"):
        assert word.encode("utf-8") not in raw
        assert word.encode("latin-1") not in raw
    for path in head.files:
        header = pydicom.dcmread(path)
        for name in ("SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            assert header[name].value.encode() not in raw
    assert images[0].StudyInstanceUID != source.StudyInstanceUID
    assert {image.PatientIdentityRemoved for image in images} == {"YES"}
    assert len({(image.StudyInstanceUID, image.PatientID) for image in images}) == 1
    # The references still tell which slices share a source.
    named = [[item.ReferencedSOPInstanceUID for item in i.SourceImageSequence] for i in images]
    assert named[1] == named[0] + named[2]
    again = written(head, tmp_path / "again")
    assert again[0].StudyInstanceUID != images[0].StudyInstanceUID


def test_lossy_and_burned_in_are_passed_on(tmp_path: Path) -> None:
    head = make_head(tmp_path / "acquired", LossyImageCompression="01", BurnedInAnnotation="YES")
    for image in written(head, tmp_path / "out"):
        assert (image.LossyImageCompression, image.BurnedInAnnotation) == ("01", "YES")


def test_fractional_hu_are_exact(tmp_path: Path) -> None:
    head = make_head(tmp_path / "acquired", RescaleSlope=0.5, RescaleIntercept=-1000.25)
    assert head.result.hu.dtype == np.float32
    images = written(head, tmp_path / "out")
    assert (images[0].RescaleSlope, images[0].RescaleIntercept) == (0.5, -1000.25)
    for index in range(0, 17, 2):
        hu = images[index].pixel_array * 0.5 - 1000.25
        np.testing.assert_array_equal(hu, head.result.hu[index])
    between = images[1].pixel_array * 0.5 - 1000.25
    assert np.abs(between - head.result.hu[1]).max() <= 0.25


def test_hu_that_16_bits_cannot_hold(tmp_path: Path) -> None:
    files = write_head(tmp_path / "acquired")
    for path, slope in zip(files, np.linspace(0.5, 0.9, 9), strict=True):
        image = pydicom.dcmread(path)
        image.RescaleSlope = round(float(slope), 4)
        image.save_as(path)
    result = upsample(read_dicom(tmp_path / "acquired"), LINEAR)
    with pytest.raises(OutputError, match="16 bits cannot hold"):
        write_dicom(result, files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_frames_of_an_enhanced_ct_are_named(tmp_path: Path) -> None:
    path = tmp_path / "enhanced.dcm"
    write_enhanced(path, [10, 5, 0], [-1024, -1000, -900])
    stack = read_dicom(path)
    result = upsample(stack, LINEAR, allow_thin=True)
    write_dicom(result, stack.files, tmp_path / "out", keep_identity=True)
    assert_read_back(tmp_path / "out", result)
    images = images_in(tmp_path / "out")
    frames = [[item.ReferencedFrameNumber for item in i.SourceImageSequence] for i in images]
    assert frames == [[3], [3, 2], [2], [2, 1], [1]]
    assert {image.SliceThickness for image in images} == {4}
    assert images[0].SOPClassUID != images[0].SourceImageSequence[0].ReferencedSOPClassUID
    assert_valid(tmp_path / "out")


# ---- Tilted and uneven


def test_tilted_and_made_upright(tmp_path: Path) -> None:
    head = make_head(tmp_path / "acquired", tilt=15.0)
    assert head.result.tilt_degrees == pytest.approx(15, abs=1e-3)
    tilted = written(head, tmp_path / "tilted")
    assert_read_back(tmp_path / "tilted", head.result)
    assert {image.GantryDetectorTilt for image in tilted} == {15}
    head = replace(head, result=upright(head.result))
    made = written(head, tmp_path / "upright")
    assert_read_back(tmp_path / "upright", head.result)
    assert not any("GantryDetectorTilt" in image for image in made)
    assert made[0].ImageComments.startswith("PROCESSED slice: acquired, then shifted")
    assert len(made[0].SourceImageSequence) == 1
    assert len(made[1].SourceImageSequence) == 2


def test_denoised_acquired_slices(head: Head, tmp_path: Path) -> None:
    quiet = head.result.slices.copy()
    quiet[::2] = ndimage.uniform_filter(quiet[::2], (0, 3, 3))
    provenance = {**head.result.provenance, "uniform": {"strength": 1.0}}
    head = replace(head, result=replace(head.result, slices=quiet, provenance=provenance))
    images = written(head, tmp_path / "out")
    assert_read_back(tmp_path / "out", head.result)
    assert_valid(tmp_path / "out")
    for image in images[::2]:
        assert image.ImageComments == "PROCESSED slice: acquired, then denoised."
        assert image.DerivationCodeSequence[0].CodeMeaning == "Smoothing"
        assert len(image.SourceImageSequence) == 1


def test_uneven_gaps(tmp_path: Path) -> None:
    files = write_head(tmp_path / "acquired")
    for index in (4, 6):
        files[index].unlink()  # gaps of 5 and 10 mm
    stack = read_dicom(tmp_path / "acquired")
    result = upsample(stack, LINEAR, widest_gap_mm=10)
    write_dicom(result, stack.files, tmp_path / "out", keep_identity=True)
    assert_read_back(tmp_path / "out", result)
    images = images_in(tmp_path / "out")
    assert not any("SpacingBetweenSlices" in image for image in images)
    even = evenly_spaced(result, 2.0)
    write_dicom(even, stack.files, tmp_path / "even", keep_identity=True)
    assert_read_back(tmp_path / "even", even)
    count = [len(image.SourceImageSequence) for image in images_in(tmp_path / "even")]
    assert count == [2 if made else 1 for made in even.synthetic]


# ---- Outside readers


@pytest.mark.parametrize("keep_identity", [True, False])
def test_a_validator_finds_no_error(keep_identity: bool, head: Head, tmp_path: Path) -> None:
    write_dicom(head.result, head.files, tmp_path / "out", keep_identity=keep_identity)
    assert_valid(tmp_path / "out")


def assert_simpleitk_agrees(folder: Path, result: Volume) -> None:
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = sitk.ReadImage(names)
    assert image.GetOrigin() == pytest.approx(result.origin, abs=1e-3)
    assert image.GetSpacing() == pytest.approx(result.spacing, abs=1e-4)
    assert image.GetDirection() == pytest.approx(result.direction.ravel(), abs=1e-6)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), result.hu)


def assert_dcm2niix_agrees(folder: Path, result: Volume) -> None:
    if not shutil.which("dcm2niix"):
        pytest.skip("dcm2niix is not installed: Testing/debian-packages.txt lists it")
    made = folder.parent / "nifti"
    made.mkdir()
    command = ["dcm2niix", "-f", "ct", "-o", str(made), str(folder)]
    subprocess.run(command, capture_output=True, check=True)
    image = nibabel.load(made / "ct.nii")
    to_index = np.linalg.inv(image.affine)
    hu = np.asarray(image.dataobj)
    for k in range(len(result.slices)):
        for row, column in ((0, 0), (10, 50), (40, 20)):
            step = result.in_plane_axes @ (np.array([column, row]) * result.pixel_spacing[::-1])
            ras = (result.slice_origins[k] + step) * [-1, -1, 1]
            index = to_index[:3, :3] @ ras + to_index[:3, 3]
            assert np.abs(index - np.rint(index)).max() < 1e-3
            assert hu[tuple(np.rint(index).astype(int))] == result.slices[k, row, column]


def assert_slicer_agrees(folder: Path, result: Volume) -> None:
    slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
    import vtk

    from SliceInterpLib.scene import nodes

    files = vtk.vtkStringArray()
    for path in sorted(folder.iterdir()):
        files.InsertNextValue(str(path))
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(files.GetValue(0))
    for index in range(files.GetNumberOfValues()):
        storage.AddFileName(files.GetValue(index))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "derived")
    assert storage.ReadData(node)
    volume = nodes.volume_from_node(node)
    np.testing.assert_allclose(volume.slice_origins, result.slice_origins, rtol=0, atol=1e-3)
    np.testing.assert_allclose(volume.in_plane_axes, result.in_plane_axes, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(volume.hu, result.hu)


def test_simpleitk_reads_the_same(head: Head, tmp_path: Path) -> None:
    write_dicom(head.result, head.files, tmp_path / "out")
    assert_simpleitk_agrees(tmp_path / "out", head.result)


def test_dcm2niix_reads_the_same(head: Head, tmp_path: Path) -> None:
    write_dicom(head.result, head.files, tmp_path / "out")
    assert_dcm2niix_agrees(tmp_path / "out", head.result)


def test_slicer_reads_the_same(scene: object, head: Head, tmp_path: Path) -> None:
    write_dicom(head.result, head.files, tmp_path / "out")
    assert_slicer_agrees(tmp_path / "out", head.result)


def test_philips_phantom_in_all_of_them(scene: object, data_dir: Path, tmp_path: Path) -> None:
    stack = read_dicom(data_dir / "dicom" / "philips-phantom-5mm")
    result = upsample(stack, LINEAR)
    write_dicom(result, stack.files, tmp_path / "out", keep_identity=True)
    assert_read_back(tmp_path / "out", result)
    assert_simpleitk_agrees(tmp_path / "out", result)
    assert_slicer_agrees(tmp_path / "out", result)
    assert_dcm2niix_agrees(tmp_path / "out", result)
    assert_valid(tmp_path / "out")
    # The thin slices of the same session lie where they lay.
    thin = sitk.ReadImage(str(data_dir / "phantom" / "philips-phantom-1mm.nii.gz"))
    heights = result.slice_origins[::2, 2] - thin.GetOrigin()[2]
    np.testing.assert_allclose(heights, np.rint(heights), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "name", ["toshiba-aquilion-human-tilt", "ge-hispeed-human-tilt-variable-gap"]
)
def test_real_tilted_heads(name: str, data_dir: Path, tmp_path: Path) -> None:
    stack = read_dicom(data_dir / "dicom" / name)
    result = upsample(stack, LINEAR)
    write_dicom(result, stack.files, tmp_path / "out", keep_identity=True)
    assert_read_back(tmp_path / "out", result)
    assert_valid(tmp_path / "out")
