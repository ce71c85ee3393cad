"""The terms of the models' weights, where users of Slicer meet them."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import ctk  # noqa: E402
import qt  # noqa: E402
import slicer  # noqa: E402
from driving import MODULE, add_ct, choose  # noqa: E402
from test_extensions_index import described  # noqa: E402

from SliceInterpLib.networks.registry import available_models, find_model  # noqa: E402
from SliceInterpLib.scene import terms  # noqa: E402
from SliceInterpLib.scene.dependencies import Dependencies  # noqa: E402
from SliceInterpLib.scene.terms import Terms  # noqa: E402


class Reader:
    """Answers message boxes as a user does, and remembers what they said."""

    def __init__(self, monkeypatch):
        self.read, self.agrees, self.tired = [], True, False
        monkeypatch.setattr(slicer.app, "testingEnabled", lambda: False)
        monkeypatch.setattr(ctk.ctkMessageBox, "reader", staticmethod(self._answer))

    def _answer(self, box):
        self.read.append((box.text, box.detailedText))
        box.checkBox().setChecked(self.tired)
        return qt.QMessageBox.Ok if self.agrees else qt.QMessageBox.Cancel


@pytest.fixture
def reader(widget, monkeypatch):
    slicer.app.settings().clear()
    reader = Reader(monkeypatch)
    choose(widget, add_ct(slices=3), method="Learned", compare="Linear", device="cpu")
    # What a run would compute has its own tests.
    monkeypatch.setattr(widget.panel, "_start_job", lambda *_, **__: FinishedJob())
    yield reader
    slicer.app.settings().clear()


class FinishedJob:
    """A run that is over before it began; `started` counts them."""

    started = 0

    def __init__(self):
        FinishedJob.started += 1

    def deliver_by_timer(self):
        pass

    def cancel(self):
        pass


def apply(widget):
    """Press Apply; whether a run began."""
    before = FinishedJob.started
    widget.panel.job = None
    widget.panel._hold(False)
    widget.panel.refresh()
    widget.ui.applyButton.click()
    widget.panel.job = None
    return FinishedJob.started > before


def test_the_terms_of_the_card_are_agreed_to_once(widget, reader):
    card = find_model().card
    assert apply(widget)
    ((text, details),) = reader.read
    assert card["licence"] in text
    assert all(f"{one['name']}: {one['terms']}" in details for one in card["training"]["data"])
    assert "Not for diagnosis." in details
    assert apply(widget)
    assert len(reader.read) == 1
    # Without the tick in the box, the next session asks again.
    widget.panel.terms = Terms()
    assert apply(widget)
    assert len(reader.read) == 2


def test_who_does_not_want_to_be_asked_again_is_not(widget, reader):
    reader.tired = True
    assert apply(widget)
    widget.panel.terms = Terms()
    assert apply(widget)
    assert len(reader.read) == 1


def test_declining_starts_nothing_and_installs_nothing(widget, reader, monkeypatch):
    monkeypatch.setattr(Dependencies, "ensure", lambda *_, **__: pytest.fail("installs"))
    reader.agrees, reader.tired = False, True
    for pressed in (widget.ui.applyButton, widget.ui.checkButton):
        pressed.click()
        assert "Nothing was started" in widget.ui.statusLabel.text
        assert widget.panel.job is None
    assert widget.ui.applyButton.enabled
    # A no is not kept for good.
    assert len(reader.read) == 2


def test_classical_methods_ask_nothing(widget, reader):
    widget.panel._parameters.method = "Cubic"
    assert apply(widget)
    assert not reader.read


def test_other_terms_are_asked_for_again(widget, reader, monkeypatch):
    reader.tired = True
    assert apply(widget)
    model = find_model()
    other = type(model)({**model.card, "licence": "Any use"}, model.weights)
    monkeypatch.setattr(terms, "find_model", lambda name, kind: other)
    assert apply(widget)
    assert "Any use" in reader.read[1][0]


@pytest.mark.parametrize("model", available_models(), ids=lambda model: model.name)
def test_terms_are_in_the_index_and_in_the_help(model, scene):
    module, _ = headless.load_module(MODULE)
    said = model.licence.split(",")[0].lower()
    assert said in described("DESCRIPTION").lower()
    assert said in module.parent.helpText.replace("\n", " ").lower()
