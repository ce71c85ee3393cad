"""Volumes to files: NIfTI, NRRD and MetaImage, whole or not at all."""

from __future__ import annotations

import json
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SliceInterpLib.errors import OutputError, VolumeError
from SliceInterpLib.files.checks import is_text
from SliceInterpLib.files.nifti_header import check_nifti
from SliceInterpLib.files.quiet import quiet_itk
from SliceInterpLib.files.sidecar import NIFTI, sidecar
from SliceInterpLib.files.suffixes import matching_suffix
from SliceInterpLib.files.whole import check_place, private_folder
from SliceInterpLib.gaps import gaps_in_words
from SliceInterpLib.marks import texts_of
from SliceInterpLib.volume import Volume

WRITABLE = (".nii", ".nii.gz", ".nrrd", ".mha")

EXACT_MM = 1e-3
"""A file's even grid is exact if no slice lies beside it by more than this."""

DESCRIP_LENGTH = 79
"""Characters that NIfTI's `descrip` field holds; ITK refuses more."""

_BLOCK = 2**20
"""Bytes that one core packs at a time."""

_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""Deflated, without a name or a time, from no particular system (RFC 1952)."""

_END_OF_BLOCKS = b"\x03\0"
"""An empty last block (RFC 1951)."""


def write_volume(volume: Volume, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the volume as .nii, .nii.gz, .nrrd or .mha, with its values and geometry as they are.

    A volume with `synthetic` (boolean array, one a slice) and `provenance` (dict) is marked: NRRD
    and MetaImage get the keys SliceInterp_provenance (JSON), SliceInterp_synthetic_slices ("1,3,5")
    and SliceInterp_slices (JSON: axis, count and place); NIfTI, which has no room for them, gets a
    short `descrip` and the same three in a file NAME.json beside it. Files appear under their names
    only when they are complete.

    Args:
        volume: what to write.
        path: its suffix names the format.
        overwrite: replace a file that exists.

    Raises:
        OutputError: for another suffix, a missing folder, a file that exists (unless `overwrite`),
            unevenly spaced slices, which only DICOM can hold, a tilted volume as NIfTI and
            everything that fails on the way; nothing is left behind.
    """
    path = Path(path)
    marks = texts_of(volume)
    check_writable(path, overwrite=overwrite, marked=bool(marks))
    suffix = matching_suffix(path, WRITABLE)
    if not volume.is_even:
        raise OutputError(
            f"{path}: The slices are unevenly spaced ({gaps_in_words(volume.gaps)}), which such a "
            "file cannot hold. Write DICOM (--dicom), or space the slices evenly first (--gaps "
            "even)."
        )
    if volume.tilt_degrees and suffix in NIFTI:
        raise OutputError(
            f"{path}: The slices are sheared by a gantry tilt of {volume.tilt_degrees:.1f}°, which "
            "programs read from NIfTI in different ways. Write .nrrd or .mha, or make the result "
            "upright (--upright)."
        )
    if volume.off_grid_mm > EXACT_MM:
        warnings.warn(
            f"{path.name} spaces the slices evenly; where they were acquired is up to "
            f"{volume.off_grid_mm:.3f} mm beside that.",
            stacklevel=2,
        )
    beside = sidecar(path) if marks else None
    try:
        with quiet_itk(), private_folder(path.parent) as folder:
            part = Path(folder, f"volume{suffix}")
            packed = suffix == ".nii.gz"
            written = part.with_suffix("") if packed else part
            sitk.WriteImage(_image(volume, marks, suffix), str(written), useCompression=True)
            if suffix in NIFTI:
                check_nifti(written)  # ITK says nothing when the disk is full
            if packed:
                _pack(written, part)
            # Again: somebody else may have written there in the meantime.
            check_writable(path, overwrite=overwrite, marked=bool(marks))
            if beside:
                part_beside = Path(folder, "volume.json")
                part_beside.write_text(json.dumps(marks, indent=2) + "\n", encoding="utf-8")
                os.replace(part_beside, beside)
            os.replace(part, path)
    except (OSError, RuntimeError, VolumeError) as error:
        raise OutputError(
            f"{path}: The file cannot be written. Check the free space and the permissions of its "
            "folder, or choose another."
        ) from error


def check_writable(path: str | Path, *, overwrite: bool = False, marked: bool = True) -> None:
    """Refuse a path that `write_volume` would refuse, before a long run and not after.

    Args:
        path: where the file is to be.
        overwrite: allow a file that exists.
        marked: the volume will have synthetic slices, so that NIfTI gets a second file.

    Raises:
        OutputError: for a suffix that is not written, a folder's name that is not UTF-8, and what
            `check_place` refuses, of both files.
    """
    path = Path(path)
    if matching_suffix(path, WRITABLE) is None:
        raise OutputError(f"{path}: The name must end in one of {', '.join(WRITABLE)}.")
    if not is_text(path.parent):
        raise OutputError(f"{path}: The folder's name is not written in UTF-8. Choose another.")
    for target in filter(None, (path, sidecar(path) if marked else None)):
        check_place(target, overwrite=overwrite)


def _pack(source: Path, target: Path) -> None:
    """As gzip of one member, on all cores, at 1.05 of ITK's size; each time the same bytes."""
    size = source.stat().st_size
    with ThreadPoolExecutor() as pool, target.open("wb") as write:
        checksum = pool.submit(_checksum, source)
        write.write(_GZIP_HEADER)
        for packed in pool.map(partial(_deflated, source), range(0, size, _BLOCK)):
            write.write(packed)
        write.write(_END_OF_BLOCKS)
        write.write(struct.pack("<LL", checksum.result(), size % 2**32))


def _checksum(source: Path) -> int:
    """CRC-32 of the whole file."""
    found = 0
    with source.open("rb") as read:
        while block := read.read(_BLOCK):
            found = zlib.crc32(block, found)
    return found


def _deflated(source: Path, at: int) -> bytes:
    """The block there: one after the other, they are a stream not at its end yet (RFC 1951)."""
    with source.open("rb") as read:
        read.seek(at)
        block = read.read(_BLOCK)
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeeze.compress(block) + squeeze.flush(zlib.Z_SYNC_FLUSH)


def _image(volume: Volume, marks: dict[str, object], suffix: str | None) -> sitk.Image:
    """The volume as ITK's image, with its marks as far as the format has room for them."""
    try:
        image = sitk.GetImageFromArray(volume.hu)
    except TypeError as error:
        raise OutputError(
            f"Values of type {volume.hu.dtype} cannot be written. Use int16 or float32."
        ) from error
    image.SetOrigin(volume.origin)
    image.SetSpacing(volume.spacing)
    image.SetDirection(volume.direction.ravel())
    if marks and suffix in NIFTI:
        image.SetMetaData("ITK_FileNotes", _description(volume))  # ITK's name for `descrip`
    elif marks:
        for key, value in marks.items():
            text = json.dumps(value, separators=(",", ":"))
            image.SetMetaData(key, text.strip("[]") if isinstance(value, list) else text)
    return image


def _description(volume: Volume) -> str:
    """One line for NIfTI's `descrip`: that slices are synthetic, and by what."""
    synthetic = np.asarray(volume.synthetic)
    made_by = [str(volume.provenance[k]) for k in ("method", "model") if volume.provenance.get(k)]
    which = f"{np.count_nonzero(synthetic)} of {synthetic.size} slices synthetic"
    text = f"SliceInterp: {which}; {' '.join(made_by)}"
    return text.encode("ascii", "replace").decode()[:DESCRIP_LENGTH]
