"""The section of the panel that measures a hematoma: seeds, threshold range, preview, table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from html import escape
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from SliceInterpLib.errors import SliceInterpError
from SliceInterpLib.hematoma import Find, Measured, Rule, Suggest, Suggested, Volumetry
from SliceInterpLib.scene import lesion_surfaces, nodes, segmentations, slots, tables, volumetry
from SliceInterpLib.scene.conversation import Conversation
from SliceInterpLib.scene.wrapping import breakable
from SliceInterpLib.volumetry.mask import SegmentationError, voxel_ml
from SliceInterpLib.volumetry.settings import Segmentation, SegmentationSettings

_DELAY_MS = 200
"""The preview follows when nothing was moved for this long."""

_PREVIEW, _SEGMENT, _MEASURE, _SURFACES = "preview", "segment", "measure", "surfaces"
_FIND = "find"
"""Kinds of questions to the child process."""


class VolumetrySection:
    """The behaviour of the section's widgets.

    Args:
        ui: the widgets by name.
        may_find: makes sure that the finder can run, and says whether the user wants it to.
        select_module: opens a module of Slicer by name.
    """

    def __init__(
        self,
        ui: Any,
        may_find: Callable[[], bool] = lambda: True,
        select_module: Callable[[str], None] | None = None,
    ) -> None:
        import qt

        self.ui = ui
        self.may_find = may_find
        self.select_module = select_module or slicer.util.selectModule
        self._source: Any = None
        self._child = Conversation(Volumetry, self._on_failed, self._enable)
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
            (ui.findButton, self.on_find),
            (ui.confirmButton, self.on_confirm),
            (ui.rejectButton, self.on_reject),
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
            self._child.end()
            self._remove_preview()
            self._source = source
            self._seeds = segmentations.seeds_of(source) if source else []
            self._say_help()
        self._watch(segmentations.seeds_node_of(source) if source else None)
        self._enable()

    def _on_segmentation(self, _node: slicer.vtkMRMLNode | None) -> None:
        self._enable()

    def _enable(self) -> None:
        chosen, asked = bool(self._source), self._child.open
        self.ui.seedButton.enabled = chosen
        self.ui.segmentButton.enabled = chosen and _SEGMENT not in asked
        self.ui.findButton.enabled = chosen and _FIND not in asked
        suggested = chosen and segmentations.unconfirmed_seed(self._source) is not None
        self.ui.confirmButton.enabled = self.ui.rejectButton.enabled = suggested
        self.ui.clearSeedsButton.enabled = bool(self._seeds) or suggested
        chosen = chosen and bool(self.ui.segmentationSelector.currentNode())
        self.ui.editSegmentationButton.enabled = chosen
        self.ui.measureButton.enabled = chosen and _MEASURE not in asked
        self.ui.surfacesButton.enabled = chosen and _SURFACES not in asked

    @property
    def busy(self) -> bool:
        """Whether a preview or an answer is still to come."""
        return bool(self._timer.active or self._child.open)

    def _ask(self, kind: str, request: object, then: Callable[[Any], None]) -> None:
        """What goes wrong in `then` is told as what went wrong in finding the answer."""

        def tell(answer: Any) -> None:
            with self._telling():
                then(answer)

        self._child.ask(kind, self._source, request, tell)

    def _on_failed(self, problem: Exception, kind: str) -> None:
        self._say(str(problem))
        if kind == _PREVIEW:
            self._remove_preview()

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

    def on_find(self) -> None:
        """Look for what may be hematomas, for the reader to confirm."""
        with self._telling():
            if not self.may_find():
                self._say(
                    _("Nothing was looked for, since the terms of the model were not agreed to.")
                )
                return
            self._say(_("Looking for what may be a hematoma…"))
            self._ask(_FIND, Suggest(), self._show_suggested)

    def _show_suggested(self, suggested: Suggested) -> None:
        segmentations.suggest_seeds(self._source, suggested.places)
        self.refresh(self._source)
        if suggested.places:
            text = _("Places that may be a hematoma: {count}. None counts before you confirm it.")
            self._say(text.format(count=len(suggested.places)))
        else:
            nothing = _("No hemorrhage found. {worth}").format(worth=suggested.none_means)
            self._say(nothing)
        self._ask_for_next()

    def on_confirm(self) -> None:
        """The point that is shown is in a hematoma: from now on it is a seed."""
        index = segmentations.unconfirmed_seed(self._source)
        if index is not None:
            segmentations.confirm_seed(self._source, index)
            self._ask_for_next()

    def on_reject(self) -> None:
        """The point that is shown is in none."""
        index = segmentations.unconfirmed_seed(self._source)
        if index is not None:
            segmentations.reject_seed(self._source, index)
            self._ask_for_next()

    def _ask_for_next(self) -> None:
        """Show the next point to confirm in the slice views."""
        self._on_points()
        index = segmentations.unconfirmed_seed(self._source)
        if index is not None:
            segmentations.show_seed(self._source, index)

    def _tell_suggestion(self) -> None:
        index = segmentations.unconfirmed_seed(self._source) if self._source else None
        told = "" if index is None else segmentations.seed_in_words(self._source, index)
        self.ui.suggestionLabel.text = told

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

    def _on_points(self, *_event: object) -> None:
        seeds = segmentations.seeds_of(self._source) if self._source else []
        self._tell_suggestion()
        changed, self._seeds = seeds != self._seeds, seeds
        self._enable()
        if not changed:
            return
        if seeds:
            self._timer.start()
        else:
            self._drop_preview()
            self._say_help()

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
        try:
            self._ask(_PREVIEW, Find(self._rule()), self._show_preview)
        except SliceInterpError as problem:
            self._on_failed(problem, _PREVIEW)

    def _show_preview(self, found: Segmentation) -> None:
        self._tell(found)
        self._preview = self._preview or segmentations.add_preview(self._source)
        segmentations.set_mask(self._preview, self._source, found.mask)

    def on_segment(self) -> None:
        """Keep what is found as a segmentation node."""
        with self._telling():
            rule = self._rule()
            if not self._seeds:
                raise SegmentationError(
                    _(
                        "There is no seed. Place one in the hematoma, or press Find and confirm "
                        "what it suggests."
                    )
                )
            self._drop_preview()
            self._say(_("Segmenting…"))
            self._ask(_SEGMENT, Find(rule), partial(self._keep, rule))

    def _keep(self, rule: Rule, found: Segmentation) -> None:
        self._tell(found)
        node = segmentations.add_segmentation(self._source, found, rule)
        self.ui.segmentationSelector.setCurrentNode(node)

    def _tell(self, found: Segmentation) -> None:
        if self.ui.automaticCheckBox.checked:
            self.ui.lowSlider.value, self.ui.highSlider.value = found.limits_hu
        low, high = (f"{limit:.0f}" for limit in found.limits_hu)
        ml = f"{voxel_ml(nodes.volume_from_node(self._source), found.mask):.1f}"
        text = _("{volume} ml of {low}…{high} HU.").format(volume=ml, low=low, high=high)
        self._say(text, found.warnings)

    def _rule(self) -> Rule:
        return self._seeds, self._settings()

    def _settings(self) -> SegmentationSettings:
        if self.ui.automaticCheckBox.checked:
            return SegmentationSettings()
        return SegmentationSettings(
            low_hu=self.ui.lowSlider.value, high_hu=self.ui.highSlider.value
        )

    def _drop_preview(self) -> None:
        self._timer.stop()
        self._child.drop(_PREVIEW)
        self._remove_preview()

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
            chosen = self._chosen()
            request = volumetry.measure_request(chosen, self._source)
            self._say(_("Measuring…"))
            self._ask(_MEASURE, request, partial(self._show_measured, chosen.GetName()))

    def _show_measured(self, name: str, measured: Measured) -> None:
        node = volumetry.add_table(measured, name)
        shown = tables.rich_text(volumetry.panel_table(measured))
        text = _("All measures: {table}.").format(table=node.GetName())
        self._say(text, measured.warnings, shown)

    def on_surfaces(self) -> None:
        """Show the segmentation in 3D beside that of the result that was made last."""
        with self._telling():
            results = volumetry.comparable_results(self._source)
            if not results:
                nothing = _("Nothing has been made from {name} to compare with. Press Apply first.")
                raise SegmentationError(nothing.format(name=self._source.GetName()))
            chosen, result = self._chosen(), results[-1]
            request = volumetry.find_request(result, chosen, self._source)
            # Here and not later, when there will be that of the result to be made.
            chosen.CreateClosedSurfaceRepresentation()
            self._say(_("Looking for it in the result…"))
            self._ask(_SURFACES, request, partial(self._show_surfaces, chosen, result))

    def _show_surfaces(
        self,
        chosen: slicer.vtkMRMLSegmentationNode,
        result: slicer.vtkMRMLScalarVolumeNode,
        mask: np.ndarray,
    ) -> None:
        if not all(map(slicer.mrmlScene.IsNodePresent, (chosen, result))):
            raise SegmentationError(_("The segmentation or the result was deleted meanwhile."))
        other = volumetry.add_segmentation_of_result(mask, result, chosen)
        lesion_surfaces.show_side_by_side(chosen, other)
        beside = _("{first} on the left, {second} on the right.")
        self._say(beside.format(first=chosen.GetName(), second=other.GetName()))

    def _chosen(self) -> slicer.vtkMRMLSegmentationNode:
        return self.ui.segmentationSelector.currentNode()

    def _say_help(self) -> None:
        self._say(
            _(
                "Place a seed in the hematoma, or press Find and confirm what it suggests. A "
                "segmentation of your own can be measured as well."
            )
        )

    def _say(self, text: str, warnings: Sequence[str] = (), table: str = "") -> None:
        told = (escape(breakable(one)) for one in (text, *warnings))
        self.ui.volumetryLabel.text = table + "<br>".join(told)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Errors go into the section's text, not into a message box at every move of a slider."""
        try:
            yield
        except SliceInterpError as problem:
            self._say(str(problem))
