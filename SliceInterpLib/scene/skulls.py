"""The skull of each volume of the comparison in 3D, in views whose cameras move together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import slicer
import vtk

from SliceInterpLib.scene import nodes, slots
from SliceInterpLib.scene.comparison_layout import VIEW_GROUP, view_3d_node
from SliceInterpLib.scene.voxels import image_of

SURFACE_HU = 300.0
"""The surface lies where the volume passes through this."""

_STEP = 1.0
"""mm between the voxels that the surface is drawn from: finer ones only make it slower."""

_BONE_COLOUR = (0.95, 0.88, 0.74)
_FROM = (-0.45, 0.75, 0.5)
"""Where the camera is, seen from the middle of the head, in RAS: in front, left and above."""


class Skulls:
    """Surfaces of the bone, each in its own 3D view: the first at once, the others soon after.

    The views are there once LAYOUT_WITH_SKULLS was shown.

    Args:
        volumes: by the name of their column.
    """

    def __init__(self, volumes: Mapping[str, slicer.vtkMRMLScalarVolumeNode]) -> None:
        self._views = [view_3d_node(column) for column in volumes]
        for view in self._views:
            _dress(view)
        self._models = [
            _add_model(volume, view)
            for volume, view in zip(volumes.values(), self._views, strict=True)
        ]
        self._bare = list(zip(self._models, volumes.values(), strict=True))
        self._draw_next()

    def _draw_next(self) -> None:
        """One surface in a turn of the event loop, or the window would stand still for all."""
        import qt

        if not self._bare:
            return  # they were removed
        model, volume = self._bare.pop(0)
        if slicer.mrmlScene.IsNodePresent(volume):
            model.SetAndObservePolyData(bone_surface(volume))
        qt.QTimer.singleShot(0, slots.reporting(self._draw_next))

    def fit(self) -> None:
        """Look at the first skull from the front, left and above, with every camera alike."""
        bounds = np.zeros(6)
        self._models[0].GetRASBounds(bounds)
        low, high = bounds[::2], bounds[1::2]
        if not (low < high).all():
            return  # there is no bone
        middle, away = (low + high) / 2, np.array(_FROM) / np.linalg.norm(_FROM)
        for view in self._views:
            # Slicer makes the camera along with the view's widget.
            camera = slicer.modules.cameras.logic().GetViewActiveCameraNode(view)
            if camera:
                half_angle = np.radians(camera.GetViewAngle() / 2)
                distance = 0.43 * np.linalg.norm(high - low) / np.sin(half_angle)
                with slicer.util.NodeModify(camera):
                    camera.SetFocalPoint(middle)
                    camera.SetPosition(middle + distance * away)
                    camera.SetViewUp(0, 0, 1)
                camera.ResetClippingRange()

    def remove(self) -> None:
        """Take the surfaces out of the scene; the views stay, as Slicer's own do."""
        self._bare.clear()
        for model in self._models:
            nodes.remove_node(model)


def highest_hu(volume: slicer.vtkMRMLScalarVolumeNode) -> float:
    """The brightest voxel. At or below SURFACE_HU there is no skull to show, but a brain window."""
    return volume.GetImageData().GetScalarRange()[1]


def bone_surface(volume: slicer.vtkMRMLScalarVolumeNode) -> vtk.vtkPolyData:
    """The surface of the bone in the volume's own coordinates, below its parent transform."""
    rate = [max(1, round(_STEP / spacing)) for spacing in volume.GetSpacing()]
    taken = tuple(slice(None, None, step) for step in reversed(rate))
    thinned = image_of(slicer.util.arrayFromVolume(volume)[taken])
    thinned.SetSpacing(rate)
    surface = vtk.vtkFlyingEdges3D()
    surface.SetInputData(thinned)
    surface.SetValue(0, SURFACE_HU)
    surface.ComputeScalarsOff()
    to_ras, matrix = vtk.vtkTransform(), vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    to_ras.SetMatrix(matrix)
    placed = vtk.vtkTransformPolyDataFilter()
    placed.SetTransform(to_ras)
    placed.SetInputConnection(surface.GetOutputPort())
    placed.Update()
    return placed.GetOutput()


def _add_model(
    volume: slicer.vtkMRMLScalarVolumeNode, view: slicer.vtkMRMLViewNode
) -> slicer.vtkMRMLModelNode:
    scene = slicer.mrmlScene
    model, display = slicer.vtkMRMLModelNode(), slicer.vtkMRMLModelDisplayNode()
    model.SetName(f"{volume.GetName()} skull")
    for node in (model, display):
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
    display.SetColor(_BONE_COLOUR)
    # Where the scan ends one looks into the skull.
    display.SetBackfaceCulling(False)
    display.AddViewNodeID(view.GetID())
    scene.AddNode(display)
    scene.AddNode(model)
    model.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    model.SetAndObserveDisplayNodeID(display.GetID())
    return model


def _dress(view: slicer.vtkMRMLViewNode) -> None:
    """Black as the slice views, and linked."""
    with slicer.util.NodeModify(view):
        view.SetBackgroundColor(0, 0, 0)
        view.SetBackgroundColor2(0, 0, 0)
        view.SetBoxVisible(False)
        view.SetAxisLabelsVisible(False)
        view.SetViewGroup(VIEW_GROUP)
        view.SetLinkedControl(True)
