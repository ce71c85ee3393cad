"""Hematomas of a real MRML scene: seeds, segmentations, tables, and the panel's section."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import vtk  # noqa: E402
from as_slicer_loads import acquisition_transform  # noqa: E402
from driving import CLOT, choose, close, open_scene, place_seed, save_scene, settle  # noqa: E402

from SliceInterpLib.hematoma import Scan, Suggestion  # noqa: E402
from SliceInterpLib.interpolators import make_interpolator  # noqa: E402
from SliceInterpLib.scene import nodes, sample_data, segmentations, volumetry  # noqa: E402
from SliceInterpLib.upsampling import upsample  # noqa: E402
from SliceInterpLib.volumetry.comparison import (  # noqa: E402
    ACQUIRED,
    CARRIED,
    GIVEN,
    SEGMENTED,
    difference_ml,
)
from SliceInterpLib.volumetry.mask import SegmentationError, voxel_ml  # noqa: E402
from SliceInterpLib.volumetry.segmentation import Segmenter  # noqa: E402
from SliceInterpLib.volumetry.settings import SegmentationSettings  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def source(scene, quick_phantom):
    """The phantom, turned and moved by a transform, as a registration does."""
    node = sample_data.load_phantom(matrix=128)
    turned = np.array([[0.8, -0.6, 0, 9], [0.6, 0.8, 0, 7], [0, 0, 1, -30], [0, 0, 0, 1.0]])
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(turned))
    node.SetAndObserveTransformNodeID(parent.GetID())
    return node


@pytest.fixture
def found(source):
    return Segmenter(nodes.volume_from_node(source)).segment([CLOT])


@pytest.fixture
def widget(source):
    _, widget = headless.load_module(ROOT / "SliceInterp" / "SliceInterp.py")
    widget.parent.enter()
    choose(widget, source)
    widget.ui.volumetryCollapsibleButton.collapsed = False
    yield widget
    close(widget)


def add_result(source, method="linear"):
    result = upsample(nodes.volume_from_node(source), make_interpolator(method))
    return nodes.add_output_node(result, source)


def all_nodes(scene):
    return {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())}


def rows_of(segmentation, source):
    """As the child process finds them."""
    scan = Scan(nodes.volume_from_node(source))
    return volumetry.measure_request(segmentation, source).rows(scan)


def press(widget, name):
    getattr(widget.ui, f"{name}Button").click()
    settle(widget)


def text_of(widget):
    return widget.ui.volumetryLabel.text


def previews(scene):
    return [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        if node.GetHideFromEditors()
    ]


def column(table, name):
    values = table.GetTable().GetColumnByName(name)
    return [values.GetValue(row) for row in range(values.GetNumberOfTuples())]


# Nodes


def test_a_seed_is_where_it_was_clicked(scene, source):
    place_seed(source)
    np.testing.assert_allclose(segmentations.seeds_of(source), [CLOT], atol=1e-6)
    logic = slicer.app.applicationLogic()
    seeds = segmentations.seeds_node_of(source)
    assert logic.GetSelectionNode().GetActivePlaceNodeID() == seeds.GetID()
    interaction = logic.GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    assert not interaction.GetPlaceModePersistence()
    segmentations.start_placing_seed(source)  # one more for the same node
    assert segmentations.seeds_node_of(source) is seeds


def test_a_seed_that_is_being_placed_does_not_count(source):
    place_seed(source)
    seeds = segmentations.seeds_node_of(source)
    seeds.AddControlPointWorld(vtk.vtkVector3d(0, 0, 0))
    seeds.UnsetNthControlPointPosition(1)
    assert len(segmentations.seeds_of(source)) == 1


def test_a_mask_goes_into_the_scene_and_comes_back(scene, source, found):
    node = segmentations.add_mask(source, found.mask, "mine")
    before = all_nodes(scene)
    mask = segmentations.mask_of(node, source)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, found.mask)
    assert all_nodes(scene) == before
    # It lies where the scan lies, also in the world.
    node.HardenTransform()
    assert np.count_nonzero(segmentations.mask_of(node, source) != found.mask) < 5
    other = np.roll(found.mask, 20, axis=2)
    node.SetAndObserveTransformNodeID(None)
    node = segmentations.add_mask(source, other, "other")
    np.testing.assert_array_equal(segmentations.mask_of(node, source), other)


def test_which_segment_is_meant(source, found):
    node = segmentations.add_mask(source, found.mask, "mine")
    edema = node.GetSegmentation().AddEmptySegment("edema", "edema")
    with pytest.raises(SegmentationError, match="mine has 2 visible segments"):
        segmentations.mask_of(node, source)
    node.GetDisplayNode().SetSegmentVisibility(edema, False)
    np.testing.assert_array_equal(segmentations.mask_of(node, source), found.mask)
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "nothing")
    with pytest.raises(SegmentationError, match="nothing has 0 visible segments"):
        segmentations.mask_of(empty, source)


# Measures


def test_the_same_rule_on_every_grid(source, found):
    add_result(source)
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    volume, rows = nodes.volume_from_node(source), rows_of(node, source)
    assert [(row.grid, row.mask_is) for row in rows] == [
        (ACQUIRED, SEGMENTED),
        ("linear ×2", SEGMENTED),
        ("linear ×2", CARRIED),
    ]
    acquired, fresh, carried = (row.measured.voxel_ml for row in rows)
    assert acquired == voxel_ml(volume, found.mask)
    assert abs(fresh - acquired) < 0.1 * acquired
    assert abs(carried - acquired) < 0.1 * acquired
    assert fresh != carried
    assert all(row.measured.side == "left" for row in rows)


def test_edits_are_measured(source, found):
    """And beside them what the rule finds, which is what the results are compared with."""
    add_result(source)
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    edited = found.mask.copy()
    edited[: np.flatnonzero(edited.any((1, 2)))[0] + 2] = False
    (segment,) = node.GetSegmentation().GetSegmentIDs()
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited.astype(np.uint8), node, segment, source)
    volume, rows = nodes.volume_from_node(source), rows_of(node, source)
    kinds = [row.mask_is for row in rows]
    assert kinds == [GIVEN, SEGMENTED, SEGMENTED, CARRIED]
    assert rows[0].measured.voxel_ml == voxel_ml(volume, edited)
    given, acquired, fresh, carried = (row.measured.voxel_ml for row in rows)
    assert difference_ml(rows[2], rows) == fresh - acquired
    assert difference_ml(rows[3], rows) == carried - given


def test_a_segmentation_of_ones_own_needs_no_skull(source, found):
    """A scan of the brain alone: nothing can be found in it, and all be measured."""
    hu = slicer.util.arrayFromVolume(source)
    hu[hu > 100] = 0
    slicer.util.arrayFromVolumeModified(source)
    add_result(source)
    node = segmentations.add_mask(source, found.mask, "mine")
    rows = rows_of(node, source)
    assert [row.mask_is for row in rows] == [GIVEN, CARRIED]
    assert rows[0].measured.side is None


def test_the_skull_of_a_saturated_scan_is_that_of_its_acquired_slices(source):
    """Synthetic slices overshoot the top, so that by themselves they'd seem to have no skull."""
    hu = slicer.util.arrayFromVolume(source)
    np.clip(hu, -20, 100, out=hu)
    slicer.util.arrayFromVolumeModified(source)
    result = add_result(source, "cubic")
    assert slicer.util.arrayFromVolume(result).max() > 100
    found = Segmenter(nodes.volume_from_node(source)).segment([CLOT])
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    rows = rows_of(node, source)
    acquired, fresh, _ = (row.measured.voxel_ml for row in rows)
    assert abs(fresh - acquired) < 0.1 * acquired


