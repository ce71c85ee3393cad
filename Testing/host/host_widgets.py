"""Stand-ins for the widgets of CTK and MRML that .ui files of the extension name."""

from __future__ import annotations

import sys
import types

import host_qt
import slicer
from PySide6 import QtCore

qt = host_qt.install()


def _designable(name: str, kind: object, default: object) -> QtCore.Property:
    """A Qt property that a .ui file can set."""
    store = f"_{name}"
    return QtCore.Property(
        kind,
        lambda self: self.__dict__.get(store, default),
        lambda self, value: self.__dict__.__setitem__(store, value),
    )


class qMRMLWidget(qt.QWidget):  # noqa: N801
    """A panel that hands its scene on through the connections in its .ui file."""

    mrmlSceneChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self, parent: object = None) -> None:
        super().__init__(parent)
        self._scene = None

    def setMRMLScene(self, scene: object) -> None:  # noqa: N802
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> object:  # noqa: N802
        return self._scene


class qMRMLNodeComboBox(qt.QComboBox):  # noqa: N801
    """Chooses a node of the scene; follows nodes that come, go and are renamed."""

    currentNodeChanged = QtCore.Signal(object)  # noqa: N815

    nodeTypes = _designable("nodeTypes", "QStringList", [])  # noqa: N815
    noneEnabled = _designable("noneEnabled", bool, False)  # noqa: N815
    noneDisplay = _designable("noneDisplay", str, "None")  # noqa: N815
    addEnabled = _designable("addEnabled", bool, True)  # noqa: N815
    removeEnabled = _designable("removeEnabled", bool, True)  # noqa: N815
    renameEnabled = _designable("renameEnabled", bool, False)  # noqa: N815
    showChildNodeTypes = _designable("showChildNodeTypes", bool, True)  # noqa: N815
    showHidden = _designable("showHidden", bool, False)  # noqa: N815

    def __init__(self, parent: object = None) -> None:
        super().__init__(parent)
        self._scene = None
        self._ids: list[str] = []
        self._shown = ""
        self._observers: list[int] = []
        self.currentIndexChanged.connect(lambda _: self._tell())

    @property
    def currentNodeID(self) -> str:  # noqa: N802
        return self._ids[self.currentIndex] if 0 <= self.currentIndex < len(self._ids) else ""

    def currentNode(self) -> object:  # noqa: N802
        wanted = self.currentNodeID
        return self._scene.GetNodeByID(wanted) if self._scene and wanted else None

    def setCurrentNode(self, node: object) -> None:  # noqa: N802
        self.setCurrentNodeID(node.GetID() if node else "")

    def setCurrentNodeID(self, wanted: str) -> None:  # noqa: N802
        self._fill()
        self.setCurrentIndex(self._ids.index(wanted) if wanted in self._ids else -1)

    def setMRMLScene(self, scene: object) -> None:  # noqa: N802
        for tag in self._observers:
            self._scene.RemoveObserver(tag)
        self._scene, self._observers = scene, []
        if scene:
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent):
                self._observers.append(scene.AddObserver(event, lambda *_: self._fill()))
        self._fill()

    def mrmlScene(self) -> object:  # noqa: N802
        return self._scene

    def addNode(self) -> object:  # noqa: N802
        node = self._scene.AddNewNodeByClass(self.nodeTypes[0])
        self.setCurrentNode(node)
        return node

    def _fill(self) -> None:
        """List the scene's nodes again; as in Slicer, the first is chosen where one has to be."""
        before = self.currentNodeID
        nodes = self._nodes()
        self.blockSignals(True)
        self.clear()
        self._ids = [node.GetID() for node in nodes]
        if self.noneEnabled:
            self.addItem(self.noneDisplay)
            self._ids.insert(0, "")
        self.addItems([node.GetName() or "" for node in nodes])
        first = 0 if self._ids else -1
        self.setCurrentIndex(self._ids.index(before) if before in self._ids else first)
        self.blockSignals(False)
        self._tell()

    def _nodes(self) -> list:
        if not self._scene:
            return []
        return [
            node
            for kind in self.nodeTypes
            for node in slicer.util.getNodesByClass(kind, self._scene)
            if (self.showChildNodeTypes or node.GetClassName() == kind)
            and (self.showHidden or not node.GetHideFromEditors())
        ]

    def _tell(self) -> None:
        if self.currentNodeID != self._shown:
            self._shown = self.currentNodeID
            self.currentNodeChanged.emit(self.currentNode())


class ctkCollapsibleButton(qt.QGroupBox):  # noqa: N801
    """A section with a title that opens and closes."""

    contentsCollapsed = QtCore.Signal(bool)  # noqa: N815
    text = QtCore.Property(str, lambda self: self.title, lambda self, text: self.setTitle(text))

    def _fold(self, collapsed: bool) -> None:
        self.__dict__["_collapsed"] = collapsed
        for child in self.children():
            if child.isWidgetType():
                child.setVisible(not collapsed)
        self.contentsCollapsed.emit(collapsed)

    collapsed = QtCore.Property(
        bool, lambda self: self.__dict__.get("_collapsed", False), lambda self, on: self._fold(on)
    )

    def childEvent(self, event: QtCore.QEvent) -> None:  # noqa: N802
        """Children that come while it is closed are hidden too."""
        super().childEvent(event)
        if event.added() and event.child().isWidgetType() and self.collapsed:
            event.child().setVisible(False)


class ctkSliderWidget(qt.QDoubleSpinBox):  # noqa: N801
    """A slider with a number beside it."""


ctk = types.ModuleType("ctk")
ctk.ctkCollapsibleButton = ctkCollapsibleButton
ctk.ctkSliderWidget = ctkSliderWidget


def install() -> None:
    """Make `import ctk` and slicer.qMRML… work, and the widgets known to .ui files."""
    sys.modules["ctk"] = ctk
    for kind in (qMRMLWidget, qMRMLNodeComboBox):
        setattr(slicer, kind.__name__, kind)
    for kind in (qMRMLWidget, qMRMLNodeComboBox, ctkCollapsibleButton, ctkSliderWidget):
        host_qt.widget_classes[kind.__name__] = kind
