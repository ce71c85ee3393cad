"""What the user does with the input while a run goes on, and what becomes of the result."""

from __future__ import annotations

import time

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

from as_slicer_loads import acquisition_transform  # noqa: E402
from driving import add_ct, choose, finish, snapshot  # noqa: E402

from SliceInterpLib.scene.nodes import SOURCE, results_of  # noqa: E402

TURNED = np.array([[0.6, -0.8, 0, 5], [0.8, 0.6, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]])
"""A rigid motion, in mm."""


def transform(matrix):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.array(matrix)))
    return node


def put_under(node, parent):
    node.SetAndObserveTransformNodeID(parent.GetID())


def world(node, i, j, k):
    """A voxel's place in the patient, mm."""
    matrix, place = slicer.vtkMRMLSliceNode().GetSliceToRAS(), [0.0, 0.0, 0.0]
    node.GetIJKToRASMatrix(matrix)
    node.TransformPointToWorld(matrix.MultiplyPoint((i, j, k, 1.0))[:3], place)
    return np.array(place)


def run(widget, source, meanwhile):
    """Double a volume, and do something before the panel has heard that it is done."""
    choose(widget, source)
    widget.panel.on_apply()
    job = widget.panel.job
    while not job._process or job._process.poll() is None:
        time.sleep(0.01)  # no events, and so no news
    meanwhile(source)
    finish(widget)


# What leaves the scan as it is


def rename(node):
    node.SetName("Renamed")


def show_otherwise(node):
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(80, 40)


def register(node):
    put_under(node, transform(TURNED))


def register_otherwise(node):
    node.GetParentTransformNode().SetMatrixTransformToParent(
        slicer.util.vtkMatrixFromArray(TURNED @ TURNED)
    )


def harden(node):
    assert node.HardenTransform()


def centre(node):
    node.SetOrigin(80, 90, -20)


def clone(node):
    slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, node, "clone")


def load_another(_node):
    add_ct(slices=9, size=40, name="Another")


@pytest.mark.parametrize(
    "meanwhile",
    [rename, show_otherwise, register, register_otherwise, harden, centre, clone, load_another],
)
def test_the_result_goes_along_with_its_scan(widget, meanwhile, shown_errors):
    source = add_ct(slices=12)
    put_under(source, transform(np.eye(4) if meanwhile is register else TURNED))
    before = slicer.util.arrayFromVolume(source).copy()
    run(widget, source, meanwhile)
    assert not shown_errors
    assert widget.panel._parameters.inputVolume is source
    made = results_of(source)
    assert len(made) == 2
    for node in made:
        assert np.array_equal(slicer.util.arrayFromVolume(node)[::2], before)
        assert node.GetName().startswith(source.GetName())
        for i, j, k in ((0, 0, 0), (31, 5, 11)):
            assert world(node, i, j, 2 * k) == pytest.approx(world(source, i, j, k), abs=1e-3)
    assert np.array_equal(slicer.util.arrayFromVolume(source), before)


# What makes it another scan


def edit(node):
    slicer.util.arrayFromVolume(node)[3] += 1
    slicer.util.arrayFromVolumeModified(node)


def replace_voxels(node):
    slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node) - 1)


def correct_spacing(node):
    node.SetSpacing(0.8, 0.8, 4.0)


def stretch(node):
    put_under(node, transform(np.diag([1, 1, 1.2, 1])))
    assert node.HardenTransform()


def empty(node):
    node.SetAndObserveImageData(None)


@pytest.mark.parametrize("meanwhile", [edit, replace_voxels, correct_spacing, stretch, empty])
def test_nothing_is_kept_of_a_scan_that_became_another(widget, meanwhile, shown_errors):
    source = add_ct(slices=12)
    before = snapshot()
    run(widget, source, meanwhile)
    assert "Failed. The scene is as it was." in widget.ui.statusLabel.text
    assert len(shown_errors) == 1
    assert set(snapshot()) == set(before)
    assert not results_of(source)


def test_slices_that_are_no_longer_where_they_were_acquired(widget, shown_errors):
    source = add_ct(slices=12)
    acquisition_transform(source, np.outer(np.arange(12.0), [0.0, 2.0, 0.0]))
    run(widget, source, lambda node: node.SetAndObserveTransformNodeID(None))
    assert "CT has changed while it was doubled" in shown_errors[0][0]
    assert not results_of(source)


def test_a_tilted_scan_keeps_its_tilt(widget, shown_errors):
    source = add_ct(slices=12)
    acquisition_transform(source, np.outer(np.arange(12.0), [0.0, 2.0, 0.0]))
    run(widget, source, rename)
    assert not shown_errors
    for node in results_of(source):
        assert world(node, 3, 4, 10) == pytest.approx(world(source, 3, 4, 5), abs=1e-3)


def test_a_scan_that_is_deleted_leaves_nothing(widget, shown_errors):
    source = add_ct(slices=12)
    run(widget, source, slicer.mrmlScene.RemoveNode)
    assert not shown_errors
    assert "Cancelled" in widget.ui.statusLabel.text
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")


def test_a_clone_is_not_the_scan_that_was_doubled(widget):
    source = add_ct(slices=12)
    run(widget, source, clone)
    (copy,) = slicer.util.getNodes("clone").values()
    assert not results_of(copy)
    assert not copy.GetNodeReference(SOURCE)