def test_a_scan_under_its_acquisition_transform(scene, source):
    """As Slicer loads a tilted gantry: its slices are moved by a grid transform."""
    grid = nodes.volume_from_node(source)
    lean = np.zeros((grid.slice_count, 3))
    lean[:, 1] = np.arange(grid.slice_count) * 1.2
    acquisition_transform(source, lean)
    volume = nodes.volume_from_node(source)
    place_seed(source)
    seeds = segmentations.seeds_of(source)
    np.testing.assert_allclose(
        volume.indices(np.array(seeds)), grid.indices(np.array([CLOT])), atol=1e-2
    )
    found = Segmenter(volume).segment(seeds)
    np.testing.assert_array_equal(found.mask, Segmenter(grid).segment([CLOT]).mask)
    node = segmentations.add_segmentation(source, found, (seeds, SegmentationSettings()))
    np.testing.assert_array_equal(segmentations.mask_of(node, source), found.mask)


def test_a_segmentation_of_another_volume(source, found):
    """Its seeds are not in this volume's coordinates: it is measured as anybody's."""
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    other = sample_data.load_phantom(matrix=128)
    other.SetAndObserveTransformNodeID(source.GetTransformNodeID())
    (row,) = rows_of(node, other)
    assert row.mask_is == GIVEN


