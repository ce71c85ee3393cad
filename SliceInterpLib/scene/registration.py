"""What Slicer is told when it has started: the sample, and the layouts that scenes may be in.

Every start of Slicer imports this, opened or not, so nothing heavy is imported here.
"""

from __future__ import annotations

import slicer
import vtk

from SliceInterpLib.scene import comparison_layout, sample_data, slots


def register() -> None:
    """Offer the sample, and make the layouts known as soon as there is what shows layouts.

    Without a main window there may never be, and the rest works all the same.
    """
    sample_data.register()
    if comparison_layout.layout_node():
        comparison_layout.register_layouts()
    else:
        scene = slicer.mrmlScene
        slots.observe(scene, scene.NodeAddedEvent, _on_node_added)


@vtk.calldata_type(vtk.VTK_OBJECT)
def _on_node_added(_scene: slicer.vtkMRMLScene, _event: str, node: slicer.vtkMRMLNode) -> None:
    if node.IsA("vtkMRMLLayoutNode"):
        comparison_layout.register_layouts()
