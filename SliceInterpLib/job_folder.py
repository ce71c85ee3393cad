"""The job folder: by way of it a child process gets its task and gives back what it has found.

Both ends are this program, and nobody else can look into the folder, so that values are pickled.
"""

from __future__ import annotations

import contextlib
import pickle
from pathlib import Path
from typing import Any

TASK, RESULT = "task", "result"
"""Names of values: what the child is to do, and what came of it."""

_SUFFIX = ".pickle"


def write(folder: Path, name: str, value: object) -> None:
    """Put a value into the folder."""
    with open(folder / (name + _SUFFIX), "wb") as file:
        pickle.dump(value, file, protocol=5)


def read(folder: Path, name: str) -> Any:
    """A value that `write` put there; pickle raises whatever it stumbles over in a damaged one."""
    with open(folder / (name + _SUFFIX), "rb") as file:
        return pickle.load(file)


def take(folder: Path, name: str) -> Any:
    """As `read`, and the folder no longer has it."""
    value = read(folder, name)
    (folder / (name + _SUFFIX)).unlink()
    return value


def remove(folder: Path) -> None:
    """Delete the folder and the values in it; anything else that lies there stays."""
    with contextlib.suppress(OSError):
        for path in folder.glob("*" + _SUFFIX):
            path.unlink(missing_ok=True)
        folder.rmdir()