def test_results_that_no_longer_fit_are_left_out(source):
    learned, cropped = add_result(source), add_result(source)
    hu = slicer.util.arrayFromVolume(cropped)[:-4].copy()
    slicer.util.updateVolumeFromArray(cropped, hu)
    assert volumetry.comparable_results(source) == [learned]


def test_the_surface_is_slicers(source, found):
    """The volume in the table is that of the closed surface that Slicer shows."""
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    (row,) = rows_of(node, source)
    node.CreateClosedSurfaceRepresentation()
    surface, properties = vtk.vtkPolyData(), vtk.vtkMassProperties()
    node.GetClosedSurfaceRepresentation(segmentations.segment_of(node), surface)
    properties.SetInputData(surface)
    assert row.measured.surface_ml == pytest.approx(properties.GetVolume() / 1000, rel=1e-3)


def test_the_table(source, found, tmp_path):
    add_result(source)
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    rows = rows_of(node, source)
    measured = volumetry.measure_request(node, source).answer(Scan(nodes.volume_from_node(source)))
    table = volumetry.add_table(measured, node.GetName())
    assert column(table, "grid") == ["acquired", "linear ×2", "linear ×2"]
    assert column(table, "voxel_ml") == [row.measured.voxel_ml for row in rows]
    assert np.isnan(column(table, "difference_ml")[0])
    assert (
        column(table, "difference_ml")[1] == rows[1].measured.voxel_ml - rows[0].measured.voxel_ml
    )
    assert column(table, "low_hu")[0] == found.limits_hu[0]
    place = [column(table, f"{axis}_mm")[0] for axis in ("right", "anterior", "superior")]
    assert place == list(rows[0].measured.centroid_ras)
    storage = slicer.vtkMRMLTableStorageNode()
    storage.SetFileName(str(tmp_path / "table.csv"))
    assert storage.WriteData(table)
    assert "linear ×2" in (tmp_path / "table.csv").read_text(encoding="utf-8")


# The section


def test_the_preview_follows_seed_and_range(widget, scene, source):
    assert not previews(scene)
    place_seed(source)
    settle(widget)
    (preview,) = previews(scene)
    assert not preview.GetSaveWithScene()
    display = preview.GetDisplayNode()
    assert display.GetVisibility2DOutline() and not display.GetVisibility2DFill()
    first = segmentations.mask_of(preview, source)
    expected = Segmenter(nodes.volume_from_node(source)).segment([CLOT])
    np.testing.assert_array_equal(first, expected.mask)
    low, high = expected.limits_hu
    assert f"ml of {low:.0f}…{high:.0f} HU" in text_of(widget)
    assert not widget.ui.lowSlider.enabled
    assert widget.ui.lowSlider.value == pytest.approx(low, abs=0.51)

    widget.ui.automaticCheckBox.checked = False
    assert widget.ui.lowSlider.enabled
    widget.ui.lowSlider.value = 60
    settle(widget)
    assert previews(scene) == [preview]
    assert segmentations.mask_of(preview, source).sum() < first.sum()
    widget.ui.automaticCheckBox.checked = True
    settle(widget)
    np.testing.assert_array_equal(segmentations.mask_of(preview, source), first)

    widget.ui.clearSeedsButton.click()
    assert not previews(scene)
    assert not widget.ui.clearSeedsButton.enabled


