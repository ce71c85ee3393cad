"""The series in an archive: volume files and DICOM folders, wherever they lie below a folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files import list_series
from SliceInterpLib.files.dicom_frames import frames_of
from SliceInterpLib.files.suffixes import READABLE, matching_suffix

DETACHED = (".mhd", ".nhdr")
"""Headers whose voxels lie in another file of the same name."""


@dataclass(frozen=True)
class Series:
    """Where a series lies, and what tells whether it has changed since."""

    path: PurePosixPath
    """The file, or the folder of a DICOM series, from the archive's folder on."""
    uid: str | None = None
    """Which series of a DICOM folder, as `read_volume` takes it."""
    files: tuple[tuple[str, int, int], ...] = ()
    """Name, size and time of change (ns) of its files; of a DICOM series, of all in its folder."""
    obstacle: str = ""
    """Why it is no CT series; empty if it is one, or if that shows only when it is read."""

    @property
    def name(self) -> str:
        """Path of its result below the output folder, without suffix.

        It is the series' own path, for a DICOM folder with eight digits of the UID's SHA-256: no
        value of a header can be read from it, and it does not change when series are added.
        """
        if self.uid is None:
            suffix = matching_suffix(Path(self.path), READABLE) or ""
            return str(self.path)[: len(str(self.path)) - len(suffix)]
        digest = hashlib.sha256(self.uid.encode()).hexdigest()[:8]
        return str(self.path.parent / f"{self.path.name or 'series'}-{digest}")


def find_series(archive: Path, *, leave_out: Path | None = None) -> Iterator[Series]:
    """Every series below `archive`, in the order of their paths.

    Hidden files and folders and links to folders are passed over. A folder that cannot be opened
    is a series too, so that it is not forgotten.

    Args:
        archive: the folder to look through.
        leave_out: a folder that is passed over as well.
    """
    left_out = leave_out and leave_out.resolve()
    closed: list[str] = []
    for place, folders, names in os.walk(archive, onerror=lambda e: closed.append(e.filename)):
        folder = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (folder / name).resolve() != left_out
        )
        paths = [folder / name for name in sorted(names) if not name.startswith(".")]
        paths = [path for path in paths if path.is_file()]
        volumes = [path for path in paths if matching_suffix(path, READABLE)]
        for path in volumes:
            yield Series(_below(archive, path), files=_stamps(_voxel_files(path, paths)))
        if len(volumes) < len(paths):
            yield from _dicom_series(archive, folder, paths)
    for place in closed:
        yield Series(_below(archive, Path(place)))


def _dicom_series(archive: Path, folder: Path, paths: list[Path]) -> Iterator[Series]:
    """The CT series in a folder; one with an obstacle if it has DICOM files but no CT."""
    where, files = _below(archive, folder), _stamps(paths)
    obstacle = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of localizers and reports beside the series
            uids = list_series(folder)
        if not uids:
            if not any(map(frames_of, paths)):
                return
            obstacle = "It holds DICOM files, but no CT slices."
    except (VolumeError, OSError):
        uids = {}  # a slice is damaged, or may not be opened: reading the folder will say which
    if uids:
        yield from (Series(where, uid, files) for uid in uids)
    else:
        yield Series(where, None, files, obstacle)


def _below(archive: Path, path: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(archive).as_posix())


def _voxel_files(path: Path, paths: list[Path]) -> list[Path]:
    """The files that a volume is in: one, or a header and those of its name beside it."""
    suffix = matching_suffix(path, DETACHED)
    if not suffix:
        return [path]
    stem = path.name[: -len(suffix)] + "."
    return [other for other in paths if other.name.startswith(stem)]


def _stamps(paths: list[Path]) -> tuple[tuple[str, int, int], ...]:
    stamps = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # removed by now: it has none
            found = path.stat()
            stamps.append((path.name, found.st_size, found.st_mtime_ns))
    return tuple(stamps)
