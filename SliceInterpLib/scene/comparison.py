"""The original, a classical and the learned volume side by side, in linked slice views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import slicer
import vtk

from SliceInterpLib.scene import nodes, skulls
from SliceInterpLib.scene.difference import Difference

LAYOUT, LAYOUT_WITH_SKULLS = 71502, 71503
"""Ids of the layouts, above those of Slicer and apart from those of known extensions."""

VIEW_GROUP = 71
"""Views are linked within a group only, so the user's own views stay where they are."""

ROWS = ("Axial", "Coronal", "Sagittal")
COLUMNS = ("Original", "Classical", "Learned")

_COLOURS = {"Axial": "#F34A33", "Coronal": "#6DAD4A", "Sagittal": "#EDD54C"}
_ALIGNED = 0.99
"""Cosine of the angle up to which a view counts as looking along the slices' normal."""

Renderers = Callable[[slicer.vtkMRMLSliceNode], "vtk.vtkRenderer | None"]


class Comparison:
    """A layout of nine linked slice views: a row an orientation, a column a volume.

    Differences, marks and a fourth row with the skulls in 3D can be switched on and off.
    renderers: the renderer of a slice node's view, or None; by default asks Slicer's layout
    manager. It is where the titles and the marks "acquired" and "synthetic" are written.
    """

    def __init__(self, renderers: Renderers | None = None) -> None:
        self._renderers = renderers or _slicer_renderer
        self._volumes: list[slicer.vtkMRMLScalarVolumeNode] = []
        self._arrangement = 0
        self._looks: list[_Look] = []
        self._labels: list[_Label] = []
        self._observers: list[tuple[vtk.vtkObject, int]] = []
        self._difference: Difference | None = None
        self._skulls: skulls.Skulls | None = None
        self._with_marks = True
        self._spreading = False

    @property
    def shown(self) -> bool:
        """Whether the comparison is what the user sees."""
        return bool(self._volumes)

    def show(
        self,
        original: slicer.vtkMRMLScalarVolumeNode,
        classical: slicer.vtkMRMLScalarVolumeNode,
        learned: slicer.vtkMRMLScalarVolumeNode,
    ) -> None:
        """Switch to the comparison of these three volumes, in the original's window."""
        self.leave()
        self._volumes = [original, classical, learned]
        register_layouts()
        layout = _layout_node()
        self._arrangement = layout.GetViewArrangement()
        self._looks = [_Look.of(volume) for volume in self._volumes]
        if is_in_layout():
            # The scene was saved in the comparison; what was there before is not known.
            self._arrangement = layout.SlicerLayoutFourUpView
            self._looks = [replace(look, interpolate=True) for look in self._looks]
        layout.SetViewArrangement(LAYOUT)
        # Slicer's smoothing would be a second interpolation over the ones that are compared.
        window, level = self._looks[0].window, self._looks[0].level
        for volume in self._volumes:
            _Look(False, window, level, False).give(volume)
        for row in ROWS:
            for column, volume in zip(COLUMNS, self._volumes, strict=True):
                self._fill(row, column, volume)
        self.fit()
        self._observe()

    def show_difference(self, on: bool) -> None:
        """Lay the map of learned − classical in HU over the learned column, or take it away."""
        if self._difference:
            self._difference.remove()
            self._difference = None
        if on and self.shown:
            name = f"{title_of(self._volumes[2])} − {title_of(self._volumes[1])}"
            self._difference = Difference(self._volumes[1], self._volumes[2], name)
        shown = self._difference.node if self._difference else None
        for view in filter(None, (slice_node(row, COLUMNS[2]) for row in ROWS)):
            composite = composite_node(view)
            composite.SetForegroundVolumeID(shown.GetID() if shown else None)
            composite.SetForegroundOpacity(1.0 if shown else 0.0)
        for label in self._labels[2 :: len(COLUMNS)]:
            label.title(shown.GetName() if shown else title_of(self._volumes[2]))
        if shown:
            # Legends are made for the views that show their volume at that moment.
            self._difference.add_legend()

    def show_marks(self, on: bool) -> None:
        """Write in every view whether its slice is acquired or synthetic, or do not."""
        self._with_marks = on
        for label in self._labels:
            label.show_mark(on)

    def show_skulls(self, on: bool) -> None:
        """Add a fourth row with the skull of each volume in 3D, or take it away."""
        self._remove_skulls()
        if not self.shown:
            return
        if on:
            _layout_node().SetViewArrangement(LAYOUT_WITH_SKULLS)
            self._skulls = skulls.Skulls(dict(zip(COLUMNS, self._volumes, strict=True)), VIEW_GROUP)
            self._skulls.fit()
        elif is_in_layout():
            _layout_node().SetViewArrangement(LAYOUT)

    def leave(self) -> None:
        """Back to the layout, and the look of the volumes, that were there before."""
        if not self.shown:
            return
        self.show_difference(False)
        self._remove_skulls()
        for observed, tag in self._observers:
            observed.RemoveObserver(tag)
        for label in self._labels:
            label.remove()
        for volume, look in zip(self._volumes, self._looks, strict=True):
            if slicer.mrmlScene.IsNodePresent(volume):
                look.give(volume)
        self._volumes, self._labels, self._observers = [], [], []
        # A layout that the user has chosen meanwhile stays.
        if is_in_layout():
            _layout_node().SetViewArrangement(self._arrangement)

    def fit(self) -> None:
        """Show the whole of the original in every view, and the same place in each row."""
        for row in ROWS:
            first = slice_node(row, COLUMNS[0])
            logic = self._logic_of(first)
            if logic:
                logic.FitSliceToBackground()
            width, _, depth = first.GetFieldOfView()
            for column in COLUMNS[1:]:
                node = slice_node(row, column)
                across, down, _ = node.GetDimensions()
                node.GetSliceToRAS().DeepCopy(first.GetSliceToRAS())
                node.SetFieldOfView(width, width * down / max(across, 1), depth)
                node.UpdateMatrices()
        if self._skulls:
            self._skulls.fit()

    def _remove_skulls(self) -> None:
        if self._skulls:
            self._skulls.remove()
            self._skulls = None

    def _logic_of(self, view: slicer.vtkMRMLSliceNode) -> slicer.vtkMRMLSliceLogic | None:
        return slicer.app.applicationLogic().GetSliceLogicByLayoutName(view.GetLayoutName())

    def _fill(self, row: str, column: str, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
        view = slice_node(row, column)
        composite = composite_node(view)
        composite.SetBackgroundVolumeID(volume.GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetLabelVolumeID(None)
        composite.SetLinkedControl(True)
        composite.SetHotLinkedControl(True)
        view.SetViewGroup(VIEW_GROUP)
        view.SetOrientation(row)
        # Oblique scans: look along the scan's own axes, so that a view shows whole slices.
        view.RotateToVolumePlane(self._volumes[0])

    def _observe(self) -> None:
        modified = vtk.vtkCommand.ModifiedEvent
        for row in ROWS:
            for column, volume in zip(COLUMNS, self._volumes, strict=True):
                view = slice_node(row, column)
                label = _Label(view, volume, title_of(volume), self._renderers(view))
                label.show_mark(self._with_marks)
                self._labels.append(label)
                logic = self._logic_of(view)
                if logic:
                    logic.GetSliceDisplayNode().SetIntersectingSlicesVisibility(True)
                self._observers.append((view, view.AddObserver(modified, label.update)))
        for volume in self._volumes:
            display = volume.GetDisplayNode()
            self._observers.append((display, display.AddObserver(modified, self._spread_window)))

    def _spread_window(self, changed: slicer.vtkMRMLScalarVolumeDisplayNode, *_: object) -> None:
        """The window of one volume is that of all."""
        if self._spreading:
            return
        self._spreading = True
        for volume in self._volumes:
            display = volume.GetDisplayNode()
            if display and display is not changed:
                display.SetWindowLevel(changed.GetWindow(), changed.GetLevel())
        self._spreading = False


def is_in_layout() -> bool:
    """Whether Slicer is in one of our layouts; also after a scene was read that was saved so."""
    layout = _layout_node()
    return bool(layout) and layout.GetViewArrangement() in (LAYOUT, LAYOUT_WITH_SKULLS)


def register_layouts() -> None:
    """Make our layouts known to the layout node, and so to Slicer's layout manager."""
    layout = _layout_node()
    rows = ["".join(_view_xml(row, column) for column in range(len(COLUMNS))) for row in ROWS]
    in_3d = "".join(skulls.view_xml(column, VIEW_GROUP) for column in COLUMNS)
    for number, shown in ((LAYOUT, rows), (LAYOUT_WITH_SKULLS, [*rows, in_3d])):
        items = "".join(
            f'<item><layout type="horizontal" split="true">{row}</layout></item>' for row in shown
        )
        description = f'<layout type="vertical" split="true">{items}</layout>'
        if layout.IsLayoutDescription(number):
            layout.SetLayoutDescription(number, description)
        else:
            layout.AddLayoutDescription(number, description)


def slice_node(row: str, column: str) -> slicer.vtkMRMLSliceNode:
    """The slice node of one of the nine views; it is there once the layout was shown."""
    return slicer.mrmlScene.GetSingletonNode(_tag(row, column), "vtkMRMLSliceNode")


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


def title_of(volume: slicer.vtkMRMLScalarVolumeNode) -> str:
    """What stands over a column."""
    made = nodes.provenance_of(volume)
    if not made:
        return "Original"
    method = str(made.get("method", "")).replace("-", " ")
    return "SliceInterp" if method == "learned" else method.capitalize()


def marks_of(volume: slicer.vtkMRMLScalarVolumeNode) -> tuple[int, np.ndarray]:
    """Array axis of the slices and (slice_count,) bool, True where synthetic.

    A volume without our attributes has acquired slices only.
    """
    marks = nodes.synthetic_slices_of(volume)
    if marks:
        return marks
    original = nodes.volume_from_node(volume)
    return original.slice_axis, np.zeros(original.slice_count, bool)


def mark_of(
    view: slicer.vtkMRMLSliceNode,
    volume: slicer.vtkMRMLScalarVolumeNode,
    marks: tuple[int, np.ndarray] | None = None,
) -> str:
    """'acquired' or 'synthetic', of the slice that a view shows; '' across the slices or outside.

    marks: the volume's `marks_of`, where they are known already.
    """
    axis, synthetic = marks or marks_of(volume)
    to_ijk = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(to_ijk)
    plane = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())

    def position(place: np.ndarray) -> float:
        local = [0.0, 0.0, 0.0]
        volume.TransformPointFromWorld(place, local)
        return to_ijk.MultiplyPoint([*local, 1.0])[2 - axis]

    # A step within the view's plane must not lead to another slice, and a step out of it must.
    here = position(plane[:3, 3])
    steps = [abs(position(plane[:3, 3] + plane[:3, k]) - here) for k in range(3)]
    index = int(np.floor(here + 0.5))
    if steps[2] < _ALIGNED * np.linalg.norm(steps) or not 0 <= index < len(synthetic):
        return ""
    return "synthetic" if synthetic[index] else "acquired"


@dataclass
class _Look:
    """How a volume is shown."""

    auto: bool
    window: float
    level: float
    interpolate: bool

    @classmethod
    def of(cls, volume: slicer.vtkMRMLScalarVolumeNode) -> _Look:
        if not volume.GetDisplayNode():
            volume.CreateDefaultDisplayNodes()
        display = volume.GetDisplayNode()
        return cls(
            bool(display.GetAutoWindowLevel()),
            display.GetWindow(),
            display.GetLevel(),
            bool(display.GetInterpolate()),
        )

    def give(self, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
        display = volume.GetDisplayNode()
        with slicer.util.NodeModify(display):
            display.SetAutoWindowLevel(self.auto)
            display.SetWindowLevel(self.window, self.level)
            display.SetInterpolate(self.interpolate)


class _Label:
    """Title and mark in the upper corners of a view, apart from Slicer's own annotations."""

    def __init__(
        self,
        view: slicer.vtkMRMLSliceNode,
        volume: slicer.vtkMRMLScalarVolumeNode,
        title: str,
        renderer: vtk.vtkRenderer | None,
    ) -> None:
        self._view, self._volume, self._renderer = view, volume, renderer
        self._marks = marks_of(volume)
        self._with_mark = True
        self._text = vtk.vtkCornerAnnotation()
        self._text.SetMaximumFontSize(15)
        if renderer:
            renderer.AddViewProp(self._text)
        self.title(title)
        self.update()

    def title(self, title: str) -> None:
        """Write what the view shows."""
        self._text.SetText(vtk.vtkCornerAnnotation.UpperLeft, title)

    def show_mark(self, on: bool) -> None:
        """Whether to write the mark at all."""
        self._with_mark = on
        self.update()

    def update(self, *_: object) -> None:
        """Write the mark of the slice that is now shown."""
        mark = mark_of(self._view, self._volume, self._marks) if self._with_mark else ""
        self._text.SetText(vtk.vtkCornerAnnotation.UpperRight, mark)
        # The synthetic slice is what a reader must not miss.
        colour = (1.0, 0.8, 0.2) if mark == "synthetic" else (1.0, 1.0, 1.0)
        self._text.GetTextProperty().SetColor(*colour)

    def remove(self) -> None:
        if self._renderer:
            self._renderer.RemoveViewProp(self._text)


def _tag(row: str, column: str) -> str:
    return f"SliceInterp{row}-{column}"


def _layout_node() -> slicer.vtkMRMLLayoutNode:
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")


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


def _slicer_renderer(view: slicer.vtkMRMLSliceNode) -> vtk.vtkRenderer | None:
    manager = slicer.app.layoutManager()
    widget = manager.sliceWidget(view.GetLayoutName()) if manager else None
    return widget.sliceView().renderWindow().GetRenderers().GetFirstRenderer() if widget else None