def test_find_suggests_and_nothing_counts_before_it_is_confirmed(widget, scene, source):
    press(widget, "segment")
    assert "press Find" in text_of(widget)
    press(widget, "find")
    assert "Places that may be a hematoma: 1." in text_of(widget)
    points = segmentations.seeds_node_of(source)
    assert [points.GetNthControlPointLabel(i) for i in range(1)] == ["piece 1?"]
    assert widget.ui.suggestionLabel.text.startswith("piece 1? ")
    assert "confidence 0.9" in widget.ui.suggestionLabel.text
    assert segmentations.seeds_of(source) == [] and not previews(scene)
    press(widget, "segment")
    assert "press Find" in text_of(widget)
    assert not slicer.util.getNodesByClass("vtkMRMLSegmentationNode")

    press(widget, "confirm")
    assert points.GetNthControlPointLabel(0) == "piece 1"
    ((left, _, _),) = segmentations.seeds_of(source)
    assert abs(left - CLOT[0]) < 15
    assert previews(scene) and "ml of" in text_of(widget)
    assert widget.ui.suggestionLabel.text == "" and not widget.ui.confirmButton.enabled
    press(widget, "segment")
    node = widget.ui.segmentationSelector.currentNode()
    assert segmentations.rule_of(node, source)[0] == [
        list(s) for s in segmentations.seeds_of(source)
    ]


def test_a_place_without_a_border_is_suggested_with_the_reason(widget, source):
    why = "It has no border: the rule sees no blood there."
    segmentations.suggest_seeds(source, [Suggestion(1, CLOT, None, 0.93, why)])
    widget.panel.volumetry.refresh(source)
    told = widget.ui.suggestionLabel.text
    assert told == f"piece 1? no border was found, confidence 0.93. {why}"
    assert segmentations.seeds_of(source) == []


def test_what_is_suggested_can_be_rejected_renamed_and_looked_for_again(widget, source):
    press(widget, "find")
    press(widget, "find")
    points = segmentations.seeds_node_of(source)
    assert points.GetNumberOfControlPoints() == 1
    press(widget, "reject")
    assert points.GetNumberOfControlPoints() == 0
    assert not widget.ui.rejectButton.enabled and not widget.ui.clearSeedsButton.enabled
    press(widget, "find")
    points.SetNthControlPointLabel(0, "mine")  # in the Markups module
    settle(widget)
    assert len(segmentations.seeds_of(source)) == 1 and not widget.ui.confirmButton.enabled


def test_that_nothing_is_found_says_what_it_is_worth(widget, source):
    hu = slicer.util.arrayFromVolume(source)
    hu[(hu > 45) & (hu < 120)] = 38
    slicer.util.arrayFromVolumeModified(source)
    press(widget, "find")
    assert text_of(widget).startswith("No hemorrhage found.")
    assert "look at the scan" in text_of(widget)
    widget.panel.volumetry.may_find = lambda: False
    press(widget, "find")
    assert "terms of the model were not agreed to" in text_of(widget)


def test_what_goes_wrong_is_told_in_the_section(widget, scene, source, monkeypatch):
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda *_, **__: pytest.fail("a message box"))
    place_seed(source, (0.0, 0.0, 900.0))
    settle(widget)
    assert "outside the volume" in text_of(widget)
    assert not previews(scene)
    widget.ui.automaticCheckBox.checked = False
    widget.ui.lowSlider.value, widget.ui.highSlider.value = 90, 50
    press(widget, "segment")
    assert "90…50 HU is empty" in text_of(widget)
    assert not slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def test_no_preview_stays_behind(widget, scene, source):
    place_seed(source)
    settle(widget)
    widget.parent.exit()
    assert not previews(scene)
    widget.parent.enter()
    widget.panel.volumetry.update_preview()
    settle(widget)
    assert previews(scene)
    place_seed(source, (27.0, 5.0, 2.0))
    scene.RemoveNode(source)  # before the preview has followed
    settle(widget)
    assert not previews(scene)
    assert not widget.ui.seedButton.enabled


