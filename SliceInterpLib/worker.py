"""The child process that computes, as the task in its job folder tells it.

It is run by its path, `python …/SliceInterpLib/worker.py JOB_FOLDER`, since Slicer's Python finds
the package by its place only (`python -m SliceInterpLib.worker` does the same where it is
installed). Its standard input must stay open: when that ends, be it closed or its owner dead, the
job is cancelled and the folder's files are deleted, for they hold a patient's scan. A line of input
is the number of a request in the folder, for a task that takes any. It prints JSON lines,
{"event": "start" | "progress" | "step" | "answer" | "log" | "error" | "done" | "cancelled", …}, and
exits with DONE, FAILED or CANCELLED.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__" and not __package__:
    # Run by its path: the package lies beside this file's folder, not in it.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from SliceInterpLib import job_folder
from SliceInterpLib.errors import Cancelled, SliceInterpError
from SliceInterpLib.files import whole
from SliceInterpLib.process import run_and_leave

DONE, FAILED, CANCELLED = 0, 1, 3
"""Exit codes."""

PATIENCE = 0.5
"""Seconds after a cancel in which a run may end by itself; a library's import would not."""


class Owner:
    """Whoever has started this child, as its task sees them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gone = threading.Event()
        self._requests: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._answers = 0

    def cancelled(self) -> bool:
        """Whether they have had enough."""
        return self._gone.is_set()

    def heed(self) -> None:
        """Raise Cancelled if they have had enough."""
        if self.cancelled():
            raise Cancelled("The run was cancelled; nothing was kept.")

    def progress(self, what: str, done: int, total: int) -> None:
        """Tell them how far what is done has come."""
        _emit("progress", what=what, done=done, total=total)

    def step(self, text: str) -> None:
        """Tell them what is being done."""
        _emit("step", text=text)

    def requests(self) -> Iterator[Any]:
        """What they ask, one thing after the other, until they have had enough."""
        while (number := self._requests.get()) is not None:
            yield job_folder.take(self._folder, f"request-{number}")

    def answer(self, value: object) -> None:
        """Answer the request that is the next to be answered."""
        self._answers += 1
        job_folder.write(self._folder, f"answer-{self._answers}", value)
        _emit("answer", number=self._answers)

    def listen(self) -> None:
        """Wait for the end of standard input, then see to it that the process ends soon."""
        rest = b""
        # os.read, since a thread that waits in sys.stdin's lock aborts Python when it shuts down.
        while heard := os.read(0, 1024):
            *lines, rest = (rest + heard).split(b"\n")
            for line in lines:
                self._requests.put(int(line))
        self._gone.set()
        self._requests.put(None)
        time.sleep(PATIENCE)
        whole.remove_private_folders()
        job_folder.remove(self._folder)
        os._exit(CANCELLED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the task in the folder that is named; see the module's text."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: worker.py JOB_FOLDER", file=sys.stderr)
        return FAILED
    folder = Path(arguments[0])
    warnings.showwarning = lambda message, *_: _emit("log", text=str(message))
    _emit("start", pid=os.getpid())
    owner = Owner(folder)
    threading.Thread(target=owner.listen, daemon=True).start()
    try:
        result = job_folder.read(folder, job_folder.TASK).run(owner)
        owner.heed()
        job_folder.write(folder, job_folder.RESULT, result)
    except Cancelled:
        job_folder.remove(folder)
        _emit("cancelled")
        return CANCELLED
    except Exception as problem:
        if not isinstance(problem, SliceInterpError):
            traceback.print_exc()
        _emit("error", text=_one_line(problem))
        return FAILED
    _emit("done")
    return DONE


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
    run_and_leave(main)
