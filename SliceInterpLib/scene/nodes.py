"""Volume nodes of the scene to volumes, and results back into the scene."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import slicer
import vtk

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.stack import missing_slices
from SliceInterpLib.upsampling import UpsampledVolume
from SliceInterpLib.volume import Volume

PROVENANCE = "SliceInterp.provenance"
"""Node attribute: how the volume was made, as JSON."""

SYNTHETIC = "SliceInterp.syntheticSlices"
"""Node attribute, JSON: the array axis of the slices, and a '1' for each that is synthetic."""

SOURCE = "SliceInterp.source"
"""Node reference from a result to the volume it was made from; saved with the scene."""

QUANTITY = "quantity"
"""In the provenance of a volume that is no CT: what its numbers are."""

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_KINDS = {
    "vtkMRMLLabelMapVolumeNode": "a label map",
    "vtkMRMLVectorVolumeNode": "a colour or vector image",
    "vtkMRMLMultiVolumeNode": "a series of volumes over time",
}


def volume_from_node(node: slicer.vtkMRMLScalarVolumeNode | None) -> Volume:
    """The node's voxels, not copied, with the geometry that the node has under its transforms.

    Raises VolumeError, with cause and way out, if that is no straight stack of slices in HU, or
    if its parent transform shows a gap that should not be bridged.
    """
    if node is None:
        raise VolumeError("No volume is chosen. Load a head CT and choose it as the input.")
    if node.GetClassName() != "vtkMRMLScalarVolumeNode":
        kind = _KINDS.get(node.GetClassName(), f"of the kind {node.GetClassName()}")
        raise VolumeError(f"{node.GetName()} is {kind}, not a CT. Choose the CT itself.")
    quantity = provenance_of(node).get(QUANTITY)
    if quantity:
        raise VolumeError(f"{node.GetName()} holds the {quantity}. Choose the CT itself.")
    image = node.GetImageData()
    if image is None or not image.GetPointData() or not image.GetPointData().GetScalars():
        raise VolumeError(f"{node.GetName()} has no voxels. Load the scan again.")
    if image.GetNumberOfScalarComponents() != 1:
        raise VolumeError(f"{node.GetName()} has colours, and a CT has none. Choose the CT itself.")
    axes = _ijk_to_lps(node)
    spacing = np.linalg.norm(axes[:3, :3], axis=0)
    volume = Volume(
        hu=slicer.util.arrayFromVolume(node),
        origin=tuple(axes[:3, 3]),
        spacing=tuple(spacing),
        direction=axes[:3, :3] / np.where(spacing > 0, spacing, 1),
    )
    check_real_gaps(node, volume)
    return volume


def real_gaps(node: slicer.vtkMRMLVolumeNode, volume: Volume) -> np.ndarray:
    """(slice_count − 1,) mm between the centres of neighbouring slices, in the world.

    Slicer loads a tilted or unevenly spaced CT as an even grid under a grid transform. Only
    through that transform are the slices where they were acquired.
    """
    size = np.array(volume.hu.shape[::-1])
    centres = np.tile((size - 1) / 2, (volume.slice_count, 1))
    centres[:, 2 - volume.slice_axis] = np.arange(volume.slice_count)
    matrix = _LPS_RAS @ _ijk_to_lps(node)
    world = np.empty_like(centres)
    for local, place in zip(centres @ matrix[:3, :3].T + matrix[:3, 3], world, strict=True):
        node.TransformPointToWorld(local, place)
    return np.linalg.norm(np.diff(world, axis=0), axis=1)


def check_real_gaps(node: slicer.vtkMRMLVolumeNode, volume: Volume) -> None:
    """Raise VolumeError naming the slices between which slices of the scan are missing.

    Which gaps those are, `missing_slices` says.
    """
    if not node.GetParentTransformNode() or volume.slice_count < 2:
        return
    gaps = real_gaps(node, volume)
    wide = np.flatnonzero(missing_slices(gaps))
    if wide.size:
        places = ", ".join(f"{i + 1} and {i + 2} ({gaps[i]:.1f} mm)" for i in wide)
        raise VolumeError(
            f"Slices are missing from {node.GetName()}: between slices {places}, where "
            f"{np.median(gaps):.1f} mm are usual. A slice put there would be invented. Load the "
            "complete series, or crop the volume to the part without the gap (Crop Volume)."
        )


def add_output_node(
    result: UpsampledVolume,
    source: slicer.vtkMRMLScalarVolumeNode,
    name: str | None = None,
    *,
    output: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Put a result into the scene beside the node it was made from.

    It gets the source's parent transform, study (subject hierarchy), window and colours, its
    provenance as attributes and SOURCE as a reference; nothing of the source's DICOM identity,
    for it is another image. output: a node to fill instead of adding one. If anything fails, the
    scene is as it was.
    """
    if output is source and output is not None:
        raise VolumeError("The result cannot replace its input. Choose another output volume.")
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


