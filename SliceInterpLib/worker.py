"""The child process that computes, as its job folder tells it.

It is run by its path, `python …/SliceInterpLib/worker.py JOB_FOLDER`, since Slicer's Python finds
the package by its place only (`python -m SliceInterpLib.worker` does the same where it is
installed). Its standard input must stay open: when that ends, be it closed or its owner dead, the
job is cancelled and the folder's files are deleted, for they hold a patient's scan. It prints JSON
lines, {"event": "start" | "progress" | "step" | "log" | "error" | "done" | "cancelled", …}, and
exits with DONE, FAILED or CANCELLED.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

if __name__ == "__main__" and not __package__:
    # Run by its path: the package lies beside this file's folder, not in it.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from SliceInterpLib.errors import Cancelled, MethodError, SliceInterpError
from SliceInterpLib.evidence.expected_error import upsample_with_expected_error
from SliceInterpLib.interpolators import Interpolator, make_interpolator, tells_error
from SliceInterpLib.job_folder import (
    JobSettings,
    read_job,
    remove_job,
    save_report,
    save_results,
    save_upsampled,
)
from SliceInterpLib.upsampling import Progress, upsample
from SliceInterpLib.volume import Volume

DONE, FAILED, CANCELLED = 0, 1, 3
"""Exit codes."""

PATIENCE = 0.5
"""Seconds after a cancel in which a run may end by itself; a library's import would not."""

Emit = Callable[..., None]


class _More(TypedDict):
    """What `upsample` and `upsample_with_expected_error` are both told."""

    allow_thin: bool
    progress: Progress
    cancelled: Callable[[], bool]


def run_job(folder: Path, emit: Emit, cancelled: Callable[[], bool]) -> None:
    """Do what the folder asks for and leave the results in it.

    Args:
        folder: of `write_job`.
        emit: called with an event, 'progress' (method, done, total) or 'step' (text).
        cancelled: asked now and then.

    Raises:
        Cancelled: as soon as `cancelled()` is true.
    """
    volume, settings = read_job(folder)
    if settings.task == "report":
        save_report(folder, _report(volume, settings, emit, cancelled))
        return
    results: dict[str, object] = {}
    for number, method in enumerate(settings.methods):
        if cancelled():
            raise Cancelled("The run was cancelled; nothing was kept.")

        def progress(done: int, total: int, method: str = method) -> None:
            emit("progress", method=method, done=done, total=total)

        interpolator = make_interpolator(method, model=settings.model, device=settings.device)
        match settings.task:
            case "upsample":
                found = _upsample(volume, interpolator, settings, progress, cancelled)
                results[method] = save_upsampled(folder, number, *found)
            case "check":
                results[method] = _check(volume, interpolator, progress, cancelled)
            case other:
                raise MethodError(f"There is no task '{other}'.")
    save_results(folder, results)


def _upsample(
    volume: Volume,
    interpolator: Interpolator,
    settings: JobSettings,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> tuple[Volume, Volume | None]:
    """The doubled volume and, if it was asked for and is known, its expected error."""
    more = _More(allow_thin=settings.allow_thin, progress=progress, cancelled=cancelled)
    wanted = settings.expected_error and settings.factor == 2
    if wanted and tells_error(interpolator):
        try:
            return upsample_with_expected_error(volume, interpolator, **more)
        except MethodError as problem:  # of most models it was never measured
            warnings.warn(str(problem), stacklevel=2)
    return upsample(volume, interpolator, factor=settings.factor, **more), None


def _check(
    volume: Volume,
    interpolator: Interpolator,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> list[dict[str, float | None]]:
    from SliceInterpLib.evidence.holdout import hidden_count
    from SliceInterpLib.evidence.scan_check import hidden_slices

    def count(done: int) -> None:
        progress(done, hidden_count(volume))

    return hidden_slices(volume, interpolator, progress=count, cancelled=cancelled)


def _report(
    volume: Volume, settings: JobSettings, emit: Emit, cancelled: Callable[[], bool]
) -> str:
    from SliceInterpLib.report.html import make_report

    classical, method = settings.methods
    return make_report(
        volume,
        method=method,
        model=settings.model,
        device=settings.device,
        classical=classical,
        factor=settings.factor,
        allow_thin=settings.allow_thin,
        seeds=settings.seeds,
        say=lambda line: emit("step", text=line),
        cancelled=cancelled,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job in the folder that is named; see the module's text."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: worker.py JOB_FOLDER", file=sys.stderr)
        return FAILED
    folder = Path(arguments[0])
    warnings.showwarning = lambda message, *_: _emit("log", text=str(message))
    _emit("start", pid=os.getpid())
    cancelled = threading.Event()
    threading.Thread(target=_watch, args=(folder, cancelled), daemon=True).start()
    try:
        run_job(folder, _emit, cancelled.is_set)
    except Cancelled:
        remove_job(folder)
        _emit("cancelled")
        return CANCELLED
    except Exception as problem:
        if not isinstance(problem, SliceInterpError):
            traceback.print_exc()
        _emit("error", text=_one_line(problem))
        return FAILED
    _emit("done")
    return DONE


def _watch(folder: Path, cancelled: threading.Event) -> None:
    """Wait for the end of standard input, then see to it that the process ends soon."""
    # os.read, since a thread that waits in sys.stdin's lock aborts Python when it shuts down.
    while os.read(0, 1024):
        pass
    cancelled.set()
    time.sleep(PATIENCE)
    remove_job(folder)
    os._exit(CANCELLED)


def _emit(event: str, **more: object) -> None:
    print(json.dumps({"event": event, **more}), flush=True)


def _one_line(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    if isinstance(problem, SliceInterpError):
        return text
    if isinstance(problem, MemoryError):
        return "There is not enough memory for this volume. Close other volumes, or crop this one."
    if isinstance(problem, ImportError) and problem.name:
        return f"The Python package '{problem.name}' is not installed."
    return f"{type(problem).__name__}: {text}"


if __name__ == "__main__":
    sys.exit(main())
