"""The section of the panel that measures a hematoma: seeds, threshold range, preview, table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import slicer

from SliceInterpLib.errors import SliceInterpError, VolumeError
from SliceInterpLib.scene import lesion_surfaces, nodes, segmentations, slots, tables, volumetry
from SliceInterpLib.scene.wrapping import breakable
from SliceInterpLib.volumetry.mask import SegmentationError, voxel_ml
from SliceInterpLib.volumetry.segmentation import Segmentation, SegmentationSettings, Segmenter

_DELAY_MS = 200
"""The preview follows when nothing was moved for this long."""

_HELP = (
    "Place a seed in the hematoma; without one, all blood in the skull is taken. A segmentation "
    "of your own can be measured as well."
)


class VolumetrySection:
    """The behaviour of the section's widgets.

    Args:
        ui: the widgets by name.
        select_module: opens a module of Slicer by name.
    """

    def __init__(self, ui: Any, select_module: Callable[[str], None] | None = None) -> None:
        import qt

        self.ui = ui
        self.select_module = select_module or slicer.util.selectModule
        self._source: Any = None
        self._segmenter: tuple = (None, None)
        self._watched: tuple = (None, [])
        self._seeds: segmentations.Seeds = []
        self._preview: slicer.vtkMRMLSegmentationNode | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        slots.connect(self._timer, "timeout()", self.update_preview)
        for button, pressed in (
            (ui.seedButton, self.on_seed),
            (ui.clearSeedsButton, self.on_clear_seeds),
            (ui.segmentButton, self.on_segment),
            (ui.editSegmentationButton, self.on_edit),
            (ui.measureButton, self.on_measure),
            (ui.surfacesButton, self.on_surfaces),
        ):
            slots.connect(button, "clicked()", pressed)
        for slider in (ui.lowSlider, ui.highSlider):
            slots.connect(slider, "valueChanged(double)", self._on_limit)
        slots.connect(ui.automaticCheckBox, "toggled(bool)", self._on_automatic)
        slots.connect(
            ui.segmentationSelector, "currentNodeChanged(vtkMRMLNode*)", self._on_segmentation
        )
        self._on_automatic(ui.automaticCheckBox.checked)

    def refresh(self, source: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Work on this volume; None: on none, and leave nothing in the views."""
        if source is not self._source:
            self._timer.stop()
            self._remove_preview()
            self._source = source
            self._seeds = segmentations.seeds_of(source) if source else []
            self.ui.volumetryLabel.text = _HELP
        self._watch(segmentations.seeds_node_of(source) if source else None)
        self._enable()

    def _on_segmentation(self, _node: slicer.vtkMRMLNode | None) -> None:
        self._enable()

    def _enable(self) -> None:
        chosen = bool(self._source)
        for widget in (self.ui.seedButton, self.ui.segmentButton):
            widget.enabled = chosen
        self.ui.clearSeedsButton.enabled = bool(self._seeds)
        chosen = chosen and bool(self.ui.segmentationSelector.currentNode())
        for widget in (
            self.ui.editSegmentationButton,
            self.ui.measureButton,
            self.ui.surfacesButton,
        ):
            widget.enabled = chosen

    # Seeds and range, and what they give

    def on_seed(self) -> None:
        """The next click into a view places a seed."""
        segmentations.start_placing_seed(self._source)
        self.refresh(self._source)

    def on_clear_seeds(self) -> None:
        """Take all seeds away."""
        seeds = segmentations.seeds_node_of(self._source)
        if seeds:
            seeds.RemoveAllControlPoints()

    def _watch(self, seeds: slicer.vtkMRMLMarkupsNode | None) -> None:
        """Follow the points, which the user may place, drag and delete."""
        node, tags = self._watched
        if seeds is node:
            return
        for tag in tags:
            node.RemoveObserver(tag)
        events = ("PointPositionDefinedEvent", "PointModifiedEvent", "PointRemovedEvent")
        tags = [slots.observe(seeds, getattr(seeds, e), self._on_points) for e in events if seeds]
        self._watched = (seeds, tags)
        self._on_points()

    def _on_points(self, *_: object) -> None:
        seeds = segmentations.seeds_of(self._source) if self._source else []
        if seeds == self._seeds:
            return
        self._seeds = seeds
        self._enable()
        if seeds:
            self._timer.start()
        else:
            self._timer.stop()
            self._remove_preview()
            self.ui.volumetryLabel.text = _HELP

    def _on_automatic(self, on: bool) -> None:
        self.ui.lowSlider.enabled = self.ui.highSlider.enabled = not on
        if on and self._preview:
            self._timer.start()

    def _on_limit(self, _value: float) -> None:
        # While the range is automatic, it is the preview that moves the sliders.
        if self._source and not self.ui.automaticCheckBox.checked:
            self._timer.start()

    def update_preview(self) -> None:
        """Outline in the slice views what Segment would find."""
        found = None
        with self._telling():
            found = self._segment()
            self._preview = self._preview or segmentations.add_preview(self._source)
            segmentations.set_mask(self._preview, self._source, found.mask)
        if found is None:
            self._remove_preview()

    def on_segment(self) -> None:
        """Keep what is found as a segmentation node."""
        with self._telling():
            found = self._segment()
            self._timer.stop()
            self._remove_preview()
            node = segmentations.add_segmentation(
                self._source, found, self._seeds, self._settings()
            )
            self.ui.segmentationSelector.setCurrentNode(node)

    def _segment(self) -> Segmentation:
        segmenter = self._segmenter_of_source()
        found = segmenter.segment(self._seeds, self._settings())
        if self.ui.automaticCheckBox.checked:
            self.ui.lowSlider.value, self.ui.highSlider.value = found.limits_hu
        low, high = found.limits_hu
        ml = voxel_ml(segmenter.volume, found.mask)
        self._say(f"{ml:.1f} ml of {low:.0f}…{high:.0f} HU.", found.warnings)
        return found

    def _settings(self) -> SegmentationSettings:
        if self.ui.automaticCheckBox.checked:
            return SegmentationSettings()
        return SegmentationSettings(
            low_hu=self.ui.lowSlider.value, high_hu=self.ui.highSlider.value
        )

    def _segmenter_of_source(self) -> Segmenter:
        """Kept until the volume changes: it holds what makes the preview quick."""
        volume, image = nodes.volume_from_node(self._source), self._source.GetImageData()
        axes = volume.in_plane_axes.tolist()
        geometry = (volume.slice_origins.tolist(), volume.pixel_spacing, axes)
        state = (image, image.GetMTime(), geometry)
        if self._segmenter[0] != state:
            self._segmenter = (state, Segmenter(volume))
        return self._segmenter[1]

    def _remove_preview(self) -> None:
        if self._preview:
            nodes.remove_node(self._preview)
        self._preview = None

    # What is made of a segmentation

    def on_edit(self) -> None:
        """Open the Segment Editor on the segmentation."""
        with self._telling():
            segmentations.prepare_editor(self._chosen(), self._source)
            self.select_module("SegmentEditor")

    def on_measure(self) -> None:
        """Measure the segmentation, and the same lesion on what was made of the input."""
        with self._telling():
            rows = volumetry.measured_rows(self._chosen(), self._source, self._segmenter_if_any())
            node = volumetry.add_table(rows, self._chosen())
            warnings = [f"{row.grid}: {warning}" for row in rows for warning in row.warnings]
            shown = tables.rich_text(volumetry.panel_table(rows))
            self._say(f"All measures: {node.GetName()}.", warnings, shown)

    def on_surfaces(self) -> None:
        """Show the segmentation in 3D beside that of the result that was made last."""
        with self._telling():
            results = volumetry.comparable_results(self._source)
            if not results:
                raise SegmentationError(
                    f"Nothing has been made from {self._source.GetName()} to compare with. Press "
                    "Apply first."
                )
            other = volumetry.add_segmentation_of_result(
                results[-1], self._chosen(), self._source, self._segmenter_if_any()
            )
            lesion_surfaces.show_side_by_side(self._chosen(), other)

    def _chosen(self) -> slicer.vtkMRMLSegmentationNode:
        return self.ui.segmentationSelector.currentNode()

    def _segmenter_if_any(self) -> Segmenter | None:
        """None where there is no skull: a mask of one's own can be measured all the same."""
        try:
            return self._segmenter_of_source()
        except VolumeError:
            return None

    def _say(self, text: str, warnings: Sequence[str] = (), table: str = "") -> None:
        told = (escape(breakable(one)) for one in (text, *warnings))
        self.ui.volumetryLabel.text = table + "<br>".join(told)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Errors go into the section's text, not into a message box at every move of a slider."""
        try:
            with slicer.util.WaitCursor():
                yield
        except SliceInterpError as problem:
            self._say(str(problem))
