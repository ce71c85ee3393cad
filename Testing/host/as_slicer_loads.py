"""CT in the scene as Slicer's DICOM module loads it: an even grid, and a transform above it."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from SliceInterpLib.volume import Volume

_LPS_RAS = np.array([-1.0, -1.0, 1.0])


def load(volume: Volume, name: str = "CT") -> object:
    """A node with the volume: upright and even, with its slices moved where they were acquired."""
    columns, rows = volume.in_plane_axes.T
    step = (volume.positions[-1] / (volume.slice_count - 1)) * volume.normal
    grid = volume.slice_origins[0] + np.arange(volume.slice_count)[:, None] * step
    axes = np.eye(4)
    along = [columns * volume.pixel_spacing[1], rows * volume.pixel_spacing[0], step]
    axes[:3, :3] = np.column_stack(along) * _LPS_RAS[:, None]
    axes[:3, 3] = grid[0] * _LPS_RAS
    node = slicer.util.addVolumeFromArray(volume.slices.copy(), axes, name)
    shifts = (volume.slice_origins - grid) * _LPS_RAS
    if np.abs(shifts).max() > 1e-3:
        acquisition_transform(node, shifts)
    return node


def acquisition_transform(node: object, shifts: np.ndarray) -> object:
    """Slicer's way with uneven or tilted CT: a grid transform that moves whole slices.

    shifts: (slice_count, 3) mm, RAS.
    """
    count = len(shifts)
    size = node.GetImageData().GetDimensions()
    grid = vtk.vtkImageData()
    grid.SetOrigin(*node.GetOrigin())
    grid.SetDimensions(2, 2, count)
    grid.SetSpacing(*(np.array(node.GetSpacing()) * [size[0], size[1], 1]))
    grid.AllocateScalars(vtk.VTK_DOUBLE, 3)
    vectors = vtk_to_numpy(grid.GetPointData().GetScalars()).reshape(count, 4, 3)
    vectors[:] = np.reshape(shifts, (count, 1, 3))
    transform = slicer.vtkOrientedGridTransform()
    directions = vtk.vtkMatrix4x4()
    node.GetIJKToRASDirectionMatrix(directions)
    transform.SetGridDirectionMatrix(directions)
    transform.SetDisplacementGridData(grid)
    scene = slicer.mrmlScene
    parent = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "acquisition transform")
    parent.SetAndObserveTransformToParent(transform)
    node.SetAndObserveTransformNodeID(parent.GetID())
    return parent
