"""What the laboratory's commands share: methods, scans of a folder, how they were called."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from SliceInterpLib.cli.common import add_json, add_model
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.lab.contenders import make_contender


def add_methods(sub: argparse.ArgumentParser, default: Sequence[str]) -> None:
    """Add the options that name the methods to measure, and the model of the learned one.

    Args:
        sub: the parser of a command.
        default: names of methods.
    """
    sub.add_argument(
        "--methods",
        type=lambda text: text.split(","),
        default=list(default),
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
        for name in dict.fromkeys(options.methods)
    ]


def scans(places: Sequence[Path]) -> list[Path]:
    """Files as they are; of folders, every volume file below them, or the folder itself (DICOM)."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            files = sorted(
                path
                for path in place.rglob("*")
                if path.name.endswith((".nii", ".nii.gz", ".nrrd", ".mha"))
            )
            found += files or [place]
        else:
            found.append(place)
    return found


def command_line() -> str:
    """The command as it was given, for records of how something was made."""
    return "sliceinterp " + " ".join(sys.argv[1:])
