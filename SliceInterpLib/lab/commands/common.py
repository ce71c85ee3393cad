"""What the laboratory's commands share: methods, scans of a folder, how they were called."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from SliceInterpLib.acquired import acquired_only, require_acquired
from SliceInterpLib.archive.finding import find_series
from SliceInterpLib.cli.common import add_json, add_model
from SliceInterpLib.cli.values import count, names_of
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.checks import naming
from SliceInterpLib.files.reading import read_volume
from SliceInterpLib.files.suffixes import READABLE, matching_suffix
from SliceInterpLib.fineness import MOST_TIMES
from SliceInterpLib.interpolators import METHODS, Interpolator
from SliceInterpLib.lab.contenders import PEERS, make_contender
from SliceInterpLib.volume import Volume


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


def add_labels(sub: argparse.ArgumentParser) -> None:
    """Where hematomas are known."""
    sub.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="label maps of the scans' names and grids",
    )
    sub.add_argument("--label", default="1", help="the hematoma's number or name there")


def add_places(sub: argparse.ArgumentParser) -> None:
    """What is predicted and compared, and whether thick slices are made of thin ones for it."""
    sub.add_argument(
        "--places",
        type=count(least=2, most=MOST_TIMES),
        default=2,
        metavar="N",
        help="predict N − 1 slices at even steps between two (default: 2, the one midway; of 4, "
        "benchmark also says what the network gives that doubles twice)",
    )
    sub.add_argument(
        "--average",
        type=count(least=2),
        metavar="N",
        help="average N thin slices, a multiple of the places, into thick ones and compare with "
        "the true slices between them",
    )


def check_average(options: argparse.Namespace) -> None:
    """Raise VolumeError where the two options do not fit together."""
    if options.average and options.average % options.places:
        raise VolumeError(
            f"The true slices at {options.places} places are means of other thin slices only where "
            f"a multiple of {options.places} is averaged, not {options.average} (--average)."
        )


def named_methods(options: argparse.Namespace) -> list[Interpolator]:
    """What `add_methods` asked for."""
    return [
        make_contender(
            name, model=options.model if name == "learned" else None, device=options.device
        )
        for name in options.methods
    ]


@dataclass(frozen=True)
class Scan:
    """One of the scans that a command was given."""

    path: Path
    """A volume file, or the folder of a DICOM series."""
    series: str | None = None
    """Which series of the folder, as `read_volume` takes it."""
    acquired_only: bool = False
    """Take the acquired slices out of a result of SliceInterp."""

    def __str__(self) -> str:
        return f"{self.path} {self.series}" if self.series else str(self.path)

    @property
    def name(self) -> str:
        """Of its file, without suffix, or of its folder."""
        suffix = matching_suffix(self.path, READABLE) or ""
        return self.path.name[: len(self.path.name) - len(suffix)]

    @property
    def files(self) -> list[Path]:
        """What is read, and maybe more in the folder of a DICOM series."""
        return sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]

    def read(self) -> Volume:
        """The acquired volume; raises VolumeError, as `require_acquired` does, with the path."""
        with naming(self.path):
            volume = read_volume(self.path, series=self.series)
            if self.acquired_only:
                volume = acquired_only(volume)
            require_acquired(volume)
        return volume


def scans(places: Sequence[Path], *, acquired_only: bool = False) -> list[Scan]:
    """Files as they are; of folders, every volume file and every DICOM series below them.

    What is one is as `find_series` has it; folders of DICOM without CT are passed over.

    Args:
        places: files and folders.
        acquired_only: of results of SliceInterp among them, take the acquired slices.
    """
    found: list[Scan] = []
    for place in places:
        below = find_series(place) if place.is_dir() else ()
        of_place = [
            Scan(place / one.path, one.uid, acquired_only) for one in below if not one.obstacle
        ]
        of_place.sort(key=lambda scan: (scan.path, scan.series or ""))
        # Of a folder with none the reader says what is wrong with it.
        found += of_place or [Scan(place, None, acquired_only)]
    return found


def by_name(patients: Sequence[Scan]) -> dict[str, Scan]:
    """Scans by their names, by path and series where several share one."""
    names = [scan.name for scan in patients]
    return {
        name if names.count(name) == 1 else str(scan): scan
        for name, scan in zip(names, patients, strict=True)
    }


def command_line() -> str:
    """The command as it was given, for records of how something was made."""
    return shlex.join(["sliceinterp", *sys.argv[1:]])
