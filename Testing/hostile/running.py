"""Runs a case in a process of its own, bounded in time and memory, and says what is wrong with it.

The process is forked from one that has imported the command line but not yet used it, so that a
case costs milliseconds.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nibabel
import numpy as np
import pydicom

from hostile.case import CANCELLED, EITHER, RIGHT, SECRET, Case, Impossible
from SliceInterpLib import cli

CPU_SECONDS = 20
"""That a command may compute."""
SILENT_SECONDS = 600
"""After which a command that does not compute is taken to hang."""
ADDRESS_SPACE = 3 << 30
"""Bytes that a command may reserve."""
PEAK_MIB = 1024
"""Memory that a command may use; some 170 of it are the libraries."""
TRACEBACK = 70
"""Exit status of a command that raised."""


@dataclass
class Outcome:
    """How a case ended."""

    category: str
    name: str
    ended: str = ""
    message: str = ""
    peak_mib: int = 0
    seconds: float = 0.0
    complaints: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def run(case: Case, folder: Path) -> Outcome:
    """Make the case in an empty folder with its places, run it, and judge it."""
    outcome = Outcome(case.category, case.name)
    try:
        expected = case.make(folder)
    except Impossible as reason:
        outcome.ended, outcome.message = "skipped", str(reason)
        return outcome
    before = _listing(folder)
    start = time.perf_counter()
    status, peak, out, err = _command(case, folder)
    outcome.seconds = round(time.perf_counter() - start, 3)
    outcome.peak_mib = peak
    outcome.message = next((line for line in err.splitlines()[::-1] if ": error: " in line), "")
    outcome.ended = _ended(status)
    outcome.complaints += _judge_end(case, outcome, err)
    _judge_words(out, err, outcome)
    _judge_files(before, _listing(folder), outcome)
    if outcome.ended == RIGHT and expected is not None:
        _judge_result(folder / "out", expected, outcome)
    if peak > PEAK_MIB:
        outcome.complaints.append(f"it used {peak} MiB")
    return outcome


def _ended(status: int) -> str:
    """In words, from the status that wait gives."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGALRM, signal.SIGPROF):
            return "hanging"
        return f"died of {signal.Signals(number).name}"
    known = {0: RIGHT, 1: "refused", 128 + signal.SIGTERM: CANCELLED, TRACEBACK: "raised"}
    code = os.WEXITSTATUS(status)
    return known.get(code, f"exited with {code}")


def _judge_end(case: Case, outcome: Outcome, err: str) -> Iterator[str]:
    if outcome.ended not in (RIGHT, "refused", CANCELLED):
        yield f"it ended {outcome.ended}: {err[-2000:]}"
    elif case.ends == EITHER:
        if outcome.ended == CANCELLED:
            yield "it was cancelled"
    elif case.ends in (RIGHT, CANCELLED):
        if outcome.ended != case.ends:
            yield f"it was {outcome.ended}: {err}"
    elif outcome.ended != "refused":
        yield f"it ended {outcome.ended}"
    elif not re.search(case.ends, outcome.message):
        yield f"the cause '{case.ends}' is not in: {err}"


def _judge_words(out: str, err: str, outcome: Outcome) -> None:
    judge = outcome.complaints.append
    if any(part in out + err for part in SECRET.split("^")):
        judge("it printed the patient's name")
    if not all(character.isprintable() or character == "\n" for character in out + err):
        judge(f"it printed control characters: {err!r}")
    if outcome.ended == "refused":
        lines = [line for line in err.splitlines() if not line.startswith("sliceinterp: warning: ")]
        if len(lines) != 1 or not lines[0].startswith("sliceinterp: error: ") or out:
            judge(f"it is not one line of error: {out}{err}")


def _judge_files(
    before: dict[str, tuple[int, ...]], after: dict[str, tuple[int, ...]], outcome: Outcome
) -> None:
    judge = outcome.complaints.append
    may_stay = ("out/",) if outcome.ended == RIGHT else ()
    new = sorted(name for name in after if name not in before and not name.startswith(may_stay))
    if new:
        judge(f"it left {', '.join(new)}")
    changed = sorted(name for name in before if name in after and before[name] != after[name])
    if changed:
        judge(f"it changed {', '.join(changed)}")


def _judge_result(folder: Path, expected: np.ndarray, outcome: Outcome) -> None:
    """The result as another reader sees it."""
    derived = folder / "derived"
    if derived.is_dir():
        paths = sorted(derived.iterdir())
        images = [pydicom.dcmread(path) for path in paths]
        # Slope and intercept are DICOM's decimal strings: 1 and 0 where HU are whole.
        found = np.stack(
            [i.pixel_array * int(i.RescaleSlope) + int(i.RescaleIntercept) for i in images]
        )
        found = found.astype(np.int16)
    else:
        paths = [folder / "doubled.nii"]
        found = np.asarray(nibabel.load(paths[0]).dataobj).T
    if found.dtype != expected.dtype or not np.array_equal(found[::2], expected):
        outcome.complaints.append("the acquired slices are not what they were")
    if any(part in path.read_bytes() for path in paths for part in SECRET.encode().split(b"^")):
        outcome.complaints.append("the patient's name is in the result")


def _listing(folder: Path) -> dict[str, tuple[int, ...]]:
    """Everything below a folder, and what tells whether it was changed."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        content = [status.st_size, status.st_mtime_ns] if stat.S_ISREG(status.st_mode) else []
        found[os.fsencode(path.relative_to(folder)).decode("latin1")] = (status.st_mode, *content)
    return found


def _command(case: Case, folder: Path) -> tuple[int, int, str, str]:
    """Status of wait, peak in MiB, and what was written to standard output and error."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            _become(case, folder, out.fileno(), err.fileno())
        _, status, usage = os.wait4(child, 0)
        words = []
        for stream in (out, err):
            stream.seek(0)
            words.append(stream.read().decode(errors="replace"))
    return status, usage.ru_maxrss >> 10, *words


def _become(case: Case, folder: Path, out: int, err: int) -> None:
    """Be the command; never returns."""
    code = TRACEBACK
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(folder)
        tempfile.tempdir = "tmp"
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        signal.alarm(SILENT_SECONDS)
        if case.before:
            case.before()
        code = cli.main(case.arguments)
    except SystemExit as stop:  # from argparse
        code = stop.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
