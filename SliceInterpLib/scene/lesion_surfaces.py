"""A lesion in 3D as two segmentations have it, side by side."""

from __future__ import annotations

import slicer


def show_side_by_side(
    left: slicer.vtkMRMLSegmentationNode, right: slicer.vtkMRMLSegmentationNode
) -> None:
    """Show the closed surface of each in its own view of Slicer's layout of two linked 3D views."""
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutDual3DView)
    for tag, segmentation in (("1", left), ("2", right)):
        view = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLViewNode")
        view.SetLinkedControl(True)
        segmentation.CreateClosedSurfaceRepresentation()
        _show_in(view, segmentation)
    manager = slicer.app.layoutManager()
    if manager:
        manager.resetThreeDViews()


def _show_in(view: slicer.vtkMRMLViewNode, segmentation: slicer.vtkMRMLSegmentationNode) -> None:
    """In 3D in this view only, by a display node of its own, since slices show it everywhere."""
    for other in slicer.util.getNodesByClass(segmentation.GetDisplayNode().GetClassName()):
        if other.GetViewNodeIDs() == (view.GetID(),):
            other.SetVisibility3D(False)
    everywhere, only = segmentation.GetDisplayNode(), segmentation.GetNthDisplayNode(1)
    if not only:
        only = slicer.mrmlScene.AddNewNodeByClass(everywhere.GetClassName())
        segmentation.AddAndObserveDisplayNodeID(only.GetID())
    everywhere.SetVisibility3D(False)
    only.SetVisibility2D(False)
    only.SetVisibility3D(True)
    only.RemoveAllViewNodeIDs()
    only.AddViewNodeID(view.GetID())
