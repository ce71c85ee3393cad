"""The section of the panel that gives results away: as DICOM, in the study of their scan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import slicer

from SliceInterpLib.scene import nodes, slots
from SliceInterpLib.scene.marks import provenance_of
from SliceInterpLib.scene.wrapping import say


class ExportSection:
    """The behaviour of the section's widgets.

    Args:
        ui: the widgets by name.
        choose_folder: asks the user, '' for none.
    """

    def __init__(self, ui: Any, choose_folder: Callable[[], str] | None = None) -> None:
        self.ui = ui
        self.choose_folder = choose_folder or _ask_for_folder
        self._source: slicer.vtkMRMLScalarVolumeNode | None = None
        slots.connect(ui.dicomButton, "clicked()", self.on_dicom)

    def refresh(self, source: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Offer what was made from this volume."""
        self._source = source
        result = self._result()
        self.ui.dicomButton.enabled = bool(result)
        nothing = "Nothing has been made from the input yet."
        say(self.ui.exportLabel, result.GetName() if result else nothing)

    def on_dicom(self) -> None:
        """Write the result as a derived series, into a new folder of the one that is chosen."""
        from SliceInterpLib.scene.dicom_export import export_result  # pydicom takes its time

        place = self.choose_folder()
        if not place:
            return
        folder = Path(place, datetime.now().strftime("SliceInterp %Y-%m-%d %H-%M-%S"))
        export_result(self._result(), self._source, folder)
        say(self.ui.exportLabel, f"Written and in the DICOM database: {folder}")

    def _result(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The learned result that was made last, or the last one where none is learned."""
        made = nodes.results_of(self._source) if self._source else []
        made.sort(key=lambda node: provenance_of(node).get("method") == "learned")
        return made[-1] if made else None


def _ask_for_folder() -> str:
    import qt

    return qt.QFileDialog.getExistingDirectory(
        slicer.util.mainWindow(), "Folder in which to put the DICOM series"
    )
