"""Formats by the names of their files."""

from __future__ import annotations

from pathlib import Path

READABLE = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""What is read besides DICOM, whose files may have any name."""


def is_dicom(path: Path) -> bool:
    """Whether the path is taken for DICOM: a folder, or a file with no other format's suffix."""
    return path.is_dir() or not matching_suffix(path, READABLE)


def matching_suffix(path: Path, suffixes: tuple[str, ...]) -> str | None:
    """The one of `suffixes` that the file's name ends in, whatever its case; None without one."""
    return next((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), None)