def provenance_of(node: slicer.vtkMRMLNode) -> dict[str, object]:
    """How the node's volume was made; empty if not by SliceInterp."""
    return json.loads(node.GetAttribute(PROVENANCE) or "{}")


def synthetic_slices_of(node: slicer.vtkMRMLVolumeNode) -> tuple[int, np.ndarray] | None:
    """Array axis of the slices and (slice_count,) bool, True where synthetic; None if not ours."""
    text = node.GetAttribute(SYNTHETIC)
    if not text:
        return None
    marks = json.loads(text)
    return marks["axis"], np.array([mark == "1" for mark in marks["slices"]])


def result_from_node(node: slicer.vtkMRMLScalarVolumeNode) -> UpsampledVolume:
    """The result that is in the node, as `add_output_node` took it.

    Raises VolumeError if there is none, or if it has other slices by now.
    """
    volume, marks = volume_from_node(node), synthetic_slices_of(node)
    if marks is None or len(marks[1]) != volume.hu.shape[marks[0]]:
        raise VolumeError(
            f"{node.GetName()} is not a result of SliceInterp, or was cropped or resampled since. "
            "Choose a result as it was made."
        )
    return UpsampledVolume(
        hu=volume.hu,
        origin=volume.origin,
        spacing=volume.spacing,
        direction=volume.direction,
        synthetic=marks[1],
        through_plane_axis=marks[0],
        provenance=provenance_of(node),
    )


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


def _result_state(
    result: UpsampledVolume, source: slicer.vtkMRMLVolumeNode, name: str | None
) -> _State:
    provenance = result.provenance
    method, factor = provenance.get("method"), provenance.get("factor")
    label = "SliceInterp" if method == "learned" else str(method).replace("-", " ")
    axes = np.eye(4)
    axes[:3, :3] = result.direction * np.array(result.spacing)
    axes[:3, 3] = result.origin
    holder = slicer.vtkMRMLScalarVolumeNode()
    slicer.util.updateVolumeFromArray(holder, result.hu)
    marks = "".join("1" if synthetic else "0" for synthetic in result.synthetic)
    return _State(
        name=name or f"{source.GetName()} ({label} ×{factor})",
        image=holder.GetImageData(),
        ijk_to_ras=slicer.util.vtkMatrixFromArray(_LPS_RAS @ axes),
        transform=source.GetTransformNodeID(),
        study=_study_of(source),
        source=source.GetID(),
        attributes={
            PROVENANCE: json.dumps(provenance),
            SYNTHETIC: json.dumps({"axis": result.slice_axis, "slices": marks}),
        },
    )


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
    # Before it sees the voxels: an automatic window takes 0.1 s to find.
    ours.SetAutoWindowLevel(False)
    node.SetAndObserveDisplayNodeID(ours.GetID())
    with slicer.util.NodeModify(ours):
        ours.SetWindowLevel(theirs.GetWindow(), theirs.GetLevel())
        ours.SetAndObserveColorNodeID(theirs.GetColorNodeID())
        ours.SetInterpolate(theirs.GetInterpolate())
