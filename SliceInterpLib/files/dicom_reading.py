"""Stacks of CT slices from DICOM: found, ordered by position, and not taken on trust."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.checks import check_is_file, check_size
from SliceInterpLib.files.dicom_frames import Frame, frames_of
from SliceInterpLib.files.dicom_marks import stack_marks, warn_if_derived
from SliceInterpLib.files.dicom_pixels import read_planes
from SliceInterpLib.gaps import GAP_TOLERANCE
from SliceInterpLib.marks import marked
from SliceInterpLib.volume import Volume


def read_dicom(path: str | Path, *, series: str | None = None) -> Volume:
    """The one CT stack in a folder (not its sub-folders), or that of `series`; or a file's stack.

    Warns of what else is in the folder and of files that are there twice.

    Args:
        path: a folder, or a DICOM file of the series.
        series: a series instance UID, or one with "/n" behind it for acquisition n of a series that
            holds several at the same places.

    Returns:
        A volume whose HU are int16 where that holds them, else float32; `files` names the file of
        each slice (of all of them, if multi-frame). A result of SliceInterp has its marks,
        `synthetic` and `provenance`; of series that others derived, a warning tells.

    Raises:
        VolumeError: with cause and way out, for anything that is not one stack of CT slices that
            can be read.
    """
    path = Path(path)
    with naming(path):
        return _read(path, series)


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


def _read(path: Path, series: str | None) -> Volume:
    if path.is_dir():
        return _stack(_chosen(_stacks(_ct_slices(path)), series))
    if not path.exists():
        raise VolumeError("There is no such file or folder. Check the path.")
    check_is_file(path)
    frames = frames_of(path)
    if not frames:
        raise VolumeError(
            "This is neither a DICOM image that can be read nor, by its suffix, a NIfTI, NRRD or "
            "MetaImage file. Give one of these, or a folder of DICOM files."
        )
    if frames[0].unusable:
        raise VolumeError(f"This is not a CT slice but {frames[0].unusable}. Give a CT slice.")
    if series and series.split("/")[0] != frames[0].series:
        raise VolumeError("The file is not of the series that was asked for. Give its folder.")
    if len(frames) > 1:
        return _stack(frames)
    stacks = _stacks(_ct_slices(path.parent))
    mine = [name for name, members in stacks.items() if path in {m.path for m in members}]
    return _stack(_chosen(stacks, series or (mine or [frames[0].series])[0]))


def list_series(folder: str | Path) -> dict[str, str]:
    """What `series` can be for this folder, and in words how many slices each has.

    Empty if the folder has no CT slices.
    """
    try:
        stacks = _stacks(_ct_slices(Path(folder)))
    except VolumeError:
        return {}
    return {name: f"{len(members)} slices" for name, members in stacks.items()}


def _ct_slices(folder: Path) -> list[Frame]:
    """Every CT slice in the folder, sub-folders not included; raises VolumeError if none is."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    images = [frame for path in paths for frame in frames_of(path)]
    if not images:
        raise VolumeError(
            "The folder has no DICOM images. Give the folder that holds them directly; "
            "NIfTI, NRRD and MetaImage are given as a file."
        )
    slices = [image for image in images if not image.unusable]
    others = Counter(image.unusable for image in images if image.unusable)
    found = "; ".join(f"{count} × {what}" for what, count in others.items())
    if not slices:
        raise VolumeError(f"The folder has no CT slices, only {found}. Give a series of CT slices.")
    if others:
        warnings.warn(f"Left out, because they are not CT slices: {found}.", stacklevel=2)
    return _without_copies(slices)


def _without_copies(slices: Sequence[Frame]) -> list[Frame]:
    """Each image once: one that was saved twice has the same UID and lies in the same place."""
    once = {(image.instance, image.number, *image.origin): image for image in slices}
    copies = len(slices) - len(once)
    if copies:
        warnings.warn(
            f"{copies} images are in the folder twice; one of each is read.", stacklevel=2
        )
    return list(once.values())


