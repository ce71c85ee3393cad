"""The choices of the panel, in the scene: kept, saved, and read from scenes of other versions."""

from __future__ import annotations

import logging
import re

import pytest

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402
from driving import MODULE, add_ct, choose, finish, open_scene, save_scene  # noqa: E402

CHOICES = {
    "method": ("Cubic", "Learned"),
    "compareWith": ("Nothing", "Linear"),
    "factor": ("4", "2"),
    "device": ("cpu", "auto"),
    "allowThin": ("True", "False"),
    "tellError": ("False", "True"),
    "showResult": ("False", "True"),
}
"""By parameter: one that can be chosen, and the default."""

OTHERS = [
    ("model", "large", "model 'large' by 'small'"),
    ("factor", "13", "factor '13' by '2'"),
    ("factor", "two", "factor 'two' by '2'"),
    ("method", "Foo", "method 'Foo' by 'Learned'"),
    ("compareWith", "Optical flow", "compare with 'Optical flow' by 'Linear'"),
    ("device", "mps", "device 'mps' by 'auto'"),
    ("allowThin", "maybe", "thin slices 'maybe' by 'no'"),
    ("tellError", None, "expected error (not in the scene) by 'yes'"),
    ("showResult", "1", "show the result '1' by 'yes'"),
]
"""What scenes of other versions hold, and what is said of it."""


def raw_node():
    return slicer.mrmlScene.GetSingletonNode("SliceInterp", "vtkMRMLScriptedModuleNode")


def save_with(widget, folder, changes):
    """A scene as another version saves it: with these parameters, None for those it lacks."""
    choose(widget, add_ct(slices=32))
    for name, (chosen, _) in CHOICES.items():
        raw_node().SetParameter(name, chosen)
    save_scene(folder)
    (file,) = folder.glob("*.mrml")
    text = file.read_text(encoding="utf-8")
    for name, value in changes.items():
        new = rf'\1= "{name} {value}"' if value else ""
        text, count = re.subn(rf'(parameter\d+)= "{name} [^"]*"', new, text)
        assert count == 1, name
    file.write_text(text, encoding="utf-8")
    widget.parent.exit()
    slicer.mrmlScene.Clear()


@pytest.fixture
def reading(widget, tmp_path, request):
    """Opens a scene with some parameters changed in a module that is open, was, or never was."""

    def read(changes, when):
        save_with(widget, tmp_path / "scene", changes)
        opened = widget
        if when == "never opened before":
            headless.start()
            _, opened = headless.load_module(MODULE)
            request.addfinalizer(opened.cleanup)
        elif when == "open":
            widget.parent.enter()
        elif when == "opened before":
            widget.parent.enter()
            widget.parent.exit()
        open_scene(tmp_path / "scene")
        if when != "open":
            opened.parent.enter()
        return opened

    return read


WHEN = ["open", "opened before", "never opened before"]


@pytest.mark.parametrize(("name", "text", "said"), OTHERS)
def test_a_choice_that_is_not_there_is_replaced_and_told(reading, name, text, said):
    widget = reading({name: text}, "open")
    label = widget.ui.replacedLabel
    assert label.text == f"Not available here, and replaced: {said}."
    assert not label.isHidden()
    if name in CHOICES:
        assert raw_node().GetParameter(name) == CHOICES[name][1]
    for other, (chosen, _) in CHOICES.items():
        assert other == name or raw_node().GetParameter(other) == chosen
    assert widget.ui.planLabel.text.startswith("32 slices, 5.0 mm → ")
    assert widget.ui.applyButton.enabled


@pytest.mark.parametrize("when", WHEN)
def test_all_at_once_is_one_sentence_and_the_module_works(reading, when):
    widget = reading({name: text for name, text, _ in OTHERS}, when)
    text = widget.ui.replacedLabel.text
    assert text.count(".") == 1 and text.count(" by ") == len(CHOICES) + 1
    widget.panel._parameters.method = "Linear"
    widget.ui.applyButton.click()
    assert widget.ui.replacedLabel.isHidden()
    finish(widget)
    assert "63 slices" in widget.ui.statusLabel.text


def test_what_is_no_volume_is_no_input(widget):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Moved")
    raw_node().SetNodeReferenceID("inputVolume", transform.GetID())
    assert "input volume 'Moved' by none" in widget.ui.replacedLabel.text
    assert "Choose the volume" in widget.ui.planLabel.text


@pytest.mark.parametrize("when", WHEN)
def test_nothing_is_said_of_what_there_is(reading, when):
    widget = reading({}, when)
    assert widget.ui.replacedLabel.isHidden()
    assert {name: raw_node().GetParameter(name) for name in CHOICES} == {
        name: chosen for name, (chosen, _) in CHOICES.items()
    }
    assert widget.ui.methodComboBox.currentText == "Cubic"
    slicer.mrmlScene.Clear()
    assert widget.ui.replacedLabel.isHidden()
    assert widget.ui.methodComboBox.currentText == "Learned"


def test_scripts_get_defaults_too_and_the_log_says_so(scene, caplog):
    headless.register_module(MODULE)
    logic = slicer.util.getModuleLogic("SliceInterp")
    logic.getParameterNode()
    raw_node().SetParameter("model", "large")
    logic.tell = logging.warning
    assert logic.getParameterNode().model == "small"
    assert "model 'large' by 'small'" in caplog.text


def test_choices_stay_when_the_module_is_left(widget):
    choose(widget, add_ct(), method="Cubic", factor="4", device="cpu")
    for _ in range(2):
        widget.parent.exit()
        widget.ui.methodComboBox.setCurrentIndex(0)  # as another module's panel might
        assert raw_node().GetParameter("method") == "Cubic"
        widget.parent.enter()
        assert widget.ui.methodComboBox.currentText == "Cubic"
        assert widget.panel._parameters.factor == "4"
        assert widget.panel._parameters.device == "cpu"


def test_the_choices_are_saved_with_the_scene(widget, tmp_path):
    choose(widget, add_ct(), method="Cubic", factor="4")
    save_scene(tmp_path / "scene.mrb")
    slicer.mrmlScene.Clear()
    assert widget.ui.factorComboBox.currentText == "2"
    open_scene(tmp_path / "scene.mrb")
    assert widget.ui.methodComboBox.currentText == "Cubic"
    assert widget.ui.factorComboBox.currentText == "4"


def test_a_panel_that_could_not_be_made_opens_and_closes_quietly(scene, monkeypatch):
    module = headless.register_module(MODULE)
    with monkeypatch.context() as broken:
        broken.setattr(slicer.util, "loadUI", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            module.widgetRepresentation()
    panel = module.widgetRepresentation()
    panel.enter()
    panel.exit()
    slicer.mrmlScene.Clear()
    assert slicer.util.getModuleLogic("SliceInterp").getParameterNode().factor == "2"
