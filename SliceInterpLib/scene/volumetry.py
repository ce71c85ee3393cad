"""A hematoma of the scene measured on the acquired slices and on the results made of them."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from SliceInterpLib.hematoma import FindOnResult, Measure, Measured
from SliceInterpLib.scene import nodes, tables
from SliceInterpLib.scene.marks import provenance_of, synthetic_slices_of
from SliceInterpLib.scene.segmentations import add_mask, mask_of, rule_of
from SliceInterpLib.scene.words import method_in_words
from SliceInterpLib.table import Column, Table

ON_RESULT = "SliceInterp.onResult"
"""Node reference from a segmentation to that of the same lesion on a result."""

_RESULT_COLOUR = (0.0, 0.45, 0.7)


def measure_request(
    segmentation: slicer.vtkMRMLSegmentationNode, source: slicer.vtkMRMLScalarVolumeNode
) -> Measure:
    """Measure the segmentation as it is now, and the same lesion on each result of the volume.

    Args:
        segmentation: the lesion.
        source: the acquired volume.

    Raises:
        SegmentationError: as `mask_of` does.
        VolumeError: as `result_from_node` does.
    """
    return Measure(
        mask_of(segmentation, source),
        rule_of(segmentation, source),
        [(_grid_of(node), nodes.result_from_node(node)) for node in comparable_results(source)],
    )


def find_request(
    result: slicer.vtkMRMLScalarVolumeNode,
    segmentation: slicer.vtkMRMLSegmentationNode,
    source: slicer.vtkMRMLScalarVolumeNode,
) -> FindOnResult:
    """Find the lesion of a segmentation on one of `comparable_results`; the rest as above."""
    return FindOnResult(
        mask_of(segmentation, source),
        rule_of(segmentation, source),
        nodes.result_from_node(result),
    )


def comparable_results(
    source: slicer.vtkMRMLScalarVolumeNode,
) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """The results of a volume, learned ones last; without those that no longer fit its slices."""
    shape = nodes.volume_from_node(source).slices.shape
    fitting = []
    for node in nodes.results_of(source):
        marks = synthetic_slices_of(node)
        if marks is None:
            continue
        axis, synthetic = marks
        count, *plane = np.moveaxis(slicer.util.arrayFromVolume(node), axis, 0).shape
        if count == len(synthetic) and (np.count_nonzero(~synthetic), *plane) == shape:
            fitting.append(node)
    return sorted(fitting, key=lambda node: provenance_of(node)["method"] == "learned")


def add_segmentation_of_result(
    mask: np.ndarray,
    result: slicer.vtkMRMLScalarVolumeNode,
    segmentation: slicer.vtkMRMLSegmentationNode,
) -> slicer.vtkMRMLSegmentationNode:
    """A lesion on the grid of a result; the one that was added before goes.

    Args:
        mask: the lesion, as `FindOnResult` gives it.
        result: on whose grid it is.
        segmentation: the same lesion on the acquired grid.

    Returns:
        The new segmentation.
    """
    earlier = segmentation.GetNodeReference(ON_RESULT)
    if earlier:
        nodes.remove_node(earlier)
    name = f"{segmentation.GetName()} ({_grid_of(result)})"
    node = add_mask(result, mask, name, _RESULT_COLOUR)
    segmentation.SetNodeReferenceID(ON_RESULT, node.GetID())
    return node


def _grid_of(node: slicer.vtkMRMLVolumeNode) -> str:
    made = provenance_of(node)
    return f"{made['method']} ×{made['factor']}"


def add_table(measured: Measured, name: str) -> slicer.vtkMRMLTableNode:
    """All measures as a table node, which Slicer saves as CSV: a row for each grid and mask.

    Args:
        measured: the answer to a `Measure`.
        name: of the segmentation, after which the table is named.
    """
    found = measured.records
    name = slicer.mrmlScene.GenerateUniqueName(f"{name} volumetry")
    return tables.add_table_node(Table([Column(key) for key in found[0]], found), name)


def panel_table(measured: Measured) -> Table:
    """The measures that are most asked for, in few words, since a panel is narrow."""
    two = any(record["bright_ml"] is not None for record in measured.records)
    columns = (
        Column("grid", _("Grid")),
        Column("mask", _("Mask")),
        Column("voxel_ml", "", "ml", ".1f"),
        Column("difference_ml", "Δ", "ml", "+.1f"),
        *([Column("bright_ml", _("Bright part"), "ml", ".1f")] if two else []),
        Column("surface_ml", _("Surface"), "ml", ".1f"),
        Column("abc2_ml", "ABC/2", "ml", ".1f"),
    )
    rows = [
        {**record, **{key: _in_words(str(record[key])) for key in ("grid", "mask")}}
        for record in measured.records
    ]
    return Table(columns, rows)


def _in_words(cell: str) -> str:
    """A grid or a mask, by the name that it has in the table node."""
    known = {
        "acquired": _("acquired"),
        "segmented": _("segmented"),
        "given": _("given"),
        "carried over": _("carried over"),
        "piece": _("piece"),
    }
    whole, piece, number = cell.partition(", piece ")
    if piece:
        return _("{grid}, piece {number}").format(grid=_in_words(whole), number=number)
    method, times, factor = cell.partition(" ×")
    return known.get(cell) or method_in_words(method) + times + factor
