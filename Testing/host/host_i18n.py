"""A stand-in for slicer.i18n, and translations made as those of Slicer are.

Slicer's Utilities/Scripts/update_translations.py turns `_("text")` into `translate("context",
"text")` and lets Qt's lupdate find those, and the texts in .ui files.
"""

from __future__ import annotations

import re
import subprocess
import sys
import types
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import PySide6
import slicer
from PySide6 import QtCore

_CALL = re.compile(r'(?<!_)_\((\s*".+?"\s*)\)', re.DOTALL)


def context_of(path: Path) -> str:
    """The translation context of a Python file."""
    package = f"{path.parent.name}." if (path.parent / "__init__.py").exists() else ""
    return package + path.stem


def translate(context: str, text: str) -> str:
    return slicer.app.translate(context, text)


def tr(text: str) -> str:
    """The text in the user's language; the caller's file is the context."""
    told = translate(context_of(Path(sys._getframe(1).f_code.co_filename)), text)
    same = set(re.findall(r"{\w*}", text)) == set(re.findall(r"{\w*}", told))
    return told if same else text


def install() -> None:
    """Make `from slicer.i18n import tr as _` work."""
    module = slicer.i18n = types.ModuleType("slicer.i18n")
    module.tr, module.translate = tr, translate
    module.getContext = lambda path: context_of(Path(path))
    sys.modules[module.__name__] = module


def found_texts(files: list[Path], folder: Path) -> ElementTree.ElementTree:
    """What lupdate finds in Python and .ui files, as a .ts document."""
    copies = [folder / f"{number}{path.suffix}" for number, path in enumerate(files)]
    for path, copy in zip(files, copies, strict=True):
        text = path.read_text("utf-8")
        if path.suffix == ".py":
            text = _CALL.sub(rf'translate("{context_of(path)}", \1)', text)
        copy.write_text(text, "utf-8")
    found = folder / "found.ts"
    _run("lupdate", "-silent", *map(str, copies), "-ts", str(found))
    return ElementTree.parse(found)


@contextmanager
def translated(
    texts: ElementTree.ElementTree, by: Callable[[str], str], folder: Path
) -> Iterator[None]:
    """The application in another language: every text of a .ts document as `by` gives it."""
    for message in texts.iter("message"):
        translation = message.find("translation")
        translation.attrib.pop("type", None)
        translation.text = by(message.findtext("source"))
    texts.write(folder / "other.ts", "utf-8", xml_declaration=True)
    _run("lrelease", "-silent", str(folder / "other.ts"), "-qm", str(folder / "other.qm"))
    translator = QtCore.QTranslator()
    assert translator.load(str(folder / "other.qm"))
    QtCore.QCoreApplication.installTranslator(translator)
    yield
    QtCore.QCoreApplication.removeTranslator(translator)


def _run(tool: str, *arguments: str) -> None:
    subprocess.run([Path(PySide6.__file__).with_name(tool), *arguments], check=True)
