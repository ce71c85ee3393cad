"""Evidence in the module: the expected error, as node and as map over the views, and the check."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import slicer  # noqa: E402
import vtk  # noqa: E402
from driving import (  # noqa: E402
    add_ct,
    choose,
    finish,
    open_scene,
    save_scene,
    snapshot,
)

from SliceInterpLib.errors import SliceInterpError, VolumeError  # noqa: E402
from SliceInterpLib.evidence.expected_error import upsample_with_expected_error  # noqa: E402
from SliceInterpLib.interpolators import make_interpolator  # noqa: E402
from SliceInterpLib.scene import nodes, sample_data  # noqa: E402
from SliceInterpLib.scene.comparison import Comparison  # noqa: E402
from SliceInterpLib.scene.comparison_layout import (  # noqa: E402
    COLUMNS,
    ROWS,
    composite_node,
    slice_node,
)
from SliceInterpLib.scene.expected_error import expected_error_of  # noqa: E402
from SliceInterpLib.scene.marks import provenance_of  # noqa: E402
from SliceInterpLib.scene.processing import process  # noqa: E402
from SliceInterpLib.scene.results import add_results  # noqa: E402
from SliceInterpLib.tasks import Doubled  # noqa: E402
from SliceInterpLib.upsampling import upsample  # noqa: E402

LEARNED = {"method": "Learned", "compare": "Linear", "device": "cpu"}


def apply(widget, source, **more):
    choose(widget, source, **LEARNED | more)
    widget.panel.on_apply()
    finish(widget)
    return widget.panel.compare.volumes


@pytest.fixture(scope="module")
def network():
    return make_interpolator("learned", device="cpu")


@pytest.fixture
def doubled(widget, network):
    """Linear and learned results of a scan, put into the scene as a run does, but sooner."""

    def add(source):
        volume = nodes.volume_from_node(source)
        learned, error = upsample_with_expected_error(volume, network)
        linear = upsample(volume, make_interpolator("linear"))
        run = Doubled({"linear": linear, "learned": learned}, {"learned": error})
        add_results(run, source)
        choose(widget, source, **LEARNED)
        widget.panel.compare.refresh(source)
        return widget.panel.compare.volumes

    return add


def geometry(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def maps_in_scene():
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in volumes if "expected error" in node.GetName()]


def test_a_learned_result_comes_with_its_expected_error(widget, network):
    source = add_ct(slices=4)
    *_, learned = apply(widget, source)
    node = expected_error_of(learned)
    assert node.GetName() == f"{learned.GetName()} expected error"
    assert np.array_equal(geometry(node), geometry(learned))
    error = slicer.util.arrayFromVolume(node)
    assert error.dtype == np.float32
    assert not error[::2].any()
    assert (error[1::2] > 0).all()
    doubled, expected = upsample_with_expected_error(nodes.volume_from_node(source), network)
    # Another process may have other threads, whose sums round differently.
    assert slicer.util.arrayFromVolume(learned) == pytest.approx(doubled.hu, abs=1)
    assert error == pytest.approx(expected.hu, rel=0.01)
    assert provenance_of(node)["model_sha256"] == doubled.provenance["model_sha256"]


def test_scripts_can_ask_for_it(scene):
    result = process(add_ct(slices=3), device="cpu", expectedError=True)
    error = slicer.util.arrayFromVolume(expected_error_of(result))
    assert error[1::2].all() and not error[::2].any()


def test_the_map_is_no_result(widget, doubled):
    source = add_ct(slices=3)
    _, linear, learned = doubled(source)
    node = expected_error_of(learned)
    assert nodes.results_of(source) == [linear, learned]
    assert not expected_error_of(linear)
    assert widget.ui.exportLabel.text == learned.GetName()
    with pytest.raises(VolumeError, match="holds the expected absolute error in HU. Choose the CT"):
        nodes.volume_from_node(node)
    choose(widget, node)
    assert not widget.ui.applyButton.enabled
    assert "Choose the CT itself" in widget.ui.planLabel.text


def test_a_result_of_any_factor_has_its_map(widget):
    *_, last = apply(widget, add_ct(slices=3), factor="3")
    error = slicer.util.arrayFromVolume(expected_error_of(last))
    assert (error > 0).any((1, 2)).tolist() == [k % 3 != 0 for k in range(7)]


@pytest.mark.parametrize("more", [{"tellError": False}, {"method": "Cubic"}], ids=str)
def test_runs_without_an_expected_error(widget, more):
    *_, last = apply(widget, add_ct(slices=3), **more)
    assert not maps_in_scene()
    assert not expected_error_of(last)
    box = widget.ui.expectedErrorCheckBox
    assert not box.enabled
    assert "this result was made without it" in widget.ui.compareNoteLabel.text


def test_the_map_goes_with_its_result(widget, doubled):
    *_, learned = doubled(add_ct(slices=3))
    doubled(add_ct(slices=3, name="Other"))
    first, second = maps_in_scene()
    assert expected_error_of(learned) is first
    slicer.mrmlScene.RemoveNode(learned)
    assert maps_in_scene() == [second]
    slicer.mrmlScene.Clear()
    assert not maps_in_scene()


@pytest.mark.parametrize("tell", [True, False])
def test_a_result_that_is_overwritten_loses_its_old_map(widget, doubled, tell):
    *_, learned = doubled(add_ct(slices=3))
    old = expected_error_of(learned)
    *_, again = apply(widget, add_ct(slices=4, name="Other"), outputVolume=learned, tellError=tell)
    assert again is learned
    assert not slicer.mrmlScene.IsNodePresent(old)
    assert len(maps_in_scene()) == (1 if tell else 0)
    if tell:
        assert len(slicer.util.arrayFromVolume(expected_error_of(learned))) == 7


def test_a_volume_that_fails_takes_the_map_with_it(widget, monkeypatch, shown_errors):
    real = nodes.add_output_node

    def fail_on_the_result(result, *args, **more):
        if result.provenance["method"] == "learned" and result.hu.dtype == np.int16:
            raise SliceInterpError("the disk is full")
        return real(result, *args, **more)

    monkeypatch.setattr(nodes, "add_output_node", fail_on_the_result)
    source = add_ct(slices=3)
    before = snapshot()
    apply(widget, source)
    assert shown_errors == [("the disk is full", "")]
    assert snapshot() == before


def test_the_map_outlives_the_saving_of_the_scene(doubled, tmp_path):
    *_, learned = doubled(add_ct(slices=3))
    before = slicer.util.arrayFromVolume(expected_error_of(learned)).copy()
    save_scene(tmp_path / "scene.mrb")
    open_scene(tmp_path / "scene.mrb")
    node = expected_error_of(slicer.util.getNode(learned.GetName()))
    assert np.array_equal(slicer.util.arrayFromVolume(node), before)
    display, colour = node.GetDisplayNode(), [0.0] * 4
    assert display.GetColorNode().GetColor(255, colour)
    assert colour == [1.0, 1.0, 1.0, 1.0]
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 30)


@pytest.fixture
def phantom(widget, views, doubled):
    """The learned result of a small phantom in real views, and the slice nodes of those."""
    widget.panel.compare.comparison = Comparison(views.renderer)
    *_, learned = doubled(sample_data.load_phantom(matrix=96, slice_spacing=10))
    widget.ui.compareButton.click()
    grid = [[slice_node(row, column) for column in COLUMNS] for row in ROWS]
    for node in sum(grid, []):
        views.of(node)
    widget.panel.compare.comparison.fit()
    return learned, grid


def coloured(view):
    """Which pixels are red or yellow, without the corners that are written into."""
    picture = view.grab()[25:].astype(int)
    return picture[..., 0] - picture[..., 2] > 40


def test_the_map_is_laid_over_synthetic_slices_alone(widget, views, phantom):
    _, ((original, linear, learned), coronal, _) = phantom
    box = widget.ui.expectedErrorCheckBox
    assert box.enabled
    views.of(original).move_to(0.0)  # between two acquired slices
    grey = views.of(learned).grab()
    box.click()
    found = coloured(views.of(learned))
    assert found[:, 40:250].sum() > 200
    assert found[:, 280:].any(axis=1).sum() > 30  # the scale, at the right edge
    assert not coloured(views.of(linear)).any()
    assert coloured(views.of(coronal[2])).sum() > 200
    views.of(original).move_to(5.0)  # an acquired one
    assert not coloured(views.of(learned))[:, :250].any()
    views.of(original).move_to(0.0)
    box.click()
    assert np.array_equal(views.of(learned).grab(), grey)


def test_one_map_at_a_time(widget, phantom):
    learned, grid = phantom
    difference, error = widget.ui.differenceCheckBox, widget.ui.expectedErrorCheckBox
    shown = composite_node(grid[0][2]).GetForegroundVolumeID
    error.click()
    assert shown() == expected_error_of(learned).GetID()
    difference.click()
    assert not error.checked
    assert shown() not in (None, expected_error_of(learned).GetID())
    error.click()
    assert not difference.checked
    assert shown() == expected_error_of(learned).GetID()
    slicer.mrmlScene.RemoveNode(expected_error_of(learned))
    assert not error.enabled and not error.checked
    assert shown() is None


def test_the_map_moves_with_its_result(widget, phantom):
    learned, _ = phantom
    moved = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    learned.SetAndObserveTransformNodeID(moved.GetID())
    widget.ui.expectedErrorCheckBox.click()
    assert expected_error_of(learned).GetParentTransformNode() is moved


def test_check_on_this_scan(widget):
    choose(widget, add_ct())
    assert widget.ui.checkButton.enabled
    widget.panel.check.on_check()
    finish(widget)
    text = widget.ui.checkLabel.text
    assert "Linear" in text
    assert "Cubic" in text
    assert "PSNR" in text
    assert "4 slices" in widget.ui.statusLabel.text
    (table,) = slicer.util.getNodesByClass("vtkMRMLTableNode")
    slices = table.GetTable().GetColumnByName("slice")
    assert [slices.GetValue(row) for row in range(4)] == [2, 3, 4, 5]
    assert slicer.util.getNodesByClass("vtkMRMLPlotChartNode")


def test_slices_without_a_head_do_not_count_in_a_check(widget):
    source = add_ct()
    slicer.util.arrayFromVolume(source)[3:] = -1000
    choose(widget, source)
    widget.panel.check.on_check()
    finish(widget)
    said = "2 slices, 2 without a head left out"
    assert said in widget.ui.checkLabel.text
    assert widget.ui.statusLabel.text == f"Checked on this scan: {said}."
    (table,) = slicer.util.getNodesByClass("vtkMRMLTableNode")
    assert table.GetNumberOfRows() == 2


def test_a_scan_without_a_head_is_not_checked_and_the_panel_says_why(widget, shown_errors):
    source = add_ct()
    slicer.util.arrayFromVolume(source)[:] = -1000
    choose(widget, source)
    widget.panel.check.on_check()
    finish(widget)
    assert "shows a head, so no prediction can be judged" in shown_errors[0][0]


def test_two_slices_cannot_be_checked(widget):
    choose(widget, add_ct(slices=2))
    assert not widget.ui.checkButton.enabled
