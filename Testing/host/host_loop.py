"""Qt's event loop as it is in Slicer, which never lets go of the GIL there.

PySide lets go of it, so that Python's threads run on while the loop does; in Slicer they stand
still but where Python code lets them run. So the loop is entered through ctypes, which keeps it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import PySide6
import shiboken6
from PySide6 import QtCore

_EXEC = "_ZN10QEventLoop4execE6QFlagsINS_17ProcessEventsFlagEE"
_PROCESS = "_ZN10QEventLoop13processEventsE6QFlagsINS_17ProcessEventsFlagEE"
"""QEventLoop::exec and ::processEvents, as all compilers but Microsoft's name them."""


class Loop:
    """An event loop that can be entered, or asked to handle what has come in."""

    def __init__(self) -> None:
        self._loop = QtCore.QEventLoop()
        self._exec, self._process = (self._holding_gil(name) for name in (_EXEC, _PROCESS))

    def process(self) -> None:
        """Handle what has come in."""
        (self._process or self._loop.processEvents)()

    def run(self, seconds: float) -> None:
        """Handle events for a while, and sleep when there are none."""
        QtCore.QTimer.singleShot(round(1000 * seconds), self._loop.quit)
        (self._exec or self._loop.exec)()

    def _holding_gil(self, name: str) -> Callable[[], object] | None:
        try:
            library = ctypes.PyDLL(str(Path(PySide6.__file__).parent / "Qt/lib/libQt6Core.so.6"))
            function = library[name]
        except (OSError, AttributeError):
            return None  # not on Linux
        function.argtypes = [ctypes.c_void_p, ctypes.c_int]
        (address,) = shiboken6.getCppPointer(self._loop)
        return lambda: function(address, 0)
