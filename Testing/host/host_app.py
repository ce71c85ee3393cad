"""Stand-ins for what the Slicer application offers to scripts: slicer.app, .modules, .packaging.

MRML, the logics and the displayable managers are the real ones, from slicer-core.
"""

from __future__ import annotations

import importlib.metadata
import os
import stat
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import host_loop
import host_qt
import slicer
import vtk
from packaging.requirements import Requirement
from PySide6 import QtCore

qt = host_qt.install()

_LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
}


class ModuleManager(host_qt.PythonQtObject, QtCore.QObject):
    """Has the modules, and tells that one is about to go."""

    moduleAboutToBeUnloaded = QtCore.Signal(str)  # noqa: N815

    def module(self, name: str) -> object:
        return getattr(slicer.modules, name.lower(), None)


class Application(host_qt.PythonQtObject, QtCore.QObject):
    """slicer.app: no main window, and testing mode, in which dialogs are logged instead."""

    startupCompleted = QtCore.Signal()  # noqa: N815
    applicationName = "Slicer"  # noqa: N815
    majorVersion, minorVersion = 5, 13  # noqa: N815

    def __init__(self, logic: object) -> None:
        super().__init__()
        self._logic, self._modules = logic, ModuleManager()
        self.loop = host_loop.Loop()
        self.temporaryPath = tempfile.mkdtemp(prefix="headless-")
        settings = os.path.join(self.temporaryPath, "Slicer.ini")
        self._settings = qt.QSettings(settings, qt.QSettings.Format.IniFormat)

    def applicationLogic(self) -> object:  # noqa: N802
        return self._logic

    def moduleManager(self) -> ModuleManager:  # noqa: N802
        return self._modules

    def layoutManager(self) -> None:  # noqa: N802
        return None

    def mainWindow(self) -> None:  # noqa: N802
        return None

    def topLevelWidgets(self) -> list:  # noqa: N802
        return qt.QApplication.topLevelWidgets()

    def testingEnabled(self) -> bool:  # noqa: N802
        return True

    def processEvents(self, *_: object) -> None:  # noqa: N802
        self.loop.process()

    def setOverrideCursor(self, *_: object) -> None:  # noqa: N802
        pass

    def restoreOverrideCursor(self) -> None:  # noqa: N802
        pass

    def pauseRender(self) -> None:  # noqa: N802
        pass

    def resumeRender(self) -> None:  # noqa: N802
        pass

    def settings(self) -> object:
        return self._settings

    def userSettings(self) -> object:  # noqa: N802
        return self._settings

    def startupEnvironment(self) -> object:  # noqa: N802
        return QtCore.QProcessEnvironment.systemEnvironment()

    def translate(self, context: str, text: str) -> str:
        return QtCore.QCoreApplication.translate(context, text)


class Module:
    """An entry of slicer.modules, written in C++."""

    def __init__(self, logic: object) -> None:
        self._logic = logic

    def logic(self) -> object:
        return self._logic


class SampleDataLogic:
    """Where modules register their samples; see Modules/Scripted/SampleData of Slicer."""

    @staticmethod
    def registerCustomSampleDataSource(  # noqa: N802
        category: str = "Custom",
        sampleName: str | None = None,  # noqa: N803
        uris: object = None,
        fileNames: object = None,  # noqa: N803
        nodeNames: object = None,  # noqa: N803
        customDownloader: Callable | None = None,  # noqa: N803
        thumbnailFileName: str | None = None,  # noqa: N803
        loadFileTypes: object = None,  # noqa: N803
        loadFiles: object = None,  # noqa: N803
        loadFileProperties: object = None,  # noqa: N803
        checksums: object = None,
        loadFileType: object = None,  # noqa: N803
    ) -> None:
        if not all(isinstance(one, (str, list)) for one in (uris, fileNames, nodeNames)):
            raise TypeError("SampleDataSource takes the lengths of uris, fileNames and nodeNames")
        source = SimpleNamespace(**locals())
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        sources[:] = [one for one in sources if one.sampleName != sampleName] + [source]


def load_requirements(path: str | Path) -> list[Requirement]:
    """The requirements in a file; comments and pip's options are skipped."""
    lines = (line.strip() for line in Path(path).read_text().splitlines())
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


def _requirements(wanted: object) -> list[Requirement]:
    """One requirement, a list of them, or a text: one with a marker, or several without."""
    if isinstance(wanted, str):
        wanted = [wanted] if ";" in wanted else wanted.split()
    elif isinstance(wanted, Requirement):
        wanted = [wanted]
    return [Requirement(str(one)) for one in wanted]


def pip_check(req: object) -> bool:
    """Whether all the requirements are installed."""
    for one in _requirements(req):
        if one.marker and not one.marker.evaluate():
            continue
        try:
            installed = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            return False
        if not one.specifier.contains(installed, prereleases=True):
            return False
    return True


def pip_ensure(requirements: object, **_: object) -> None:
    """In testing mode Slicer installs nothing here, and neither does the host."""


