"""From a file to the comparison, saved and opened again: the module as it is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import host_views  # noqa: E402
import slicer  # noqa: E402
import vtk  # noqa: E402
from driving import (  # noqa: E402
    choose,
    events,
    finish,
    load_volume,
    open_scene,
    opened_module,
    save_scene,
)

from SliceInterpLib.files import read_volume  # noqa: E402
from SliceInterpLib.scene import comparison, view_labels  # noqa: E402
from SliceInterpLib.scene.comparison import COLUMNS, Comparison, slice_node  # noqa: E402
from SliceInterpLib.scene.marks import provenance_of, synthetic_slices_of  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def widget(scene, private_tmp):
    with opened_module(Comparison(host_views.Views((160, 140)).renderer)) as widget:
        yield widget
    assert not list(private_tmp.iterdir()), "a run left its files behind"


@pytest.fixture
def nifti(data_dir, tmp_path):
    """A real patient's scan, every fourth pixel of it to be quick."""
    import SimpleITK as sitk

    path = sorted((data_dir / "phe-sich" / "valid").glob("*.nii.gz"))[0]
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(image[::4, ::4], tmp_path / "ct.nii.gz")
    return [tmp_path / "ct.nii.gz"]


@pytest.fixture
def dicom(data_dir, tmp_path):
    """Nine slices of a series, in the order of their places, as Slicer's DICOM module finds it."""
    import pydicom

    files = list((data_dir / "dicom" / "philips-phantom-5mm").iterdir())
    place = {f: pydicom.dcmread(f, stop_before_pixels=True).ImagePositionPatient[2] for f in files}
    chosen = sorted(files, key=lambda file: float(place[file]))[9:18]
    folder = tmp_path / "series"
    folder.mkdir()
    return [
        Path(folder, f.name) for f in chosen if Path(folder, f.name).write_bytes(f.read_bytes())
    ]


def add_ct(shape, spacing=(0.5, 0.5, 5.0), name="CT"):
    hu = np.random.default_rng(0).integers(-1000, 90, shape).astype(np.int16)
    ijk_to_ras = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    return slicer.util.addVolumeFromArray(hu, ijk_to_ras, name, "vtkMRMLScalarVolumeNode")


def apply(widget):
    widget.ui.applyButton.click()
    assert widget.panel.job, widget.ui.planLabel.text
    finish(widget)
    return widget.panel.compare.volumes


