"""Volume nodes of the scene to volumes, and results back into the scene."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.doublable import require_doublable, wide_stretches
from SliceInterpLib.errors import ThinSlicesError, VolumeError
from SliceInterpLib.gaps import through_plane_axis
from SliceInterpLib.marks import NODE_PROVENANCE, NODE_SYNTHETIC, UNKNOWN_SLICES, marked
from SliceInterpLib.scene.marks import SOURCE, marks_of, padding_of, provenance_of
from SliceInterpLib.scene.voxels import image_of
from SliceInterpLib.volume import Volume

QUANTITY = "quantity"
"""In the provenance of a volume that is no CT: what its numbers are."""

_RIGID_MM = 0.1
"""How far a transform that moves slices as a whole may distort them."""

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def volume_from_node(node: slicer.vtkMRMLScalarVolumeNode | None) -> Volume:
    """The node's voxels, not copied, with each slice where it was acquired.

    Slicer loads a tilted or unevenly spaced CT as an even grid under a transform that moves its
    slices; they are where that transform puts them. Any other transform moves or deforms the whole
    patient, for a registration, and is left out. `to_volume` brings places of the world into the
    same coordinates. A result of SliceInterp has its marks: `synthetic` and `provenance`.

    Raises:
        VolumeError: with cause and way out, if that is no stack of slices in HU, or if slices of
            the scan are missing.
    """
    if node is None:
        raise VolumeError(_("No volume is chosen. Load a head CT and choose it as the input."))
    name = node.GetName()
    if node.GetClassName() != "vtkMRMLScalarVolumeNode":
        other = _("{name} is {kind}, not a CT. Choose the CT itself.")
        raise VolumeError(other.format(name=name, kind=_kind_of(node)))
    quantity = provenance_of(node).get(QUANTITY)
    if quantity:
        map_of = _("{name} holds the {quantity}. Choose the CT itself.")
        raise VolumeError(map_of.format(name=name, quantity=quantity))
    image = node.GetImageData()
    if image is None or not image.GetPointData() or not image.GetPointData().GetScalars():
        raise VolumeError(_("{name} has no voxels. Load the scan again.").format(name=name))
    if image.GetNumberOfScalarComponents() != 1:
        coloured = _("{name} has colours, and a CT has none. Choose the CT itself.")
        raise VolumeError(coloured.format(name=name))
    volume = replace(marked(_grid_volume(node), marks_of(node)), padding=padding_of(node))
    acquired = _as_acquired(node, volume)
    if acquired is None:
        return volume
    _check_gaps(node, acquired)
    return acquired


def _kind_of(node: slicer.vtkMRMLVolumeNode) -> str:
    known = {
        "vtkMRMLLabelMapVolumeNode": _("a label map"),
        "vtkMRMLVectorVolumeNode": _("a colour or vector image"),
        "vtkMRMLMultiVolumeNode": _("a series of volumes over time"),
    }
    kind = node.GetClassName()
    return known.get(kind) or _("of the kind {kind}").format(kind=kind)


def slice_axis_of(node: slicer.vtkMRMLVolumeNode) -> int:
    """Axis of the node's array (z, y, x) that runs through-plane."""
    marks = marks_of(node)
    axis = marks.axis_in(node.GetImageData().GetDimensions()[::-1]) if marks else None
    if axis is not None:
        return axis
    dimensions = node.GetImageData().GetDimensions()
    if node.GetAttribute("DICOM.instanceUIDs") and dimensions[2] > 1:
        return 0  # as Slicer loads a series, whatever the size of its pixels
    return through_plane_axis(np.linalg.norm(_ijk_to_lps(node)[:3, :3], axis=0))


def to_volume(node: slicer.vtkMRMLVolumeNode, world: np.ndarray) -> tuple[float, float, float]:
    """A place of the world in the coordinates of `volume_from_node`.

    Args:
        node: the volume's node.
        world: (3,) mm, RAS.

    Returns:
        Three coordinates in mm, LPS.
    """
    moved = [0.0, 0.0, 0.0]
    _mover(node).TransformPointFromWorld(world, moved)
    right, front, up = moved
    return -right, -front, up


def to_world(node: slicer.vtkMRMLVolumeNode, place: Sequence[float]) -> np.ndarray:
    """The inverse of `to_volume`: (3,) mm, RAS, of a place in mm, LPS."""
    left, back, up = place
    world = np.zeros(3)
    _mover(node).TransformPointToWorld(np.array([-left, -back, up]), world)
    return world