def _packaging() -> types.ModuleType:
    module = types.ModuleType("slicer.packaging")
    for function in (load_requirements, pip_check, pip_ensure):
        setattr(module, function.__name__, function)
    return module


def _provide_python_slicer(folder: str) -> None:
    """Slicer has its own Python on the PATH under this name."""
    script = Path(folder, "PythonSlicer")
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    os.environ["PATH"] = folder + os.pathsep + os.environ["PATH"]


def install() -> None:
    """Make the application and its logics, once for the process."""
    logic = slicer.vtkSlicerApplicationLogic()
    slicer.app = Application(logic)
    logic.SetHomeDirectory(slicer.app.temporaryPath)
    logic.SetShareDirectory("share")
    Path(slicer.app.temporaryPath, "share", "ColorFiles").mkdir(parents=True)
    slicer.modules = SimpleNamespace(sampleDataSources={})
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    for name, kind in _LOGICS.items():
        module_logic = getattr(slicer, kind)()
        logic.SetModuleLogic(name, module_logic)
        setattr(slicer.modules, name.lower(), Module(module_logic))
    sample_data = types.ModuleType("SampleData")
    sample_data.SampleDataLogic = SampleDataLogic
    slicer.packaging = _packaging()
    sys.modules.update({"SampleData": sample_data, "slicer.packaging": slicer.packaging})
    _provide_python_slicer(slicer.app.temporaryPath)


def new_scene(bare: bool) -> slicer.vtkMRMLScene:
    """A scene with what Slicer has in it from the start, known to the application's logics.

    Args:
        bare: without what the main window and its views bring along, nor colours.
    """
    app = slicer.app.applicationLogic()
    app.GetSliceLogics().RemoveAllItems()
    app.GetViewLogics().RemoveAllItems()
    # Slicer's layout manager works through these: the nodes of a layout, and linked views.
    app.layout = slicer.vtkMRMLLayoutLogic()
    app.link, app.view_link = slicer.vtkMRMLSliceLinkLogic(), slicer.vtkMRMLViewLinkLogic()
    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    modules = [getattr(slicer.modules, name.lower()).logic() for name in _LOGICS]
    app.SetColorLogic(slicer.modules.colors.logic())
    for logic in (app.link, app.view_link, *modules):
        logic.SetMRMLApplicationLogic(app)
    for logic in (app, app.link, app.view_link, *modules):
        if not (bare and logic is app.GetColorLogic()):  # it adds its colours
            logic.SetMRMLScene(scene)
    _provide_cache(scene)
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    scene.AddObserver(scene.NodeAddedEvent, _file_node)
    scene.AddObserver(scene.NodeAboutToBeRemovedEvent, _unfile_node)
    scene.AddObserver(scene.EndImportEvent, _file_imported)
    if not bare:
        _provide_views(app, scene)
    return scene


def _provide_views(app: object, scene: slicer.vtkMRMLScene) -> None:
    app.layout.SetMRMLScene(scene)
    app.GetColorLogic().AddDefaultColorNodes()
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)


def _provide_cache(scene: slicer.vtkMRMLScene) -> None:
    """Where a scene unpacks its .mrb files."""
    folder = Path(slicer.app.temporaryPath, "cache")
    folder.mkdir(exist_ok=True)
    cache, manager = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    cache.SetRemoteCacheDirectory(str(folder))
    manager.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(manager)


# Functions of their own, not closures over the scene: such a cycle is taken apart in any order.
# They do what Slicer's qSlicerSubjectHierarchyPluginLogic does on the same events.
@vtk.calldata_type(vtk.VTK_OBJECT)
def _file_node(scene: slicer.vtkMRMLScene, _event: str, node: slicer.vtkMRMLNode) -> None:
    """Give a data node its place in the subject hierarchy, as its plugins in Slicer do."""
    # A scene that is being read brings its own hierarchy along.
    if not scene.IsImporting():
        _file(scene, node)


def _file_imported(scene: slicer.vtkMRMLScene, _event: str) -> None:
    for node in slicer.util.getNodesByClass("vtkMRMLDisplayableNode", scene):
        _file(scene, node)


def _file(scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLNode) -> None:
    is_data = node.IsA("vtkMRMLDisplayableNode") and not node.IsA("vtkMRMLAbstractViewNode")
    if is_data and not node.GetHideFromEditors():
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if not tree.GetItemByDataNode(node):
            tree.CreateItem(tree.GetSceneItemID(), node)


@vtk.calldata_type(vtk.VTK_OBJECT)
def _unfile_node(scene: slicer.vtkMRMLScene, _event: str, node: slicer.vtkMRMLNode) -> None:
    # A scene that is cleared or destroyed takes its hierarchy along, and may do so first.
    if not scene or not node or scene.IsClosing() or not node.GetScene():
        return
    if node.IsA("vtkMRMLDisplayableNode"):
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if tree and tree.GetItemByDataNode(node):
            tree.RemoveItem(tree.GetItemByDataNode(node), False, False)
