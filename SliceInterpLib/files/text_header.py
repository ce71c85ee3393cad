"""MetaImage and NRRD headers checked before ITK sees them.

ITK's MetaImage reader writes outside its memory for headers that lie about their dimensions, and
passes on whatever packed voxels that are damaged leave there; both readers open any file that a
header names.
"""

from __future__ import annotations

import math
import re
import zlib
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.checks import (
    check_channels,
    check_dimensions,
    check_length,
    check_size,
    damaged,
)

_LONGEST = 1 << 18
"""Bytes that a header may have; MetaImage lines may have 32 KiB."""

_META_BYTES = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
"""Types of one number a voxel, of the same size everywhere. (MET_LONG is not.)"""

_META_NUMBERS = {
    **dict.fromkeys(("ElementSpacing", "ElementSize", "Offset", "Position", "Origin"), 3),
    **dict.fromkeys(("TransformMatrix", "Rotation", "Orientation"), 9),
}
"""How many numbers a line of a 3-D header has."""


def check_metaimage(path: Path) -> None:
    """Raise VolumeError, with the cause, unless a MetaImage says one thing and holds it all."""
    with path.open("rb") as file:
        fields = _meta_fields(file)
        size = fields.get("DimSize", "")
        if not re.fullmatch("[0-9 ]+", size) or fields.get("NDims") != str(len(size.split())):
            raise damaged()
        sizes = [int(count) for count in size.split()]
        check_size(sizes)
        check_dimensions(sizes)
        for name, count in _META_NUMBERS.items():
            if name in fields and len(_numbers(fields[name])) != count:
                raise damaged()
        _check_meta_voxels(path, file, fields, math.prod(sizes))


def check_nrrd(path: Path) -> None:
    """Raise VolumeError if an NRRD's voxels are in a file that is not beside it."""
    with path.open("rb") as file:
        start = re.sub(rb"\r\n?", b"\n", file.read(_LONGEST))
    header, end, _ = start.partition(b"\n\n")
    if not end and len(start) > _LONGEST // 2:
        raise damaged()
    for name in re.findall(rb"(?im)^data ?file:[ \t]*(.*)$", header):
        _beside(path, name.decode("utf-8", "replace").strip())


def _meta_fields(file: BinaryIO) -> dict[str, str]:
    """The header's lines; leaves the file where voxels in it begin."""
    fields: dict[str, str] = {}
    while "ElementDataFile" not in fields:
        line = file.readline(1 << 15).decode("latin1")
        name, equals, value = (part.strip() for part in line.partition("="))
        is_line = equals and line.endswith("\n") and re.fullmatch(r"[^\s:]+", name)
        if not is_line or name in fields or file.tell() > _LONGEST:
            raise damaged()
        fields[name] = value
    return fields


def _check_meta_voxels(path: Path, file: BinaryIO, fields: dict[str, str], count: int) -> None:
    for channels in _numbers(fields.get("ElementNumberOfChannels", "1")):
        check_channels(int(channels))
    if fields.get("ElementType") not in _META_BYTES or fields.get("HeaderSize", "0") != "0":
        raise damaged()
    packed = fields.get("CompressedData", "False").lower()
    if packed not in ("true", "false"):
        raise damaged()
    if fields.get("BinaryData", "").lower() != "true":
        raise VolumeError("The voxels are written as text. Save the scan with binary voxels.")
    length = count * _META_BYTES[fields["ElementType"]]
    if fields["ElementDataFile"].upper() != "LOCAL":
        file = _beside(path, fields["ElementDataFile"]).open("rb")
    with file:
        if packed == "true":
            _check_packed(file, length)
        else:
            check_length(file, length)


def _check_packed(file: BinaryIO, length: int) -> None:
    """Raise VolumeError unless what comes next, unpacked, has exactly this length."""
    unpacker = zlib.decompressobj()
    try:
        while not unpacker.eof and length >= 0:
            packed = unpacker.unconsumed_tail or file.read(1 << 16)
            if not packed:
                break
            length -= len(unpacker.decompress(packed, 1 << 20))
    except zlib.error as error:
        raise damaged() from error
    if length or not unpacker.eof:
        raise damaged()


def _beside(path: Path, name: str) -> Path:
    """The file of that name in the folder of a header."""
    is_outside = PureWindowsPath(name).name != name or not name.strip(".")
    if is_outside or re.search("^LIST|%", name, re.IGNORECASE):
        raise VolumeError(
            "The header names voxels that are not in one file beside it. Such files are not "
            "opened: save header and voxels in one folder, or as one file."
        )
    data = path.with_name(name)
    if data == path or not data.is_file():
        raise damaged()
    return data


def _numbers(text: str) -> list[float]:
    """The finite numbers in a line; raises VolumeError for anything else there."""
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError as error:
        raise damaged() from error
    if not np.isfinite(numbers).all():
        raise damaged()
    return numbers