def require_doublable_node(volume: Volume, *, allow_thin: bool = False) -> None:
    """As `require_doublable`; also refused is what a node could not hold after doubling.

    Args:
        volume: of a node.
        allow_thin: fill gaps no wider than the pixels too.

    Raises:
        VolumeError: with cause and way out, for what is refused.
    """
    require_acquired(volume, way_out=_("Choose the volume that it was made from."))
    require_doublable(volume, allow_thin=allow_thin)
    if not allow_thin and not wide_stretches(volume).all():
        raise ThinSlicesError(
            _(
                "Some of the gaps between slices are no wider than the pixels and would stay as "
                "they are, but a volume in Slicer has every gap filled or none; Crop Volume can "
                "take its thick slices out."
            )
        )


def _mover(node: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLTransformableNode:
    """Below what moves it lies the coordinate system of `volume_from_node`."""
    parent = node.GetParentTransformNode()
    if parent is None or parent.IsLinear():
        return node
    return node if _as_acquired(node, _grid_volume(node)) is None else parent


def _grid_volume(node: slicer.vtkMRMLVolumeNode) -> Volume:
    """The even grid that the node is by itself, below all transforms."""
    axes = _ijk_to_lps(node)
    spacing = np.linalg.norm(axes[:3, :3], axis=0)
    return Volume.from_grid(
        slicer.util.arrayFromVolume(node),
        origin=axes[:3, 3],
        spacing=spacing,
        direction=axes[:3, :3] / np.where(spacing > 0, spacing, 1),
        slice_axis=slice_axis_of(node),
    )


def _as_acquired(node: slicer.vtkMRMLVolumeNode, volume: Volume) -> Volume | None:
    """The slices where the node's acquisition transform puts them; None without such a transform.

    A transform that is not linear is one if it moves each slice as a whole.
    """
    parent = node.GetParentTransformNode()
    if parent is None or parent.IsLinear():
        return None
    numbers = np.arange(volume.slice_count, dtype=float)
    last = np.array(volume.slices.shape[1:]) - 1.0
    to_ras, transform = np.array([-1.0, -1.0, 1.0]), parent.GetTransformToParent()

    def moved(row: float, column: float) -> np.ndarray:
        places = volume.places(np.stack(np.broadcast_arrays(numbers, row, column), axis=1))
        return np.array([transform.TransformPoint(place * to_ras) for place in places]) * to_ras

    first = moved(0.0, 0.0)
    for row, column in ((0.0, last[1]), (last[0], 0.0), tuple(last / 2.0)):
        within = volume.in_plane_axes @ (np.array([column, row]) * volume.pixel_spacing[::-1])
        if np.abs(moved(row, column) - first - within).max() > _RIGID_MM:
            return None
    return replace(volume, slice_origins=first)


def _check_gaps(node: slicer.vtkMRMLVolumeNode, volume: Volume) -> None:
    """Raise VolumeError naming the slices between which slices of the scan are missing."""
    wide = np.flatnonzero(volume.missing)
    if wide.size:
        gaps = volume.gaps
        place = _("{first} and {second} ({gap} mm)")
        places = (place.format(first=i + 1, second=i + 2, gap=f"{gaps[i]:.1f}") for i in wide)
        missing = _(
            "Slices are missing from {name}: between slices {places}, where gaps of {usual} mm are "
            "usual. A slice put there would be invented. Load the complete series, or crop the "
            "volume to the part without the gap (Crop Volume)."
        )
        usual = f"{np.median(gaps):.1f}"
        raise VolumeError(
            missing.format(name=node.GetName(), places=", ".join(places), usual=usual)
        )


def add_output_node(
    result: Volume,
    source: slicer.vtkMRMLScalarVolumeNode,
    name: str | None = None,
    *,
    output: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Put a result into the scene beside the node it was made from.

    It gets the source's parent transform, study (subject hierarchy), window and colours, its
    provenance as attributes and SOURCE as a reference; nothing of the source's DICOM identity,
    for it is another image. If anything fails, the scene is as it was.

    Args:
        result: of `upsample`, or a map of the same geometry; its voxels are the node's from now on.
        source: the node that it was made from.
        name: of the node; by default one that tells the source and the method.
        output: a node to fill instead of adding one.

    Returns:
        The node with the result.

    Raises:
        VolumeError: if the output is the source, or a node cannot hold the result.
    """
    if output is source and output is not None:
        raise VolumeError(_("The result cannot replace its input. Choose another output volume."))
    scene = slicer.mrmlScene
    state = _result_state(result, source, name)
    node = output
    if not node:
        state.name = scene.GenerateUniqueName(state.name)
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", state.name)
    before = _State.of(node)
    try:
        state.give(node)
        _copy_display(source, node)
    except Exception:
        if output:
            before.give(output)
        else:
            remove_node(node)
        raise
    return node


def result_from_node(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """The result that is in the node, as `add_output_node` took it.

    Raises:
        VolumeError: if there is none, or if it has other slices by now.
    """
    volume = volume_from_node(node)
    if not volume.is_derived or UNKNOWN_SLICES in volume.provenance:
        other = _(
            "{name} is not a result of SliceInterp, or was cropped or resampled since. Choose a "
            "result as it was made."
        )
        raise VolumeError(other.format(name=node.GetName()))
    return volume


def results_of(source: slicer.vtkMRMLVolumeNode) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """The volumes in the scene that were made from this one, in the order of the scene."""
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in volumes if node.GetNodeReference(SOURCE) is source]


def remove_node(node: slicer.vtkMRMLNode) -> None:
    """Take a volume node out of the scene, and its display and storage nodes with it."""
    scene = slicer.mrmlScene
    displays = [node.GetNthDisplayNode(i) for i in range(node.GetNumberOfDisplayNodes())]
    for one in (node, *displays, node.GetStorageNode()):
        if one and scene.IsNodePresent(one):
            scene.RemoveNode(one)


@dataclass
class _State:
    """All of a volume node that a result changes; given to the node, or back to it."""

    name: str
    image: vtk.vtkImageData | None
    ijk_to_ras: vtk.vtkMatrix4x4
    transform: str | None
    study: int
    source: str | None
    attributes: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, node: slicer.vtkMRMLVolumeNode) -> _State:
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        return cls(
            name=node.GetName(),
            image=node.GetImageData(),
            ijk_to_ras=matrix,
            transform=node.GetTransformNodeID(),
            study=_study_of(node),
            source=node.GetNodeReferenceID(SOURCE),
            attributes={name: node.GetAttribute(name) for name in node.GetAttributeNames()},
        )

    def give(self, node: slicer.vtkMRMLVolumeNode) -> None:
        with slicer.util.NodeModify(node):
            node.SetName(self.name)
            node.SetIJKToRASMatrix(self.ijk_to_ras)
            node.SetAndObserveImageData(self.image)
            node.SetAndObserveTransformNodeID(self.transform)
            node.SetNodeReferenceID(SOURCE, self.source)
            # An older volume's DICOM identity would be as wrong as the source's.
            for name in node.GetAttributeNames():
                if name.startswith(("DICOM.", "SliceInterp.")):
                    node.RemoveAttribute(name)
            for name, value in self.attributes.items():
                node.SetAttribute(name, value)
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        item = hierarchy.GetItemByDataNode(node)
        if item and self.study:
            hierarchy.SetItemParent(item, self.study)


def _result_state(result: Volume, source: slicer.vtkMRMLVolumeNode, name: str | None) -> _State:
    provenance = result.provenance
    method, factor = provenance.get("method"), provenance.get("factor")
    label = "SliceInterp" if method == "learned" else str(method).replace("-", " ")
    axes, through = _ijk_to_lps(source), 2 - result.slice_axis
    axes[:3, through] /= _times(result)
    marks = "".join("1" if synthetic else "0" for synthetic in result.synthetic)
    return _State(
        name=name or f"{source.GetName()} ({label} ×{factor})",
        image=image_of(result.hu),
        ijk_to_ras=slicer.util.vtkMatrixFromArray(_LPS_RAS @ axes),
        transform=source.GetTransformNodeID(),
        study=_study_of(source),
        source=source.GetID(),
        attributes={
            NODE_PROVENANCE: json.dumps(dict(provenance)),
            NODE_SYNTHETIC: json.dumps({"axis": result.slice_axis, "slices": marks}),
        },
    )


def _times(result: Volume) -> int:
    """How many gaps there are for each between acquired slices; VolumeError unless one number.

    Then the grid of the source, with so many planes as there are now, is the result's, and so is
    the transform above it.
    """
    times = np.unique(np.diff(np.flatnonzero(~result.synthetic)))
    if len(times) != 1:
        raise VolumeError(
            _(
                "The gaps between the slices were not all filled, and a volume in Slicer has to be "
                "an even grid. Double it again with allow_thin=True."
            )
        )
    return int(times[0])


def _ijk_to_lps(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """(4, 4), from voxel indices (i, j, k) to mm."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return _LPS_RAS @ slicer.util.arrayFromVTKMatrix(matrix)


def _study_of(node: slicer.vtkMRMLNode) -> int:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node)
    return hierarchy.GetItemParent(item) if item else 0


def _copy_display(
    source: slicer.vtkMRMLScalarVolumeNode, node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    """Show the node as the source is shown."""
    theirs = source.GetScalarVolumeDisplayNode()
    if not theirs:
        node.CreateDefaultDisplayNodes()
        return
    ours = node.GetScalarVolumeDisplayNode()
    if not ours:
        ours = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    # Before it sees the voxels: an automatic window takes its time to find.
    ours.SetAutoWindowLevel(False)
    node.SetAndObserveDisplayNodeID(ours.GetID())
    with slicer.util.NodeModify(ours):
        ours.SetWindowLevel(theirs.GetWindow(), theirs.GetLevel())
        ours.SetAndObserveColorNodeID(theirs.GetColorNodeID())
        ours.SetInterpolate(theirs.GetInterpolate())
