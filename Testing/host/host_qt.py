"""Slicer's `qt` module out of PySide6: what PythonQt does differently, and nothing else.

PythonQt shows Qt properties as attributes (`button.enabled = False`) and keeps their setters
(`button.setEnabled(False)`); PySide6's own true_property takes the setters away, so the properties
are put on here. PythonQt also connects by signature: `button.connect("clicked()", slot)`.
"""

from __future__ import annotations

import ctypes
import os
import sys
import types
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

_MODULES = (QtCore, QtGui, QtWidgets)
_CONNECTABLE = (QtWidgets.QWidget, QtWidgets.QLayout, QtCore.QTimer, QtGui.QAction)

qt = types.ModuleType("qt")
qt.__doc__ = "PySide6 in the clothes of PythonQt."
widget_classes: dict[str, type] = {}
"""The classes beyond Qt's own that a .ui file may name."""


# PySide 6.12 lets go of None, True and False once too often in much of what returns them. Before
# Python 3.12 that brings Python down, at its end at the latest. These are never let go of.
_SPARE = [None, True, False] * 500_000
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_SPARE))


class PythonQtObject:
    """What every PythonQt object can do and a PySide6 object cannot."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        """PySide6 finds its own methods before inherited ones."""
        super().__init_subclass__(**kwargs)
        for name in ("connect", "disconnect", "findChildren"):
            setattr(cls, name, getattr(PythonQtObject, name))

    def connect(self, signature: str, slot: Callable) -> bool:
        """Connect the signal named by `signature`; its arguments are cut to those it names."""
        name, _, arguments = signature.partition("(")
        called = slot if arguments.strip(") ") else lambda *_: slot()
        getattr(self, name).connect(called)
        self.__dict__.setdefault("_slots", []).append((signature, slot, called))
        return True

    def disconnect(self, signature: str, slot: Callable | None = None) -> bool:
        """Undo `connect` for one slot, or for all that were connected to this signature."""
        slots = self.__dict__.setdefault("_slots", [])
        gone = [one for one in slots if one[0] == signature and slot in (None, one[1])]
        for one in gone:
            getattr(self, signature.partition("(")[0]).disconnect(one[2])
            slots.remove(one)
        return bool(gone)

    def findChildren(self, kind: type, name: str = "") -> list:  # noqa: N802
        """Descendants of a Qt class; here qt's classes are each derived from PySide6's."""
        plain = next(one for one in kind.__mro__ if one.__module__.startswith("PySide6"))
        return QtCore.QObject.findChildren(self, plain, name or None)

    def delete(self) -> None:
        """Delete the C++ object."""
        self.deleteLater()


class QUiLoader(QtUiTools.QUiLoader):
    """Loads a .ui file as Slicer does: its own widgets, and the connections that the file makes."""

    _alive: list[QtCore.QObject] = []  # QUiLoader's parents do not keep Python's half alive

    def createWidget(self, name: str, parent: QtCore.QObject = None, title: str = "") -> object:  # noqa: N802
        """Make one widget of the file."""
        kind = widget_classes.get(name) or getattr(qt, name, None)
        if kind is None:
            raise RuntimeError(f"The .ui file names {name}, which the headless host does not have")
        widget = kind(parent)
        widget.setObjectName(title)
        self._alive.append(widget)
        return widget

    def load(self, file: QtCore.QIODevice, parent: QtCore.QObject = None) -> object:
        """The file's widget. Qt cannot see Python's signals, so the connections are made here."""
        root = ElementTree.fromstring(bytes(file.readAll()))
        wanted = root.find("connections")
        if wanted is not None:
            root.remove(wanted)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        widget = super().load(buffer, parent)
        for connection in wanted if wanted is not None else ():
            ends = {end.tag: end.text for end in connection}
            sender, receiver = (_named(widget, ends[end]) for end in ("sender", "receiver"))
            slot = getattr(receiver, ends["slot"].partition("(")[0])
            sender.connect(ends["signal"], slot)
        return widget


def _named(widget: QtCore.QObject, name: str) -> QtCore.QObject:
    found = widget if widget.objectName == name else widget.findChild(QtCore.QObject, name)
    if found is None:
        raise RuntimeError(f"The .ui file connects {name}, which is not in it")
    return found


def _property(name: str) -> property:
    return property(
        lambda self: QtCore.QObject.property(self, name),
        lambda self, value: QtCore.QObject.setProperty(self, name, value),
    )


_KEPT = {
    "QTimer": ("singleShot",),  # PythonQt too keeps the static function
    # Virtual in C++, where PySide calls what has the name here: it would call itself for ever.
    "QProgressBar": ("text",),
    "QWidget": ("sizeHint", "minimumSizeHint"),
}
"""What stays a method, by class."""


def _show_properties(kind: type) -> None:
    meta = kind.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        name = meta.property(index).name()
        if name.isidentifier() and name not in _KEPT.get(kind.__name__, ()):
            setattr(kind, name, _property(name))


def install() -> types.ModuleType:
    """Make `import qt` work, once; the QApplication is made along with it."""
    if "qt" in sys.modules:
        return sys.modules["qt"]
    qt.application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["headless"])
    kinds = {name: getattr(module, name) for module in _MODULES for name in dir(module)}
    classes = {name: kind for name, kind in kinds.items() if isinstance(kind, type)}
    for kind in classes.values():
        if issubclass(kind, QtCore.QObject):
            _show_properties(kind)
    QtCore.QObject.name = _property("objectName")
    for name, kind in classes.items():
        if issubclass(kind, _CONNECTABLE):
            kind = type(name, (PythonQtObject, kind), {})
        if name.startswith("Q"):
            setattr(qt, name, kind)
    qt.QUiLoader = QUiLoader
    qt.Qt = QtCore.Qt
    qt.QFile.ReadOnly = QtCore.QIODevice.OpenModeFlag.ReadOnly
    sys.modules["qt"] = qt
    return qt
