"""Stacks of CT slices from DICOM: found, ordered by position, and not taken on trust."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.checks import check_is_file, check_size, naming
from SliceInterpLib.files.dicom_frames import Frame, frames_of
from SliceInterpLib.files.dicom_marks import stack_marks, warn_if_derived
from SliceInterpLib.files.dicom_pixels import read_planes
from SliceInterpLib.files.dicom_stacks import ALL, by_shape, chosen, stacks_of
from SliceInterpLib.gaps import GAP_TOLERANCE
from SliceInterpLib.hounsfield import Ranges
from SliceInterpLib.marks import marked
from SliceInterpLib.padding import credible
from SliceInterpLib.volume import Volume


def read_dicom(path: str | Path, *, series: str | None = None) -> Volume:
    """The one CT stack in a folder (not its sub-folders), or that of `series`; or a file's stack.

    Warns of what else is in the folder and of files that are there twice.

    Args:
        path: a folder, or a DICOM file of the series.
        series: a name that `list_series` gives: a series instance UID, or one with "/n" behind it
            for one of several stacks in a series; "UID/all" takes these as one stack, "all" all
            slices in the folder.

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


def _read(path: Path, series: str | None) -> Volume:
    if path.is_dir():
        return _volume(chosen(stacks_of(_ct_slices(path)), series))
    if not path.exists():
        raise VolumeError("There is no such file or folder. Check the path.")
    check_is_file(path)
    frames = frames_of(path)
    if not frames:
        raise VolumeError(
            "This is neither a DICOM image that can be read nor, by its suffix, a NIfTI, NRRD or "
            "MetaImage file. Give one of these, or a folder of DICOM files."
        )
    usable = [frame for frame in frames if not frame.unusable]
    if not usable:
        raise VolumeError(f"This is not a CT slice but {frames[0].unusable}. Give a CT slice.")
    uid, in_parts = usable[0].series, bool(usable[0].part[0])
    if series and series.split("/")[0] not in (uid, ALL):
        raise VolumeError("The file is not of the series that was asked for. Give its folder.")
    if len(frames) > 1 and not in_parts:
        return _volume(chosen(stacks_of(_usable(frames)), series))
    stacks = stacks_of(_ct_slices(path.parent))
    mine = [name for name, one in stacks.items() if path in {s.path for s in one.slices}]
    return _volume(chosen(stacks, series or (mine[0] if len(mine) == 1 else uid)))


def list_series(folder: str | Path) -> dict[str, str]:
    """What `series` can be for this folder; how many slices each has and what tells it apart.

    Empty if the folder has no CT slices.
    """
    try:
        stacks = stacks_of(_ct_slices(Path(folder)))
    except VolumeError:
        return {}
    return {name: stack.in_words for name, stack in stacks.items()}


def _ct_slices(folder: Path) -> list[Frame]:
    """Every CT slice in the folder, sub-folders not included; raises VolumeError if none is."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    images = [frame for path in paths for frame in frames_of(path)]
    if not images:
        raise VolumeError(
            "The folder has no DICOM images. Give the folder that holds them directly; "
            "NIfTI, NRRD and MetaImage are given as a file."
        )
    return _usable(images)


def _usable(images: Sequence[Frame]) -> list[Frame]:
    """The CT slices among them, each once; raises VolumeError if there are none."""
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


def _volume(slices: list[Frame]) -> Volume:
    """The volume that the slices of a stack make, in order along their normal."""
    most, *others = by_shape(slices)
    if others:
        raise VolumeError(
            f"{len(slices) - len(most)} of the series' {len(slices)} images differ from the others "
            "in size, pixel spacing or orientation: "
            f"{_names([image for kind in others for image in kind])}. Keep only one stack in the "
            "folder."
        )
    check_complete(slices)
    if len(slices) < 2:
        raise VolumeError("The series has one slice only. Give a whole series.")
    first = slices[0]
    slices = sorted(slices, key=lambda image: float(image.origin @ first.normal))
    _check_places(slices)
    volume = Volume(
        slices=_pixels(slices),
        slice_origins=np.array([image.origin for image in slices]),
        pixel_spacing=first.pixel_spacing,
        in_plane_axes=first.in_plane_axes,
        thickness=np.array([image.thickness for image in slices]),
        padding=_padding(slices),
        files=tuple(image.path for image in slices),
    )
    volume.require_line()
    if volume.is_even and volume.off_grid_mm > GAP_TOLERANCE:
        warnings.warn(
            f"Some slices lie up to {volume.off_grid_mm:.2f} mm beside an even grid, as their "
            "positions are rounded or not exact; they count as evenly spaced.",
            stacklevel=2,
        )
    marks = stack_marks([image.mark for image in slices])
    if not marks:
        warn_if_derived(" ".join(image.mark.image_type for image in slices if not image.mark.ours))
    return marked(volume, marks)


def check_complete(slices: Sequence[Frame]) -> None:
    """Raise VolumeError if files of a concatenation are missing among those of the slices."""
    parts = {image.part for image in slices if image.part[0]}
    for uid in {uid for uid, _, _ in parts}:
        numbers = {number for other, number, _ in parts if other == uid}
        total = max(max(count for other, _, count in parts if other == uid), *numbers)
        if len(numbers) < total:
            raise VolumeError(
                f"The series was cut into several files (a concatenation), and only {len(numbers)} "
                f"of {total} are here. Put all of them into one folder and give that."
            )


def _check_places(slices: Sequence[Frame]) -> None:
    """Raise VolumeError if two slices, in order along their normal, lie in one place."""
    along = np.array([float(image.origin @ slices[0].normal) for image in slices])
    again = np.flatnonzero(np.diff(along) < GAP_TOLERANCE)
    if not len(again) or np.ptp(along) < len(slices) * GAP_TOLERANCE:  # microscopic
        return
    pairs = "; ".join(_names(slices[index : index + 2]) for index in again[:3].tolist())
    raise VolumeError(
        f"{len(again)} of the series' {len(slices)} slices lie where another one lies already, and "
        f"nothing in their headers tells them apart: {pairs}{' …' * (len(again) > 3)}. They are "
        "duplicates, or several phases in one series: leave one slice for each position in the "
        "folder, or export each phase as a series of its own."
    )


def _names(images: Sequence[Frame]) -> str:
    """The files, or frames of one file, that some images are; six at most."""
    several = len({image.path for image in images}) < len(images)
    named = [
        image.path.name + (f" frame {image.number + 1}" if several else "") for image in images[:6]
    ]
    return ", ".join(named) + (f" and {len(images) - 6} more" if len(images) > 6 else "")


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


def _padding(slices: Sequence[Frame]) -> Ranges:
    """The HU that the slices declare as padding; warns of what cannot be."""
    declared = {image.padding for image in slices if image.padding}
    found = credible(declared)
    for low, high in sorted(declared.difference(found)):
        warnings.warn(
            f"By their headers {low:g}…{high:g} HU are padding, but that is tissue; it is taken "
            "for tissue.",
            stacklevel=2,
        )
    return found


def _fits_int16(plane: np.ndarray) -> bool:
    if plane.dtype.kind == "f" and not np.array_equal(plane, np.rint(plane)):
        return False
    return plane.min() >= -32768 and plane.max() <= 32767
