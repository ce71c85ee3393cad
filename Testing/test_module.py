"""The module as a user meets it: the real file, the real .ui and a real scene, in the host."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

ROOT = Path(__file__).resolve().parents[1]
import headless  # noqa: E402

headless.start()

import qt  # noqa: E402
import slicer  # noqa: E402
from driving import add_ct, choose, events, finish, snapshot  # noqa: E402

from SliceInterpLib import worker  # noqa: E402
from SliceInterpLib.errors import SliceInterpError  # noqa: E402
from SliceInterpLib.scene import jobs, nodes  # noqa: E402
from SliceInterpLib.scene.comparison import Comparison  # noqa: E402
from SliceInterpLib.scene.comparison_layout import LAYOUT  # noqa: E402
from SliceInterpLib.scene.marks import provenance_of  # noqa: E402
from SliceInterpLib.scene.overlays import Kind  # noqa: E402

# Runs


@pytest.mark.parametrize(("slices", "size"), [(2, 1), (2, 32), (6, 33)])
def test_apply_gives_nodes_and_the_comparison(widget, slices, size):
    source = add_ct(slices=slices, size=size)
    before = slicer.util.arrayFromVolume(source).copy()
    choose(widget, source)
    widget.panel.on_apply()
    assert not widget.ui.applyButton.enabled
    assert widget.ui.cancelButton.enabled
    finish(widget)
    shown, classical, learned = widget.panel.compare.comparison.shown
    assert shown is source
    assert [provenance_of(node)["method"] for node in (classical, learned)] == [
        "cubic",
        "linear",
    ]
    for node in (classical, learned):
        hu = slicer.util.arrayFromVolume(node)
        assert np.array_equal(hu[::2], before)
        assert len(hu) == 2 * slices - 1
        assert node.GetSpacing()[2] == 2.5
    assert np.array_equal(slicer.util.arrayFromVolume(source), before)
    assert widget.ui.applyButton.enabled
    assert not widget.ui.cancelButton.enabled
    assert f"{2 * slices - 1} slices" in widget.ui.statusLabel.text


@pytest.mark.parametrize("opened", ["before", "after"])
def test_from_opening_to_the_first_picture_it_is_one_click(widget, opened):
    if opened == "after":
        widget.parent.exit()
    source = add_ct(slices=3)
    if opened == "after":
        widget.parent.enter()
    assert widget.ui.planLabel.text.startswith("3 slices, 5.0 mm → 5 slices, 2.5 mm")
    widget.ui.applyButton.click()
    finish(widget)
    shown = widget.panel.compare.comparison.shown
    assert shown[0] is source
    assert [provenance_of(node)["method"] for node in shown[1:]] == ["linear", "learned"]


@pytest.mark.parametrize("compare", ["Cubic", "Nothing"])
def test_the_views_stay_where_that_is_wanted(widget, compare):
    choose(widget, add_ct(), compare=compare)
    widget.ui.showResultCheckBox.click()
    views = slicer.app.applicationLogic().GetSelectionNode()
    before = views.GetActiveVolumeID()
    widget.ui.applyButton.click()
    finish(widget)
    assert "11 slices" in widget.ui.statusLabel.text
    assert not widget.panel.compare.comparison.shown
    assert widget.ui.compareButton.enabled == (compare == "Cubic")
    assert views.GetActiveVolumeID() == before


def test_one_method_alone(widget):
    choose(widget, add_ct(), compare="Nothing")
    widget.panel.on_apply()
    finish(widget)
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 2
    assert not widget.ui.compareButton.enabled
    active = slicer.app.applicationLogic().GetSelectionNode().GetActiveVolumeID()
    assert provenance_of(slicer.mrmlScene.GetNodeByID(active))["method"] == "linear"


def test_the_comparison_comes_and_goes(widget):
    widget.panel.compare.comparison = Comparison(renderers=lambda view: None)
    choose(widget, add_ct())
    widget.panel.on_apply()
    finish(widget)
    assert widget.panel.compare.comparison.shown
    widget.ui.differenceCheckBox.checked = True
    widget.ui.compareButton.click()
    assert not widget.panel.compare.comparison.shown
    widget.ui.compareButton.click()
    assert widget.panel.compare.comparison.shown
    widget.parent.exit()
    assert not widget.panel.compare.comparison.shown
    widget.parent.enter()
    widget.ui.compareButton.click()
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("CT"))
    assert not widget.panel.compare.comparison.shown
    assert not widget.ui.compareButton.enabled


def test_the_comparison_goes_when_another_layout_is_chosen(widget):
    widget.panel.compare.comparison = Comparison(renderers=lambda view: None)
    source = add_ct()
    choose(widget, source)
    widget.panel.on_apply()
    finish(widget)
    widget.ui.skullsCheckBox.checked = True
    assert widget.ui.compareButton.checked
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutOneUpRedSliceView)
    assert not widget.ui.compareButton.checked
    assert not widget.panel.compare.comparison.shown
    assert not widget.ui.marksCheckBox.enabled
    assert source.GetDisplayNode().GetInterpolate()
    assert layout.GetViewArrangement() == layout.SlicerLayoutOneUpRedSliceView
    widget.ui.compareButton.click()
    assert layout.GetViewArrangement() == LAYOUT
    widget.ui.compareButton.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutOneUpRedSliceView


def test_the_switches_of_the_comparison(widget):
    compared = widget.panel.compare.comparison
    boxes = [getattr(widget.ui, f"{name}CheckBox") for name in ("difference", "marks", "skulls")]
    assert [box.checked for box in boxes] == [False, True, False]
    source = add_ct()
    slicer.util.arrayFromVolume(source)[2, 4:9] = 700
    slicer.util.arrayFromVolumeModified(source)
    choose(widget, source)
    widget.panel.on_apply()
    finish(widget)
    assert all(box.enabled for box in boxes)
    assert (compared.overlay, compared.marks, compared.skulls) == (None, True, False)
    for box in boxes:
        box.click()
    assert (compared.overlay, compared.marks, compared.skulls) == (Kind.DIFFERENCE, False, True)
    widget.ui.compareButton.click()
    assert not any(box.enabled for box in boxes)
    compared.marks = None
    widget.ui.compareButton.click()  # what was chosen is remembered
    assert (compared.overlay, compared.marks, compared.skulls) == (Kind.DIFFERENCE, False, True)


def test_a_brain_window_has_no_skull(widget):
    choose(widget, add_ct())  # ends below 100 HU
    widget.panel.on_apply()
    finish(widget)
    box = widget.ui.skullsCheckBox
    assert widget.ui.compareButton.checked
    assert not box.enabled and not box.checked
    assert "no bone, this scan ends at 99 HU" in widget.ui.compareNoteLabel.text
    assert not widget.panel.compare.comparison.skulls


def test_results_are_found_again_as_in_a_scene_that_was_saved(widget):
    source = add_ct()
    choose(widget, source)
    widget.panel.on_apply()
    finish(widget)
    shown = widget.panel.compare.comparison.shown
    widget.parent.exit()
    widget.panel.compare.offer(None)
    widget.parent.enter()
    choose(widget, source)
    widget.ui.compareButton.click()
    assert set(widget.panel.compare.comparison.shown) == set(shown)
    assert widget.panel.compare.comparison.shown[0] is source


def test_the_result_goes_into_the_output_that_was_chosen(widget):
    source, output = add_ct(), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Mine")
    choose(widget, source, outputVolume=output)
    widget.panel.on_apply()
    finish(widget)
    assert widget.panel.compare.comparison.shown[2] is output
    assert len(slicer.util.arrayFromVolume(output)) == 11
    assert output.GetName() == "Mine"


def test_the_learned_method_through_the_panel(widget):
    choose(widget, add_ct(slices=3), method="Learned", compare="Linear", device="cpu")
    widget.panel.on_apply()
    finish(widget)
    assert "Failed" not in widget.ui.statusLabel.text
    learned = widget.panel.compare.comparison.shown[2]
    assert provenance_of(learned)["method"] == "learned"


def test_the_event_loop_goes_on_during_a_run_and_shows_its_progress(widget):
    """Apply returns before the child is there, and events are handled until it is done."""
    choose(widget, add_ct(slices=60, size=384), method="Sinc", factor="4")
    beats, texts = [], set()
    timer = qt.QTimer()
    timer.timeout.connect(lambda: beats.append(widget.panel.job is not None))
    timer.start(5)
    widget.panel.on_apply()
    assert widget.panel.job and not widget.panel.job._child
    while widget.panel.job:
        events()
        texts.add(widget.ui.statusLabel.text)
    timer.stop()
    # One at least for each of the texts that were seen to change.
    assert sum(beats) >= len(texts) > 2
    assert any("of 177 slices" in text and "left" in text for text in texts)


@pytest.fixture
def status_bar(scene):
    """That of Slicer's main window."""
    window = qt.QMainWindow()
    window.objectName = "qSlicerMainWindow"
    yield window.statusBar()
    window.objectName = "closed"
    window.close()


