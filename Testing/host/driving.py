"""Drives the module's panel as a user would, and the scene as Slicer's menus would."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import headless
import numpy as np
import slicer

from SliceInterpLib.scene import jobs, segmentations

MODULE = Path(__file__).resolve().parents[2] / "SliceInterp" / "SliceInterp.py"

SPACING = (0.8, 0.8, 5.0)
"""Of `add_ct`'s scans, in mm."""

CLOT = (27.0, 4.0, 2.0)
"""The middle of the phantom's hematoma in mm, LPS."""


@contextmanager
def opened_module(comparison: object) -> Iterator[object]:
    """The module's widget in an open module, with this in place of the comparison's views."""
    _, widget = headless.load_module(MODULE)
    widget.panel.compare.comparison = comparison
    widget.parent.enter()
    yield widget
    close(widget)


def close(widget: object) -> None:
    """Take leave of the panel, and wait until its child processes have done so."""
    widget.cleanup()
    while any(thread.name == jobs.THREAD for thread in threading.enumerate()):
        events()


class FakeComparison:
    """Takes notes; the real one has its own tests."""

    def __init__(self):
        self.shown = None
        self.overlay = self.marks = self.skulls = None

    def show(self, *volumes):
        self.shown = volumes

    def show_overlay(self, kind):
        self.overlay = kind

    def show_marks(self, on):
        self.marks = on

    def show_skulls(self, on):
        self.skulls = on

    def leave(self):
        self.shown = None


def add_ct(slices=6, size=32, spacing=SPACING, name="CT"):
    hu = np.random.default_rng(0).integers(-1000, 100, (slices, size, size)).astype(np.int16)
    ijk_to_ras = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    return slicer.util.addVolumeFromArray(hu, ijk_to_ras, name, "vtkMRMLScalarVolumeNode")


def place_seed(source, place=CLOT):
    """Click at a place of the volume, given in mm, LPS, below its transforms."""
    segmentations.start_placing_seed(source)
    world = np.zeros(3)
    source.TransformPointToWorld(np.multiply(place, (-1.0, -1.0, 1.0)), world)
    segmentations.seeds_node_of(source).AddControlPointWorld(world)


def snapshot():
    """IDs, names and states of all that a user would miss or find too much in the scene."""
    nodes_now = [slicer.mrmlScene.GetNthNode(i) for i in range(slicer.mrmlScene.GetNumberOfNodes())]
    return {
        node.GetID(): node.GetName()
        for node in nodes_now
        if node.IsA("vtkMRMLVolumeNode") or node.IsA("vtkMRMLDisplayNode")
    }


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
    slicer.app.loop.run(seconds)


def finish(widget: object) -> None:
    """Wait for the end of the run, if there is one."""
    while widget.panel.job:
        events()


def settle(widget: object) -> None:
    """Wait until the preview has followed, and what was asked of the hematoma is answered."""
    while widget.panel.volumetry.busy:
        events()


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
