"""The views of the scene's layout, rendered off-screen with Slicer's displayable managers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

_SLICE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)
_3D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
)


class View:
    """A window off the screen, with the displayable managers that fill it."""

    def __init__(self, size: tuple[int, int], factory: object, managers: tuple[str, ...]) -> None:
        factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        for name in managers:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(True)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.Initialize(factory, self.renderer)

    def grab(self) -> np.ndarray:
        """(height, width, 3) uint8 of what the view shows, the top row first."""
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1]


class ThreeDView(View):
    """What qMRMLThreeDWidget is in Slicer."""

    def __init__(self, node: slicer.vtkMRMLViewNode, size: tuple[int, int]) -> None:
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        super().__init__(size, factory, _3D_MANAGERS)
        self.node = node
        self._managers.SetMRMLDisplayableNode(node)

    def camera(self) -> slicer.vtkMRMLCameraNode:
        """The camera node that was made along with the view."""
        return slicer.modules.cameras.logic().GetViewActiveCameraNode(self.node)

    def turn(self, degrees: float) -> None:
        """Turn the camera about the head as a user's hand does, so that linked views follow."""
        camera = self.camera()
        camera.SetInteractionFlags(camera.CameraInteractionFlag)
        camera.InteractingOn()
        camera.GetCamera().Azimuth(degrees)
        camera.InteractingOff()


class SliceView(View):
    """What qMRMLSliceWidget is in Slicer: the logic, the displayable managers and a window."""

    def __init__(self, node: slicer.vtkMRMLSliceNode, size: tuple[int, int]) -> None:
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        super().__init__(size, factory, _SLICE_MANAGERS)
        self.node = node
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        app = slicer.app.applicationLogic()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(app)
        app.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(node.GetScene())
        self.logic.SetSliceNode(node)
        self._managers.SetMRMLDisplayableNode(node)
        self.logic.ResizeSliceNode(*size)
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        mapper.SetInputConnection(self.logic.GetImageDataConnection())
        self._image = vtk.vtkActor2D()
        self._image.SetMapper(mapper)
        self._image.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(self._image)

    def move_to(self, offset: float) -> None:
        """Move the slice as a user's hand does, so that linked views follow; mm."""
        self.logic.StartSliceNodeInteraction(slicer.vtkMRMLSliceNode.SliceToRASFlag)
        self.logic.SetSliceOffset(offset)
        self.logic.EndSliceNodeInteraction()


class Views:
    """Makes the view of a slice or 3D view node when it is first asked for."""

    def __init__(self, size: tuple[int, int] = (320, 280)) -> None:
        self._size = size
        self._views: dict[str, View] = {}

    def of(self, node: slicer.vtkMRMLAbstractViewNode) -> SliceView | ThreeDView:
        name = node.GetLayoutName()
        if name not in self._views:
            kind = SliceView if node.IsA("vtkMRMLSliceNode") else ThreeDView
            self._views[name] = kind(node, self._size)
        return self._views[name]

    def renderer(self, node: slicer.vtkMRMLSliceNode) -> vtk.vtkRenderer:
        return self.of(node).renderer

    def grab(self, nodes: list[list[slicer.vtkMRMLAbstractViewNode]]) -> np.ndarray:
        """The views in rows, as one picture with white lines between them."""
        rows = [np.hstack([_framed(self.of(node).grab()) for node in row]) for row in nodes]
        return np.vstack(rows)


def _framed(picture: np.ndarray) -> np.ndarray:
    return np.pad(picture, ((1, 1), (1, 1), (0, 0)), constant_values=255)


def write_png(picture: np.ndarray, path: str | Path) -> None:
    """Write (height, width, 3) uint8 as a PNG."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(picture), isVector=True)
    sitk.WriteImage(image, str(path), useCompression=True)
