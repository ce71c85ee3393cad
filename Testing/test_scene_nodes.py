"""Nodes to volumes and back, in a real MRML scene."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
vtk = pytest.importorskip("vtk")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

from as_slicer_loads import acquisition_transform  # noqa: E402

from SliceInterpLib.errors import VolumeError  # noqa: E402
from SliceInterpLib.interpolators import make_interpolator  # noqa: E402
from SliceInterpLib.marks import NODE_PROVENANCE, NODE_SYNTHETIC  # noqa: E402
from SliceInterpLib.scene import nodes  # noqa: E402
from SliceInterpLib.scene.marks import provenance_of, synthetic_slices_of  # noqa: E402
from SliceInterpLib.upsampling import upsample  # noqa: E402

OBLIQUE = Rotation.from_euler("xyz", [17, -11, 5], degrees=True).as_matrix()
LEFT_HANDED = np.diag([1.0, 1.0, -1.0])


@pytest.fixture
def add_ct(scene):
    """Adds a node with 9 slices of air and tissue; direction is in RAS."""

    def add(direction=None, *, name="CT", shape=(9, 12, 10)):
        hu = np.full(shape, -1000, np.int16)
        inside = np.random.default_rng(0).integers(0, 80, [n - 4 for n in shape])
        hu[2:-2, 2:-2, 2:-2] = inside
        axes = np.eye(4)
        axes[:3, :3] = (np.eye(3) if direction is None else direction) * [0.5, 0.5, 5.0]
        axes[:3, 3] = (10, -20, 30)
        node = slicer.util.addVolumeFromArray(hu, axes, name)
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevel(80, 40)
        return node

    return add


def doubled(node, method="linear", factor=2):
    return upsample(nodes.volume_from_node(node), make_interpolator(method), factor=factor)


def ras(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def world(node, ijk):
    place = [0.0, 0.0, 0.0]
    node.TransformPointToWorld((ras(node) @ [*ijk, 1.0])[:3], place)
    return np.array(place)


@pytest.mark.parametrize("direction", [np.eye(3), OBLIQUE, LEFT_HANDED, OBLIQUE @ LEFT_HANDED])
def test_a_node_becomes_a_volume_in_lps(add_ct, direction):
    node = add_ct(direction)
    volume = nodes.volume_from_node(node)
    assert np.shares_memory(volume.hu, slicer.util.arrayFromVolume(node))
    assert volume.spacing == pytest.approx((0.5, 0.5, 5.0))
    assert volume.origin == pytest.approx((-10, 20, 30))
    assert volume.direction == pytest.approx(np.diag([-1, -1, 1]) @ direction)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("direction", [np.eye(3), OBLIQUE, LEFT_HANDED, OBLIQUE @ LEFT_HANDED])
def test_the_acquired_slices_keep_their_place_and_values(add_ct, direction, factor):
    source = add_ct(direction)
    output = nodes.add_output_node(doubled(source, factor=factor), source)
    hu = slicer.util.arrayFromVolume(output)
    assert hu.dtype == np.int16
    assert np.array_equal(hu[::factor], slicer.util.arrayFromVolume(source))
    for i, j, k in ((0, 0, 0), (3, 7, 4), (9, 11, 8)):
        assert world(output, (i, j, factor * k)) == pytest.approx(world(source, (i, j, k)))


def test_other_slice_axes(scene):
    hu = np.full((12, 6, 10), -1000, np.int16)
    hu[4:8, 1:5, 3:7] = 40
    source = slicer.util.addVolumeFromArray(hu, np.diag([0.5, 5, 0.5, 1]), "coronal slices")
    output = nodes.add_output_node(doubled(source), source)
    assert np.array_equal(slicer.util.arrayFromVolume(output)[:, ::2], hu)
    axis, synthetic = synthetic_slices_of(output)
    assert axis == 1
    assert synthetic.tolist() == [False, True] * 5 + [False]


def test_what_is_no_ct_is_refused(scene, add_ct):
    def refused(node, cause):
        with pytest.raises(VolumeError, match=cause):
            nodes.volume_from_node(node)

    refused(None, "No volume is chosen")
    refused(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"), "no voxels")
    labels = slicer.util.addVolumeFromArray(
        np.ones((3, 4, 5), np.uint8), nodeClassName="vtkMRMLLabelMapVolumeNode", name="mask"
    )
    refused(labels, "mask is a label map")
    colours = slicer.util.addVolumeFromArray(
        np.ones((3, 4, 5, 3), np.uint8), nodeClassName="vtkMRMLVectorVolumeNode"
    )
    refused(colours, "colour")
    sheared = np.eye(3)
    sheared[1, 0] = 0.3
    refused(add_ct(sheared), "not at right angles")


def test_a_linear_transform_is_shared(scene, add_ct):
    source = add_ct(OBLIQUE)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = OBLIQUE.T, (5, 6, 7)
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    source.SetAndObserveTransformNodeID(parent.GetID())
    output = nodes.add_output_node(doubled(source), source)
    assert output.GetTransformNodeID() == parent.GetID()
    assert world(output, (3, 4, 10)) == pytest.approx(world(source, (3, 4, 5)))


def test_a_tilted_uneven_scan_under_its_grid_transform(scene, add_ct):
    source = add_ct()
    heights = np.arange(9) * 5.0
    shifts = np.zeros((9, 3))
    shifts[:, 1] = np.tan(np.radians(20)) * heights
    shifts[5:, 2] = 2.0
    parent = acquisition_transform(source, shifts)
    volume = nodes.volume_from_node(source)
    assert volume.gaps == pytest.approx([7.0 if i == 4 else 5.0 for i in range(8)])
    output = nodes.add_output_node(doubled(source), source)
    assert output.GetTransformNodeID() == parent.GetID()
    for k in (0, 4, 5, 8):
        assert world(output, (5, 6, 2 * k)) == pytest.approx(world(source, (5, 6, k)))
    between = (world(source, (5, 6, 4)) + world(source, (5, 6, 5))) / 2
    assert world(output, (5, 6, 9)) == pytest.approx(between)


def test_a_gap_of_missing_slices_is_named(scene, add_ct):
    source = add_ct()
    shifts = np.zeros((9, 3))
    shifts[6:, 2] = 5.0
    acquisition_transform(source, shifts)
    with pytest.raises(
        VolumeError, match=r"between slices 6 and 7 \(10\.0 mm\), where gaps of 5\.0 mm"
    ):
        nodes.volume_from_node(source)


def test_the_output_is_shown_and_filed_like_its_source(scene, add_ct):
    source = add_ct()
    source.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    source.SetAttribute("DICOM.instanceNumbers", "1 2")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(source), study)
    source.GetDisplayNode().SetInterpolate(False)
    output = nodes.add_output_node(doubled(source), source)
    display = output.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel(), display.GetInterpolate()) == (80, 40, 0)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(output)) == study
    assert not [name for name in output.GetAttributeNames() if name.startswith("DICOM")]
    assert output.GetName() == "CT (linear ×2)"
    assert nodes.add_output_node(doubled(source), source, "mine").GetName() == "mine"


def test_a_learned_result_has_the_extensions_name(add_ct):
    source = add_ct()
    result = doubled(source)
    result.provenance["method"] = "learned"
    assert nodes.add_output_node(result, source).GetName() == "CT (SliceInterp ×2)"


def test_provenance_is_saved_and_restored_with_the_scene(scene, add_ct, tmp_path):
    source = add_ct(OBLIQUE)
    output = nodes.add_output_node(doubled(source), source)
    made, hu, axes = (
        provenance_of(output),
        slicer.util.arrayFromVolume(output).copy(),
        ras(output),
    )
    assert made["method"] == "linear"
    assert json.loads(output.GetAttribute(NODE_SYNTHETIC))["slices"] == "01" * 8 + "0"
    assert synthetic_slices_of(source) is None
    assert provenance_of(source) == {}
    for node in (source, output):
        node.AddDefaultStorageNode(str(tmp_path / f"{node.GetID()}.nrrd"))
        node.GetStorageNode().SetFileName(str(tmp_path / f"{node.GetID()}.nrrd"))
        assert node.GetStorageNode().WriteData(node)
    path = str(tmp_path / "scene.mrml")
    scene.SetURL(path)
    assert scene.Commit(path)

    other = slicer.vtkMRMLScene()
    other.SetURL(path)
    assert other.Connect()
    again = other.GetFirstNodeByName("CT (linear ×2)")
    assert provenance_of(again) == made
    assert synthetic_slices_of(again)[1].sum() == 8
    assert np.array_equal(slicer.util.arrayFromVolume(again), hu)
    assert ras(again) == pytest.approx(axes)
    assert again.GetDisplayNode().GetWindow() == 80


def everything(scene):
    return [
        (node.GetID(), node.GetName(), node.GetMTime())
        for node in (scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes()))
        if not node.IsA("vtkMRMLSubjectHierarchyNode")
    ]


def test_a_failure_leaves_the_scene_as_it_was(scene, add_ct, monkeypatch):
    source = add_ct()
    before = everything(scene)
    monkeypatch.setattr(nodes, "_copy_display", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        nodes.add_output_node(doubled(source), source)
    assert everything(scene) == before


def test_a_failure_leaves_the_output_node_as_it_was(add_ct, monkeypatch):
    source, output = add_ct(), add_ct(OBLIQUE, name="older")
    output.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    hu, axes = slicer.util.arrayFromVolume(output).copy(), ras(output)
    monkeypatch.setattr(nodes, "_copy_display", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        nodes.add_output_node(doubled(source), source, output=output)
    assert np.array_equal(slicer.util.arrayFromVolume(output), hu)
    assert ras(output) == pytest.approx(axes)
    assert output.GetName() == "older"
    assert output.GetAttribute("DICOM.instanceUIDs") == "1.2.3"
    assert not output.GetAttribute(NODE_PROVENANCE)


def test_an_output_node_is_filled(scene, add_ct):
    source, output = add_ct(), add_ct(OBLIQUE, name="older")
    output.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    count = scene.GetNumberOfNodes()
    assert nodes.add_output_node(doubled(source), source, output=output) is output
    assert scene.GetNumberOfNodes() == count
    assert np.array_equal(
        slicer.util.arrayFromVolume(output)[::2], slicer.util.arrayFromVolume(source)
    )
    assert not output.GetAttribute("DICOM.instanceUIDs")
    assert provenance_of(output)["factor"] == 2
    with pytest.raises(VolumeError, match="cannot replace its input"):
        nodes.add_output_node(doubled(source), source, output=source)
