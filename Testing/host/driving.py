"""Drives the module's panel as a user would, and the scene as Slicer's menus would."""

from __future__ import annotations

import time
from pathlib import Path

import slicer


def choose(
    widget: object,
    node: slicer.vtkMRMLScalarVolumeNode,
    method: str = "Linear",
    compare: str = "Cubic",
    **more: object,
) -> None:
    """Choose the input and the methods; `more` are parameters by name."""
    widget.ui.inputSelector.setCurrentNode(node)
    parameters = widget.panel._parameters
    parameters.method, parameters.compareWith = method, compare
    for name, value in more.items():
        setattr(parameters, name, value)


def events(seconds: float = 0.02) -> None:
    """Let Qt work for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.005)


def finish(widget: object, limit: float = 60) -> None:
    """Wait for the end of the run, if there is one."""
    end = time.monotonic() + limit
    while widget.panel.job and time.monotonic() < end:
        events()
    assert not widget.panel.job


def load_volume(files: list[Path], name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """Load by the reader that Slicer's Add Data and DICOM modules use; files in their order."""
    import vtk

    paths = vtk.vtkStringArray()
    for file in files if len(files) > 1 else []:
        paths.InsertNextValue(str(file))
    logic = slicer.modules.volumes.logic()
    return logic.AddArchetypeVolume(str(files[0]), name, 0, paths)


def save_scene(path: Path) -> None:
    """Save to a .mrb file, or to a folder that gets a .mrml file and the data."""
    scene = slicer.mrmlScene
    if path.suffix == ".mrb":
        assert scene.WriteToMRB(str(path), None)
    else:
        path.mkdir()
        assert scene.SaveSceneToSlicerDataBundleDirectory(str(path), None)


def open_scene(path: Path) -> None:
    """Close the scene and open what `save_scene` saved."""
    scene = slicer.mrmlScene
    scene.Clear()
    if path.suffix == ".mrb":
        assert scene.ReadFromMRB(str(path), False)
    else:
        (file,) = path.glob("*.mrml")
        scene.SetURL(str(file))
        assert scene.Import()
