"""What every reader asks of a file before it trusts it, and how it says that it does not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from SliceInterpLib.errors import VolumeError

MOST_VOXELS = 1 << 30
"""Some three times the largest head CT: what claims more would fill the memory."""


def damaged() -> VolumeError:
    """The error for a file whose content is not what it has to be."""
    return VolumeError(
        "The file cannot be read: it is damaged, cut off, lacks its data file, or is not what its "
        "name says. Copy or export it again."
    )


def check_is_file(path: Path) -> None:
    """Raise VolumeError for pipes, sockets and devices, and for names that ITK cannot take.

    Reading from the former may never end.
    """
    if not path.is_file():
        raise VolumeError("This is neither a file nor a folder. Give a file that lies on a disk.")
    if not is_text(path):
        raise VolumeError("The name is not written in UTF-8. Rename the file first.")


def is_text(path: Path) -> bool:
    """Whether the name can be written in UTF-8; any other ends the process inside ITK."""
    return not any("\ud800" <= character <= "\udfff" for character in str(path))


def check_dimensions(sizes: Sequence[int]) -> None:
    """Raise VolumeError unless there are three, but for further ones of one voxel."""
    size = " × ".join(map(str, sizes))
    if len(sizes) < 3:
        raise VolumeError(f"This is a 2-D image ({size}). Give the whole series as one volume.")
    if max(sizes[3:], default=1) != 1:
        raise VolumeError(
            f"This image has {len(sizes)} dimensions ({size}). "
            "Save one of its volumes (time points, phases) to a file of its own and give that."
        )


def check_channels(count: int) -> None:
    """Raise VolumeError unless there is one number a voxel."""
    if count != 1:
        raise VolumeError(
            f"This image has {count} values per voxel (colours or vectors). "
            "Give the CT itself, with one HU value per voxel."
        )


def check_size(sizes: Sequence[int]) -> None:
    """Raise VolumeError for more voxels than any head CT has, or none."""
    if min(sizes, default=0) < 1:
        raise damaged()
    if math.prod(sizes) > MOST_VOXELS:
        raise VolumeError(
            f"The header claims {' × '.join(map(str, sizes))} voxels, more than would fit into the "
            "memory and more than any head CT has. If that is right, crop the scan first."
        )


def check_length(file: BinaryIO, length: int) -> None:
    """Raise VolumeError unless so many bytes, or more, come next."""
    while length and (chunk := file.read(min(length, 1 << 20))):
        length -= len(chunk)
    if length:
        raise damaged()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors say which path they are about."""
    try:
        yield
    except VolumeError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise VolumeError(f"{path}: {error}") from error
    except OSError as error:
        raise VolumeError(
            f"{path}: It cannot be opened ({error.strerror}). Check its permissions."
        ) from error
