"""The closed surface of a mask, as 3D Slicer makes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.mask import SegmentationError, bounds


class Surface(NamedTuple):
    """What a closed surface measures."""

    ml: float
    """Volume inside it in ml."""
    mm2: float
    """Its area in mm²."""


def closed_surface(volume: Volume, mask: np.ndarray, *, smoothing: float = 0.5) -> Surface:
    """Volume and area of the closed surface of a mask that is shaped as `volume.hu`.

    The surface is that of Slicer's segmentations with the same smoothing factor (0…1, by default
    0.5), made by the same steps: flying edges around the voxels, then windowed sinc smoothing
    (Taubin et al. 1996). Volume and area are those of its Segment Statistics (vtkMassProperties;
    Alyassin et al. 1994, Med. Phys. 21:889). Raises SegmentationError if VTK is missing, which
    Slicer has.
    """
    try:
        from vtkmodules.util.numpy_support import numpy_to_vtk
        from vtkmodules.vtkCommonDataModel import vtkImageData
        from vtkmodules.vtkCommonMath import vtkMatrix4x4
        from vtkmodules.vtkCommonTransforms import vtkMatrixToLinearTransform
        from vtkmodules.vtkFiltersCore import (
            vtkFlyingEdges3D,
            vtkMassProperties,
            vtkWindowedSincPolyDataFilter,
        )
        from vtkmodules.vtkFiltersGeneral import vtkTransformPolyDataFilter
    except ImportError as missing:
        raise SegmentationError(
            "The closed surface needs VTK, which is not installed. 3D Slicer has it; elsewhere: "
            "pip install vtk"
        ) from missing
    part = np.pad(mask[bounds(mask)], 1).astype(np.uint8)
    image = vtkImageData()
    image.SetDimensions(part.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(part.ravel(), deep=True))
    edges = vtkFlyingEdges3D()
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.SetInputData(image)
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(edges.GetOutputPort())
    # Iterations and pass band follow the factor as in Slicer's conversion rule.
    smooth.SetNumberOfIterations(int(20 + 40 * smoothing))
    smooth.SetPassBand(10.0 ** (-4.0 * smoothing))
    smooth.BoundarySmoothingOff()
    smooth.NonManifoldSmoothingOn()
    smooth.NormalizeCoordinatesOn()
    axes = np.eye(4)
    axes[:3, :3] = volume.direction * volume.spacing
    axes[0] *= np.sign(np.linalg.det(axes))  # a mirror image measures the same
    matrix = vtkMatrix4x4()
    matrix.DeepCopy(axes.ravel())
    transform = vtkMatrixToLinearTransform()
    transform.SetInput(matrix)
    placed = vtkTransformPolyDataFilter()
    placed.SetTransform(transform)
    placed.SetInputConnection(smooth.GetOutputPort())
    properties = vtkMassProperties()
    properties.SetInputConnection(placed.GetOutputPort())
    properties.Update()
    return Surface(properties.GetVolume() / 1000.0, properties.GetSurfaceArea())