def _stacks(slices: Sequence[Frame]) -> dict[str, list[Frame]]:
    """The slices by series; a series with several slices at one place, by acquisition."""
    by_series = defaultdict(list)
    for image in slices:
        by_series[image.series].append(image)
    stacks = {}
    for uid, members in sorted(by_series.items()):
        acquisitions = defaultdict(list)
        for image in members:
            acquisitions[image.acquisition].append(image)
        if not _has_repeats(members) or any(map(_has_repeats, acquisitions.values())):
            stacks[uid] = members
        else:
            stacks |= {f"{uid}/{number}": part for number, part in sorted(acquisitions.items())}
    return stacks


def _has_repeats(slices: Sequence[Frame]) -> bool:
    """Whether two slices lie in one place."""
    normal = slices[0].normal
    along = np.sort([float(image.origin @ normal) for image in slices])
    return bool((np.diff(along) < GAP_TOLERANCE).any())


def _chosen(stacks: dict[str, list[Frame]], series: str | None) -> list[Frame]:
    """The slices that were asked for, or the only ones."""
    listed = "\n".join(f"  {name}  {len(members)} slices" for name, members in stacks.items())
    names = [name for name in stacks if series in (None, name, name.split("/")[0])]
    if not names:
        raise VolumeError(f"The folder has no CT series {series}. It has:\n{listed}")
    if len(names) > 1:
        raise VolumeError(
            f"The folder has {len(names)} CT series. Choose one with --series UID "
            f"(in Python series=UID):\n{listed}"
        )
    return stacks[names[0]]


def _stack(slices: list[Frame]) -> Volume:
    """The stack that the slices make, in order along their normal."""
    first = slices[0]
    strangers = [image.path.name for image in slices if not _alike(image, first)]
    if strangers:
        beyond = f" and {len(strangers) - 6} more" if len(strangers) > 6 else ""
        raise VolumeError(
            f"{len(strangers)} of the series' {len(slices)} images differ from the others in size, "
            f"pixel spacing or orientation: {', '.join(strangers[:6])}{beyond}. "
            "Keep only one stack in the folder."
        )
    if len(slices) < 2:
        raise VolumeError("The series has one slice only. Give a whole series.")
    slices = sorted(slices, key=lambda image: float(image.origin @ first.normal))
    volume = Volume(
        slices=_pixels(slices),
        slice_origins=np.array([image.origin for image in slices]),
        pixel_spacing=first.pixel_spacing,
        in_plane_axes=first.in_plane_axes,
        thickness=np.array([image.thickness for image in slices]),
        files=tuple(image.path for image in slices),
    )
    volume.require_line()
    marks = stack_marks([image.mark for image in slices])
    if not marks:
        warn_if_derived(" ".join(image.mark.image_type for image in slices if not image.mark.ours))
    return marked(volume, marks)


def _alike(one: Frame, other: Frame) -> bool:
    return (
        one.size == other.size
        and np.allclose(one.pixel_spacing, other.pixel_spacing, rtol=1e-4)
        and np.allclose(one.in_plane_axes, other.in_plane_axes, rtol=0, atol=1e-3)
    )


def _pixels(slices: Sequence[Frame]) -> np.ndarray:
    """HU of the slices, (slice, row, column): int16, or float32 where int16 cannot do."""
    check_size((len(slices), *slices[0].size))
    hu = np.empty((len(slices), *slices[0].size), dtype=np.int16)
    path = None
    for index, image in enumerate(slices):
        if image.path != path:
            path, planes = image.path, read_planes(image.path)
        plane = image.hu(planes)
        if hu.dtype == np.int16 and not _fits_int16(plane):
            hu = hu.astype(np.float32)
        hu[index] = plane
    return hu


def _fits_int16(plane: np.ndarray) -> bool:
    if plane.dtype.kind == "f" and not np.array_equal(plane, np.rint(plane)):
        return False
    return plane.min() >= -32768 and plane.max() <= 32767
