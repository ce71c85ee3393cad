"""Stand-ins for Slicer's layer of scripted modules: the base classes and parameterNodeWrapper.

The parameter node itself is the real one of the scene; only the wrapping is done here, for the
types that the extension uses: str, int, float, bool, enumerations and nodes.
"""

from __future__ import annotations

import enum
import importlib
import os
import sys
import types
import typing
import unittest
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import host_widgets
import slicer
import vtk


class ScriptedLoadableModule:
    """The module as Slicer lists it; `parent` carries title, categories, help and so on."""

    def __init__(self, parent: object) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title, parent.helpText, parent.acknowledgementText = "", "", ""
        parent.categories, parent.dependencies, parent.contributors = [], [], []
        slicer.selfTests = {**getattr(slicer, "selfTests", {}), self.moduleName: self.runTest}

    def resourcePath(self, filename: str) -> str:  # noqa: N802
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:  # noqa: N802, N803
        return f"<p>See the <a href='{docPage or self.moduleName}'>documentation</a>.</p>"

    def runTest(self, msec: int = 0, **kwargs: object) -> None:  # noqa: N802
        case = getattr(importlib.import_module(self.__module__), f"{self.moduleName}Test")()
        case.messageDelay = msec
        case.runTest(**kwargs)


class ScriptedModule:
    """What slicer.app.moduleManager() has of a scripted module: its panel is made when asked for.

    Args:
        code: the module's file, imported.
        path: of that file.
    """

    def __init__(self, code: types.ModuleType, path: str) -> None:
        self.name, self.path = code.__name__, path
        self._code, self._panel = code, None
        self.instance = getattr(code, self.name)(SimpleNamespace(path=path))

    def widgetRepresentation(self) -> ScriptedModulePanel:  # noqa: N802
        if not self._panel:
            self._panel = ScriptedModulePanel()
            self._panel.load(self._code)
        return self._panel


class ScriptedModulePanel(host_widgets.qMRMLWidget):
    """Holds the module's widget, and calls it when the user opens and leaves the module."""

    def __init__(self) -> None:
        super().__init__()
        self.setLayout(host_widgets.qt.QVBoxLayout())
        self.setMRMLScene(slicer.mrmlScene)
        self.isEntered = False

    def load(self, code: types.ModuleType) -> None:
        name = f"{code.__name__}Widget"
        self._widget = getattr(code, name)(self)
        setattr(slicer.modules, name, self._widget)
        self._widget.setup()

    def reload(self) -> None:
        """Load the module's file as it was imported last; the module stays open."""
        self.load(sys.modules[type(self._widget).__module__])

    def self(self) -> ScriptedLoadableModuleWidget:
        return self._widget

    def enter(self) -> None:
        self.isEntered = True
        self._widget.enter()

    def exit(self) -> None:
        self.isEntered = False
        self._widget.exit()


