"""The comparison's layout: nine linked slice views, a row an orientation, a column a volume.

Below them there can be a row of 3D views, for the skulls.
"""

from __future__ import annotations

import slicer

LAYOUT, LAYOUT_WITH_SKULLS = 71502, 71503
"""Ids of the layouts, above those of Slicer and apart from those of known extensions."""

VIEW_GROUP = 71
"""Views are linked within a group only, so the user's own views stay where they are."""

ROWS = ("Axial", "Coronal", "Sagittal")
COLUMNS = ("Original", "Classical", "Learned")

_COLOURS = {"Axial": "#F34A33", "Coronal": "#6DAD4A", "Sagittal": "#EDD54C"}


def layout_node() -> slicer.vtkMRMLLayoutNode:
    """What says which layout is shown; None where Slicer has no views, without its main window."""
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def is_in_layout() -> bool:
    """Whether Slicer is in one of our layouts; also after a scene was read that was saved so."""
    layout = layout_node()
    return bool(layout) and layout.GetViewArrangement() in (LAYOUT, LAYOUT_WITH_SKULLS)


def register_layouts() -> None:
    """Make our layouts known to the layout node, and so to Slicer's layout manager.

    A scene that was read before, and is in one of them, is shown in it from now on.
    """
    layout = layout_node()
    rows = ["".join(_view_xml(row, column) for column in range(len(COLUMNS))) for row in ROWS]
    in_3d = "".join(map(_view_3d_xml, COLUMNS))
    for number, shown in ((LAYOUT, rows), (LAYOUT_WITH_SKULLS, [*rows, in_3d])):
        items = "".join(
            f'<item><layout type="horizontal" split="true">{row}</layout></item>' for row in shown
        )
        description = f'<layout type="vertical" split="true">{items}</layout>'
        if layout.IsLayoutDescription(number):
            layout.SetLayoutDescription(number, description)
        else:
            layout.AddLayoutDescription(number, description)
    if is_in_layout():
        layout.SetViewArrangement(layout.GetViewArrangement())


def slice_node(row: str, column: str) -> slicer.vtkMRMLSliceNode:
    """The slice node of one of the nine views; it is there once the layout was shown."""
    return slicer.mrmlScene.GetSingletonNode(_tag(row, column), "vtkMRMLSliceNode")


def view_3d_node(column: str) -> slicer.vtkMRMLViewNode:
    """The 3D view of a column; it is there once its layout was shown."""
    return slicer.mrmlScene.GetSingletonNode(_tag_3d(column), "vtkMRMLViewNode")


def composite_node(view: slicer.vtkMRMLSliceNode) -> slicer.vtkMRMLSliceCompositeNode:
    """What a slice view shows; made here if its view has not yet done so, and then used by it."""
    scene, name = slicer.mrmlScene, view.GetLayoutName()
    for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if node.GetLayoutName() == name:
            return node
    node = slicer.vtkMRMLSliceCompositeNode()
    node.SetLayoutName(name)
    node.SetSingletonTag(name)
    return scene.AddNode(node)


def _tag(row: str, column: str) -> str:
    return f"SliceInterp{row}-{column}"


def _view_xml(row: str, column: int) -> str:
    properties = {
        "orientation": row,
        "viewlabel": f"{row[0]}{column + 1}",
        "viewcolor": _COLOURS[row],
        "viewgroup": VIEW_GROUP,
    }
    inside = "".join(
        f'<property name="{name}" action="default">{value}</property>'
        for name, value in properties.items()
    )
    tag = _tag(row, COLUMNS[column])
    return f'<item><view class="vtkMRMLSliceNode" singletontag="{tag}">{inside}</view></item>'


def _tag_3d(column: str) -> str:
    return f"SliceInterpSkull-{column}"


def _view_3d_xml(column: str) -> str:
    return (
        f'<item><view class="vtkMRMLViewNode" singletontag="{_tag_3d(column)}">'
        f'<property name="viewlabel" action="default">{column[0]}3D</property>'
        f'<property name="viewgroup" action="default">{VIEW_GROUP}</property></view></item>'
    )
