"""Slots and observers that tell the user what went wrong: PythonQt and VTK only print it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from SliceInterpLib.errors import SliceInterpError, ThinSlicesError

_told: set[str] = set()
"""What observers have reported; they may run at every move of the mouse."""


def connect(sender: Any, signal: str, slot: Callable[..., object]) -> None:
    """Connect a signal, named as PythonQt names it, to a slot whose errors are shown."""
    sender.connect(signal, reporting(slot))


def observe(subject: vtk.vtkObject, event: str | int, callback: Callable[..., object]) -> int:
    """Observe an event; errors are shown once, however often they come back.

    Returns:
        The tag to remove the observer by.
    """
    return subject.AddObserver(event, reporting(callback, once=True))


def reporting(called: Callable[..., Any], *, once: bool = False) -> Callable[..., Any]:
    """`called`, with its errors shown; a decorator too.

    Args:
        called: what Qt or VTK is to call.
        once: for what runs often.
    """

    @wraps(called)
    def call(*args: object) -> Any:
        try:
            return called(*args)
        except SliceInterpError as problem:
            report(problem, once=once)
        except Exception as problem:
            report(problem, once=once)
            raise  # into Slicer's log, with where it came from

    return call


def in_words(problem: BaseException) -> str:
    """What an error says, and which of the panel's check boxes is the way out that it speaks of."""
    if isinstance(problem, ThinSlicesError):
        way_out = _("check 'Allow thin slices' in Advanced")
        return str(ThinSlicesError(problem.cause, way_out))
    return str(problem)


def report(problem: Exception, *, once: bool = False) -> None:
    """Show an error: one of ours says what to do, of any other the details say where it was."""
    text, details = in_words(problem), getattr(problem, "details", "")
    if not isinstance(problem, SliceInterpError):
        problem_in_words = text or type(problem).__name__
        text = _("This should not have happened: {problem}.").format(problem=problem_in_words)
        details = "".join(traceback.format_exception(problem))
    if not (once and text in _told):
        _told.update([text] if once else [])
        slicer.util.errorDisplay(text, detailedText=details)
