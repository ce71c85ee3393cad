"""The results of "Check on this scan": a table for the panel, a table node and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import slicer

Rows = Mapping[str, Sequence[Mapping[str, float | None]]]
"""Metrics of every hidden slice by method."""

METRICS = {
    "psnr": ("PSNR, dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.3f}"),
    "mae_hu": ("Error, HU", "{:.1f}"),
}
"""What is shown, of all that is in the rows."""

_COLOURS = ((0.90, 0.62, 0.0), (0.34, 0.71, 0.91), (0.0, 0.62, 0.45))
"""Told apart by colour-blind eyes too (Okabe and Ito)."""


def check_table(results: Rows) -> str:
    """Means over the hidden slices as rich text."""
    titles = "".join(f"<th align='right'>&nbsp;{title}</th>" for title, _ in METRICS.values())
    lines = [f"<table cellspacing='4'><tr><th></th>{titles}</tr>"]
    for method, rows in results.items():
        cells = "".join(
            f"<td align='right'>{_mean([row[key] for row in rows], style)}</td>"
            for key, (_, style) in METRICS.items()
        )
        lines.append(f"<tr><td>{method.capitalize()}</td>{cells}</tr>")
    return "".join(lines) + "</table>"


def add_check_nodes(
    results: Rows, source: slicer.vtkMRMLScalarVolumeNode
) -> tuple[slicer.vtkMRMLTableNode, slicer.vtkMRMLPlotChartNode]:
    """A table of every metric of every hidden slice, and a chart of PSNR along the scan."""
    add = slicer.mrmlScene.AddNewNodeByClass
    name = f"{source.GetName()} (SliceInterp check)"
    table = add("vtkMRMLTableNode", name)
    first = next(iter(results.values()))
    columns = {"slice": np.array([row["slice"] for row in first], dtype=float)}
    for method, rows in results.items():
        for key in METRICS:
            values = [np.nan if row[key] is None else row[key] for row in rows]
            columns[f"{method} {key}"] = np.array(values, dtype=float)
    slicer.util.updateTableFromArray(table, tuple(columns.values()), list(columns))
    chart = add("vtkMRMLPlotChartNode", name)
    chart.SetTitle(name)
    chart.SetXAxisTitle("hidden slice")
    chart.SetYAxisTitle("PSNR, dB")
    for colour, method in zip(_COLOURS, results, strict=False):
        series = add("vtkMRMLPlotSeriesNode", method.capitalize())
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName("slice")
        series.SetYColumnName(f"{method} psnr")
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        series.SetColor(*colour)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return table, chart


def _mean(values: Sequence[float | None], style: str) -> str:
    known = [value for value in values if value is not None]
    return style.format(sum(known) / len(known)) if known else "–"