class ScriptedLoadableModuleWidget:
    """The module's panel."""

    def __init__(self, parent: object = None) -> None:
        import qt

        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent or slicer.qMRMLWidget()
        if not parent:
            self.parent.setLayout(qt.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        self.layout = self.parent.layout()
        if not parent:
            self.setup()

    def resourcePath(self, filename: str) -> str:  # noqa: N802
        folder = os.path.dirname(slicer.util.modulePath(self.moduleName))
        return os.path.join(folder, "Resources", filename)

    def setup(self) -> None:
        pass

    def cleanup(self) -> None:
        pass

    def onReload(self) -> None:  # noqa: N802
        slicer.util.reloadScriptedModule(self.moduleName)


class ScriptedLoadableModuleLogic:
    """The module's logic; owns the parameter node, a singleton of the scene."""

    def __init__(self, parent: object = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> object:  # noqa: N802
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if not node:
            node = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetName(scene.GenerateUniqueName(self.moduleName))
            node = scene.AddNode(node)
        # Closing the scene takes the attribute away.
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The module's self test; unlike unittest's own cases it can be made without a method."""

    def delayDisplay(self, message: str, requestedDelay: int | None = None) -> None:  # noqa: N802, N803
        slicer.app.processEvents()

    def runTest(self) -> None:  # noqa: N802
        pass


@dataclass
class Default:
    """Annotation: the parameter's first value."""

    value: object


@dataclass
class Choice:
    """Annotation: the values a parameter may have."""

    choices: list


@dataclass
class WithinRange:
    """Annotation: the least and the largest value."""

    minimum: float
    maximum: float


class _Parameter:
    """One typed entry of a parameter node."""

    def __init__(self, name: str, hint: object, default: object) -> None:
        self.name = name
        self.kind, *self.notes = typing.get_args(hint) if _annotated(hint) else (hint,)
        optional = [kind for kind in typing.get_args(self.kind) if kind is not type(None)]
        self.kind = optional[0] if optional else self.kind
        self.default = next((n.value for n in self.notes if isinstance(n, Default)), default)
        self.is_node = isinstance(self.kind, type) and issubclass(self.kind, slicer.vtkMRMLNode)
        if self.default is None and not self.is_node:
            choices = next((n.choices for n in self.notes if isinstance(n, Choice)), None)
            is_enum = issubclass(self.kind, enum.Enum)
            self.default = (
                choices[0] if choices else next(iter(self.kind)) if is_enum else self.kind()
            )

    def read(self, node: object) -> object:
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self.kind is bool:
            return text == "True"
        return self.kind[text] if issubclass(self.kind, enum.Enum) else self.kind(text)

    def write(self, node: object, value: object) -> None:
        if self.is_node:
            node.SetParameter(self.name, "")  # tells that there is one, if only None
            node.SetNodeReferenceID(self.name, value.GetID() if value else None)
            return
        self._check(value)
        text = value.name if isinstance(value, enum.Enum) else str(value)
        node.SetParameter(self.name, text)

    def _check(self, value: object) -> None:
        for note in self.notes:
            if isinstance(note, Choice) and value not in note.choices:
                raise ValueError(f"{self.name} cannot be {value!r}: choose one of {note.choices}")
            if isinstance(note, WithinRange) and not note.minimum <= value <= note.maximum:
                raise ValueError(f"{self.name} cannot be {value!r}: it is out of range")


def _annotated(hint: object) -> bool:
    return hasattr(hint, "__metadata__")


class _Connection:
    """A widget and the parameter that it shows; the signals and properties are Slicer's."""

    def __init__(self, widget: object, parameter: _Parameter) -> None:
        self.widget, self.parameter = widget, parameter
        if hasattr(widget, "currentNodeChanged"):
            self.signal, self.read, self.write = (
                widget.currentNodeChanged,
                widget.currentNode,
                widget.setCurrentNode,
            )
        elif hasattr(widget, "currentIndex"):
            self._connect_choice()
        else:
            attribute, self.signal = next(
                (name, getattr(widget, signal))
                for name, signal in (
                    ("checked", "toggled"),
                    ("value", "valueChanged"),
                    ("text", "textChanged"),
                )
                if hasattr(widget, name) and hasattr(widget, signal)
            )
            self.read = lambda: getattr(widget, attribute)
            self.write = lambda value: setattr(widget, attribute, value)

    def _connect_choice(self) -> None:
        widget, notes = self.widget, self.parameter.notes
        if isinstance(self.parameter.kind, enum.EnumMeta):
            choices = list(self.parameter.kind)
            label = getattr(self.parameter.kind, "label", lambda one: one.name)
        else:
            choices = next(note.choices for note in notes if isinstance(note, Choice))
            label = str
        widget.clear()
        widget.addItems([label(choice) for choice in choices])
        self.signal = widget.currentIndexChanged
        self.read = lambda: choices[widget.currentIndex]
        self.write = lambda value: widget.setCurrentIndex(choices.index(value))


class _Wrapper:
    """What parameterNodeWrapper adds to a class."""

    def __init__(self, parameterNode: object, prefix: str | None = None) -> None:  # noqa: N803
        self.parameterNode = parameterNode
        self._guis: dict[int, list[_Connection]] = {}
        self._next_tag = 0
        self._updating = False
        self._values: dict[str, object] = {}
        for parameter in self.allParameters.values():
            if not parameterNode.HasParameter(parameter.name):
                parameter.write(parameterNode, parameter.default)
        self._read()
        itself = weakref.ref(self)
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: itself() and itself()._read())

    def _read(self) -> None:
        """What is there is taken as it is: only what is written is checked."""
        for name, parameter in self.allParameters.items():
            if not self.parameterNode.HasParameter(name):
                parameter.write(self.parameterNode, parameter.default)
            self._values[name] = parameter.read(self.parameterNode)

    def AddObserver(self, event: object, callback: Callable, priority: float = 0.0) -> int:  # noqa: N802
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:  # noqa: N802
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self) -> int:  # noqa: N802
        return self.parameterNode.StartModify()

    def EndModify(self, before: int) -> None:  # noqa: N802
        self.parameterNode.EndModify(before)

    def Modified(self) -> None:  # noqa: N802
        self.parameterNode.Modified()

    def getValue(self, name: str) -> object:  # noqa: N802
        return self._values[name]

    def setValue(self, name: str, value: object) -> None:  # noqa: N802
        parameter = self.allParameters[name]
        with slicer.util.NodeModify(self.parameterNode):
            parameter.write(self.parameterNode, value)
            self._values[name] = parameter.read(self.parameterNode)

    def connectParametersToGui(self, widgets: dict[str, object]) -> int:  # noqa: N802
        connections = [_Connection(w, self.allParameters[name]) for name, w in widgets.items()]
        tag = self._next_tag
        self._next_tag += 1
        self._guis[tag] = connections
        for one in connections:
            one.write(self.getValue(one.parameter.name))
            one.slot = lambda *_, one=one: self._from_gui(one)
            one.signal.connect(one.slot)
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._to_gui())
        return tag

    def disconnectGui(self, tag: int) -> None:  # noqa: N802
        for one in self._guis.pop(tag, []):
            one.signal.disconnect(one.slot)

    def _from_gui(self, one: _Connection) -> None:
        if not self._updating:
            with slicer.util.NodeModify(self.parameterNode):
                self.setValue(one.parameter.name, one.read())

    def _to_gui(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for connections in self._guis.values():
                for one in connections:
                    one.write(self.getValue(one.parameter.name))
        finally:
            self._updating = False


def parameterNodeWrapper(described: type | None = None) -> type:  # noqa: N802
    """Class decorator: attributes with type hints become entries of a parameter node."""
    if described is None:
        return parameterNodeWrapper
    parameters = {
        name: _Parameter(name, hint, getattr(described, name, None))
        for name, hint in typing.get_type_hints(described, include_extras=True).items()
    }
    attributes = {
        name: property(
            lambda self, name=name: self.getValue(name),
            lambda self, value, name=name: self.setValue(name, value),
        )
        for name in parameters
    }
    kept = {name: value for name, value in vars(described).items() if callable(value)}
    return type(
        described.__name__,
        (_Wrapper,),
        {**kept, **attributes, "allParameters": parameters, "__module__": described.__module__},
    )


def install() -> None:
    """Make Slicer's import paths for all this work."""
    base = types.ModuleType("slicer.ScriptedLoadableModule")
    for kind in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(base, kind.__name__, kind)
    base.__all__ = [name for name in vars(base) if name.startswith("Scripted")]
    wrapper = types.ModuleType("slicer.parameterNodeWrapper")
    for kind in (parameterNodeWrapper, Default, Choice, WithinRange):
        setattr(wrapper, kind.__name__, kind)
    slicer.qSlicerScriptedLoadableModule = ScriptedModule
    slicer.qSlicerScriptedLoadableModuleWidget = ScriptedModulePanel
    for module in (base, wrapper):
        sys.modules[module.__name__] = module
        setattr(slicer, module.__name__.split(".")[1], module)
