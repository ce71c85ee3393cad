"""The elements of a DICOM file as bytes, so that any of them may be wrong.

For files in explicit VR, little endian, whose sequences have their lengths said, as pydicom writes
them unless told otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydicom.datadict import dictionary_VR, tag_for_keyword

_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")
PREAMBLE = 132
"""Bytes before the first element, the word DICM included."""


def set_raw(path: Path, values: Mapping[str, bytes | None]) -> None:
    """Give attributes these values, whatever their type allows, or take them out."""
    data = path.read_bytes()
    found = dict(_elements(data))
    for name, value in values.items():
        tag = tag_for_keyword(name)
        if value is None:
            found.pop(tag)
        else:
            found[tag] = _element(tag, dictionary_VR(tag).split(" or ")[-1].encode(), value)
    path.write_bytes(data[:PREAMBLE] + b"".join(found[tag] for tag in sorted(found)))


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and bytes of each."""
    start = PREAMBLE
    while start < len(data):
        group, number, kind = struct.unpack_from("<HH2s", data, start)
        if kind in _LONG:
            end = start + 12 + struct.unpack_from("<I", data, start + 8)[0]
        else:
            end = start + 8 + struct.unpack_from("<H", data, start + 6)[0]
        yield group << 16 | number, data[start:end]
        start = end


def _element(tag: int, kind: bytes, value: bytes) -> bytes:
    value += bytes(len(value) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, kind)
    if kind in _LONG:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value
