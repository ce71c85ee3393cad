"""Seeds and segmentations of hematomas: nodes of the scene to points and masks, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk

from SliceInterpLib.hematoma import Rule, Suggestion
from SliceInterpLib.scene import nodes
from SliceInterpLib.volumetry.mask import SegmentationError, bounds
from SliceInterpLib.volumetry.settings import Segmentation, SegmentationSettings

SEEDS = "SliceInterp.seeds"
"""Node reference from a volume to the points in its hematoma; saved with the scene."""

RULE = "SliceInterp.segmentation"
"""Attribute of a segmentation node, JSON: seeds (mm, LPS) and settings."""

_UNCONFIRMED = "?"
"""Ends the name of a point that was suggested, until a reader confirms it."""

_SEGMENT = "hematoma"
_COLOUR, _PREVIEW_COLOUR = (0.84, 0.15, 0.16), (1.0, 0.85, 0.2)

Colour = tuple[float, float, float]
Seeds = list[tuple[float, float, float]]


# Seeds


def seeds_node_of(source: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLMarkupsFiducialNode | None:
    """The points in the volume's hematoma, if any were begun."""
    return source.GetNodeReference(SEEDS)


def start_placing_seed(source: slicer.vtkMRMLVolumeNode) -> None:
    """The next click into a view places a seed of this volume."""
    seeds = _seeds_node(source)
    logic = slicer.app.applicationLogic()
    selection = logic.GetSelectionNode()
    selection.SetReferenceActivePlaceNodeClassName(seeds.GetClassName())
    selection.SetReferenceActivePlaceNodeID(seeds.GetID())
    logic.GetInteractionNode().SwitchToSinglePlaceMode()