def test_the_status_bar_tells_of_the_run(widget, status_bar):
    choose(widget, add_ct(slices=60, size=384), method="Sinc", factor="4")
    texts = set()
    status_bar.messageChanged.connect(texts.add)
    widget.panel.on_apply()
    finish(widget)
    assert "SliceInterp: Starting…" in texts
    assert any(text.startswith("SliceInterp: Sinc: ") and text.endswith(" left") for text in texts)
    assert status_bar.currentMessage() == f"SliceInterp: {widget.ui.statusLabel.text}"


def long_run(widget):
    source = add_ct(slices=300, size=192)
    choose(widget, source, method="Sinc", compare="Nothing", factor="4")
    before = snapshot()
    widget.panel.on_apply()
    while widget.panel.job and widget.panel.job._child is None:
        events()
    return source, before


def test_cancel_ends_the_run(widget, monkeypatch):
    monkeypatch.setattr(jobs, "GRACE", float("inf"))  # the child heeds it, or is never over
    _, before = long_run(widget)
    job = widget.panel.job
    widget.ui.cancelButton.click()
    finish(widget)
    assert job._process.returncode == worker.CANCELLED
    assert snapshot() == before
    assert "Cancelled" in widget.ui.statusLabel.text
    assert widget.ui.applyButton.enabled


