"""What goes wrong in the panel is shown_errors: Qt and VTK would go on in silence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import slicer  # noqa: E402
from driving import add_ct, choose, finish  # noqa: E402

from SliceInterpLib.errors import SliceInterpError  # noqa: E402
from SliceInterpLib.scene import slots  # noqa: E402
from SliceInterpLib.scene.comparison import Comparison  # noqa: E402

SCENE = Path(slots.__file__).parent
ARGUMENTS = {"": (), "bool": (True,), "double": (60.0,), "vtkMRMLNode*": (None,)}


@pytest.fixture
def connected(monkeypatch, request):
    """The senders and signals of a panel whose slots all raise."""
    found, connect = [], slots.connect

    def connect_raising(sender, signal, slot):
        def stumble(*_):
            raise raised

        found.append((sender, signal))
        connect(sender, signal, stumble)

    raised = request.param
    monkeypatch.setattr(slots, "connect", connect_raising)
    request.getfixturevalue("widget")
    return found


def emit(sender, signal):
    name, _, kinds = signal.rstrip(")").partition("(")
    getattr(sender, name).emit(*ARGUMENTS[kinds])


@pytest.mark.parametrize("connected", [SliceInterpError("the disk is full")], indirect=True)
def test_every_slot_tells_what_is_wrong(shown_errors, connected):
    assert len(connected) > 15
    for number, (sender, signal) in enumerate(connected, start=1):
        emit(sender, signal)
        assert shown_errors == [("the disk is full", "")] * number, (sender, signal)


@pytest.mark.parametrize("connected", [ZeroDivisionError("by zero")], indirect=True)
def test_every_slot_tells_where_an_unexpected_error_was(shown_errors, connected, capfd):
    for sender, signal in connected:
        emit(sender, signal)
        text, details = shown_errors[-1]
        assert "by zero" in text and "in stumble" in details
    assert len(shown_errors) == len(connected)
    # Slicer's log has it too.
    assert capfd.readouterr().err.count("ZeroDivisionError") == len(connected)


def test_all_slots_and_observers_are_made_in_one_place():
    for path in SCENE.glob("*.py"):
        found = re.findall(r"\b(?<!slots)\.connect\(|AddObserver\(", path.read_text("utf-8"))
        assert bool(found) == (path.name == "slots.py"), path


def test_what_slicer_s_scene_sets_off_is_told(widget, shown_errors, monkeypatch):
    def stumble(*_):
        raise SliceInterpError("the disk is full")

    node = add_ct()
    with monkeypatch.context() as stumbling:
        for name in ("refresh", "node_removed", "scene_closing"):
            stumbling.setattr(widget.panel, name, stumble)
        widget.panel._parameters.factor = "4"
        assert len(shown_errors) == 1
        slicer.mrmlScene.RemoveNode(node)
        slicer.mrmlScene.Clear()
    assert {text for text, _ in shown_errors} == {"the disk is full"}
    assert len(shown_errors) > 2


def test_an_observer_tells_once(scene, shown_errors, capfd):
    node = add_ct()

    def stumble(*_):
        raise RuntimeError("at every move of the mouse")

    slots.observe(node, "ModifiedEvent", stumble)
    for _ in range(3):
        node.Modified()
    assert len(shown_errors) == 1
    assert capfd.readouterr().err.count("RuntimeError: at every move") == 3


def test_a_comparison_that_fails_is_told_and_the_results_stay(
    widget, shown_errors, monkeypatch, capfd
):
    widget.panel.compare.comparison = Comparison(renderers=lambda view: None)
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    before = layout.GetViewArrangement()

    def fail(*_):
        raise RuntimeError("no such view")

    monkeypatch.setattr(Comparison, "fit", fail)
    choose(widget, add_ct())
    widget.ui.applyButton.click()
    finish(widget)
    ((text, details),) = shown_errors
    assert "no such view" in text and "in fit" not in text
    assert "test_module_slots" in details
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 3
    assert "11 slices" in widget.ui.statusLabel.text
    assert not widget.ui.compareButton.checked and widget.ui.compareButton.enabled
    assert not widget.ui.marksCheckBox.enabled
    assert layout.GetViewArrangement() == before
    assert "RuntimeError" in capfd.readouterr().err
