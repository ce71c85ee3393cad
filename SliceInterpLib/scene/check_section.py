"""The section of the panel that judges the methods on this scan: a check, or a whole report."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from SliceInterpLib.doublable import require_doublable
from SliceInterpLib.errors import MethodError, OutputError
from SliceInterpLib.files.whole import check_place, private_folder, write_text
from SliceInterpLib.report.orientation import PatientOrder
from SliceInterpLib.scene import nodes, segmentations, slots
from SliceInterpLib.scene.check import add_check_nodes, check_table
from SliceInterpLib.scene.jobs import Start
from SliceInterpLib.scene.tables import rich_text
from SliceInterpLib.scene.words import method_in_words
from SliceInterpLib.tasks import Checked, Checking, MethodSettings, Reporting
from SliceInterpLib.volume import Volume


class CheckSection:
    """The behaviour of the section's widgets.

    Args:
        ui: the widgets by name.
        settings: the panel's choices.
        start: starts a run.
        choose_file: asks the user where to write, '' for nowhere.
        open_file: shows what was written.
    """

    def __init__(
        self,
        ui: Any,
        settings: Callable[[], MethodSettings],
        start: Start,
        choose_file: Callable[[], str] | None = None,
        open_file: Callable[[Path], None] | None = None,
    ) -> None:
        self.ui = ui
        self.choose_file = choose_file or _ask_for_file
        self.open_file = open_file or _open
        self._settings, self._start = settings, start
        self._source: slicer.vtkMRMLScalarVolumeNode | None = None
        slots.connect(ui.checkButton, "clicked()", self.on_check)
        slots.connect(ui.reportButton, "clicked()", self.on_report)

    def refresh(
        self, source: slicer.vtkMRMLScalarVolumeNode | None, volume: Volume | None, running: bool
    ) -> None:
        """Offer what can be done with the node.

        Args:
            source: the node.
            volume: the node's volume; None: it is none.
            running: a run is going on, and nothing can be started.
        """
        self._source = source
        can = bool(volume and not volume.is_derived and not running)
        self.ui.checkButton.enabled = bool(can and volume and volume.slice_count > 2)
        self.ui.reportButton.enabled = can

    def on_check(self) -> None:
        """Check was pressed."""
        volume = nodes.volume_from_node(self._source)
        self._start(Checking(volume, self._settings()), self._show_check)

    def on_report(self) -> None:
        """Report was pressed: what would not end in a page is refused before the long run."""
        settings = self._report_settings()
        volume = nodes.volume_from_node(self._source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run itself will tell
            require_doublable(volume, allow_thin=settings.allow_thin)
        PatientOrder.of(volume)
        chosen = self.choose_file()
        if chosen:
            task = Reporting(volume, settings, segmentations.seeds_of(self._source))
            self._start(task, partial(self._write_report, _checked(chosen)))

    def _report_settings(self) -> MethodSettings:
        settings = self._settings()
        # Nothing to compare with means the simplest.
        methods = ("linear", *settings.methods)[-2:]
        if methods[0] == methods[1]:
            same = _(
                "A report compares two methods, and both are '{method}'. Choose another method, or "
                "another one to compare with."
            )
            raise MethodError(same.format(method=method_in_words(methods[0])))
        return replace(settings, methods=methods)

    def _show_check(self, check: Checked, source: slicer.vtkMRMLScalarVolumeNode) -> str:
        table = check_table(check)
        self.ui.checkLabel.text = rich_text(table)
        add_check_nodes(check.rows, source)
        return _("Checked on this scan: {slices}.").format(slices=table.caption)

    def _write_report(self, path: Path, page: str, _source: object) -> str:
        write_text(path, page)
        self.open_file(path)
        return _("Report written: {path}").format(path=path)


def _checked(chosen: str) -> Path:
    """The file to write, an .html; raises OutputError where none can be made."""
    path = Path(chosen)
    as_chosen = path.suffix.lower() in (".html", ".htm")
    if not as_chosen:
        path = path.with_name(f"{path.name}.html")
    # Whether to overwrite the name that was chosen, the dialog has asked.
    check_place(path, overwrite=as_chosen)
    try:
        with private_folder(path.parent):
            pass
    except OSError as problem:
        closed = _("{folder}: Nothing can be written into this folder. Choose another.")
        raise OutputError(closed.format(folder=path.parent)) from problem
    return path


def _ask_for_file() -> str:
    import qt

    return qt.QFileDialog.getSaveFileName(
        slicer.util.mainWindow(),
        _("File for the report"),
        "report.html",
        _("Web page (*.html)"),
    )


def _open(path: Path) -> None:
    import qt

    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))
