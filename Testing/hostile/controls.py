"""Misbehaviour that the runner must see: each control is a case with what is to be said of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hostile.case import EITHER, RIGHT, SECRET, Case, doubling, written
from hostile.images import HEAD, nifti


def controls() -> Iterator[tuple[Case, str]]:
    """Cases, each with a regular expression for the complaint."""
    for name, act, complaint in (
        ("crashes", lambda: os.kill(os.getpid(), signal.SIGSEGV), "died of SIGSEGV"),
        ("raises", lambda: 1 / 0, "ZeroDivisionError"),
        ("hangs", _hang, "ended hanging"),
        ("computes for ever", _compute, "ended hanging"),
        ("leaves a file", lambda: Path("tmp/half").touch(), "it left tmp/half"),
        ("changes its input", lambda: Path("notes").write_text("gone"), "it changed notes"),
        ("names the patient", lambda: print(SECRET, file=sys.stderr), "patient's name"),
        ("paints", lambda: print("\x1b[31m"), "control characters"),
        ("fills the memory", lambda: np.ones(1100 << 20, np.uint8), "used 1... MiB"),
    ):
        yield _control(name, act, nifti(), RIGHT), complaint
    yield _control("is wrong", None, nifti(hu=HEAD + np.int16(1)), RIGHT), "not what they were"
    yield _control("is refused", None, b"", RIGHT), "it was refused"
    yield _control("is not refused", None, nifti(), "damaged"), "it ended right"
    yield _control("gives another cause", None, b"", "full moon"), "'full moon' is not in"
    chatty = _control("says more than one line", lambda: print("By the way"), b"", EITHER)
    yield chatty, "not one line"


def _control(name: str, act: Callable[[], object] | None, content: bytes, ends: str) -> Case:
    make = written({"scan.nii": content, "notes": b"precious"}, HEAD if ends == RIGHT else None)
    return Case("control", name, make, ends, doubling("scan.nii"), act)


def _hang() -> None:
    signal.alarm(1)
    time.sleep(9)


def _compute() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0.1)
    while True:
        pass
