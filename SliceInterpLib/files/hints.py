"""Whether a file may tell how it was made, or of padding, by the bytes of its header.

Most files come from a scanner and tell neither. To see that takes a moment; to import what parses
them takes so long that it is felt where a window waits for it.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from SliceInterpLib.files.dicom_marks import DERIVED_WORDS, EQUIPMENT
from SliceInterpLib.files.sidecar import sidecar

_CUT = ("SYNTHETIC slice: predi", "ACQUIRED slice, HU unc", "PROCESSED slice: acqui")
"""What is left of Image Comments in NIfTI."""

_WORDS = re.compile(
    rf"{'|'.join((EQUIPMENT, *_CUT))}|\b(?:{'|'.join(DERIVED_WORDS)})\b".encode(), re.IGNORECASE
)
"""One of these is in whatever `marks`, `dicom_marks` and others say of themselves."""

_HEADER = 1 << 20
"""Bytes that are looked at."""

_PIXELS = re.compile(rb"\xe0\x7f\x10\x00|\x7f\xe0\x00\x10")
"""The tag of the pixels, with which DICOM's header ends, in either order of bytes."""

_PADDING = re.compile(rb"\x28\x00[\x20\x21]\x01|\x00\x28\x01[\x20\x21]")
"""The tags of Pixel Padding Value and Pixel Padding Range Limit, likewise."""

_PACKED = b"1.2.840.10008.1.2.1.99"
"""The transfer syntax of packed headers."""


def may_tell(path: Path) -> bool:
    """False where a volume file and the JSON file beside it, or a DICOM file, tell nothing."""
    return any(map(_may_tell, filter(None, (path, sidecar(path)))))


def _may_tell(path: Path) -> bool:
    try:
        if not path.is_file():  # and never a pipe, which may not end
            return False
        with path.open("rb") as file:
            head = file.read(_HEADER)
        if head[:2] == b"\x1f\x8b":
            head = zlib.decompressobj(wbits=31).decompress(head, _HEADER)
    except (OSError, zlib.error):
        return True
    if head[128:132] == b"DICM":
        pixels = _PIXELS.search(head)
        if _PACKED in head or (pixels is None and len(head) == _HEADER):
            return True
        head = head[: pixels.start()] if pixels else head
        if _PADDING.search(head):
            return True
    return bool(_WORDS.search(head))
