"""What a case is, and how those with one file are written down."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RIGHT = "right"
"""The command succeeds, and the acquired slices come out bit for bit."""

CANCELLED = "cancelled"
"""The command ends as after SIGTERM, and nothing is kept."""

EITHER = "either"
"""Right or refused: for damage that may or may not matter."""

SECRET = "Secret^Person"
"""The patient's name wherever a format has room for one. It may never come out."""


class Impossible(Exception):
    """The case cannot be made here; the text says why."""


@dataclass(frozen=True)
class Case:
    """A folder, a command that is run in it, and how that has to end.

    make: fills the folder; returns the HU (slice, row, column) that the acquired slices must have
    in the result, or None where there must be none or nobody can tell. ends: RIGHT, CANCELLED,
    EITHER, or a regular expression that the one line of the refusal matches. arguments: of
    `sliceinterp`. before: called in the command's process before it. learned: it needs torch.
    """

    category: str
    name: str
    make: Callable[[Path], np.ndarray | None]
    ends: str
    arguments: tuple[str, ...]
    before: Callable[[], None] | None = None
    learned: bool = False

    @property
    def title(self) -> str:
        """Unlike any other case's."""
        return f"{self.category}: {self.name}"


def doubling(path: str, output: str = "out/doubled.nii") -> tuple[str, ...]:
    """The arguments that double the scan at `path`."""
    return ("upsample", "--method", "linear", "--json", f"--output={output}", "--", path)


def deriving(path: str) -> tuple[str, ...]:
    """The arguments that make a derived series of the DICOM scan at `path`."""
    options = ("--method", "linear", "--json", "--dicom", "--widest-gap=7", "--output=out/derived")
    return ("upsample", *options, "--", path)


def written(
    files: Mapping[str, bytes | Callable[[], bytes]], hu: np.ndarray | None = None
) -> Callable[[Path], np.ndarray | None]:
    """A `make` that writes files, some of them made only then."""

    def make(folder: Path) -> np.ndarray | None:
        for name, content in files.items():
            (folder / name).write_bytes(content() if callable(content) else content)
        return hu

    return make


def holding(
    make: Callable[[Path], object], hu: np.ndarray, ends: str
) -> Callable[[Path], np.ndarray | None]:
    """`make`, returning the HU if the case has to end right."""

    def made(folder: Path) -> np.ndarray | None:
        make(folder)
        return hu if ends == RIGHT else None

    return made


def make_places(folder: Path) -> None:
    """The empty folder of a case, with places for the result and for temporary files."""
    for place in (folder, folder / "out", folder / "tmp"):
        place.mkdir()
        place.chmod(0o777)


def remove(folder: Path) -> None:
    """A case's folder with all that is in it."""
    if os.path.ismount(folder / "out"):
        subprocess.run(["umount", folder / "out"], check=True)
    shutil.rmtree(folder)
