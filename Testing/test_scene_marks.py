"""Results that come back into a scene: known by their node, their file or their DICOM images."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from dicom_head import write_head

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

from driving import add_ct, choose  # noqa: E402

from SliceInterpLib.acquired import acquired_only  # noqa: E402
from SliceInterpLib.errors import VolumeError  # noqa: E402
from SliceInterpLib.files import read_dicom, read_volume, write_volume  # noqa: E402
from SliceInterpLib.files.dicom_writing import write_dicom  # noqa: E402
from SliceInterpLib.hematoma import Scan  # noqa: E402
from SliceInterpLib.interpolators import make_interpolator  # noqa: E402
from SliceInterpLib.marks import NODE_SYNTHETIC  # noqa: E402
from SliceInterpLib.scene import nodes, processing  # noqa: E402
from SliceInterpLib.scene.panel import choose_first_volume  # noqa: E402
from SliceInterpLib.scene.segmentations import add_mask  # noqa: E402
from SliceInterpLib.scene.volumetry import measure_request  # noqa: E402
from SliceInterpLib.upsampling import upsample  # noqa: E402

STORAGE = {
    ".nrrd": "vtkMRMLNRRDStorageNode",
    ".nii.gz": "vtkMRMLVolumeArchetypeStorageNode",
    ".mha": "vtkMRMLVolumeArchetypeStorageNode",
}


def doubled(volume):
    return upsample(volume, make_interpolator("linear"))


def loaded(path, suffix):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "loaded")
    storage = slicer.mrmlScene.AddNewNodeByClass(STORAGE[suffix])
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    node.SetAndObserveStorageNodeID(storage.GetID())
    return node


@pytest.fixture
def made(scene):
    """A CT, and the node that was made from it."""
    source = add_ct()
    return source, nodes.add_output_node(doubled(nodes.volume_from_node(source)), source)


@pytest.mark.parametrize("suffix", list(STORAGE))
def test_a_file_of_ours_is_known_in_slicer(suffix, scene, tmp_path):
    path = tmp_path / f"result{suffix}"
    write_volume(doubled(nodes.volume_from_node(add_ct())), path)
    volume = nodes.volume_from_node(loaded(path, suffix))
    assert volume.synthetic.tolist() == [False, True] * 5 + [False]
    assert volume.provenance["method"] == "linear"
    with pytest.raises(VolumeError, match=r"synthetic.*Choose the volume that it was made from"):
        nodes.require_doublable_node(volume)


def test_what_slicer_saves_as_nrrd_is_known_at_the_file_door(made, tmp_path):
    source, result = made
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(tmp_path / "saved.nrrd"))
    assert storage.WriteData(result)
    found = acquired_only(read_volume(tmp_path / "saved.nrrd"))
    np.testing.assert_array_equal(found.hu, slicer.util.arrayFromVolume(source))
    expected = nodes.volume_from_node(source).slice_origins
    np.testing.assert_allclose(found.slice_origins, expected, atol=1e-3)


def test_a_derived_series_is_known_in_slicer(scene, tmp_path, monkeypatch):
    source = read_dicom(write_head(tmp_path / "scan")[0].parent)
    write_dicom(doubled(source), source.files, tmp_path / "out")
    files = sorted((tmp_path / "out").iterdir())
    by_uid = {str(pydicom.dcmread(path).SOPInstanceUID): str(path) for path in files}
    database = SimpleNamespace(fileForInstance=lambda uid: by_uid.get(uid, ""))
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    node = add_ct(slices=17)
    node.SetAttribute("DICOM.instanceUIDs", " ".join(by_uid))
    with pytest.warns(UserWarning, match="all of them count as such"):
        assert nodes.volume_from_node(node).is_derived
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    assert not nodes.volume_from_node(node).is_derived


MPR = ["DERIVED", "SECONDARY", "AXIAL", "MPR"]
WARNED = (
    "is not what a scanner reconstructs (Image Type: DERIVED, MPR): its slices may be resampled"
)


def from_dicom(folder, monkeypatch, *, database=True, **changes):
    """A CT as Slicer's DICOM module loads it, or, without the database, as its file dialog does."""
    files = write_head(folder, **changes)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(files[0]))
    for path in files:
        storage.AddFileName(str(path))
    assert storage.ReadData(node)
    if database:
        by_uid = {str(pydicom.dcmread(path).SOPInstanceUID): str(path) for path in files}
        known = SimpleNamespace(fileForInstance=lambda uid: by_uid.get(uid, ""))
        monkeypatch.setattr(slicer, "dicomDatabase", known, raising=False)
        node.SetAttribute("DICOM.instanceUIDs", " ".join(by_uid))
    else:
        node.SetAndObserveStorageNodeID(storage.GetID())
    return node


@pytest.mark.parametrize("database", [True, False])
def test_the_panel_warns_of_a_series_that_others_derived(database, widget, tmp_path, monkeypatch):
    node = from_dicom(tmp_path / "mpr", monkeypatch, database=database, ImageType=MPR)
    choose(widget, node)
    assert WARNED in widget.ui.planLabel.text
    assert widget.ui.planLabel.text.startswith("9 slices, ")
    assert widget.ui.applyButton.enabled
    choose(widget, from_dicom(tmp_path / "scan", monkeypatch, database=database))
    assert "Image Type" not in widget.ui.planLabel.text


