"""What the module costs Slicer's start, and what the first opening of its panel costs.

    .venv/bin/python Testing/benchmarks/start.py

Prints CPU seconds on the headless host, beyond what Slicer imports by itself (VTK, Qt, numpy).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
_TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTING.parent), str(_TESTING / "host")]

import headless  # noqa: E402

headless.start()

import slicer  # noqa: E402
import vtk.util.numpy_support  # noqa: E402, F401 - slicer.util imports it when it is first used


def _measure(what: str, call: Callable[[], object]) -> None:
    began = time.process_time()
    call()
    print(f"{what}: {time.process_time() - began:.3f} s")


def main() -> None:
    """Start and open."""
    module = _TESTING.parent / "SliceInterp" / "SliceInterp.py"
    _measure("The module's file is imported", lambda: headless.register_module(module))
    _measure("Slicer's start ends", slicer.app.startupCompleted.emit)
    made = slicer.modules.sliceinterp
    _measure("The panel is made", made.widgetRepresentation)
    _measure("The module is opened", lambda: made.widgetRepresentation().enter())


if __name__ == "__main__":
    main()
