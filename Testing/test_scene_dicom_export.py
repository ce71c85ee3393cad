"""Results of a real MRML scene as DICOM; Slicer's DICOM database is a stand-in."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pydicom
import pytest
from as_slicer_loads import acquisition_transform
from dicom_head import write_head

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

from driving import choose, finish  # noqa: E402

from SliceInterpLib.errors import OutputError, SliceInterpError  # noqa: E402
from SliceInterpLib.files import read_dicom  # noqa: E402
from SliceInterpLib.interpolators import make_interpolator  # noqa: E402
from SliceInterpLib.scene import nodes  # noqa: E402
from SliceInterpLib.scene.dicom_export import add_to_database, series_writing  # noqa: E402
from SliceInterpLib.scene.jobs import Job  # noqa: E402
from SliceInterpLib.scene.wrapping import plain  # noqa: E402
from SliceInterpLib.upsampling import upsample  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def database(monkeypatch):
    """Files by instance UID, as slicer.dicomDatabase knows them, and the folders imported."""
    known = SimpleNamespace(files={}, imported=[], works=True)
    known.fileForInstance = lambda uid: known.files.get(uid, "")
    monkeypatch.setattr(slicer, "dicomDatabase", known, raising=False)

    def import_dicom(folder):
        known.imported.append(folder)
        return known.works

    library = ModuleType("DICOMLib")
    library.DICOMUtils = SimpleNamespace(importDicom=import_dicom)
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    return known


@pytest.fixture
def load(scene, database, tmp_path):
    """Loads the phantom's DICOM as Slicer's DICOM module does, and doubles it."""

    def load(**changes):
        files = [str(path) for path in write_head(tmp_path / "acquired", **changes)]
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(files[0])
        for path in files:
            storage.AddFileName(path)
        source = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
        assert storage.ReadData(source)
        database.files = {str(pydicom.dcmread(path).SOPInstanceUID): path for path in files}
        source.SetAttribute("DICOM.instanceUIDs", " ".join(database.files))
        return source

    return load


def doubled(source):
    result = upsample(nodes.volume_from_node(source), make_interpolator("linear"))
    return nodes.add_output_node(result, source)


def export(node, source, folder):
    """Write it, but do not list it."""
    Job(series_writing(node, source, folder)).wait().unwrap()


def test_a_result_goes_into_its_study_and_the_database(load, database, tmp_path):
    source = load()
    result = doubled(source)
    export(result, source, tmp_path / "out")
    add_to_database(tmp_path / "out")
    assert database.imported == [str(tmp_path / "out")]
    acquired, derived = read_dicom(tmp_path / "acquired"), read_dicom(tmp_path / "out")
    np.testing.assert_array_equal(derived.slices, slicer.util.arrayFromVolume(result))
    np.testing.assert_array_equal(derived.slices[::2], acquired.slices)
    assert_between(acquired, derived)
    one = pydicom.dcmread(next((tmp_path / "out").iterdir()))
    of_source = pydicom.dcmread(tmp_path / "acquired" / "0.dcm")
    assert one.StudyInstanceUID == of_source.StudyInstanceUID
    assert one.PatientName == of_source.PatientName
    assert one.ImageType[:2] == ["DERIVED", "SECONDARY"]


def test_a_tilted_scan(load, tmp_path):
    source = load(tilt=15.0)
    export(doubled(source), source, tmp_path / "out")
    assert_between(read_dicom(tmp_path / "acquired"), read_dicom(tmp_path / "out"))


def test_an_uneven_scan_under_its_acquisition_transform(scene, load, tmp_path):
    source = load()
    for index in range(5, 9):
        path = tmp_path / "acquired" / f"{index}.dcm"
        image = pydicom.dcmread(path)
        image.ImagePositionPatient[2] += 2
        image.save_as(path)
    acquired = read_dicom(tmp_path / "acquired")
    even = nodes.volume_from_node(source).slice_origins
    acquisition_transform(source, (acquired.slice_origins - even) * [-1, -1, 1])
    export(doubled(source), source, tmp_path / "out")
    assert_between(acquired, read_dicom(tmp_path / "out"))


def assert_between(acquired, derived):
    np.testing.assert_allclose(derived.slice_origins[::2], acquired.slice_origins, atol=1e-3)
    middles = (acquired.slice_origins[1:] + acquired.slice_origins[:-1]) / 2
    np.testing.assert_allclose(derived.slice_origins[1::2], middles, atol=1e-3)


def test_a_registration_moves_no_slices(scene, load, tmp_path):
    source = load()
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    matrix = np.eye(4)
    matrix[:3, 3] = 30
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    source.SetAndObserveTransformNodeID(parent.GetID())
    export(doubled(source), source, tmp_path / "out")
    assert_between(read_dicom(tmp_path / "acquired"), read_dicom(tmp_path / "out"))


def test_what_cannot_be_exported(scene, load, database, tmp_path):
    def refused(cause, node, of):
        with pytest.raises(SliceInterpError, match=cause):
            export(node, of, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert not database.imported

    source = load()
    result = doubled(source)
    refused("not known which volume", result, None)
    refused("CT is not a result of SliceInterp", source, source)
    changed = doubled(source)
    slicer.util.arrayFromVolume(changed)[4] += 1
    refused("slice 5 of the result is not what 2.dcm holds", changed, source)
    uid, path = database.files.popitem()
    refused("1 of the 9 images of CT are no longer in the DICOM database", result, source)
    database.files[uid] = path
    Path(path).unlink()
    refused("8.dcm cannot be read", result, source)
    source.RemoveAttribute("DICOM.instanceUIDs")
    refused("CT was not loaded from the DICOM database", result, source)


def test_a_database_that_refuses(load, database, tmp_path):
    source = load()
    database.works = False
    export(doubled(source), source, tmp_path / "out")
    with pytest.raises(OutputError, match="could not be added to the DICOM database"):
        add_to_database(tmp_path / "out")
    assert len(read_dicom(tmp_path / "out").slices) == 17


def test_the_panel_writes_the_last_result(scene, load, database, tmp_path):
    _, widget = headless.load_module(ROOT / "SliceInterp" / "SliceInterp.py")
    widget.parent.enter()
    try:
        source = load()
        choose(widget, source)
        assert not widget.ui.dicomButton.enabled
        result = doubled(source)
        widget.panel.refresh()
        assert result.GetName() in widget.ui.exportLabel.text
        widget.panel.export.choose_folder = lambda: ""
        widget.ui.dicomButton.click()
        assert not database.imported
        widget.panel.export.choose_folder = lambda: str(tmp_path)
        widget.ui.dicomButton.click()
        assert not widget.ui.dicomButton.enabled
        finish(widget)
        (folder,) = database.imported
        assert Path(folder).parent == tmp_path
        assert folder in plain(widget.ui.statusLabel.text)
        np.testing.assert_array_equal(
            read_dicom(folder).slices, slicer.util.arrayFromVolume(result)
        )
        scene.RemoveNode(result)
        assert not widget.ui.dicomButton.enabled
    finally:
        widget.cleanup()
