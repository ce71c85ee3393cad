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
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR", "MET_ASCII_CHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_LONG", "MET_ULONG", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
"""Bytes that ITK takes for a voxel of each type; `_ARRAY` may follow the name."""

_META_SPACINGS = ("ElementSpacing", "ElementSize")
"""Lines that state the spacing; ITK takes the first that is there."""

_META_NUMBERS = {
    **dict.fromkeys((*_META_SPACINGS, "Offset", "Position", "Origin"), 1),
    **dict.fromkeys(("TransformMatrix", "Rotation", "Orientation"), 2),
}
"""Lines of numbers: one for each axis, or for each two of them."""

_NRRD_SPATIAL = {"domain", "space", "time", "???", "none"}
"""Kinds of an NRRD's axis along which voxels lie beside each other."""


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
        stated = next((fields[name] for name in _META_SPACINGS if name in fields), "")
        if not all(_is_spacing(word) for word in stated.split() or [""]):
            raise _no_spacing()
        for name, power in _META_NUMBERS.items():
            if name in fields and len(_numbers(fields[name])) != len(sizes) ** power:
                raise damaged()
        _check_meta_voxels(path, file, fields, math.prod(sizes))


def check_nrrd(path: Path) -> None:
    """Raise VolumeError if an NRRD states no spacing, or its voxels are not in it or beside it."""
    with path.open("rb") as file:
        start = re.sub(rb"\r\n?", b"\n", file.read(_LONGEST))
    header, end, _ = start.partition(b"\n\n")
    names = re.findall(rb"(?im)^data ?file:[ \t]*(.*)$", header)
    # Without an end, the header of voxels beside it, or one that was cut off.
    if not end and (not names or len(start) > _LONGEST // 2):
        raise damaged()
    for name in names:
        _beside(path, name.decode("utf-8", "replace").strip())
    _check_nrrd_spacing(header.decode("latin1"))


def _check_nrrd_spacing(header: str) -> None:
    """Raise VolumeError unless an NRRD's header states the spacing: without it, ITK takes 1 mm.

    It may be left out where there is nothing to space: along one voxel beyond the third axis, and
    along what is no axis in space, such as colours.
    """
    fields = dict(re.findall(r"(?m)^(\w[\w ]*): +(.*?)\s*$", header.lower()))
    sizes = fields.get("sizes", "").split()
    if len(sizes) < 3:
        return  # no volume, which is told later
    vectors = fields.get("space directions", fields.get("spacedirections"))
    if vectors is not None:
        steps = re.findall(r"none|\([^)]*\)", vectors)
        # Of a vector, any finite one will do here: what it must be is asked later.
        stated = [bool(re.search(r"[1-9]", step)) and "nan" not in step for step in steps]
    else:
        stated = [_is_spacing(word) for word in fields.get("spacings", "").split()]
    stated += [False] * (len(sizes) - len(stated))
    kinds = fields.get("kinds", "").split() or ["domain"] * len(sizes)
    for size, kind, there in zip(sizes, kinds, stated, strict=False):
        if not there and kind in _NRRD_SPATIAL and (size != "1" or len(sizes) == 3):
            raise _no_spacing()


def _is_spacing(word: str) -> bool:
    """Whether it is a finite number above 0."""
    try:
        return 0 < float(word) < math.inf
    except ValueError:
        return False


def _no_spacing() -> VolumeError:
    return VolumeError(
        "The header does not state the voxel spacing along every axis as a number above 0, and it "
        "is not guessed. Correct the file's header, or export the scan again."
    )


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
    element = fields.get("ElementType", "").removesuffix("_ARRAY")
    skipped = fields.get("HeaderSize", "0")
    if element not in _META_BYTES or not re.fullmatch(r"-1|\d{1,9}", skipped):
        raise damaged()
    if not _flag(fields, "BinaryData", otherwise=True):
        raise VolumeError("The voxels are written as text. Save the scan with binary voxels.")
    packed = _flag(fields, "CompressedData", otherwise=False)
    length = count * _META_BYTES[element]
    is_local = fields["ElementDataFile"].upper() == "LOCAL"
    if not is_local:
        file = _beside(path, fields["ElementDataFile"]).open("rb")
    with file:
        _skip(file, int(skipped), length)
        if not packed:
            check_length(file, length)
            if "LONG" in element and "LONG_LONG" not in element and file.read(1):
                raise damaged()  # some programs write 8 bytes a voxel, of which ITK reads 4
        elif skipped == "-1":
            raise damaged()  # nobody knows where they begin
        else:
            packed_length = fields.get("CompressedDataSize", "0")
            if not re.fullmatch(r"\d{1,18}", packed_length):
                raise damaged()
            _check_packed(file, length, int(packed_length) or None)
            if int(packed_length) == 0 and (is_local or skipped != "0"):
                raise VolumeError(
                    "The header does not tell how many bytes the packed voxels have "
                    "(CompressedDataSize), so that they cannot be read. Save the scan again."
                )


def _flag(fields: dict[str, str], name: str, *, otherwise: bool) -> bool:
    """Yes or no, as MetaImage writes it: by its first letter."""
    letter = fields.get(name, "True" if otherwise else "False")[:1].lower()
    if letter not in ("t", "1", "f", "0"):
        raise damaged()
    return letter in ("t", "1")


def _skip(file: BinaryIO, skipped: int, length: int) -> None:
    """Go to where the voxels begin: after so many bytes of the file; −1: before its last ones."""
    begin = file.tell()
    if skipped:
        end = file.seek(0, 2)
        place = end - length if skipped < 0 else skipped
        if place < begin:
            raise damaged()
        file.seek(place)


def _check_packed(file: BinaryIO, length: int, packed_length: int | None) -> None:
    """Raise VolumeError unless what comes next, unpacked, has exactly this length.

    Args:
        file: at the first packed byte, of zlib or gzip.
        length: bytes that they unpack to.
        packed_length: how many there are; None: all that come.
    """
    unpacker = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
    left = math.inf if packed_length is None else packed_length
    try:
        while not unpacker.eof and length >= 0:
            packed = unpacker.unconsumed_tail
            if not packed:
                packed = file.read(int(min(left, 1 << 16)))
                left -= len(packed)
            if not packed:
                break
            length -= len(unpacker.decompress(packed, 1 << 20))
    except zlib.error as error:
        raise damaged() from error
    if length or not unpacker.eof:
        raise damaged()
    if packed_length is not None:
        check_length(file, int(left))


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
