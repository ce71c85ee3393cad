"""Checkpoints on disk: a few files of tensors, and one that says which of them belong together.

Each file is small enough for places that take no large ones, and the last one appears only when
all others are complete, so that a run that ends at any moment leaves a whole checkpoint.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

LARGEST_FILE = 15 << 20
"""Bytes of tensors in a file, unless a single tensor has more."""

_INDEX = "checkpoint.json"


def write(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Replace the folder's checkpoint.

    Args:
        folder: exists.
        tensors: by name, contiguous.
        state: what is to be kept besides, as JSON; with "step", after which files are named.
    """
    names: list[str] = []
    for part in _parts(tensors):
        names.append(f"checkpoint-{state['step']}-{len(names) + 1}.safetensors")
        replace_file(folder / names[-1], partial(save_file, part))
    replace_text(folder / _INDEX, json.dumps({"files": names, "state": state}, indent=1))
    for old in folder.glob("checkpoint-*.safetensors"):
        if old.name not in names:
            old.unlink()


def read_state(folder: Path) -> dict[str, Any] | None:
    """What the folder's checkpoint says besides its tensors; None if there is none."""
    return _index(folder)["state"] if (folder / _INDEX).exists() else None


def read_tensors(folder: Path, device: torch.device) -> dict[str, Tensor]:
    """The tensors of the folder's checkpoint, on a device."""
    tensors: dict[str, Tensor] = {}
    for name in _index(folder)["files"]:
        tensors |= load_file(folder / name, device=str(device))
    return tensors


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file under a temporary name, then put it in its place."""
    temporary = path.with_name(path.name + ".part")
    write(temporary)
    os.replace(temporary, path)


def replace_text(path: Path, text: str) -> None:
    """The same for a text."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _index(folder: Path) -> dict[str, Any]:
    return json.loads((folder / _INDEX).read_text(encoding="utf-8"))


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The tensors in their order, in files of up to LARGEST_FILE."""
    part: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors.items():
        if part and size + tensor.nbytes > LARGEST_FILE:
            yield part
            part, size = {}, 0
        part[name] = tensor
        size += tensor.nbytes
    yield part
