"""Stand-ins for the widgets of CTK and MRML that .ui files of the extension name."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable

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


class qMRMLNodeComboBox(qt.QWidget):  # noqa: N801
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
        self._box = qt.QComboBox(self)
        # As in Slicer, where the keyboard does not reach it therefore.
        self._box.setFocusProxy(self)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Expanding)
        self.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.Fixed)
        self._box.currentIndexChanged.connect(lambda _: self._tell())

    @property
    def currentNodeID(self) -> str:  # noqa: N802
        index = self._box.currentIndex
        return self._ids[index] if 0 <= index < len(self._ids) else ""

    def currentNode(self) -> object:  # noqa: N802
        wanted = self.currentNodeID
        return self._scene.GetNodeByID(wanted) if self._scene and wanted else None

    def setCurrentNode(self, node: object) -> None:  # noqa: N802
        self.setCurrentNodeID(node.GetID() if node else "")

    def setCurrentNodeID(self, wanted: str) -> None:  # noqa: N802
        self._fill()
        self._box.setCurrentIndex(self._ids.index(wanted) if wanted in self._ids else -1)

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
        self._box.blockSignals(True)
        self._box.clear()
        self._ids = [node.GetID() for node in nodes]
        if self.noneEnabled:
            self._box.addItem(self.noneDisplay)
            self._ids.insert(0, "")
        self._box.addItems([node.GetName() or "" for node in nodes])
        first = 0 if self._ids else -1
        self._box.setCurrentIndex(self._ids.index(before) if before in self._ids else first)
        self._box.blockSignals(False)
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


class ctkCollapsibleButton(qt.QAbstractButton):  # noqa: N801
    """A section with a title, which is a button that opens and closes it."""

    contentsCollapsed = QtCore.Signal(bool)  # noqa: N815

    def __init__(self, parent: object = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setChecked(True)
        # As in CTK: the section is never narrower than it would like to be.
        self.setSizePolicy(qt.QSizePolicy.Minimum, qt.QSizePolicy.Preferred)
        self.setContentsMargins(0, self._title_size().height(), 0, 0)
        self.toggled.connect(self._fold)

    collapsed = QtCore.Property(
        bool, lambda self: not self.checked, lambda self, on: self.setChecked(not on)
    )

    def _fold(self, open_: bool) -> None:
        for child in self.children():
            if child.isWidgetType():
                child.setVisible(open_)
        self.updateGeometry()
        self.contentsCollapsed.emit(not open_)

    def childEvent(self, event: QtCore.QEvent) -> None:  # noqa: N802
        """Children that come while it is closed are hidden too."""
        super().childEvent(event)
        if event.added() and event.child().isWidgetType() and self.collapsed:
            event.child().setVisible(False)

    def _title_size(self) -> QtCore.QSize:
        text = self.fontMetrics().size(QtCore.Qt.TextFlag.TextShowMnemonic, self.text or "XXXX")
        return QtCore.QSize(text.width() + 2 * text.height(), text.height() + 8)

    def sizeHint(self) -> QtCore.QSize:  # noqa: N802
        return self._size(lambda layout: layout.totalSizeHint())

    def minimumSizeHint(self) -> QtCore.QSize:  # noqa: N802
        return self._size(lambda layout: layout.totalMinimumSize())

    def _size(self, of: Callable[[object], QtCore.QSize]) -> QtCore.QSize:
        title, layout = self._title_size(), self.layout()
        if self.collapsed or layout is None:
            return title + QtCore.QSize(0, 10)
        return of(layout).expandedTo(title)

    def paintEvent(self, _event: QtCore.QEvent) -> None:  # noqa: N802
        option, painter = qt.QStyleOptionButton(), qt.QPainter(self)
        option.initFrom(self)
        height = self._title_size().height()
        option.rect.setHeight(height)
        self.style().drawControl(qt.QStyle.CE_PushButtonBevel, option, painter, self)
        room = option.rect.adjusted(height, 0, 0, 0)
        flags = int(QtCore.Qt.AlignVCenter) | int(QtCore.Qt.TextShowMnemonic)
        painter.drawText(room, flags, self.text)
        option.rect = option.rect.adjusted(6, 6, 6 + 12 - option.rect.width(), -6)
        arrow = (
            qt.QStyle.PE_IndicatorArrowRight if self.collapsed else qt.QStyle.PE_IndicatorArrowDown
        )
        self.style().drawPrimitive(arrow, option, painter, self)
        painter.end()


class ctkSliderWidget(qt.QDoubleSpinBox):  # noqa: N801
    """A slider with a number beside it."""


def _nobody(box: qt.QMessageBox) -> object:
    raise RuntimeError(f"There is nobody to answer: {box.text}")


class ctkMessageBox(qt.QMessageBox):  # noqa: N801
    """A message box that can remember its answer under a key of Slicer's settings."""

    reader: Callable[[object], object] = staticmethod(_nobody)
    """Reads the box, may tick its check box, and says which button is pressed."""

    def __init__(self, parent: object = None) -> None:
        super().__init__(parent)
        self._key = ""

    @property
    def dontShowAgainSettingsKey(self) -> str:  # noqa: N802
        return self._key

    @dontShowAgainSettingsKey.setter
    def dontShowAgainSettingsKey(self, key: str) -> None:  # noqa: N802
        self._key = key
        self.setCheckBox(qt.QCheckBox("Don't show this message again and always OK", self))

    def exec_(self) -> object:
        settings = slicer.app.settings()
        if self._key and settings.value(self._key) is not None:
            return qt.QMessageBox.StandardButton(int(settings.value(self._key)))
        pressed = self.reader(self)
        # As in CTK: only what was accepted is remembered.
        if self._key and self.checkBox().isChecked() and pressed == qt.QMessageBox.Ok:
            settings.setValue(self._key, pressed.value)
        return pressed


ctk = types.ModuleType("ctk")
ctk.ctkCollapsibleButton = ctkCollapsibleButton
ctk.ctkSliderWidget = ctkSliderWidget
ctk.ctkMessageBox = ctkMessageBox


def install() -> None:
    """Make `import ctk` and slicer.qMRML… work, and the widgets known to .ui files."""
    sys.modules["ctk"] = ctk
    for kind in (qMRMLWidget, qMRMLNodeComboBox):
        setattr(slicer, kind.__name__, kind)
    for kind in (qMRMLWidget, qMRMLNodeComboBox, ctkCollapsibleButton, ctkSliderWidget):
        host_qt.widget_classes[kind.__name__] = kind
