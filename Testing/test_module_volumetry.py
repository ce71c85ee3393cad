"""The panel's section on hematomas: what it finds, previews, segments, measures and saves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

from driving import CLOT, choose, close, open_scene, place_seed, save_scene, settle  # noqa: E402
from scene_hematomas import add_result, column, rows_of, turned_phantom  # noqa: E402

from SliceInterpLib.hematoma import Suggestion  # noqa: E402
from SliceInterpLib.scene import nodes, segmentations, volumetry  # noqa: E402
from SliceInterpLib.volumetry.comparison import SEGMENTED  # noqa: E402
from SliceInterpLib.volumetry.mask import voxel_ml  # noqa: E402
from SliceInterpLib.volumetry.segmentation import Segmenter  # noqa: E402
from SliceInterpLib.volumetry.settings import SegmentationSettings  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def source(scene, quick_phantom):
    return turned_phantom(scene)


@pytest.fixture
def widget(source):
    _, widget = headless.load_module(ROOT / "SliceInterp" / "SliceInterp.py")
    widget.parent.enter()
    choose(widget, source)
    widget.ui.volumetryCollapsibleButton.collapsed = False
    yield widget
    close(widget)


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
