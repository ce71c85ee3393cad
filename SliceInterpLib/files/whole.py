"""Files that appear under their names only when they are complete."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


_private: set[Path] = set()
"""The private folders that there are."""


@contextmanager
def private_folder(parent: Path) -> Iterator[Path]:
    """A folder that no one else can read and that is gone afterwards, with all that is in it.

    Unlike `tempfile.TemporaryDirectory` it is gone also where a signal comes the moment that the
    folder is made.
    """
    folder = parent / f"{TEMPORARY}{secrets.token_hex(6)}"
    _private.add(folder)
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _private.discard(folder)


def remove_private_folders() -> None:
    """For a process that is about to be ended in the middle of its work, by another thread."""
    for folder in list(_private):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file that appears under its name only when it is complete."""
    with private_folder(path.parent) as folder:
        part = folder / "part"
        yield part
        os.replace(part, path)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
