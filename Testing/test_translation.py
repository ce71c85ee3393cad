"""The module in another language: every text that a user reads can be translated."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import host_i18n  # noqa: E402
from driving import MODULE, choose, finish, place_seed, settle  # noqa: E402

from SliceInterpLib.scene import sample_data, words  # noqa: E402
from SliceInterpLib.scene.view_labels import title_of  # noqa: E402
from SliceInterpLib.scene.wrapping import plain  # noqa: E402

UI = MODULE.parent / "Resources/UI/SliceInterp.ui"
SOURCES = [MODULE, *sorted(Path(words.__file__).parent.glob("*.py"))]

UNTRANSLATED = {
    "jobs.py": "its errors are raised on threads that keep away from Qt",
    "processing.py": "it is for scripts",
}
"""Files whose texts stay English, and why."""

NAMES = re.compile(r"SliceInterp|head phantom|hematoma|volumetry|small|linear ×2|cubic ×2")
"""In the panel: what is called the same in every language, nodes and models."""

UNITS = re.compile(r"\b(HU|mm|ml|dB|PSNR|SSIM|ABC|CPU|CUDA|cpu|cuda|s|min)\b")

NO_PROSE = {
    *("SliceInterp preview", "SliceInterp head phantom", "SliceInterp expected error"),
    *("SliceInterp difference", " (SliceInterp check)", " expected error", " volumetry"),
    *(" seed", " skull", " psnr", " mm", " ml", " min", ", piece ", "carried over", "SliceInterp."),
    "The SliceInterp contributors",
    *("expected error", "expected absolute error in HU"),
}
"""Names of nodes, of columns and of people, units, and what is saved with a scene."""


def marked(text):
    """A language whose words are English ones in brackets."""
    return f"«{text}»"


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """What translators are given."""
    return host_i18n.found_texts([UI, *SOURCES], tmp_path_factory.mktemp("texts"))


@pytest.fixture
def abroad(scene, texts, tmp_path, request):
    """The opened module, in that language."""
    with host_i18n.translated(texts, marked, tmp_path):
        yield request.getfixturevalue("widget")


def english(text):
    """What is left of a text without what was translated, without names and without numbers."""
    text = re.sub(r"<style>.*?</style>|<[^>]*>", " ", plain(text))
    text = NAMES.sub(" ", text)
    while re.search(r"«[^«»]*»", text):
        text = re.sub(r"«[^«»]*»", " ", text)
    return re.findall(r"[A-Za-z]+", UNITS.sub(" ", text))


def read(widget):
    """All that stands in the panel."""
    for name, one in vars(widget.ui).items():
        for kind in ("text", "toolTip", "noneDisplay"):
            value = getattr(one, kind, None)
            if isinstance(value, str) and value != "None":  # which is Slicer's to translate
                yield f"{name}.{kind}", value
        if hasattr(one, "itemText"):
            yield from ((f"{name} {i}", one.itemText(i)) for i in range(one.count))


def test_every_text_of_the_panel_can_be_translated(abroad, quick_phantom):
    ui = abroad.ui
    assert ui.applyButton.text == "«&Apply»"
    source = sample_data.load_phantom(matrix=64)
    choose(abroad, source, method="Cubic", compare="Linear")
    assert [ui.methodComboBox.itemText(i) for i in (0, 1)] == ["«Learned»", "«Linear»"]
    seen = dict(read(abroad))
    heard = set()
    abroad.panel._progress.tell, tell = (
        lambda text, **_: heard.add(text),
        abroad.panel._progress.tell,
    )
    ui.applyButton.click()
    finish(abroad)
    ui.checkButton.click()
    finish(abroad)
    abroad.panel._progress.tell = tell
    place_seed(source)
    settle(abroad)
    ui.segmentButton.click()
    settle(abroad)
    ui.measureButton.click()
    settle(abroad)
    assert "«Grid»" in ui.volumetryLabel.text and "«Error»" in ui.checkLabel.text
    later = {f"{name}, later": text for name, text in read(abroad)}
    for where, text in {**seen, **later, **{text: text for text in heard}}.items():
        assert not english(text), (where, text)


def test_what_is_chosen_is_saved_in_no_language(abroad):
    abroad.ui.methodComboBox.currentIndex = 2
    assert abroad.panel._parameters.parameterNode.GetParameter("method") == "Cubic"


def test_titles_of_views_are_translated(abroad, volumes):
    assert [title_of(one) for one in volumes] == ["«Original»", "«Linear»", "«Cubic»"]


def test_a_translation_that_lost_a_place_is_not_used(scene, texts, tmp_path):
    with host_i18n.translated(texts, lambda text: text.replace("{", "("), tmp_path):
        source = words.__dict__["_"]
        assert source("Learned") == "Learned"


def trees():
    for path in SOURCES:
        if path.name not in UNTRANSLATED:
            yield path, ast.parse(path.read_text("utf-8"))


def calls(tree, *names):
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [one for one in found if isinstance(one.func, ast.Name) and one.func.id in names]


@pytest.mark.parametrize(("path", "tree"), trees(), ids=lambda one: getattr(one, "name", ""))
def test_translators_find_what_is_marked(path, tree, texts):
    """Slicer's scripts find one literal text in a call, and no more."""
    marked_here = calls(tree, "_")
    for call in marked_here:
        (text,) = call.args
        assert isinstance(text, ast.Constant), ast.unparse(call)
        assert all(re.fullmatch(r"\w+", name) for name in re.findall(r"{(.*?)}", text.value))
    context = host_i18n.context_of(path)
    found = {
        message.findtext("source")
        for one in texts.iter("context")
        if one.findtext("name") == context
        for message in one.iter("message")
    }
    assert {call.args[0].value for call in marked_here} <= found
    names = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    names |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    assert not marked_here or "_" not in names, "it would hide the function"


@pytest.mark.parametrize(("path", "tree"), trees(), ids=lambda one: getattr(one, "name", ""))
def test_sentences_are_marked(path, tree):
    """Whatever reads like a sentence or a title, and is no docstring."""
    known = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for call in calls(tree, "_", "translate"):
        known |= {id(node) for node in ast.walk(call)}
    texts = [node for node in ast.walk(tree) if isinstance(getattr(node, "value", None), str)]
    for node in texts:
        prose = re.search(r"[A-Za-z]{2,},? [a-z]{2,}|^ [a-z]{2,}|[a-z]{2,} $|[a-z]\.$", node.value)
        marked_or_none = id(node) in known or not prose or "<" in node.value
        assert marked_or_none or node.value in NO_PROSE, (node.lineno, node.value)
