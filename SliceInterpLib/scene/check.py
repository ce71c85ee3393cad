"""The results of "Check on this scan": a table for the panel, a table node and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import slicer
from slicer.i18n import tr as _

from SliceInterpLib.scene.tables import add_table_node
from SliceInterpLib.scene.words import method_in_words
from SliceInterpLib.table import Column, Table
from SliceInterpLib.tasks import Checked

Rows = Mapping[str, Sequence[Mapping[str, float | None]]]
"""Metrics of every hidden slice by method; "slice" is its index."""

_COLOURS = ((0.90, 0.62, 0.0), (0.34, 0.71, 0.91), (0.0, 0.62, 0.45))
"""Told apart by colour-blind eyes too (Okabe and Ito)."""


def _metrics() -> list[Column]:
    """What is shown, of all that is in the rows."""
    return [
        Column("psnr", "PSNR", "dB", ".2f"),
        Column("ssim", "SSIM", "", ".3f"),
        Column("mae_hu", _("Error"), "HU", ".1f"),
    ]


def check_table(check: Checked) -> Table:
    """Means over the hidden slices; the caption says over how many."""
    means = [
        {"method": method_in_words(method)}
        | {column.key: _mean([row[column.key] for row in rows]) for column in _metrics()}
        for method, rows in check.rows.items()
    ]
    counted = _("{count} slices")
    if check.without_head:
        counted = _("{count} slices, {others} without a head left out")
    count = len(next(iter(check.rows.values())))
    caption = counted.format(count=count, others=check.without_head)
    return Table([Column("method", ""), *_metrics()], means, caption)


def add_check_nodes(
    results: Rows, source: slicer.vtkMRMLScalarVolumeNode
) -> tuple[slicer.vtkMRMLTableNode, slicer.vtkMRMLPlotChartNode]:
    """A table of every metric of every hidden slice, and a chart of PSNR along the scan.

    Slices are numbered from 1.

    Args:
        results: the rows of a check, by method.
        source: the volume that was checked; the two are named after it.
    """
    add = slicer.mrmlScene.AddNewNodeByClass
    name = f"{source.GetName()} (SliceInterp check)"
    slices = [
        {"slice": of_methods[0]["slice"] + 1}
        | {
            f"{method} {column.key}": row[column.key]
            for method, row in zip(results, of_methods, strict=True)
            for column in _metrics()
        }
        for of_methods in zip(*results.values(), strict=True)
    ]
    table = add_table_node(Table([Column(key) for key in slices[0]], slices), name)
    chart = add("vtkMRMLPlotChartNode", name)
    chart.SetTitle(name)
    chart.SetXAxisTitle(_("hidden slice"))
    chart.SetYAxisTitle("PSNR, dB")
    for colour, method in zip(_COLOURS, results, strict=False):
        series = add("vtkMRMLPlotSeriesNode", method_in_words(method))
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName("slice")
        series.SetYColumnName(f"{method} psnr")
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        series.SetColor(*colour)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return table, chart


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
