"""The original, a classical and the learned volume side by side, in linked slice views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import slicer
import vtk

from SliceInterpLib.scene import overlays, skulls, slots
from SliceInterpLib.scene.comparison_layout import (
    COLUMNS,
    LAYOUT,
    LAYOUT_WITH_SKULLS,
    ROWS,
    VIEW_GROUP,
    composite_node,
    is_in_layout,
    layout_node,
    register_layouts,
    slice_node,
)
from SliceInterpLib.scene.view_labels import Label, title_of

Renderers = Callable[[slicer.vtkMRMLSliceNode], "vtk.vtkRenderer | None"]


class Comparison:
    """A layout of nine linked slice views: a row an orientation, a column a volume.

    An overlay, marks and a fourth row with the skulls in 3D can be switched on and off.

    Args:
        renderers: the renderer of a slice node's view, or None; by default asks Slicer's layout
            manager. It is where the titles and the marks "acquired" and "synthetic" are written.
    """

    def __init__(self, renderers: Renderers | None = None) -> None:
        self._renderers = renderers or _slicer_renderer
        self._volumes: list[slicer.vtkMRMLScalarVolumeNode] = []
        self._arrangement = 0
        self._looks: list[_Look] = []
        self._labels: list[Label] = []
        self._observers: list[tuple[vtk.vtkObject, int]] = []
        self._overlay: overlays.Overlay | None = None
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
        self._looks = [_Look.of(volume) for volume in (original, classical, learned)]
        self._volumes = [original, classical, learned]
        register_layouts()
        layout = layout_node()
        self._arrangement = layout.GetViewArrangement()
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

    def show_overlay(self, kind: overlays.Kind | None) -> None:
        """Lay a map in HU over the learned column in place of what lies there; None: nothing."""
        if self._overlay:
            self._overlay.remove()
        self._overlay = None
        if kind and self.shown:
            self._overlay = overlays.make_overlay(kind, *self._volumes[1:])
        over = self._overlay
        for view in filter(None, (slice_node(row, COLUMNS[2]) for row in ROWS)):
            composite = composite_node(view)
            composite.SetForegroundVolumeID(over.node.GetID() if over else None)
            composite.SetForegroundOpacity(over.opacity if over else 0.0)
        for label in self._labels[2 :: len(COLUMNS)]:
            label.title(over.title if over else title_of(self._volumes[2]))
        if over:
            # Legends are made for the views that show their volume at that moment.
            over.add_legend()

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
            layout_node().SetViewArrangement(LAYOUT_WITH_SKULLS)
            self._skulls = skulls.Skulls(dict(zip(COLUMNS, self._volumes, strict=True)))
            self._skulls.fit()
        elif is_in_layout():
            layout_node().SetViewArrangement(LAYOUT)

    def leave(self) -> None:
        """Back to the layout, and the look of the volumes, that were there before."""
        if not self.shown:
            return
        self.show_overlay(None)
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
            layout_node().SetViewArrangement(self._arrangement)

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
                label = Label(view, volume, title_of(volume), self._renderers(view))
                label.show_mark(self._with_marks)
                self._labels.append(label)
                logic = self._logic_of(view)
                if logic:
                    logic.GetSliceDisplayNode().SetIntersectingSlicesVisibility(True)
                self._observers.append((view, slots.observe(view, modified, label.update)))
        for volume in self._volumes:
            display = volume.GetDisplayNode()
            tag = slots.observe(display, modified, self._spread_window)
            self._observers.append((display, tag))

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


def _slicer_renderer(view: slicer.vtkMRMLSliceNode) -> vtk.vtkRenderer | None:
    manager = slicer.app.layoutManager()
    widget = manager.sliceWidget(view.GetLayoutName()) if manager else None
    return widget.sliceView().renderWindow().GetRenderers().GetFirstRenderer() if widget else None
