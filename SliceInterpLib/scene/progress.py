"""How far a run is: in the panel, and in Slicer's status bar for whoever has left the panel."""

from __future__ import annotations

import time
from typing import Any

import slicer
from slicer.i18n import tr as _

from SliceInterpLib.scene.estimate import in_words
from SliceInterpLib.scene.words import method_in_words
from SliceInterpLib.scene.wrapping import say

_STAYS_MS = 60_000
"""How long the status bar tells of what has ended."""


class Progress:
    """The progress bar and the status.

    Args:
        ui: the widgets by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.began: dict[str, tuple[int, float]] = {}
        """By what is done: how much of it was, and `time.monotonic`, when it was first heard of."""

    def start(self) -> None:
        """A run begins."""
        self.began = {}
        self._show_bar(True)
        self.tell(_("Starting…"))

    def end(self) -> None:
        """The run is over."""
        self._show_bar(False)

    def tell(self, text: str, *, for_ms: int = 0) -> None:
        """Say what is going on; in the status bar for so long, or until something else is said."""
        say(self.ui.statusLabel, text)
        slicer.util.showStatusMessage(f"SliceInterp: {text}", for_ms)

    def tell_end(self, text: str) -> None:
        """Say what has come of it."""
        self.tell(text, for_ms=_STAYS_MS)

    def on_progress(self, what: str, done: int, total: int) -> None:
        """So much is done of so much."""
        self.ui.progressBar.maximum = total
        self.ui.progressBar.value = done
        first, began = self.began.setdefault(what, (done, time.monotonic()))
        method = method_in_words(what)
        text = _("{method}: {done} of {total} slices").format(method=method, done=done, total=total)
        if done > first:
            left = in_words((time.monotonic() - began) / (done - first) * (total - done))
            text = _("{progress}, about {time} left").format(progress=text, time=left)
        self.tell(text)

    def _show_bar(self, shown: bool) -> None:
        self.ui.progressBar.visible = shown
        self.ui.progressBar.maximum = 0  # until it is known how much there is to do
