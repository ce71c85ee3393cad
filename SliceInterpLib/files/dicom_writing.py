"""Results as a derived DICOM series, in the study that their acquired slices come from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from pydicom.config import disable_value_validation

from SliceInterpLib.errors import Cancelled, OutputError
from SliceInterpLib.files.dicom_images import derived_images, processing, rescale_for
from SliceInterpLib.files.dicom_pixels import read_planes
from SliceInterpLib.files.dicom_sources import Source, Sources, stranger
from SliceInterpLib.files.whole import private_folder
from SliceInterpLib.volume import Volume

_OURS = re.compile(r"slice-\d{4,}\.dcm")


def write_dicom(
    result: Volume,
    sources: Iterable[str | Path],
    folder: str | Path,
    *,
    keep_identity: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> None:
    r"""Write the result as a new series of CT images, a file a slice, into a new folder.

    HU are stored with slope 1 and intercept 0, else with a source's, so that the acquired slices
    are exact; those are compared with their sources before anything is written. Other HU are
    rounded to the nearest value that can be stored.

    Every image is DERIVED\SECONDARY. Image Comments begin with SYNTHETIC for a predicted slice,
    ACQUIRED for one that is bit for bit its source's, PROCESSED for one that was made upright or
    denoised; as archives may drop comments, only the first and the last have a Derivation Code
    Sequence. A synthetic slice stands for one as thick as the thicker of its sources, so slices
    overlap: volumes come from positions or Spacing Between Slices, never from Slice Thickness.

    There is nothing between keeping the identity and giving it up, because a study with two
    patients in it makes an archive refuse the series or mix up patients.

    Args:
        result: the volume to write.
        sources: the DICOM files of the acquired slices, one a slice or multi-frame. Each slice
            refers to the source in its plane, a synthetic one to the two that enclose it, and takes
            from them what stays true: only attributes that dicom_sources lists, and only where
            these sources agree.
        folder: may be missing or empty; the folder around it must be there.
        keep_identity: the series joins the sources' study and frame of reference, with the
            patient's attributes as they are. Without it nothing tells who was scanned, when or
            where: patient, study and frame of reference are new, as are the UIDs in the references,
            and another export has yet others. A head's surface can show a face all the same.
        overwrite: replace a series in the folder, as `check_dicom_folder` allows it.
        progress: called after each image, with the number of those written and of all.
        cancelled: asked before each image.

    Raises:
        Cancelled: if `cancelled` says so; nothing is left behind.
        OutputError: what `check_dicom_folder` raises, sources that the result was not made from, HU
            that 16 bits cannot hold, and whatever fails on the way; nothing is left behind.
        VolumeError: for a source that is damaged; nothing is left behind.
    """
    folder = Path(os.path.realpath(folder))
    check_dicom_folder(folder, overwrite=overwrite)
    with disable_value_validation():  # what a scanner wrote stays as it is
        known = Sources(sources)
        if folder in {one.frame.path.resolve().parent for one in known.slices}:
            raise OutputError(f"{folder}: The source files are in this folder. Choose another.")
        parents = known.place(result.slice_origins, result.in_plane_axes, result.synthetic)
        unchanged = _unchanged(result, parents)
        images = derived_images(result, parents, unchanged, keep_identity=keep_identity)
        try:
            with private_folder(folder.parent) as private:
                series, former = Path(private, "series"), Path(private, "former")
                series.mkdir()
                for number, image in enumerate(images, 1):
                    if cancelled and cancelled():
                        raise Cancelled("The export was cancelled; nothing was kept.")
                    image.save_as(series / f"slice-{number:04d}.dcm", enforce_file_format=True)
                    if progress:
                        progress(number, result.slice_count)
                _put_in_place(series, folder, former)
        except OSError as error:
            raise OutputError(
                f"{folder}: The series cannot be written. Check the free space and the permissions "
                "of the folder around it, or choose another."
            ) from error


def check_sources(scan: Volume) -> None:
    """Refuse a scan of whose result `write_dicom` could make no series, before a long run.

    Args:
        scan: as it was read from its `files`.

    Raises:
        OutputError: if a derived series cannot refer to these files, or 16 bits cannot hold the HU.
        VolumeError: for a source that is damaged.
    """
    with disable_value_validation():
        known = Sources(scan.files)
        if len(known.slices) != scan.slice_count:
            raise OutputError(
                "The file holds more than this stack, and a derived series could not say which of "
                "its frames it was made from. Write .nrrd or .mha, or export each stack of the "
                "file as a series of its own."
            )
        parents = known.place(scan.slice_origins, scan.in_plane_axes, scan.synthetic)
        rescale_for(scan, parents, ~scan.synthetic)


def check_dicom_folder(folder: str | Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that `write_dicom` would refuse, before a long run and not after.

    Args:
        folder: may be missing or empty.
        overwrite: it may also hold a series written by `write_dicom`, and nothing else, for it is
            replaced as a whole.

    Raises:
        OutputError: for any other folder.
    """
    folder = Path(os.path.realpath(folder))
    if not folder.parent.is_dir():
        raise OutputError(
            f"{folder}: The folder that this would be in does not exist. Make it first."
        )
    try:
        held = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise OutputError(f"{folder}: This is a file. Give the name of a new folder.") from error
    except OSError as error:
        raise OutputError(
            f"{folder}: This folder cannot be used ({error.strerror}). Choose another."
        ) from error
    if held and not overwrite:
        raise OutputError(f"{folder}: The folder is not empty. Choose another, or overwrite it.")
    if not all(map(_OURS.fullmatch, held)):
        raise OutputError(
            f"{folder}: The folder holds more than a series by SliceInterp, and all of it would "
            "be lost. Choose another."
        )


def _put_in_place(series: Path, folder: Path, former: Path) -> None:
    """Give the finished series its name, and what had that name before another."""
    if folder.exists():
        folder.rename(former)
    try:
        series.rename(folder)
    except OSError:
        if former.exists():
            former.rename(folder)
        raise


def _unchanged(result: Volume, parents: Sequence[Sequence[Source]]) -> np.ndarray:
    """(n,) bool: which slices are bit for bit what is in their source's file.

    Raises:
        OutputError: if an acquired slice is not, and nothing in the provenance explains it.
    """
    same = ~result.synthetic
    path: Path | None = None
    for index in np.flatnonzero(same).tolist():
        frame, hu = parents[index][0].frame, result.slices[index]
        if frame.path != path:
            path, planes = frame.path, read_planes(frame.path)
        same[index] = np.array_equal(frame.hu(planes).astype(hu.dtype), hu)
        if not (same[index] or processing(result)):
            raise stranger(
                f"Acquired slice {index + 1} of the result is not what {frame.path.name} holds."
            )
    return same
