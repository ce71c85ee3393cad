"""Scans packed small, in parts, to take them to a machine that is lent for minutes.

A packed scan is a NumPy .npz archive, compressed by bzip2, which makes head CT smaller than gzip
does. It keeps the slices bit for bit and their spacing, which is all that a training asks for;
values with a range of up to 256 are kept in 8 bits.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from SliceInterpLib.volume import Volume


def pack(scans: Iterable[tuple[str, Volume]], folder: Path, most_mib: float) -> list[Path]:
    """Write folder-1/NAME.npz and so on, going on in folder-2 when the first one is full.

    Args:
        scans: evenly spaced, by names that differ.
        folder: without the number.
        most_mib: of a part, as long as a single scan has no more.

    Returns:
        The parts.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    parts: list[Path] = []
    room = 0
    for name, volume in scans:
        content = folder.with_name(f"{folder.name}.part")
        _write(content, volume)
        size = content.stat().st_size
        if size > room:
            parts.append(folder.with_name(f"{folder.name}-{len(parts) + 1}"))
            parts[-1].mkdir()
            room = int(most_mib * 2**20)
        room -= size
        content.replace(parts[-1] / f"{name}.npz")
    return parts


def unpack(folders: Iterable[Path]) -> list[Volume]:
    """The scans of some parts, upright, with int16 slices, by name."""
    files = sorted((path for folder in folders for path in folder.glob("*.npz")), key=_name)
    with ThreadPoolExecutor() as threads:
        return list(threads.map(_read, files))


def _name(path: Path) -> str:
    return path.name


def _write(path: Path, volume: Volume) -> None:
    slices = volume.slices.astype(np.int16)
    if (slices != volume.slices).any():
        raise ValueError("Only whole HU within 16 bits can be packed.")
    low = int(slices.min())
    if int(slices.max()) - low < 256:
        slices = (slices - low).astype(np.uint8)
    spacing = [*volume.pixel_spacing, volume.slice_spacing]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name, array in (("slices", slices), ("low", low), ("spacing", spacing)):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.asarray(array))


def _read(path: Path) -> Volume:
    with np.load(path) as content:
        slices = content["slices"]
        if slices.dtype == np.uint8:
            slices = slices + content["low"].astype(np.int16)
        return Volume.from_grid(
            hu=slices,
            origin=(0.0, 0.0, 0.0),
            spacing=content["spacing"],
            direction=np.eye(3),
            slice_axis=0,
        )
