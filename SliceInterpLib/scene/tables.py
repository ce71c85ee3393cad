"""Tables as nodes of the scene, and in the labels of the panel."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from SliceInterpLib.table import Table

_STYLE = "<style>th, td { text-align: left; padding-right: 6px }</style>"


def add_table_node(table: Table, name: str) -> slicer.vtkMRMLTableNode:
    """The table's values as a node, whose columns are named by their keys.

    A number that is missing is NaN there, a text empty.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
    records = table.records()
    for column in table.columns:
        values = [record[column.key] for record in records]
        if any(isinstance(value, str) for value in values):
            array = vtk.vtkStringArray()
            for value in values:
                array.InsertNextValue(value or "")
        else:
            array = numpy_to_vtk(np.array(values, dtype=float), deep=True)
        array.SetName(column.key)
        node.AddColumn(array)
    return node


def rich_text(table: Table) -> str:
    """The table as a label of the panel shows it."""
    return _STYLE + table.html()
