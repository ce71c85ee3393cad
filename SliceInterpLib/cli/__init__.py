"""The command line: sliceinterp upsample, info, models, demo, benchmark, contrast, train, study."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence

import SliceInterpLib
from SliceInterpLib.cli import evaluation, study, training, upsample, volumes
from SliceInterpLib.cli.common import say
from SliceInterpLib.errors import Cancelled, SliceInterpError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 only on success. Errors are one line, with --debug a traceback."""
    options = _parser().parse_args(arguments)
    warnings.showwarning = lambda message, *_: say(f"sliceinterp: warning: {message}")
    try:
        options.run(options)
    except (KeyboardInterrupt, Cancelled):
        say(f"sliceinterp: cancelled; {options.kept} kept")
        return 130
    except (SliceInterpError, ImportError, OSError, MemoryError) as problem:
        if options.debug:
            raise
        say(f"sliceinterp: error: {_one_line(problem)}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sliceinterp",
        description="Doubles the through-plane resolution of head CT. For research use only.",
    )
    parser.add_argument("--version", action="version", version=SliceInterpLib.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (upsample, volumes, evaluation, training, study):
        module.add_commands(commands)
    return parser


def _one_line(problem: BaseException) -> str:
    if isinstance(problem, ImportError):
        return (
            f"this command needs {problem.name}, which is not installed; "
            "pip install 'sliceinterp[evaluation,report,training]' brings all there is"
        )
    return " ".join(str(problem).split()) or type(problem).__name__
