"""What the laboratory's commands share: methods, scans of a folder, how they were called."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from SliceInterpLib.cli.common import add_json, add_model
from SliceInterpLib.cli.values import names_of
from SliceInterpLib.files.reading import READABLE, matching_suffix
from SliceInterpLib.interpolators import METHODS, Interpolator
from SliceInterpLib.lab.contenders import PEERS, make_contender


def add_methods(sub: argparse.ArgumentParser, default: Sequence[str]) -> None:
    """Add the options that name the methods to measure, and the model of the learned one.

    Args:
        sub: the parser of a command.
        default: names of methods.
    """
    sub.add_argument(
        "--methods",
        type=names_of([name for name in METHODS + PEERS if name != "torchscript"]),
        default=tuple(default),
        help=f"comma-separated (default: {','.join(default)})",
    )
    add_model(sub)
    add_json(sub)


def named_methods(options: argparse.Namespace) -> list[Interpolator]:
    """What `add_methods` asked for."""
    return [
        make_contender(
            name, model=options.model if name == "learned" else None, device=options.device
        )
        for name in options.methods
    ]


def scans(places: Sequence[Path]) -> list[Path]:
    """Files as they are; of folders, every volume file below them, or the folder itself (DICOM).

    A volume file is one whose name ends as `read_volume` knows it, whatever its case. Hidden files
    are passed over.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            files = sorted(path for path in place.rglob("*") if _is_scan(path, place))
            found += files or [place]
        else:
            found.append(place)
    return found


def _is_scan(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and path.is_file() and matching_suffix(path, READABLE) is not None


def command_line() -> str:
    """The command as it was given, for records of how something was made."""
    return shlex.join(["sliceinterp", *sys.argv[1:]])
