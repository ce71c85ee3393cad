"""Maps in colours over the slice views, with their legends: differences, expected errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.report.colours import difference_colours
from SliceInterpLib.scene import nodes
from SliceInterpLib.scene.expected_error import LEAST_SHOWN_HU, expected_error_of
from SliceInterpLib.scene.view_labels import title_of
from SliceInterpLib.scene.voxels import add_volume

DIFFERENCE_HU = 40.0
"""Differences of that many HU, and more, have the full colour."""

_ERROR_OPACITY = 0.6
"""What lies below is to be seen: a large error matters where there is something to read."""


class Kind(Enum):
    """What can be laid over the learned volume."""

    DIFFERENCE = "difference"
    """Learned minus classical."""
    EXPECTED_ERROR = "expected error"
    """How far each synthetic voxel may be off."""


@dataclass
class Overlay:
    """A map that is shown: its volume, what to write over it, and its legend."""

    node: slicer.vtkMRMLScalarVolumeNode
    title: str
    opacity: float
    number_format: str
    labels: int
    temporary: Sequence[slicer.vtkMRMLNode] = ()
    """What goes out of the scene with the overlay."""
    _legend: slicer.vtkMRMLColorLegendDisplayNode | None = None

    def add_legend(self) -> None:
        """Show what the colours mean, in HU."""
        self._legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(self.node)
        self._legend.SetSaveWithScene(False)
        self._legend.SetTitleText("HU")
        self._legend.SetLabelFormat(self.number_format)
        self._legend.SetNumberOfLabels(self.labels)

    def remove(self) -> None:
        """Take it out of the views."""
        for node in filter(None, (self._legend, *self.temporary)):
            if node.IsA("vtkMRMLVolumeNode"):
                nodes.remove_node(node)
            elif slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)


def make_overlay(
    kind: Kind, classical: slicer.vtkMRMLScalarVolumeNode, learned: slicer.vtkMRMLScalarVolumeNode
) -> Overlay:
    """The map of a kind for these two.

    Args:
        kind: what it shows.
        classical: what a difference is taken from.
        learned: the volume that it lies over.

    Raises:
        VolumeError: if there is none.
    """
    if kind is Kind.DIFFERENCE:
        return _difference(classical, learned)
    return _expected_error(learned)


def _difference(
    classical: slicer.vtkMRMLScalarVolumeNode, learned: slicer.vtkMRMLScalarVolumeNode
) -> Overlay:
    there, here = (slicer.util.arrayFromVolume(node) for node in (classical, learned))
    matrix = vtk.vtkMatrix4x4()
    learned.GetIJKToRASMatrix(matrix)
    title = f"{title_of(learned)} − {title_of(classical)}"
    difference = np.subtract(here, there, dtype=np.float32)
    node = add_volume(difference, matrix, title, (-DIFFERENCE_HU, DIFFERENCE_HU))
    node.SetSaveWithScene(False)
    node.SetAndObserveTransformNodeID(learned.GetTransformNodeID())
    colours = slicer.mrmlScene.AddNode(_diverging_colours())
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetSaveWithScene(False)
        display.SetInterpolate(False)
        display.SetAndObserveColorNodeID(colours.GetID())
    return Overlay(node, title, 1.0, "%+.0f", 5, temporary=(node, colours))


def _expected_error(learned: slicer.vtkMRMLScalarVolumeNode) -> Overlay:
    node = expected_error_of(learned)
    if node is None:
        without = _("{name} was made without an expected error.")
        raise VolumeError(without.format(name=learned.GetName()))
    # The result may have been moved since.
    node.SetAndObserveTransformNodeID(learned.GetTransformNodeID())
    title = _("{volume}: expected error from {least} HU")
    return Overlay(
        node,
        title.format(volume=title_of(learned), least=f"{LEAST_SHOWN_HU:.0f}"),
        _ERROR_OPACITY,
        "%.0f",
        4,
    )


def _diverging_colours() -> slicer.vtkMRMLColorTableNode:
    """Black where there is no difference; blue where learned is darker, red where brighter."""
    colours = slicer.vtkMRMLColorTableNode()
    colours.SetName("SliceInterp difference")
    colours.SetTypeToUser()
    colours.SetSaveWithScene(False)
    colours.SetHideFromEditors(True)
    colours.SetNumberOfColors(256)
    for index, colour in enumerate(difference_colours()):
        colours.SetColor(index, "", *colour, 1.0)
    return colours
