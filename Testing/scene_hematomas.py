"""A scan with a hematoma in a scene, its results, and what is measured in them."""

from __future__ import annotations

import numpy as np
import slicer

from SliceInterpLib.hematoma import Scan
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.scene import nodes, sample_data, volumetry
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volumetry.comparison import Compared


def turned_phantom(scene: object) -> object:
    """The phantom, turned and moved by a transform, as a registration does."""
    node = sample_data.load_phantom(matrix=128)
    turned = np.array([[0.8, -0.6, 0, 9], [0.6, 0.8, 0, 7], [0, 0, 1, -30], [0, 0, 0, 1.0]])
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(turned))
    node.SetAndObserveTransformNodeID(parent.GetID())
    return node


def add_result(source: object, method: str = "linear") -> object:
    """The node of the source, doubled by the method."""
    result = upsample(nodes.volume_from_node(source), make_interpolator(method))
    return nodes.add_output_node(result, source)


def rows_of(segmentation: object, source: object) -> list[Compared]:
    """As the child process finds them."""
    scan = Scan(nodes.volume_from_node(source))
    return volumetry.measure_request(segmentation, source).rows(scan)


def column(table: object, name: str) -> list:
    """The values of the table's column of that name."""
    values = table.GetTable().GetColumnByName(name)
    return [values.GetValue(row) for row in range(values.GetNumberOfTuples())]
