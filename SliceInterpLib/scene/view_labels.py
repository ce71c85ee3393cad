"""What is written into the views of the comparison: what they show, and whether it was acquired."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from SliceInterpLib.scene import nodes
from SliceInterpLib.scene.marks import provenance_of, synthetic_slices_of
from SliceInterpLib.scene.words import method_in_words

_ALIGNED = 0.99
"""Cosine of the angle up to which a view counts as looking along the slices' normal."""


def title_of(volume: slicer.vtkMRMLScalarVolumeNode) -> str:
    """What stands over a column."""
    made = provenance_of(volume)
    if not made:
        return _("Original")
    method = str(made.get("method", ""))
    return "SliceInterp" if method == "learned" else method_in_words(method)


def marks_of(volume: slicer.vtkMRMLScalarVolumeNode) -> tuple[int, np.ndarray]:
    """Array axis of the slices and (slice_count,) bool, True where synthetic.

    A volume without our attributes has acquired slices only.
    """
    marks = synthetic_slices_of(volume)
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

    Args:
        view: the slice view's node.
        volume: what it shows.
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


class Label:
    """Title and mark in the upper corners of a view, apart from Slicer's own annotations.

    Args:
        view: the slice view's node.
        volume: what it shows.
        title: what stands in the upper left.
        renderer: of the view; None where there is none, and then nothing is drawn.
    """

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

    def update(self, *_event: object) -> None:
        """Write the mark of the slice that is now shown."""
        mark = mark_of(self._view, self._volume, self._marks) if self._with_mark else ""
        told = {"acquired": _("acquired"), "synthetic": _("synthetic")}.get(mark, "")
        self._text.SetText(vtk.vtkCornerAnnotation.UpperRight, told)
        # The synthetic slice is what a reader must not miss.
        colour = (1.0, 0.8, 0.2) if mark == "synthetic" else (1.0, 1.0, 1.0)
        self._text.GetTextProperty().SetColor(*colour)

    def remove(self) -> None:
        """Take it out of the view."""
        if self._renderer:
            self._renderer.RemoveViewProp(self._text)
