"""A hematoma of the scene measured on the acquired slices and on the results made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from SliceInterpLib.scene import nodes, tables
from SliceInterpLib.scene.marks import provenance_of, synthetic_slices_of
from SliceInterpLib.scene.segmentations import add_mask, mask_of, rule_of
from SliceInterpLib.table import Column, Table
from SliceInterpLib.volumetry.carrying import carried_over, carried_space
from SliceInterpLib.volumetry.comparison import (
    CARRIED,
    GIVEN,
    Compared,
    measures,
    own_grid,
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
    mask, space = mask_of(segmentation, source), segmenter.space if segmenter else None
    rule = rule_of(segmentation, source) if segmenter else None
    rows = [segmented(own_grid(volume), segmenter, *rule)] if segmenter and rule else []
    if not rows or not np.array_equal(rows[0].mask, mask):
        rows.insert(0, Compared(own_grid(volume), GIVEN, mask, measure(volume, mask, space), None))
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
        marks = synthetic_slices_of(node)
        if marks is None:
            continue
        axis, synthetic = marks
        slices = np.moveaxis(slicer.util.arrayFromVolume(node), axis, 0)
        if len(slices) == len(synthetic) and slices[~synthetic].shape == shape:
            fitting.append(node)
    return sorted(fitting, key=lambda node: provenance_of(node)["method"] == "learned")


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
    if segmenter and rule:
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
    made = provenance_of(node)
    return f"{made['method']} ×{made['factor']}"


def add_table(
    rows: Sequence[Compared], segmentation: slicer.vtkMRMLSegmentationNode
) -> slicer.vtkMRMLTableNode:
    """All measures as a table node, which Slicer saves as CSV: a row for each grid and mask.

    Args:
        rows: of `measured_rows`.
        segmentation: the table is named after it.
    """
    found = measures(rows)
    name = slicer.mrmlScene.GenerateUniqueName(f"{segmentation.GetName()} volumetry")
    return tables.add_table_node(Table([Column(key) for key in found[0]], found), name)


def panel_table(rows: Sequence[Compared]) -> Table:
    """The measures that are most asked for, in few words, since a panel is narrow."""
    columns = (
        Column("grid", "Grid"),
        Column("mask", "Mask"),
        Column("voxel_ml", "", "ml", ".1f"),
        Column("difference_ml", "Δ", "ml", "+.1f"),
        Column("surface_ml", "Surface", "ml", ".1f"),
        Column("abc2_ml", "ABC/2", "ml", ".1f"),
    )
    return Table(columns, measures(rows))
