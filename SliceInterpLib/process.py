"""How a process of our own starts and ends quickly.

A quarter of a million objects come with torch's modules. Python's collector goes through them again
and again while they come, and at the end they are taken apart one by one, just before the system
takes all memory back: half a second of the three and a half in which a scan of 108 slices was
doubled.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage while large modules are imported: what comes with them stays."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def run_and_leave(command: Callable[[], int]) -> NoReturn:
    """Run all that a process is for and end with its exit code; modules are not taken apart.

    What was registered with atexit is done, and what was printed is written. Where the command
    raises, Python ends as it always does.
    """
    code: int | None = None

    def leave() -> None:
        if code is not None:
            sys.stdout.flush()  # where that fails, Python ends as it does
            sys.stderr.flush()
            os._exit(code)

    atexit.register(leave)  # the first to be registered is the last to be called
    code = command()
    sys.exit(code)
