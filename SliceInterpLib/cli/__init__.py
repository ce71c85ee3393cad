"""The command line: sliceinterp upsample, batch, check, report and so on."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType

import SliceInterpLib
from SliceInterpLib.cli import (
    batch,
    check,
    lab,
    report,
    sending,
    upsample,
    volumes,
    volumetry,
)
from SliceInterpLib.cli.common import in_words, say
from SliceInterpLib.cli.missing import what_installs
from SliceInterpLib.errors import Cancelled, SliceInterpError, is_out_of_memory


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 only on success. Errors are one line, with --debug a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(lab_chosen=given[:1] == ["lab"]).parse_args(given)
    warnings.showwarning = lambda message, *_: say(f"sliceinterp: warning: {message}")
    try:
        with _sigterm_like_ctrl_c():
            options.run(options)
    except (KeyboardInterrupt, Cancelled) as stop:
        say(f"sliceinterp: cancelled; {options.kept} kept")
        return 143 if isinstance(stop, _Terminated) else 130
    except (SliceInterpError, ImportError, OSError, MemoryError, RuntimeError) as problem:
        if options.debug or (isinstance(problem, RuntimeError) and not is_out_of_memory(problem)):
            raise
        say(f"sliceinterp: error: {_one_line(problem, given[0])}")
        return 1
    return 0


class _Terminated(KeyboardInterrupt):
    """SIGTERM has come."""


@contextlib.contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM unwind the command, so that it leaves nothing half-written.

    By default Python ends on the spot. A second SIGTERM is ignored, for the sake of the unwinding.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, lambda *_: None)  # a function, since SIG_IGN would be inherited
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser(*, lab_chosen: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sliceinterp",
        description="Doubles the through-plane resolution of head CT. For research use only.",
    )
    parser.add_argument("--version", action="version", version=SliceInterpLib.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (upsample, batch, sending, volumes, check, report, volumetry):
        module.add_commands(commands)
    lab.add_commands(commands, chosen=lab_chosen)
    return parser


def _one_line(problem: BaseException, command: str) -> str:
    if isinstance(problem, ModuleNotFoundError) and problem.name:
        return what_installs(problem.name, command)
    if is_out_of_memory(problem):
        return "there is not enough memory for this scan; close other programs, or crop it"
    return " ".join(in_words(problem).split()) or type(problem).__name__
