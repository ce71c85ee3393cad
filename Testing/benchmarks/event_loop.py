"""How long the window of Slicer would stand still: the panel on the headless host, step by step.

    .venv/bin/python Testing/benchmarks/event_loop.py

Prints, for each step of a reader's work on the sample phantom (512 × 512 × 40), the longest stretch
in which the event loop did not come round (ms; seen by a timer of its own), the longest in CPU time
of its thread, which a busy computer leaves as it is, the seconds that the step took, and the CPU
seconds of this process and of its children. The loop holds the GIL as Slicer's does.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")
_TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTING.parent), str(_TESTING), str(_TESTING / "host")]

import headless  # noqa: E402

headless.start()

import numpy as np  # noqa: E402
import qt  # noqa: E402
import slicer  # noqa: E402
from driving import CLOT, MODULE, choose, close, load_volume, place_seed  # noqa: E402

from SliceInterpLib.scene import sample_data  # noqa: E402
from SliceInterpLib.scene.comparison import Comparison  # noqa: E402

_BEAT_MS = 10
_LOOK_S = 0.05
_SETTLE_S = 0.5
"""What is put off until nothing was moved for a while, as the preview is, belongs to the step."""


_WRITE = """
import sys, numpy as np, pydicom
from pathlib import Path
from dicom_files import write_slice
folder, columns, rows, step = Path(sys.argv[1]), *map(float, sys.argv[2:])
for index, plane in enumerate(np.load(folder / "hu.npy")):
    path, place = folder / f"{index:03}.dcm", (0.0, 0.0, index * step)
    more = dict(PixelSpacing=[rows, columns], SliceThickness=step)
    write_slice(path, place, series="1.2.3.4", pixels=(plane + 1024).astype(np.int16), **more)
    print(pydicom.dcmread(path).SOPInstanceUID, path)
"""


class Watch:
    """Takes the time of steps, and notes between which beats the loop stood still."""

    def __init__(self) -> None:
        self._last, self._longest = (0.0, 0.0), [0.0, 0.0]
        self._timer = qt.QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(_BEAT_MS)
        titles = ("still, ms", "of CPU", "wall, s", "CPU, s", "children")
        print(f"{'step':<36}" + "".join(f"{title:>10}" for title in titles))

    def step(
        self, name: str, act: Callable[[], object], until: Callable[[], bool] = lambda: True
    ) -> None:
        """Act from within the event loop, and let it run until all is done."""
        acted: list[object] = []
        began, cpu, children = time.perf_counter(), time.process_time(), _children()
        self._last, self._longest = (began, time.thread_time()), [0.0, 0.0]
        qt.QTimer.singleShot(0, lambda: acted.append(act()))
        while not (acted and until()):
            slicer.app.loop.run(_LOOK_S)
        slicer.app.loop.run(_SETTLE_S)
        still, of_cpu = (1000 * seconds for seconds in self._longest)
        print(
            f"{name:<36}{still:>10.0f}{of_cpu:>10.0f}{time.perf_counter() - began:>10.1f}"
            f"{time.process_time() - cpu:>10.1f}{_children() - children:>10.1f}",
            flush=True,
        )

    def _beat(self) -> None:
        now = time.perf_counter(), time.thread_time()
        since = [new - old for new, old in zip(now, self._last, strict=True)]
        self._longest = [max(pair) for pair in zip(since, self._longest, strict=True)]
        self._last = now


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    watch, module = Watch(), headless.register_module(MODULE)
    volumes = partial(slicer.util.getNodesByClass, "vtkMRMLScalarVolumeNode")
    watch.step("load the phantom", partial(sample_data.start_loading, slice_spacing=4), volumes)
    watch.step("open the module", lambda: module.widgetRepresentation().enter())
    widget = module.widgetRepresentation().self()
    widget.panel.compare.comparison = Comparison(lambda view: None)
    with tempfile.TemporaryDirectory() as folder:
        _work(watch, widget, Path(folder))
    close(widget)


def _work(watch: Watch, widget: object, folder: Path) -> None:
    ui, panel = widget.ui, widget.panel
    source = ui.inputSelector.currentNode()

    def idle() -> bool:
        return not (panel.job or panel.volumetry.busy)

    choose(widget, source, method="Linear", compare="Nothing")
    watch.step("Apply, linear", ui.applyButton.click, idle)
    choose(widget, source, method="Learned", compare="Linear", device="cpu")
    watch.step("Apply, learned, and the comparison", ui.applyButton.click, idle)
    watch.step("leave the comparison", ui.compareButton.click)
    watch.step("show side by side", ui.compareButton.click)
    watch.step("difference overlay", ui.differenceCheckBox.click)
    watch.step("expected error overlay", ui.expectedErrorCheckBox.click)
    watch.step("skulls in 3D", ui.skullsCheckBox.click)
    ui.compareButton.click()
    watch.step("seed", lambda: place_seed(source, CLOT), idle)
    ui.automaticCheckBox.checked = False
    for number in (1, 2):
        watch.step(f"slider moved, {number}", lambda: setattr(ui.lowSlider, "value", 60), idle)
        ui.lowSlider.value = 58
    watch.step("Segment", ui.segmentButton.click, idle)
    watch.step("Measure", ui.measureButton.click, idle)
    watch.step("surfaces", ui.surfacesButton.click, idle)
    watch.step("check", ui.checkButton.click, idle)
    panel.check.choose_file = lambda: str(folder / "report.html")
    panel.check.open_file = lambda path: None
    watch.step("report", ui.reportButton.click, idle)
    loaded = _as_dicom(source, folder / "acquired")
    watch.step("choose a DICOM scan", lambda: ui.inputSelector.setCurrentNode(loaded))
    choose(widget, loaded, method="Linear", compare="Nothing")
    watch.step("Apply to DICOM, linear", ui.applyButton.click, idle)
    (folder / "out").mkdir()
    panel.export.choose_folder = lambda: str(folder / "out")
    watch.step("export as DICOM", ui.dicomButton.click, lambda: "Written" in ui.exportLabel.text)


def _as_dicom(node: object, folder: Path) -> object:
    """The node as Slicer's DICOM module would have loaded it; the database is a stand-in."""
    folder.mkdir()
    np.save(folder / "hu.npy", slicer.util.arrayFromVolume(node))
    # Not here: a scan that is loaded does not bring pydicom along.
    written = subprocess.run(
        [sys.executable, "-c", _WRITE, folder, *map(str, node.GetSpacing())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    uids = dict(line.split(" ", 1) for line in written.stdout.splitlines())
    slicer.dicomDatabase = SimpleNamespace(fileForInstance=lambda uid: uids.get(uid, ""))
    library = ModuleType("DICOMLib")
    library.DICOMUtils = SimpleNamespace(importDicom=lambda folder: True)
    sys.modules["DICOMLib"] = library
    loaded = load_volume([Path(file) for file in uids.values()], "CT")
    loaded.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    return loaded


if __name__ == "__main__":
    main()
