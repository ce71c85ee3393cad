"""Native libraries kept from writing to standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import SimpleITK as sitk


@contextlib.contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK and the C libraries in it off stderr: what matters of them is told in our errors.

    All of the process is silent in the meantime, so it is for the one call only.
    """
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with _stderr_closed():
            yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


@contextlib.contextmanager
def _stderr_closed() -> Iterator[None]:
    try:
        saved = os.dup(2)
    except OSError:  # programs without a console may have none
        yield
        return
    if sys.stderr:
        sys.stderr.flush()
    try:
        with open(os.devnull, "wb") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