def test_deleting_the_input_ends_the_run(widget):
    source, before = long_run(widget)
    slicer.mrmlScene.RemoveNode(source)
    finish(widget)
    assert set(snapshot()) <= set(before)
    assert "Choose the volume" in widget.ui.planLabel.text
    assert not widget.ui.applyButton.enabled


def test_closing_the_scene_ends_the_run(widget):
    long_run(widget)
    slicer.mrmlScene.Clear()
    finish(widget)
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    node = add_ct()  # the panel goes on in the empty scene
    assert widget.ui.inputSelector.currentNode() is node
    assert widget.ui.applyButton.enabled


def test_closing_the_module_ends_the_run(widget):
    _, before = long_run(widget)
    widget.cleanup()
    finish(widget)
    assert snapshot() == before


def test_leaving_the_module_does_not_end_the_run(widget, status_bar):
    choose(widget, add_ct())
    widget.panel.on_apply()
    widget.parent.exit()
    finish(widget)
    assert status_bar.currentMessage() == "SliceInterp: CT (linear ×2): 11 slices."
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 3
    assert widget.panel.compare.comparison.shown is None  # the views are another module's now


# Failures


def test_a_crash_is_shown_with_the_last_lines(widget, tmp_path, monkeypatch, shown_errors):
    crash = tmp_path / "crash.py"
    crash.write_text("print('half way'); import os; os.abort()")
    monkeypatch.setattr(jobs.worker, "__file__", str(crash))
    choose(widget, add_ct())
    before = snapshot()
    widget.panel.on_apply()
    finish(widget)
    ((text, details),) = shown_errors
    assert "exit code" in text
    assert "half way" in details
    assert snapshot() == before
    assert "Failed" in widget.ui.statusLabel.text
    assert widget.ui.applyButton.enabled


def test_cuda_that_is_not_there(widget, shown_errors):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU here")
    choose(widget, add_ct(), method="Learned", device="cuda")
    before = snapshot()
    widget.panel.on_apply()
    finish(widget)
    assert "CUDA was asked for" in shown_errors[0][0]
    assert snapshot() == before


def test_a_panel_that_stumbles_over_progress_still_ends_the_run(widget, monkeypatch, capfd):
    choose(widget, add_ct())
    calls = []

    def stumble(*what):
        calls.append(what)
        raise RuntimeError("stumbled")

    monkeypatch.setattr(widget.panel._progress, "on_progress", stumble)
    widget.panel.on_apply()
    finish(widget)
    assert calls
    assert widget.panel.compare.comparison.shown
    assert "stumbled" in capfd.readouterr().err


def test_a_second_node_that_fails_takes_the_first_with_it(widget, monkeypatch, shown_errors):
    real, made = nodes.add_output_node, []

    def fail_second(*args, **more):
        if made:
            raise SliceInterpError("the disk is full")
        made.append(real(*args, **more))
        return made[0]

    monkeypatch.setattr(nodes, "add_output_node", fail_second)
    choose(widget, add_ct())
    before = set(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))
    widget.panel.on_apply()
    finish(widget)
    assert made
    assert shown_errors[0][0] == "the disk is full"
    assert set(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == before


# Scripts and Slicer's own test


def test_process_without_a_widget(scene):
    headless.load_module(ROOT / "SliceInterp" / "SliceInterp.py")
    logic = sys.modules["SliceInterp"].SliceInterpLogic()
    source = add_ct()
    node = logic.process(source, method="linear", factor=4)
    assert len(slicer.util.arrayFromVolume(node)) == 21
    before = snapshot()
    with pytest.raises(SliceInterpError, match="no method"):
        logic.process(source, method="magic")
    assert snapshot() == before


def test_slicers_own_test_passes(scene, caplog):
    caplog.set_level(logging.ERROR)
    headless.load_module(ROOT / "SliceInterp" / "SliceInterp.py")
    sys.modules["SliceInterp"].SliceInterpTest().runTest()
    assert not caplog.records


def test_the_module_describes_itself(scene):
    module, _ = headless.load_module(ROOT / "SliceInterp" / "SliceInterp.py")
    assert module.parent.title == "SliceInterp"
    assert "research use only" in module.parent.helpText
    assert "arXiv 2606.09953" in module.parent.acknowledgementText