def geometry(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def state(node):
    """All of a volume that has to outlive the saving of the scene."""
    marks = synthetic_slices_of(node)
    display = node.GetDisplayNode()
    return {
        "name": node.GetName(),
        "voxels": slicer.util.arrayFromVolume(node).copy(),
        "geometry": geometry(node).round(4),
        "provenance": provenance_of(node),
        "axis": marks and marks[0],
        "synthetic": None if marks is None else marks[1],
        "look": (display.GetWindow(), display.GetLevel()),
    }


def choices(widget):
    chosen = widget.panel._parameters
    names = ("method", "compareWith", "factor", "model", "device", "allowThin")
    return [getattr(chosen, name) for name in names] + [chosen.inputVolume.GetName()]


def same(before, after):
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert np.array_equal(value, after[key]), key


@pytest.mark.parametrize("saved", ["scene", "scene.mrb"])
@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_from_files_to_a_scene_that_is_opened_again(widget, kind, saved, request, tmp_path):
    files = request.getfixturevalue(kind)
    source = load_volume(files, "Head CT")
    given = read_volume(files[0] if kind == "nifti" else files[0].parent)
    assert np.array_equal(slicer.util.arrayFromVolume(source), given.hu)
    choose(widget, source, factor="4" if kind == "dicom" else "2")
    shown = apply(widget)
    assert widget.panel.compare.comparison.shown
    views = [slice_node("Coronal", column) for column in COLUMNS]
    composites = [comparison.composite_node(view) for view in views]
    assert [one.GetBackgroundVolumeID() for one in composites] == [one.GetID() for one in shown]
    for node in shown[1:]:
        factor = int(widget.panel._parameters.factor)
        assert np.array_equal(slicer.util.arrayFromVolume(node)[::factor], given.hu)

    widget.ui.compareButton.click()
    before, chosen = [state(node) for node in shown], choices(widget)
    save_scene(tmp_path / saved)
    open_scene(tmp_path / saved)
    events()

    assert choices(widget) == chosen
    assert widget.ui.methodComboBox.currentText == "Linear"
    assert widget.ui.inputSelector.currentNode().GetName() == "Head CT"
    assert widget.ui.applyButton.enabled, widget.ui.planLabel.text
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 3
    widget.ui.compareButton.click()
    assert widget.panel.compare.comparison.shown
    for one, node in zip(before, widget.panel.compare.volumes, strict=True):
        # The comparison shows all in one window; each had it before.
        same(one, state(node))
    assert view_labels.title_of(widget.panel.compare.volumes[1]) == "Cubic"


def arrangement():
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement()


@pytest.mark.parametrize("with_skulls", [False, True])
def test_a_scene_saved_in_the_comparison_opens_in_it(widget, tmp_path, with_skulls):
    source = add_ct((3, 8, 8))
    slicer.util.arrayFromVolume(source)[:, 2:6, 2:6] = 900
    choose(widget, source)
    apply(widget)
    layout = comparison.LAYOUT_WITH_SKULLS if with_skulls else comparison.LAYOUT
    widget.ui.skullsCheckBox.checked = with_skulls
    widget.ui.differenceCheckBox.checked = True
    assert arrangement() == layout
    save_scene(tmp_path / "scene.mrb")
    open_scene(tmp_path / "scene.mrb")
    assert widget.panel.compare.comparison.shown
    assert widget.ui.compareButton.checked
    assert arrangement() == layout
    assert len(slicer.util.getNodes("* skull")) == 3 * with_skulls
    widget.ui.compareButton.click()
    assert arrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    assert not slicer.util.getNodes("* skull")
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 3
    assert all(node.GetDisplayNode().GetInterpolate() for node in widget.panel.compare.volumes)


def test_a_new_slicer_knows_the_layout_of_a_saved_scene(widget, tmp_path):
    choose(widget, add_ct((3, 8, 8)))
    apply(widget)
    save_scene(tmp_path / "scene.mrb")
    headless.start()
    comparison.register_layouts()  # by registration.register, when Slicer has started
    open_scene(tmp_path / "scene.mrb")
    assert arrangement() == comparison.LAYOUT
    assert slice_node("Axial", "Learned").GetID()
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert "SliceInterpAxial-Original" in layout.GetCurrentLayoutDescription()


def test_the_learned_method_from_a_file_to_a_scene_that_is_opened_again(widget, nifti, tmp_path):
    pytest.importorskip("torch")
    import SimpleITK as sitk

    sitk.WriteImage(sitk.ReadImage(str(nifti[0]))[::2, ::2, 8:13], nifti[0])
    source = load_volume(nifti, "Head CT")
    choose(widget, source, method="Learned", compare="Linear", device="cpu")
    shown = apply(widget)
    before = [state(node) for node in shown]
    assert before[2]["provenance"]["method"] == "learned"
    assert before[2]["synthetic"].tolist() == [False, True] * 4 + [False]
    save_scene(tmp_path / "scene.mrb")
    open_scene(tmp_path / "scene.mrb")
    assert widget.ui.methodComboBox.currentText == "Learned"
    for one, node in zip(before, widget.panel.compare.volumes, strict=True):
        same(one, state(node))
    assert view_labels.title_of(widget.panel.compare.volumes[2]) == "SliceInterp"
    assert view_labels.mark_of(slice_node("Axial", "Learned"), widget.panel.compare.volumes[2])


def test_a_tiny_volume(widget):
    choose(widget, add_ct((2, 8, 8)))
    shown = apply(widget)
    assert [len(slicer.util.arrayFromVolume(node)) for node in shown] == [2, 3, 3]
    assert [synthetic_slices_of(node)[1].tolist() for node in shown[1:]] == [
        [False, True, False]
    ] * 2
    assert widget.panel.compare.comparison.shown
    for name in ("difference", "marks"):
        getattr(widget.ui, f"{name}CheckBox").click()
    widget.ui.compareButton.click()


def test_a_scan_of_the_usual_size(widget):
    """Until both results are in the scene, without the views, which are Slicer's own work."""
    widget.panel.compare.comparison = Comparison(renderers=lambda view: None)
    choose(widget, add_ct((32, 512, 512)))
    assert len(apply(widget)) == 3
