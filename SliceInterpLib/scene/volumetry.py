"""A hematoma of the scene measured on the acquired slices and on the results made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from SliceInterpLib.scene import nodes
from SliceInterpLib.scene.segmentations import add_mask, mask_of, rule_of
from SliceInterpLib.volumetry.carrying import carried_over, carried_space
from SliceInterpLib.volumetry.comparison import (
    ACQUIRED,
    CARRIED,
    GIVEN,
    SEGMENTED,
    Compared,
    segmented,
)
from SliceInterpLib.volumetry.measures import measure
from SliceInterpLib.volumetry.segmentation import Segmenter

ON_RESULT = "SliceInterp.onResult"
"""Node reference from a segmentation to that of the same lesion on a result."""

_RESULT_COLOUR = (0.0, 0.45, 0.7)


def measured_rows(
    segmentation: slicer.vtkMRMLSegmentationNode,
    source: slicer.vtkMRMLScalarVolumeNode,
    segmenter: Segmenter | None,
) -> list[Compared]:
    """The segmentation on the acquired grid, and the same lesion on the grid of each result.

    The first row is the segmentation as it is now. A result of `source` is segmented by the rule
    that made the segmentation, if it is one of ours, and has a second row with the first row's
    mask carried over. Where the segmentation was edited since, the acquired grid has a second row
    too, by the rule.

    Args:
        segmentation: the lesion.
        source: the acquired volume.
        segmenter: of `source`; None where no skull is found, and then there is no rule.

    Returns:
        A row a grid and mask.

    Raises:
        SegmentationError: as `mask_of`, `measure` and `Segmenter.segment` do.
    """
    volume = nodes.volume_from_node(source)
    mask, space = mask_of(segmentation, source), segmenter and segmenter.space
    rule = rule_of(segmentation, source) if segmenter else None
    rows = [segmented(ACQUIRED, segmenter, *rule)] if rule else []
    if not rows or not np.array_equal(rows[0].mask, mask):
        rows.insert(0, Compared(ACQUIRED, GIVEN, mask, measure(volume, mask, space), None))
    for node in comparable_results(source):
        result = nodes.result_from_node(node)
        inside = carried_space(volume, space, result)
        grid = _grid_of(node)
        if rule:
            rows.append(segmented(grid, Segmenter(result, space=inside), *rule))
        carried = carried_over(volume, mask, result)
        measured = measure(result, carried, inside)
        rows.append(Compared(grid, CARRIED, carried, measured, None))
    return rows


def comparable_results(
    source: slicer.vtkMRMLScalarVolumeNode,
) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """The results of a volume, learned ones last; without those that no longer fit its slices."""
    shape = nodes.volume_from_node(source).slices.shape
    fitting = []
    for node in nodes.results_of(source):
        marks = nodes.synthetic_slices_of(node)
        slices = marks and np.moveaxis(slicer.util.arrayFromVolume(node), marks[0], 0)
        if marks and len(slices) == len(marks[1]) and slices[~marks[1]].shape == shape:
            fitting.append(node)
    return sorted(fitting, key=lambda node: nodes.provenance_of(node)["method"] == "learned")


def add_segmentation_of_result(
    result: slicer.vtkMRMLScalarVolumeNode,
    segmentation: slicer.vtkMRMLSegmentationNode,
    source: slicer.vtkMRMLScalarVolumeNode,
    segmenter: Segmenter | None,
) -> slicer.vtkMRMLSegmentationNode:
    """The same lesion on the grid of one of `comparable_results`, as `measured_rows` finds it.

    By the rule that made the segmentation, or, if that is not ours, carried over. The one that was
    added before goes.

    Args:
        result: the node on whose grid the lesion is wanted.
        segmentation: the lesion.
        source: the acquired volume.
        segmenter: of `source`; None where no skull is found, and then there is no rule.

    Returns:
        The new segmentation.

    Raises:
        SegmentationError: as `mask_of` and `Segmenter.segment` do.
    """
    volume, finer = nodes.volume_from_node(source), nodes.result_from_node(result)
    rule = rule_of(segmentation, source) if segmenter else None
    if rule:
        space = carried_space(volume, segmenter.space, finer)
        mask = Segmenter(finer, space=space).segment(*rule).mask
    else:
        mask = carried_over(volume, mask_of(segmentation, source), finer)
    earlier = segmentation.GetNodeReference(ON_RESULT)
    if earlier:
        nodes.remove_node(earlier)
    name = f"{segmentation.GetName()} ({_grid_of(result)})"
    node = add_mask(result, mask, name, _RESULT_COLOUR)
    segmentation.SetNodeReferenceID(ON_RESULT, node.GetID())
    return node


def _grid_of(node: slicer.vtkMRMLVolumeNode) -> str:
    made = nodes.provenance_of(node)
    return f"{made['method']} ×{made['factor']}"


def add_table(
    rows: Sequence[Compared], segmentation: slicer.vtkMRMLSegmentationNode
) -> slicer.vtkMRMLTableNode:
    """All measures as a table node, which Slicer saves as CSV: a row a grid and mask.

    difference_ml is that of the voxel sum to the acquired grid's with a mask of the same kind.
    """
    name = slicer.mrmlScene.GenerateUniqueName(f"{segmentation.GetName()} volumetry")
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
    for title, values in _columns(rows).items():
        if isinstance(values[0], str):
            column = vtk.vtkStringArray()
            for value in values:
                column.InsertNextValue(value)
        else:
            column = numpy_to_vtk(np.array(values, dtype=float), deep=True)
        column.SetName(title)
        table.AddColumn(column)
    return table


def _columns(rows: Sequence[Compared]) -> dict[str, list]:
    records = []
    for row in rows:
        low, high = row.limits_hu or (np.nan, np.nan)
        record = {"grid": row.grid, "mask": row.mask_is, "difference_ml": difference_ml(row, rows)}
        record |= asdict(row.measured)
        record["right_mm"], record["anterior_mm"], record["superior_mm"] = record.pop(
            "centroid_ras"
        )
        record["side"] = record["side"] or "unknown"
        records.append(record | {"low_hu": low, "high_hu": high})
    return {title: [record[title] for record in records] for title in records[0]}


def difference_ml(row: Compared, rows: Sequence[Compared]) -> float:
    """The voxel sum less that of the acquired grid, segmented where this row was, in ml."""
    acquired = [one for one in rows if one.grid == ACQUIRED]
    same = acquired[-1] if row.mask_is == SEGMENTED else acquired[0]
    return row.measured.voxel_ml - same.measured.voxel_ml


def rich_table(rows: Sequence[Compared]) -> str:
    """The most asked-for measures as rich text for the panel."""
    lines = [("Grid", "Mask", "ml", "Δ ml", "Surface ml", "ABC/2 ml")]
    for row in rows:
        one = row.measured
        difference = f"{difference_ml(row, rows):+.1f}"
        volumes = (f"{one.voxel_ml:.1f}", difference, f"{one.surface_ml:.1f}", f"{one.abc2_ml:.1f}")
        lines.append((row.grid, row.mask_is, *volumes))
    cells = ("".join(f"<td>{cell}&nbsp;</td>" for cell in line) for line in lines)
    table = "".join(f"<tr>{line}</tr>" for line in cells)
    return f"<table>{table}</table>".replace(" ", "&nbsp;")  # so that no cell is broken