def test_the_panel_warns_of_a_file_that_says_so(widget, tmp_path):
    """As dcm2niix puts it into the JSON file beside a NIfTI file."""
    write_volume(nodes.volume_from_node(add_ct()), tmp_path / "scan.nii.gz")
    (tmp_path / "scan.json").write_text(json.dumps({"ImageType": MPR}))
    choose(widget, loaded(tmp_path / "scan.nii.gz", ".nii.gz"))
    assert WARNED in widget.ui.planLabel.text


def test_a_script_is_warned_of_a_series_that_others_derived(scene, tmp_path, monkeypatch):
    node = from_dicom(tmp_path / "mpr", monkeypatch, ImageType=MPR)
    with pytest.warns(UserWarning, match="not what a scanner reconstructs"):
        processing.process(node, method="linear")


@pytest.mark.filterwarnings("ignore:.*all of them count as such")
def test_our_own_series_is_refused_and_not_warned_of(widget, tmp_path, monkeypatch):
    source = read_dicom(write_head(tmp_path / "scan")[0].parent)
    write_dicom(doubled(source), source.files, tmp_path / "out")
    first = min((tmp_path / "out").iterdir())
    database = SimpleNamespace(fileForInstance=lambda uid: str(first))
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    node = add_ct(slices=17)
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    choose(widget, node)
    assert "SliceInterp made this" in widget.ui.planLabel.text
    assert "Image Type" not in widget.ui.planLabel.text


def test_padding_that_the_images_declare_is_known_in_slicer(scene, tmp_path, monkeypatch):
    """Also to the child process, and of the result."""
    files = write_head(tmp_path / "scan")
    for path in files:
        image = pydicom.dcmread(path)
        stored = image.pixel_array.copy()
        stored[:8], stored[:, :8] = 4095, 4095
        image.PixelData = stored.tobytes()
        image.add_new("PixelPaddingValue", "SS", 4095)
        image.save_as(path)
    by_uid = {str(pydicom.dcmread(path).SOPInstanceUID): str(path) for path in files}
    database = SimpleNamespace(fileForInstance=lambda uid: by_uid.get(uid, ""))
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    scan = read_dicom(tmp_path / "scan")
    axes = np.diag([-3.76, -3.76, 5.0, 1.0])
    node = slicer.util.addVolumeFromArray(scan.hu.copy(), axes, "CT", "vtkMRMLScalarVolumeNode")
    node.SetAttribute("DICOM.instanceUIDs", " ".join(by_uid))
    result = processing.process(node, method="linear")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(result), doubled(scan).hu)
    assert nodes.volume_from_node(node).padding == scan.padding == ((3071.0, 3071.0),)
    assert nodes.volume_from_node(result).padding == scan.padding


@pytest.mark.parametrize("mark", ['{"axis":0,"slices":"0101"}', "{", '{"axis":"x"}', "[]"])
def test_marks_that_do_not_fit_do_not_make_a_volume_acquired(mark, made):
    """Crop Volume copies a node's attributes."""
    made[1].SetAttribute(NODE_SYNTHETIC, mark)
    with pytest.warns(UserWarning, match="all of them count as such"):
        assert nodes.volume_from_node(made[1]).synthetic.all()
    with pytest.raises(VolumeError, match="not a result"), pytest.warns(UserWarning):
        nodes.result_from_node(made[1])


def test_a_script_cannot_double_a_result(made):
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(VolumeError, match="synthetic"):
        processing.process(made[1], method="linear")
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_the_panel_says_why_a_result_is_no_input(widget):
    source = add_ct()
    result = nodes.add_output_node(doubled(nodes.volume_from_node(source)), source)
    choose(widget, result)
    assert "5 of 11 slices are synthetic" in widget.ui.planLabel.text
    assert "Choose the volume that it was made from" in widget.ui.planLabel.text
    for button in ("applyButton", "checkButton", "reportButton"):
        assert not getattr(widget.ui, button).enabled
    choose(widget, source)
    for button in ("applyButton", "checkButton", "reportButton"):
        assert getattr(widget.ui, button).enabled


def test_a_result_is_not_offered_on_opening(made):
    source, result = made
    slicer.mrmlScene.RemoveNode(source)
    parameters = SimpleNamespace(inputVolume=None)
    choose_first_volume(parameters)
    assert parameters.inputVolume is None
    other = add_ct(name="another")
    choose_first_volume(parameters)
    assert parameters.inputVolume is other


def test_a_result_can_be_measured(made):
    result = made[1]
    mask = nodes.volume_from_node(result).slices > 0
    segmentation = add_mask(result, mask, "lesion", (1.0, 0.0, 0.0))
    scan = Scan(nodes.volume_from_node(result))
    (row,) = measure_request(segmentation, result).rows(scan)
    assert row.grid == "result"
    assert row.measured.voxel_ml == pytest.approx(mask.sum() * 0.8 * 0.8 * 2.5 / 1000)
