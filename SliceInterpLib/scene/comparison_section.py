"""The section of the panel that shows the results of a run side by side, with its switches."""

from __future__ import annotations

from functools import partial
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from SliceInterpLib.scene import skulls, slots
from SliceInterpLib.scene.comparison import Comparison
from SliceInterpLib.scene.comparison_layout import is_in_layout, layout_node
from SliceInterpLib.scene.expected_error import expected_error_of
from SliceInterpLib.scene.overlays import Kind
from SliceInterpLib.scene.results import Compared, earlier_results
from SliceInterpLib.scene.wrapping import say

_OVERLAYS = {
    "differenceCheckBox": Kind.DIFFERENCE,
    "expectedErrorCheckBox": Kind.EXPECTED_ERROR,
}
"""The check boxes of the maps, of which one is shown at a time."""

_SWITCHES = {"marksCheckBox": "show_marks", "skullsCheckBox": "show_skulls"}
"""The other check boxes, and the methods of the comparison that they call with on or off."""


class ComparisonSection:
    """The behaviour of the section's widgets.

    Args:
        ui: the widgets by name.
        comparison: what they steer; can be replaced.
    """

    def __init__(self, ui: Any, comparison: Comparison | None = None) -> None:
        self.ui = ui
        self.comparison = comparison or Comparison()
        self.volumes: Compared | None = None
        """Those of which the views are offered."""
        self._layout: tuple[slicer.vtkMRMLLayoutNode, int] | None = None
        """The layout node and the tag of its observer, while the comparison is shown."""
        slots.connect(ui.compareButton, "toggled(bool)", self._on_compare)
        for name in _OVERLAYS:
            slots.connect(getattr(ui, name), "toggled(bool)", partial(self._on_overlay, name))
        for name, switch in _SWITCHES.items():
            slots.connect(getattr(ui, name), "toggled(bool)", partial(self._on_switch, switch))

    def refresh(self, source: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Offer what was made of this volume earlier, where nothing is offered yet."""
        if not self.volumes:
            self.offer(earlier_results(source))

    def offer(self, volumes: Compared | None) -> None:
        """Offer to show these three, or nothing; nothing where there are no views to show them."""
        self.leave()
        self.volumes = volumes if layout_node() else None
        self.ui.compareButton.enabled = bool(self.volumes)

    def open(self) -> None:
        """Show what is offered."""
        self.ui.compareButton.checked = True

    def reopen(self) -> None:
        """Show what is offered if the scene was saved in that layout."""
        if self.volumes and is_in_layout():
            self.open()

    def leave(self) -> None:
        """Back to the layout that was there before."""
        self.ui.compareButton.checked = False

    def node_removed(self, node: slicer.vtkMRMLNode) -> None:
        """Let go of what was deleted."""
        if self.volumes and node in self.volumes:
            self.offer(None)
        elif self.volumes and self.ui.compareButton.checked:
            self._offer_switches(self.volumes)

    def _on_compare(self, on: bool) -> None:
        volumes = self.volumes if on else None
        for name in (*_OVERLAYS, *_SWITCHES):
            getattr(self.ui, name).enabled = bool(volumes)
        if not volumes:
            self._unfollow_layout()
            self.comparison.leave()
            return
        try:
            self._show(volumes)
        except Exception:
            self.leave()
            raise

    def _show(self, volumes: Compared) -> None:
        self._offer_switches(volumes)
        self.comparison.show(*volumes)
        self._show_overlay()
        for name, switch in _SWITCHES.items():
            self._on_switch(switch, getattr(self.ui, name).checked)
        layout = layout_node()
        event = vtk.vtkCommand.ModifiedEvent
        self._layout = (layout, slots.observe(layout, event, self._on_layout))

    def _on_layout(self, *_event: object) -> None:
        """The user has chosen another layout."""
        if not is_in_layout():
            self.leave()

    def _unfollow_layout(self) -> None:
        if self._layout:
            node, tag = self._layout
            node.RemoveObserver(tag)
        self._layout = None

    def _on_switch(self, switch: str, on: bool) -> None:
        getattr(self.comparison, switch)(on)

    def _on_overlay(self, name: str, on: bool) -> None:
        """Two maps in one place could not be told apart, so the other one goes."""
        for other in _OVERLAYS:
            if on and other != name:
                getattr(self.ui, other).checked = False
        self._show_overlay()

    def _show_overlay(self) -> None:
        chosen = [kind for name, kind in _OVERLAYS.items() if getattr(self.ui, name).checked]
        self.comparison.show_overlay(chosen[0] if chosen else None)

    def _offer_switches(self, volumes: Compared) -> None:
        """Let the boxes be checked, or say why some cannot be."""
        original, _classical, learned = volumes
        highest = skulls.highest_hu(original)
        obstacles = {}
        if not expected_error_of(learned):
            obstacles["expectedErrorCheckBox"] = _(
                "Expected error: this result was made without it."
            )
        if highest <= skulls.SURFACE_HU:  # a scan that was saved in a brain window
            obstacles["skullsCheckBox"] = _(
                "Skull in 3D: there is no bone, this scan ends at {highest} HU."
            ).format(highest=f"{highest:.0f}")
        for name in ("expectedErrorCheckBox", "skullsCheckBox"):
            box = getattr(self.ui, name)
            box.enabled = name not in obstacles
            box.checked = box.checked and box.enabled
        say(self.ui.compareNoteLabel, "\n".join(obstacles.values()))
