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
    """Volume and area of the closed surface of a mask.

    The surface is that of Slicer's segmentations with the same smoothing factor, made by the same
    steps: flying edges around the voxels, then windowed sinc smoothing (Taubin et al. 1996), here
    of points that are where the slices lie in the patient. Volume and area are those of its Segment
    Statistics (vtkMassProperties; Alyassin et al. 1994, Med. Phys. 21:889).

    Args:
        volume: the scan, for its geometry.
        mask: bool, shaped as `volume.slices`; not empty.
        smoothing: Slicer's factor, 0…1.

    Raises:
        SegmentationError: if VTK is missing, which Slicer has.
    """
    try:
        from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
        from vtkmodules.vtkCommonDataModel import vtkImageData
        from vtkmodules.vtkFiltersCore import (
            vtkFlyingEdges3D,
            vtkMassProperties,
            vtkWindowedSincPolyDataFilter,
        )
    except ImportError as missing:
        raise SegmentationError(
            "The closed surface needs VTK, which is not installed. 3D Slicer has it; elsewhere: "
            "pip install vtk"
        ) from missing
    box = bounds(mask)
    part = np.pad(mask[box], 1).astype(np.uint8)
    image = vtkImageData()
    image.SetDimensions(part.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(part.ravel(), deep=True))
    edges = vtkFlyingEdges3D()
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.SetInputData(image)
    edges.Update()
    surface = edges.GetOutput()
    points = surface.GetPoints()
    corner = [side.start - 1 for side in box]
    indices = vtk_to_numpy(points.GetData())[:, ::-1] + corner
    points.SetData(numpy_to_vtk(_placed(volume, indices), deep=True))
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputData(surface)
    # Iterations and pass band follow the factor as in Slicer's conversion rule.
    smooth.SetNumberOfIterations(int(20 + 40 * smoothing))
    smooth.SetPassBand(10.0 ** (-4.0 * smoothing))
    smooth.BoundarySmoothingOff()
    smooth.NonManifoldSmoothingOn()
    smooth.NormalizeCoordinatesOn()
    properties = vtkMassProperties()
    properties.SetInputConnection(smooth.GetOutputPort())
    properties.Update()
    return Surface(properties.GetVolume() / 1000.0, properties.GetSurfaceArea())


def _placed(volume: Volume, indices: np.ndarray) -> np.ndarray:
    """(m, 3) float32 mm, of fractional indices (slice, row, column), from where they begin.

    A left-handed array is mirrored, which measures the same: the surface's inside stays inside.
    """
    places = volume.places(indices)
    places -= places[0]  # float32 has no digits left for far-off coordinates
    columns, rows = volume.in_plane_axes.T
    places[:, 0] *= np.sign(np.cross(columns, rows) @ volume.normal)
    return places.astype(np.float32)
