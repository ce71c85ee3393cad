"""Outputs that would replace what is read, or one another, under whatever name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from SliceInterpLib.errors import OutputError
from SliceInterpLib.files.sidecar import sidecar


def check_apart(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse outputs that are an input or another output, before a long run and not after it.

    Names are followed to what they stand for, so that a link or `./` hides nothing. The JSON file
    beside a NIfTI file counts as part of it.

    Args:
        outputs: files and folders that are to be written; None for what was not asked for.
        inputs: files and folders that are read; None likewise.

    Raises:
        OutputError: with the output's name.
    """
    written = [path for path in outputs if path]
    read = [path for path in inputs if path]
    for number, output in enumerate(written):
        for source in read:
            if _clash(output, source):
                raise OutputError(
                    f"{output}: Writing this would replace what is read, {source}. Choose another "
                    "name for the output."
                )
        for other in written[:number]:
            if _clash(output, other):
                raise OutputError(
                    f"{output}: Two outputs would have this name, and one of them would be lost. "
                    "Choose another for one of them."
                )


def _clash(output: Path, other: Path) -> bool:
    """Whether writing the output would replace the other, or a part of it."""
    return any(_covers(one, two) for one in _parts(output) for two in _parts(other))


def _parts(path: Path) -> list[Path]:
    return [part for part in (path, sidecar(path)) if part]


def _covers(output: Path, other: Path) -> bool:
    """Whether the paths are one file or folder, or the output is a folder that the other is in."""
    if output.exists() and other.exists() and output.samefile(other):
        return True
    return Path(os.path.realpath(other)).is_relative_to(os.path.realpath(output))
