"""The expected error of a result: a volume node of its own, which belongs to the result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer

from SliceInterpLib.report.colours import ERROR_HU, error_colours
from SliceInterpLib.scene import nodes
from SliceInterpLib.volume import Volume

RESULT = "SliceInterp.expectedErrorOf"
"""Node reference from the map to the result whose error it tells; saved with the scene."""

LEAST_SHOWN_HU = 5.0
"""Smaller errors are about a scan's noise, and what lies below is left to be seen."""

_QUANTITY = "expected absolute error in HU"

_COLOURS = "SliceInterpExpectedError"
"""Singleton tag of the colours, which all maps share."""


def add_expected_error(
    error: Volume, source: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLScalarVolumeNode:
    """Put a map into the scene; `give_to` says later which result's it is.

    Args:
        error: HU, 0 in acquired slices. Voxels below LEAST_SHOWN_HU, and so those slices, stay
            uncovered.
        source: what was doubled.

    Returns:
        The map's node.
    """
    marked = replace(error, provenance={**error.provenance, nodes.QUANTITY: _QUANTITY})
    node = nodes.add_output_node(marked, source, f"{source.GetName()} expected error")
    try:
        node.SetNodeReferenceID(nodes.SOURCE, None)  # no result to compare, measure or export
        display = node.GetDisplayNode()
        with slicer.util.NodeModify(display):
            display.SetWindowLevelMinMax(0.0, ERROR_HU)
            display.SetInterpolate(False)
            display.SetThreshold(LEAST_SHOWN_HU, np.finfo(np.float32).max)
            display.SetApplyThreshold(True)
            display.SetAndObserveColorNodeID(_colours().GetID())
    except Exception:
        nodes.remove_node(node)
        raise
    return node


def give_to(node: slicer.vtkMRMLScalarVolumeNode, result: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Say whose error the map tells."""
    node.SetName(f"{result.GetName()} expected error")
    node.SetNodeReferenceID(RESULT, result.GetID())


def expected_error_of(
    result: slicer.vtkMRMLScalarVolumeNode,
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The map of a result, if it was made with one."""
    return next((one for one in _maps() if one.GetNodeReference(RESULT) is result), None)


def remove_expected_error_of(result: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Take the map of a result out of the scene, for what the result held is no more."""
    node = expected_error_of(result)
    if node:
        nodes.remove_node(node)


def remove_orphans() -> None:
    """Take the maps of results that were deleted out of the scene."""
    for node in _maps():
        if not node.GetNodeReference(RESULT):
            nodes.remove_node(node)


def _maps() -> list[slicer.vtkMRMLScalarVolumeNode]:
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in volumes if node.GetNodeReferenceID(RESULT)]


def _colours() -> slicer.vtkMRMLColorTableNode:
    """Black at zero, by way of red and yellow, to white."""
    scene = slicer.mrmlScene
    colours = scene.GetSingletonNode(_COLOURS, "vtkMRMLColorTableNode")
    if colours:
        return colours
    colours = slicer.vtkMRMLColorTableNode()
    colours.SetName("SliceInterp expected error")
    colours.SetSingletonTag(_COLOURS)
    colours.SetTypeToUser()
    colours.SetHideFromEditors(True)
    colours.SetNumberOfColors(256)
    for index, colour in enumerate(error_colours()):
        colours.SetColor(index, "", *colour, 1.0)
    return scene.AddNode(colours)
