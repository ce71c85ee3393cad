"""What takes time is done in a child process, so that Slicer's window goes on.

Slicer's main thread keeps the GIL while it waits for events, and VTK keeps it while it computes, so
that work in a thread of Slicer's own would stand still, or stop the window; and torch has crashed
it. `slicer.util.launchConsoleProcess` would serve but for one thing: it gives the child no standard
input, by which a run is asked things and cancelled, and by which a child notices that Slicer has
died. So the process is started here, and otherwise handled the same way: threads read and write, a
timer delivers on the main thread, where alone MRML and widgets may be touched.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from json import loads
from pathlib import Path
from typing import IO, Any

from SliceInterpLib import job_folder, worker
from SliceInterpLib.errors import Cancelled, MethodError, SliceInterpError
from SliceInterpLib.tasks import Task

Keep = Callable[[Any, Any], str]
"""Takes what a task gave, and the node that the run was about; says what has come of it."""

Start = Callable[[Task, Keep], None]
"""Starts a run of the panel, unless one is going on."""

GRACE = 3.0
"""Seconds that a child has to end after a cancel before it is killed."""

THREAD = "SliceInterp job"
"""Name of the threads that wait for children."""

_DELIVERY_MS = 50
_TURN_S = 0.005
"""How long the main thread lets go of the GIL at a delivery that is awaited; threads need it."""

_LAST_LINES = 20
_END = object()
"""In place of a request: there are no more."""


class JobError(SliceInterpError):
    """The child process failed; `details` are the last lines it printed."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True)
class Outcome:
    """How a run ended: with what its task has found, or with an error."""

    result: Any = None
    error: Exception | None = None

    def unwrap(self) -> Any:
        """The result; raises the error if there is one (Cancelled after a cancel)."""
        if self.error:
            raise self.error
        return self.result


