"""The map of the differences between two volumes, in colours over the slice views."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from SliceInterpLib.report.colours import difference_colours
from SliceInterpLib.scene import nodes

DIFFERENCE_HU = 40.0
"""Differences of that many HU, and more, have the full colour."""


class Difference:
    """The map of learned − classical: a volume node, its colours and their legend."""

    def __init__(
        self, classical: slicer.vtkMRMLVolumeNode, learned: slicer.vtkMRMLVolumeNode, name: str
    ) -> None:
        there, here = (slicer.util.arrayFromVolume(node) for node in (classical, learned))
        matrix = vtk.vtkMatrix4x4()
        learned.GetIJKToRASMatrix(matrix)
        difference = np.subtract(here, there, dtype=np.float32)
        self.node = slicer.util.addVolumeFromArray(difference, matrix, name)
        self.node.SetSaveWithScene(False)
        self.node.SetAndObserveTransformNodeID(learned.GetTransformNodeID())
        self._colours = slicer.mrmlScene.AddNode(_diverging_colours())
        display = self.node.GetDisplayNode()
        with slicer.util.NodeModify(display):
            display.SetSaveWithScene(False)
            display.SetAutoWindowLevel(False)
            display.SetWindowLevel(2 * DIFFERENCE_HU, 0)
            display.SetInterpolate(False)
            display.SetAndObserveColorNodeID(self._colours.GetID())
        self._legend: slicer.vtkMRMLColorLegendDisplayNode | None = None

    def add_legend(self) -> None:
        """Show what the colours mean, in HU."""
        self._legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(self.node)
        self._legend.SetSaveWithScene(False)
        self._legend.SetTitleText("HU")
        self._legend.SetLabelFormat("%+.0f")
        self._legend.SetNumberOfLabels(5)

    def remove(self) -> None:
        """Take it all out of the scene."""
        scene = slicer.mrmlScene
        if self._legend and scene.IsNodePresent(self._legend):
            scene.RemoveNode(self._legend)
        nodes.remove_node(self.node)
        if scene.IsNodePresent(self._colours):
            scene.RemoveNode(self._colours)


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
