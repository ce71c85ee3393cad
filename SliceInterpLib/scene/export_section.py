"""The section of the panel that gives results away: as DICOM, in the study of their scan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from SliceInterpLib.scene import nodes, slots
from SliceInterpLib.scene.dicom_export import add_to_database, series_writing
from SliceInterpLib.scene.jobs import Start
from SliceInterpLib.scene.marks import provenance_of
from SliceInterpLib.scene.wrapping import say


class ExportSection:
    """The behaviour of the section's widgets.

    Args:
        ui: the widgets by name.
        start: starts a run.
        choose_folder: asks the user, '' for none.
    """

    def __init__(
        self, ui: Any, start: Start, choose_folder: Callable[[], str] | None = None
    ) -> None:
        self.ui = ui
        self._start = start
        self.choose_folder = choose_folder or _ask_for_folder
        self._source: slicer.vtkMRMLScalarVolumeNode | None = None
        slots.connect(ui.dicomButton, "clicked()", self.on_dicom)

    def refresh(self, source: slicer.vtkMRMLScalarVolumeNode | None, running: bool) -> None:
        """Offer what was made from this volume.

        Args:
            source: the volume.
            running: a run is going on, and nothing can be started.
        """
        self._source = source
        result = self._result()
        self.ui.dicomButton.enabled = bool(result and not running)
        nothing = _("Nothing has been made from the input yet.")
        say(self.ui.exportLabel, result.GetName() if result else nothing)

    def on_dicom(self) -> None:
        """Write the result as a derived series, into a new folder of the one that is chosen."""
        place = self.choose_folder()
        if not place:
            return
        folder = Path(place, datetime.now().strftime("SliceInterp %Y-%m-%d %H-%M-%S"))
        task = series_writing(self._result(), self._source, folder)
        self._start(task, partial(self._list, folder))

    def _list(self, folder: Path, _nothing: None, _source: slicer.vtkMRMLNode) -> str:
        add_to_database(folder)
        return _("Written and in the DICOM database: {folder}").format(folder=folder)

    def _result(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The learned result that was made last, or the last one where none is learned."""
        made = nodes.results_of(self._source) if self._source else []
        made.sort(key=lambda node: provenance_of(node).get("method") == "learned")
        return made[-1] if made else None


def _ask_for_folder() -> str:
    import qt

    return qt.QFileDialog.getExistingDirectory(
        slicer.util.mainWindow(), _("Folder in which to put the DICOM series")
    )
