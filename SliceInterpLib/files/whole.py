"""Files that appear under their names only when they are complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from SliceInterpLib.errors import OutputError

TEMPORARY = ".sliceinterp-"
"""How the names of folders begin in which files lie until they are complete."""


def check_place(path: Path, *, overwrite: bool) -> None:
    """Refuse a place where no file can be put, before a long run and not after it.

    Args:
        path: where the file is to be.
        overwrite: allow a file that exists.

    Raises:
        OutputError: for a missing folder, a folder of that name, and a file that exists, unless
            `overwrite`.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: The folder does not exist. Make it first, or choose another.")
    if path.is_dir() or (path.exists() and not overwrite):
        raise OutputError(
            f"{path}: This exists already. Choose another name, or allow overwriting."
        )


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file that appears under its name only when it is complete."""
    with TemporaryDirectory(prefix=TEMPORARY, dir=path.parent) as folder:
        part = Path(folder, "part")
        yield part
        os.replace(part, path)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
