"""Voxels of arrays in nodes, neither copied nor looked through: that would stop the window."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk


def image_of(array: np.ndarray) -> vtk.vtkImageData:
    """An image that keeps the array alive and shares its memory, if that is in C order.

    Args:
        array: (z, y, x) real numbers; whoever changes it changes the image.
    """
    image = vtk.vtkImageData()
    image.SetDimensions(array.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=False))
    return image


def add_volume(
    array: np.ndarray, ijk_to_ras: vtk.vtkMatrix4x4, name: str, window: tuple[float, float]
) -> slicer.vtkMRMLScalarVolumeNode:
    """A new volume node, as slicer.util.addVolumeFromArray makes them, but at once.

    Args:
        array: as `image_of` takes it.
        ijk_to_ras: where it lies.
        name: of the node.
        window: lowest and highest value that are shown apart.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(ijk_to_ras)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    # Before it sees the voxels: an automatic window takes its time to find.
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(*window)
    node.SetAndObserveImageData(image_of(array))
    return node
