"""What the commands share: options, progress, output."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from SliceInterpLib.acquired import acquired_only
from SliceInterpLib.cli.values import factor, number
from SliceInterpLib.errors import OutputError, ThinSlicesError
from SliceInterpLib.files.apart import check_apart
from SliceInterpLib.files.reading import read_volume
from SliceInterpLib.fineness import ISOTROPIC, MOST_TIMES
from SliceInterpLib.interpolators import METHODS
from SliceInterpLib.volume import Volume

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where the modules of this package add their commands."""


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], None], summary: str
) -> argparse.ArgumentParser:
    """The parser of a new command, for its options; `run` gets them once they are parsed."""
    sub = commands.add_parser(name, help=summary, description=summary)
    sub.set_defaults(run=run, kept="nothing was")
    sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return sub


def add_input(sub: argparse.ArgumentParser, **more: Any) -> None:
    """The scan, which series of it and which slices; `read_input` reads it."""
    sub.add_argument(
        "input", type=Path, help="NIfTI, NRRD or MetaImage file, or DICOM folder", **more
    )
    sub.add_argument(
        "--series", metavar="UID", help="the series to read, if a DICOM folder holds several"
    )
    add_acquired_only(sub)


def add_acquired_only(sub: argparse.ArgumentParser) -> None:
    """The way out where acquired slices are needed and a result of SliceInterp is given."""
    sub.add_argument(
        "--acquired-only",
        action="store_true",
        help="of a result of SliceInterp the acquired slices alone, bit for bit",
    )


def read_input(
    options: argparse.Namespace, *, outputs: Sequence[Path | None] = (), others: Sequence[Path] = ()
) -> Volume:
    """The scan that `add_input` asked for.

    Args:
        options: of the command.
        outputs: what the command will write; None for what was not asked for.
        others: what it reads besides.

    Raises:
        OutputError: where writing would replace the scan, another input or another output.
        VolumeError: as `read_volume` does.
    """
    check_apart(outputs, (options.input, *others))
    volume = read_volume(options.input, series=options.series)
    check_apart(outputs, volume.files)
    return acquired_only(volume) if options.acquired_only else volume


def add_method(sub: argparse.ArgumentParser) -> None:
    """How slices are predicted."""
    sub.add_argument(
        "--method",
        choices=METHODS,
        default="learned",
        help="how slices are predicted (default: learned, the neural network)",
    )
    add_model(sub)


def add_model(sub: argparse.ArgumentParser) -> None:
    """The model of the learned method, and where it runs."""
    sub.add_argument(
        "--model", help="trained network: name of a shipped model, or path of a model's card"
    )
    add_device(sub)


def add_factor(sub: argparse._ActionsContainer) -> None:
    """How many slices there will be, as a factor."""
    sub.add_argument(
        "--factor",
        type=factor,
        default=2,
        metavar="N",
        help=f"how many times as many slices, from 2 to {MOST_TIMES} (default: 2), or "
        f"'{ISOTROPIC}': as many as bring them nearest to the pixels",
    )


def add_fineness(sub: argparse.ArgumentParser) -> None:
    """How many slices there will be, as a factor or a spacing."""
    either = sub.add_mutually_exclusive_group()
    add_factor(either)
    either.add_argument(
        "--spacing",
        type=number(above=0),
        metavar="MM",
        help="how far apart the slices should be: the nearest that keeps every acquired one; "
        "uneven gaps get a factor each",
    )


def add_dicom(sub: argparse._ActionsContainer, dicom: str) -> None:
    """Derived series as output; `check_dicom` judges what was asked for.

    Args:
        sub: of the command, or a group of its options.
        dicom: the help of --dicom.
    """
    sub.add_argument("--dicom", action="store_true", help=dicom)
    sub.add_argument(
        "--keep-identity",
        action="store_true",
        help="with --dicom: add the series to the patient's own study (default: the series does "
        "not say who was scanned)",
    )


def check_dicom(options: argparse.Namespace) -> None:
    """Raise OutputError for what only a derived series can have, without one."""
    if options.keep_identity and not options.dicom:
        raise OutputError(
            "Only a derived DICOM series keeps the patient's identity. Add --dicom, or leave out "
            "--keep-identity."
        )


def add_thin(sub: argparse.ArgumentParser) -> None:
    """The way out where slices are as close as pixels."""
    sub.add_argument(
        "--allow-thin",
        action="store_true",
        help="double even slices that are no further apart than pixels; this adds no detail",
    )


def add_device(sub: argparse.ArgumentParser) -> None:
    """Where networks run."""
    sub.add_argument(
        "--device",
        choices=("auto", "cuda", "cpu"),
        default="auto",
        help="where networks run (default: auto, a CUDA GPU if there is one)",
    )


def add_json(sub: argparse.ArgumentParser) -> None:
    """Output for scripts."""
    sub.add_argument("--json", action="store_true", help="print one JSON object, for scripts")


@contextlib.contextmanager
def progress_bar(unit: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left on a terminal, a line every tenth otherwise, nothing if quiet."""
    if quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(unit=f" {unit}") as bar:

            def update(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield update
    else:
        told = 0

        def tell(done: int, total: int) -> None:
            nonlocal told
            if done * 10 // total > told:
                told = done * 10 // total
                say(f"{done} of {total} {unit}")

        yield tell


def print_result(summary: dict, text: str, *, as_json: bool) -> None:
    """The result on standard output: an object for scripts or text for people."""
    print(json.dumps(summary) if as_json else printable(text))


def say(line: str) -> None:
    """A remark on standard error, so that standard output holds the result alone."""
    print(printable(line), file=sys.stderr, flush=True)


def in_words(problem: BaseException) -> str:
    """What an error says, and which option is the way out that it speaks of."""
    if isinstance(problem, ThinSlicesError):
        way = "allow thin slices with --allow-thin (upsample, report and volume)"
        return str(ThinSlicesError(problem.cause, way))
    return str(problem)


def printable(text: str) -> str:
    """The text without what steers a terminal: names of files may hold anything."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
