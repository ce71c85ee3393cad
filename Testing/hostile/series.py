"""The small head as a DICOM series, and what may be done to it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pydicom
from dicom_files import write_enhanced, write_slice
from pydicom.encaps import encapsulate
from pydicom.filewriter import write_file_meta_info

from hostile.case import SECRET, Case, deriving, doubling, holding
from hostile.elements import PREAMBLE, set_raw
from hostile.images import HEAD


def series_case(
    category: str,
    name: str,
    make: Callable[[Path], object],
    ends: str,
    *,
    hu: np.ndarray = HEAD,
    derive: bool = False,
) -> Case:
    """The doubling of the folder that `make` fills with these HU, to NIfTI or a derived series."""

    def made(folder: Path) -> None:
        (folder / "series").mkdir()
        make(folder / "series")

    arguments = deriving("series") if derive else doubling("series")
    return Case(f"DICOM, {category}", name, holding(made, hu, ends), ends, arguments)


def whole(
    folder: Path, series: str = "1.2.3.4", *, hu: np.ndarray = HEAD, **changes: object
) -> list[Path]:
    """Write the head, a file for each slice; their paths in order."""
    paths = [folder / f"{series}-{index}.dcm" for index in range(len(HEAD))]
    for index, path in enumerate(paths):
        stored = hu[index] + np.int16(1024)
        own = {"PatientName": SECRET, "PatientID": SECRET, "SliceThickness": 5} | changes
        write_slice(path, (0, 0, 5.0 * index), series=series, pixels=stored, **own)
    return paths


def placed(
    folder: Path,
    heights: Sequence[float],
    tilted: bool = False,
    hu: np.ndarray = HEAD,
    **changes: object,
) -> None:
    """The head with its slices at these heights, by a tilted gantry or not."""
    axes = [1, 0, 0, 0, 0.94, -0.342] if tilted else [1, 0, 0, 0, 1, 0]
    for index, height in enumerate(heights):
        write_slice(
            folder / f"{index}",
            (0, 0, float(height)),
            series="1.2.3.4",
            pixels=hu[index] + np.int16(1024),
            **{"PatientName": SECRET, "ImageOrientationPatient": axes, **changes},
        )


def enhanced_head(
    folder: Path,
    heights: Sequence[float],
    tilted: bool = False,
    hu: np.ndarray = HEAD,
    change: Callable[[pydicom.Dataset], None] = lambda image: None,
    **changes: object,
) -> None:
    """The same as an enhanced CT, in which `change` is done at last."""
    path = folder / "enhanced.dcm"
    write_enhanced(path, list(heights), [-1024.0] * len(heights), patient=SECRET)
    image = pydicom.dcmread(path)
    image.PixelData = (hu + np.int16(1024)).tobytes()
    image.Rows, image.Columns = hu.shape[1:]
    if tilted:
        orientation = image.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
        orientation.ImageOrientationPatient = [1, 0, 0, 0, 0.94, -0.342]
    for name, value in changes.items():
        setattr(image, name, value)
    change(image)
    image.save_as(path)


def spoilt(folder: Path, values: Mapping[str, bytes | None], only: int | None = None) -> None:
    """The head, with raw values of attributes in all slices or one; None takes one out."""
    for index, path in enumerate(whole(folder)):
        if only in (None, index):
            set_raw(path, values)


def altered(folder: Path, alter: Callable[[bytes], bytes], index: int = 2) -> None:
    """The head, with the bytes of one slice's file changed."""
    path = whole(folder)[index]
    path.write_bytes(alter(path.read_bytes()))


def enhanced(folder: Path, values: Mapping[str, bytes]) -> None:
    """An enhanced CT of three frames with raw values of attributes."""
    path = folder / "enhanced.dcm"
    write_enhanced(path, [0.0, 5.0, 10.0], [-1024.0] * 3, patient=SECRET)
    set_raw(path, values)


def packed(folder: Path, syntax: str, fragments: Sequence[bytes]) -> None:
    """The head, with these for the pixels of every slice, as of that transfer syntax."""
    for path in whole(folder):
        data = pydicom.dcmread(path)
        data.PixelData = encapsulate(list(fragments))
        data["PixelData"].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = syntax
        data.save_as(path)


def deflated_bomb(folder: Path) -> None:
    """The head, unpacking to 3 GiB of zeros in every slice."""
    packer = zlib.compressobj(9, wbits=-15)
    size = 3 << 30
    body = packer.compress(b"\x08\0\x60\0CS\2\0CT\xe0\x7f\x10\0OW\0\0" + struct.pack("<I", size))
    # Zeros pack to a block that can be said again and again.
    packer.compress(bytes(1 << 24))
    body += packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    body += block * (size >> 24) + packer.flush()
    for path in whole(folder):
        meta = pydicom.dcmread(path).file_meta
        meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        head = io.BytesIO()
        write_file_meta_info(head, meta)
        start = path.read_bytes()[:PREAMBLE]
        path.write_bytes(start + head.getvalue() + body)


def nested(data: bytes, depth: int) -> bytes:
    """A file with so many sequences in each other, of undefined length."""
    opened = _SEQUENCE + _UNKNOWN + _ITEM + _UNKNOWN
    return _before_modality(data, opened * depth + _END * depth)


def nested_with_lengths(data: bytes, depth: int) -> bytes:
    """The same with their lengths said."""
    size = len(_SEQUENCE + _ITEM) + 8
    heads = (
        _SEQUENCE + struct.pack("<I", size * left + 8) + _ITEM + struct.pack("<I", size * left)
        for left in range(depth - 1, -1, -1)
    )
    return _before_modality(data, b"".join(heads))


_SEQUENCE = b"\x08\0\x40\x11SQ\0\0"
_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
_UNKNOWN = b"\xff\xff\xff\xff"


def _before_modality(data: bytes, element: bytes) -> bytes:
    place = data.index(b"\x08\0\x60\0CS")
    return data[:place] + element + data[place:]
