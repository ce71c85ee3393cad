"""The panel for the eye and the hand: its width, its tool tips, and what the keyboard reaches."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import qt  # noqa: E402
import slicer  # noqa: E402
from driving import MODULE, choose, events, finish, place_seed, settle  # noqa: E402
from PySide6.QtCore import QEvent, Qt  # noqa: E402
from PySide6.QtGui import QKeyEvent  # noqa: E402

from SliceInterpLib.scene import sample_data  # noqa: E402
from SliceInterpLib.scene.wrapping import breakable, plain  # noqa: E402

UI = MODULE.parent / "Resources/UI/SliceInterp.ui"
SECTIONS = ("inputs", "compare", "check", "volumetry", "export", "advanced")
LONG = "1.2.840.113619.2.55.3.604688119.969.1268071029.320_Head" + "NothingToBreakAt" * 12

WIDGETS = {one.get("name"): one for one in ElementTree.parse(UI).iter("widget")}
LABELS = {name: one for name, one in WIDGETS.items() if one.get("class") == "QLabel"}
CONTAINERS = ("qMRMLWidget", "ctkCollapsibleButton", "QLabel", "QProgressBar")
CONTROLS = {name: one for name, one in WIDGETS.items() if one.get("class") not in CONTAINERS}


def said(widget, name):
    """A property of a widget in the .ui file."""
    return widget.findtext(f"property[@name='{name}']/*")


@pytest.fixture
def opened(widget):
    """All sections are open."""
    for name in SECTIONS:
        getattr(widget.ui, f"{name}CollapsibleButton").collapsed = False
    widget.parent.show()
    widget.parent.activateWindow()
    events()
    return widget


# Width


def test_the_panel_fits_into_400_pixels(opened, quick_phantom, tmp_path):
    panel = opened.parent
    assert panel.minimumSizeHint().width() <= 400
    source = sample_data.load_phantom(matrix=64)
    source.SetName(LONG)
    choose(opened, source, method="Cubic", compare="Linear")
    opened.ui.applyButton.click()
    finish(opened)
    opened.ui.checkButton.click()
    finish(opened)
    place_seed(source)
    opened.ui.segmentButton.click()
    settle(opened)
    opened.ui.measureButton.click()
    settle(opened)
    assert "All measures" in opened.ui.volumetryLabel.text
    assert LONG in plain(opened.ui.exportLabel.text)
    events(0.1)
    assert panel.minimumSizeHint().width() <= 400
    panel.resize(400, 1500)
    folder = Path(os.environ.get("SLICEINTERP_PICTURES", tmp_path))
    assert panel.grab().save(str(folder / "panel-all-sections.png"))


def test_messages_with_paths_fit_too(opened):
    for name in ("planLabel", "statusLabel", "exportLabel", "volumetryLabel", "checkLabel"):
        label = getattr(opened.ui, name)
        label.text = breakable(f"Report written: C:\\Users\\reader\\{LONG}.html, and so on.")
        assert opened.parent.minimumSizeHint().width() <= 400, name


def test_all_labels_of_the_panel_wrap_but_those_of_a_form():
    for name, label in LABELS.items():
        wraps = said(label, "wordWrap") == "true"
        assert wraps != bool(said(label, "buddy")), name


def test_names_in_labels_are_not_taken_for_markup():
    """A scan may be called '<b>A & B</b>'; tables are marked up, what stands in them escaped."""
    for name, label in LABELS.items():
        if not said(label, "text"):
            rich = name in ("checkLabel", "volumetryLabel")
            assert said(label, "textFormat") == f"Qt::{'RichText' if rich else 'PlainText'}", name


def test_what_is_long_may_break_and_reads_the_same():
    path = f"/home/reader/{LONG}/report.html"
    text = f"Report written: {path}"
    told = breakable(text)
    assert plain(told) == text
    assert max(map(len, re.split(r"[\s\u200b]", told))) < 24
    short = "32 slices, 5.0 mm → 63 slices, 2.5 mm"
    assert breakable(short) == short


# Tool tips and keyboard


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_has_a_tool_tip(name):
    tip = said(CONTROLS[name], "toolTip")
    assert tip and tip.endswith(".")


@pytest.mark.parametrize("name", CONTROLS)
def test_the_keyboard_is_let_into_every_control(name):
    policy = said(CONTROLS[name], "focusPolicy")
    # A selector of nodes lets none in by itself; all others do unless they are forbidden to.
    is_selector = CONTROLS[name].get("class") == "qMRMLNodeComboBox"
    assert policy == ("Qt::StrongFocus" if is_selector else None)


def test_a_mnemonic_stands_for_one_thing():
    texts = [said(widget, "text") or "" for widget in WIDGETS.values()]
    letters = Counter(re.findall(r"&(\w)", " ".join(texts).lower()))
    assert len(letters) > 10
    assert set(letters.values()) == {1}
    assert not set(letters) & set("fevh"), "the letters of Slicer's own menus"


def test_buddies_are_there():
    buddies = [said(label, "buddy") for label in LABELS.values() if said(label, "buddy")]
    assert set(buddies) <= set(CONTROLS)
    chosen = {
        name
        for name, one in CONTROLS.items()
        if one.get("class") in ("QComboBox", "qMRMLNodeComboBox", "ctkSliderWidget")
    }
    assert set(buddies) == chosen


def press(key, text=""):
    for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
        event = QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier, text)
        qt.QApplication.sendEvent(qt.QApplication.focusWidget(), event)


def test_tab_goes_through_all_controls_in_their_order(opened):
    for name in CONTROLS:
        getattr(opened.ui, name).enabled = True
    opened.ui.inputSelector.setFocus()
    reached = []
    for _ in range(3 * len(CONTROLS)):
        focus = qt.QApplication.focusWidget()
        inside = [name for name in CONTROLS if _holds(getattr(opened.ui, name), focus)]
        reached += [name for name in inside if name not in reached]
        press(Qt.Key.Key_Tab)
    assert reached == list(CONTROLS)


def _holds(control, widget):
    return widget is control or control.isAncestorOf(widget)


def test_the_input_is_chosen_by_keys(opened):
    first, second = (
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in "AB"
    )
    opened.ui.inputSelector.setFocus()
    assert opened.panel._parameters.inputVolume is first
    press(Qt.Key.Key_Down)
    assert opened.panel._parameters.inputVolume is second