class Job:
    """One run. It starts at once; `poll` calls the callbacks, on the thread that calls it.

    The patient's data lie in a private temporary folder that is gone before `finished` is called.

    Args:
        task: what is to be done.
        progress: called with what is done, how much of it was, and how much there is.
        step: called with a text, what is being done.
        answered: called with the answer to what was sent.
        finished: called with the outcome, exactly once.
        log: called with each line of what else the child says.
    """

    def __init__(
        self,
        task: Task,
        *,
        progress: Callable[[str, int, int], None] | None = None,
        step: Callable[[str], None] | None = None,
        answered: Callable[[Any], None] | None = None,
        finished: Callable[[Outcome], None] | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.outcome: Outcome | None = None
        self._progress, self._step, self._answered = progress, step, answered
        self._finished, self._log = finished, log
        self._messages: queue.SimpleQueue = queue.SimpleQueue()
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._child: int | None = None
        self._cancelled_at: float | None = None
        self._awaited = 0 if task.answers else 1
        threading.Thread(target=self._work, args=(task,), name=THREAD, daemon=True).start()

    def send(self, request: object) -> None:
        """Ask something of a task that answers; `answered` follows."""
        self._awaited += 1
        self._requests.put(request)

    def cancel(self) -> None:
        """Ask the child to end; `finished` follows within a second or so."""
        with self._lock:
            if self._cancelled_at is None:
                self._cancelled_at = time.monotonic()
                self._awaited += 1
                self._close_input()

    def poll(self) -> bool:
        """Deliver what has arrived; whether the run is over."""
        while self.outcome is None:
            try:
                message = self._messages.get_nowait()
            except queue.Empty:
                break
            self._deliver(message)
        if self.outcome is None and self._cancelled_at is not None:
            self._kill_when_late(self._cancelled_at)
        return self.outcome is not None

    def wait(self, meanwhile: Callable[[], object] = lambda: None) -> Outcome:
        """Block until the run is over, delivering meanwhile; an interrupt cancels it.

        Args:
            meanwhile: called again and again.
        """
        try:
            while not self.poll():
                meanwhile()
                time.sleep(_DELIVERY_MS / 1000)
        except BaseException:
            self.cancel()
            raise
        assert self.outcome is not None
        return self.outcome

    def deliver_by_timer(self) -> None:
        """Deliver from Qt's event loop from now on."""
        import qt

        if self._awaited:
            time.sleep(_TURN_S)
        try:
            self.poll()
        finally:
            # Also after a callback that failed, or the run would never be over.
            if self.outcome is None:
                qt.QTimer.singleShot(_DELIVERY_MS, self.deliver_by_timer)

    def _deliver(self, message: Outcome | dict) -> None:
        if isinstance(message, Outcome):
            self.outcome = message
            if self._finished:
                self._finished(message)
        elif message["event"] == "start":
            self._child = message["pid"]
        elif message["event"] == "log" and self._log:
            self._log(message["text"])
        elif self._cancelled_at is not None:
            pass
        elif message["event"] == "progress" and self._progress:
            self._progress(message["what"], message["done"], message["total"])
        elif message["event"] == "step" and self._step:
            self._step(message["text"])
        elif message["event"] == "answer" and self._answered:
            self._awaited -= 1
            self._answered(message["value"])

    # On threads of their own, without MRML and without Qt

    def _work(self, task: Task) -> None:
        """From the task to the outcome."""
        # mkdtemp makes a folder that no one else can read.
        folder = Path(tempfile.mkdtemp(prefix="sliceinterp-"))
        try:
            outcome = Outcome(result=self._run(task, folder))
        except Exception as problem:
            outcome = Outcome(error=problem)
        shutil.rmtree(folder, ignore_errors=True)
        self._messages.put(outcome)

    def _run(self, task: Task, folder: Path) -> Any:
        job_folder.write(folder, job_folder.TASK, task)
        code, error = self._converse(folder)
        if self._cancelled_at is not None:
            raise Cancelled("The run was cancelled; nothing was kept.")
        if code != worker.DONE:
            raise self._failure(code, error)
        with _not_damaged():
            result = job_folder.read(folder, job_folder.RESULT)
            task.check(result)
        return result

    def _converse(self, folder: Path) -> tuple[int, str | None]:
        """Start the child and pass on what it says; its exit code and error message."""
        with self._lock:
            self._process = process = start_worker(folder)
            if self._cancelled_at is not None:
                self._close_input()
        assert process.stdin is not None and process.stdout is not None  # they are pipes
        sender = threading.Thread(target=self._pass_on, args=(folder, process.stdin), daemon=True)
        sender.start()
        error = None
        with process:
            for line in process.stdout:
                message = _message(line)
                if message["event"] in ("log", "error"):
                    self._lines.append(message["text"])
                elif message["event"] == "answer":
                    with _not_damaged():
                        message["value"] = job_folder.take(folder, f"answer-{message['number']}")
                error = message["text"] if message["event"] == "error" else error
                self._messages.put(message)
            self._requests.put(_END)
            sender.join()
        return process.returncode, error

    def _pass_on(self, folder: Path, to: IO[str]) -> None:
        """Give the child what it is asked."""
        for number in itertools.count(1):
            request = self._requests.get()
            if request is _END:
                return
            try:
                job_folder.write(folder, f"request-{number}", request)
            except Exception as problem:
                self._messages.put({"event": "answer", "value": problem})
                return
            with self._lock, contextlib.suppress(OSError, ValueError):  # it may be gone already
                to.write(f"{number}\n")
                to.flush()

    def _failure(self, code: int, error: str | None) -> JobError:
        details = "\n".join(self._lines)
        if error:
            return JobError(error, details)
        reason = f"The computation ended before it was done (exit code {code})."
        if code in (-signal.SIGTERM, -9, 137):
            reason += " It was stopped from outside, perhaps for lack of memory."
        return JobError(f"{reason} Its last lines:\n{details or '(none)'}", details)

    def _close_input(self) -> None:
        if self._process and self._process.stdin:
            # A child that is gone already cannot take leave.
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _kill_when_late(self, cancelled_at: float) -> None:
        if self._process and time.monotonic() - cancelled_at > GRACE:
            # Killing Slicer's launcher alone would leave the Python that it started.
            if self._child:
                with contextlib.suppress(OSError):
                    os.kill(self._child, signal.SIGTERM)
            self._process.kill()


def start_worker(folder: Path) -> subprocess.Popen:
    """The child process on the job in `folder`, with pipes for its input and its output."""
    return subprocess.Popen(
        [slicer_python(), worker.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def slicer_python() -> str:
    """Slicer's own Python, or the one that runs this where there is no Slicer.

    Raises:
        JobError: rather than start a second Slicer by its executable.
    """
    beside = Path(sys.executable).with_name("PythonSlicer" + (".exe" if os.name == "nt" else ""))
    found = shutil.which("PythonSlicer") or (str(beside) if beside.exists() else None)
    if found:
        return found
    if Path(sys.executable).name.lower().startswith("python"):
        return sys.executable
    raise JobError("Slicer's Python (PythonSlicer) was not found. Install Slicer again.")


@contextlib.contextmanager
def _not_damaged() -> Iterator[None]:
    """Whatever fails in reading what a child has left is told as one thing."""
    try:
        yield
    except Exception as problem:
        raise MethodError(
            f"The result of the run is damaged and was thrown away ({problem}). Run it again."
        ) from problem


def _message(line: str) -> dict:
    """A line of the child; what is not one of the worker's own is log."""
    text = line.rstrip("\n")
    try:
        message = loads(text)
    except ValueError:
        message = None
    if isinstance(message, dict) and "event" in message:
        return message
    return {"event": "log", "text": text}