def test_segment_edit_and_measure(widget, scene, source):
    assert not widget.ui.measureButton.enabled
    place_seed(source)
    press(widget, "segment")
    assert not previews(scene)
    node = widget.ui.segmentationSelector.currentNode()
    assert node.GetName() == f"{source.GetName()} hematoma"
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReference(role) is source
    assert node.GetTransformNodeID() == source.GetTransformNodeID()
    places, settings = segmentations.rule_of(node, source)
    np.testing.assert_allclose(places, [CLOT], atol=1e-6)
    assert settings == SegmentationSettings()

    opened = []
    widget.panel.volumetry.select_module = opened.append
    widget.ui.editSegmentationButton.click()
    assert opened == ["SegmentEditor"]
    editor = scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    assert editor.GetSegmentationNode() is node
    assert editor.GetSourceVolumeNode() is source
    assert editor.GetSelectedSegmentID() == segmentations.segment_of(node)

    press(widget, "measure")
    table = scene.GetFirstNodeByClass("vtkMRMLTableNode")
    mask = segmentations.mask_of(node, source)
    ml = voxel_ml(nodes.volume_from_node(source), mask)
    assert column(table, "voxel_ml") == [ml]
    assert f"{ml:.1f}" in text_of(widget)
    assert table.GetName() in text_of(widget)


def test_a_volume_that_changes_is_looked_at_anew(widget, source):
    place_seed(source)
    press(widget, "segment")
    first = text_of(widget)
    hu = slicer.util.arrayFromVolume(source)
    hu[hu.shape[0] // 2 :] = -1000
    slicer.util.arrayFromVolumeModified(source)
    press(widget, "segment")
    assert text_of(widget) != first


def test_surfaces_side_by_side(widget, scene, source):
    place_seed(source)
    press(widget, "segment")
    press(widget, "surfaces")
    assert "Press Apply first" in text_of(widget)
    result = add_result(source)
    press(widget, "surfaces")
    press(widget, "surfaces")
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 2
    acquired = widget.ui.segmentationSelector.currentNode()
    doubled = acquired.GetNodeReference(volumetry.ON_RESULT)
    role = doubled.GetReferenceImageGeometryReferenceRole()
    assert doubled.GetNodeReference(role) is result
    for node, tag in ((acquired, "1"), (doubled, "2")):
        view = scene.GetSingletonNode(tag, "vtkMRMLViewNode")
        everywhere, only = (node.GetNthDisplayNode(i) for i in range(2))
        assert node.GetNumberOfDisplayNodes() == 2
        assert everywhere.GetVisibility2D() and not everywhere.GetVisibility3D()
        assert only.GetViewNodeIDs() == (view.GetID(),)
        assert only.GetVisibility3D() and not only.GetVisibility2D()
        assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    press(widget, "segment")  # another one takes the first one's place
    press(widget, "surfaces")
    assert not acquired.GetNthDisplayNode(1).GetVisibility3D()
    assert widget.ui.segmentationSelector.currentNode().GetNthDisplayNode(1).GetVisibility3D()


def test_seeds_and_rule_are_saved_with_the_scene(widget, scene, source, tmp_path):
    place_seed(source)
    press(widget, "segment")
    widget.parent.exit()
    name = source.GetName()
    save_scene(tmp_path / "scene")
    open_scene(tmp_path / "scene")
    source, node = slicer.util.getNode(name), slicer.util.getNode(f"{name} hematoma")
    np.testing.assert_allclose(segmentations.seeds_of(source), [CLOT], atol=1e-3)
    rows = rows_of(node, source)
    assert [row.mask_is for row in rows] == [SEGMENTED]
