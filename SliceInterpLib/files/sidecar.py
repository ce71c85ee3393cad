"""The JSON file beside a NIfTI file: ours, which holds its marks, or that of a converter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NIFTI = (".nii", ".nii.gz")

_LONGEST = 1 << 20
"""Bytes: ours, and those of converters, have some thousands."""


def sidecar(path: Path) -> Path | None:
    """The JSON file that belongs to a NIfTI file; the other formats have none."""
    name = path.name.lower()
    suffix = next((suffix for suffix in NIFTI if name.endswith(suffix)), None)
    return path.with_name(path.name[: -len(suffix)] + ".json") if suffix else None


def read_sidecar(path: Path) -> dict[str, Any]:
    """What the JSON file of a NIfTI file says; nothing if there is none, or it is none."""
    beside = sidecar(path)
    if beside is None:
        return {}
    try:
        if not beside.is_file():  # and never a pipe, which may not end
            return {}
        with beside.open("rb") as file:
            text = file.read(_LONGEST + 1)
        # Converters write texts of headers in whatever encoding they have.
        found = json.loads(text.decode("utf-8", "replace")) if len(text) <= _LONGEST else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