def _seeds_node(source: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLMarkupsFiducialNode:
    seeds = seeds_node_of(source)
    if not seeds:
        name = slicer.mrmlScene.GenerateUniqueName(f"{source.GetName()} seed")
        seeds = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
        seeds.CreateDefaultDisplayNodes()
        source.SetNodeReferenceID(SEEDS, seeds.GetID())
    return seeds


def suggest_seeds(source: slicer.vtkMRMLVolumeNode, places: Sequence[Suggestion]) -> None:
    """Points for a reader to confirm: they are no seeds yet, which their names' question mark says.

    Those that were suggested before go.
    """
    seeds = _seeds_node(source)
    while (index := unconfirmed_seed(source)) is not None:
        seeds.RemoveNthControlPoint(index)
    for place in places:
        world = nodes.to_world(source, place.seed)
        index = seeds.AddControlPointWorld(
            world, _("piece {number}").format(number=place.number) + _UNCONFIRMED
        )
        size = _("no border was found") if place.ml is None else f"{place.ml:.1f} ml"
        told = _("{size}, confidence {confidence}").format(
            size=size, confidence=f"{place.confidence:.2f}"
        )
        if place.doubt:
            told = f"{told}. {place.doubt}"
        seeds.SetNthControlPointDescription(index, told)


def unconfirmed_seed(source: slicer.vtkMRMLVolumeNode) -> int | None:
    """The number of the first point that was suggested and not confirmed; None: there is none."""
    seeds = seeds_node_of(source)
    count = seeds.GetNumberOfControlPoints() if seeds else 0
    return next((index for index in range(count) if _is_unconfirmed(seeds, index)), None)


def confirm_seed(source: slicer.vtkMRMLVolumeNode, index: int) -> None:
    """Make a seed of a suggested point; to rename the point in Slicer does the same."""
    seeds = _seeds_node(source)
    seeds.SetNthControlPointLabel(
        index, seeds.GetNthControlPointLabel(index).removesuffix(_UNCONFIRMED)
    )


def reject_seed(source: slicer.vtkMRMLVolumeNode, index: int) -> None:
    """Take a suggested point away."""
    _seeds_node(source).RemoveNthControlPoint(index)


def show_seed(source: slicer.vtkMRMLVolumeNode, index: int) -> None:
    """Go there in all slice views."""
    world = np.zeros(3)
    _seeds_node(source).GetNthControlPointPositionWorld(index, world)
    for view in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        view.JumpSliceByCentering(*world)


def seed_in_words(source: slicer.vtkMRMLVolumeNode, index: int) -> str:
    """The name of a suggested point and what the finder said of it."""
    seeds = _seeds_node(source)
    return f"{seeds.GetNthControlPointLabel(index)} {seeds.GetNthControlPointDescription(index)}"


def _is_unconfirmed(seeds: slicer.vtkMRMLMarkupsNode, index: int) -> bool:
    return seeds.GetNthControlPointLabel(index).endswith(_UNCONFIRMED)


def seeds_of(source: slicer.vtkMRMLVolumeNode) -> Seeds:
    """The volume's seeds in mm, LPS, in the coordinates of `nodes.volume_from_node`.

    Points that were suggested and not confirmed are not among them.
    """
    node = seeds_node_of(source)
    places: Seeds = []
    if node is None:
        return places
    for index in range(node.GetNumberOfControlPoints()):
        # One that is just being placed follows the mouse.
        placed = node.GetNthControlPointPositionStatus(index) == node.PositionDefined
        if placed and not _is_unconfirmed(node, index):
            world = np.zeros(3)
            node.GetNthControlPointPositionWorld(index, world)
            places.append(nodes.to_volume(source, world))
    return places


# Segmentation nodes


def add_segmentation(
    source: slicer.vtkMRMLScalarVolumeNode,
    found: Segmentation,
    rule: Rule,
) -> slicer.vtkMRMLSegmentationNode:
    """A hematoma found in a volume as a segmentation node, which knows by what rule it was.

    Args:
        source: the volume.
        found: the hematoma.
        rule: by which it was found.
    """
    seeds, settings = rule
    node = add_mask(source, found.mask, f"{source.GetName()} {_SEGMENT}")
    node.SetAttribute(RULE, json.dumps({"seeds": seeds, "settings": asdict(settings)}))
    return node


def add_preview(source: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """An empty segmentation that the user sees in the slice views and nowhere else."""
    node = _add_node(source, "SliceInterp preview", _PREVIEW_COLOUR)
    display = node.GetDisplayNode()
    for one in (node, display):
        one.SetSaveWithScene(False)
        one.SetHideFromEditors(True)
    display.SetVisibility2DFill(False)
    return node


def add_mask(
    source: slicer.vtkMRMLVolumeNode, mask: np.ndarray, name: str, colour: Colour = _COLOUR
) -> slicer.vtkMRMLSegmentationNode:
    """A mask as a segmentation with one segment.

    Args:
        source: the volume on whose grid the mask is.
        mask: bool (slice, row, column).
        name: of the node; made unique.
        colour: of the segment, RGB in [0, 1].
    """
    node = _add_node(source, slicer.mrmlScene.GenerateUniqueName(name), colour)
    set_mask(node, source, mask)
    return node


def _add_node(
    source: slicer.vtkMRMLVolumeNode, name: str, colour: Colour
) -> slicer.vtkMRMLSegmentationNode:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    # In this order: the geometry is noted as it lies below the node's own transform.
    node.SetAndObserveTransformNodeID(source.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(source)
    node.GetSegmentation().AddEmptySegment(_SEGMENT, _SEGMENT, colour)
    return node


def set_mask(
    segmentation: slicer.vtkMRMLSegmentationNode,
    source: slicer.vtkMRMLVolumeNode,
    mask: np.ndarray,
) -> None:
    """Put another mask into a segmentation of ours.

    slicer.util does the same through a volume node, which leaves its display node in the scene.

    Args:
        segmentation: what is changed.
        source: the volume on whose grid the mask is.
        mask: bool (slice, row, column), not empty.
    """
    stored = np.moveaxis(mask, 0, nodes.slice_axis_of(source))
    box = bounds(stored)  # the rest is empty, and only takes time
    stored = stored[box].astype(np.uint8)
    image, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    image.SetExtent([end for part in box[::-1] for end in (part.start, part.stop - 1)])
    image.GetPointData().SetScalars(numpy_to_vtk(stored.ravel(), deep=True))
    source.GetIJKToRASMatrix(matrix)
    image.SetImageToWorldMatrix(matrix)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(image, segmentation, _SEGMENT, logic.MODE_REPLACE)


def mask_of(
    segmentation: slicer.vtkMRMLSegmentationNode, source: slicer.vtkMRMLVolumeNode
) -> np.ndarray:
    """The segmentation as it is now, on the volume's grid.

    Args:
        segmentation: anybody's; it may lie under another transform.
        source: the volume.

    Returns:
        bool (slice, row, column).

    Raises:
        SegmentationError: unless exactly one of its segments is visible.
    """
    ids = vtk.vtkStringArray()
    ids.InsertNextValue(segment_of(segmentation))
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        if not logic.ExportSegmentsToLabelmapNode(segmentation, ids, labels, source):
            failed = _(
                "{segmentation} could not be brought onto the grid of {volume}. Choose that volume "
                "as the source in the Segment Editor."
            )
            names = {"segmentation": segmentation.GetName(), "volume": source.GetName()}
            raise SegmentationError(failed.format(**names))
        mask = slicer.util.arrayFromVolume(labels) > 0
        return np.moveaxis(mask, nodes.slice_axis_of(source), 0)
    finally:
        display = labels.GetDisplayNode()
        colours = display and display.GetColorNode()
        nodes.remove_node(labels)
        if colours:
            slicer.mrmlScene.RemoveNode(colours)


def segment_of(segmentation: slicer.vtkMRMLSegmentationNode) -> str:
    """The ID of the segment that is visible; SegmentationError unless there is exactly one."""
    ids = segmentation.GetSegmentation().GetSegmentIDs()
    display = segmentation.GetDisplayNode()
    shown = [one for one in ids if not display or display.GetSegmentVisibility(one)]
    if len(shown) != 1:
        several = _(
            "{name} has {count} visible segments. Show the hematoma's and hide the others, by the "
            "eyes in the Segment Editor."
        )
        raise SegmentationError(several.format(name=segmentation.GetName(), count=len(shown)))
    return shown[0]


def rule_of(
    segmentation: slicer.vtkMRMLSegmentationNode, source: slicer.vtkMRMLVolumeNode
) -> Rule | None:
    """The seeds and settings by which it was found in this volume; None where it was not."""
    text = segmentation.GetAttribute(RULE)
    role = segmentation.GetReferenceImageGeometryReferenceRole()
    if not text or segmentation.GetNodeReference(role) is not source:
        return None
    rule = json.loads(text)
    # Another version may have had other settings, and looked for blood without a seed.
    known = [one.name for one in fields(SegmentationSettings) if one.name in rule["settings"]]
    settings = SegmentationSettings(**{name: rule["settings"][name] for name in known})
    return (rule["seeds"], settings) if rule["seeds"] else None


def prepare_editor(
    segmentation: slicer.vtkMRMLSegmentationNode, source: slicer.vtkMRMLVolumeNode
) -> None:
    """The Segment Editor, when it is opened next, has this segmentation on this volume."""
    scene, tag = slicer.mrmlScene, "SegmentEditor"  # the module's own
    editor = scene.GetSingletonNode(tag, "vtkMRMLSegmentEditorNode")
    if not editor:
        editor = slicer.vtkMRMLSegmentEditorNode()
        editor.SetSingletonTag(tag)
        editor = scene.AddNode(editor)
    editor.SetAndObserveSegmentationNode(segmentation)
    editor.SetAndObserveSourceVolumeNode(source)
    editor.SetSelectedSegmentID(segment_of(segmentation))
