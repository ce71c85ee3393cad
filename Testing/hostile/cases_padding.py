"""Headers that declare padding: rightly, as tissue, as everything, or not legibly."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from hostile.case import EITHER, RIGHT, SECRET, Case
from hostile.elements import set_raw
from hostile.images import HEAD, PADDED, PADDING_STORED
from hostile.series import series_case, whole

_BRAIN_STORED = 1024 + 40

_VALUES = {
    "right": (struct.pack("<h", PADDING_STORED), None),
    "a range": (struct.pack("<h", 3000), struct.pack("<h", PADDING_STORED)),
    "a range from its end": (struct.pack("<h", PADDING_STORED), struct.pack("<h", 3000)),
    "brain": (struct.pack("<h", _BRAIN_STORED), None),
    "a range of brain": (struct.pack("<h", 1024), struct.pack("<h", 1024 + 80)),
    "air": (struct.pack("<h", 24), None),
    "everything": (struct.pack("<h", -32768), struct.pack("<h", 32767)),
    "a limit alone": (None, struct.pack("<h", PADDING_STORED)),
    "nothing": (b"", b""),
    "two values": (struct.pack("<2h", PADDING_STORED, 24), None),
    "half a value": (b"\xff", None),
    "four bytes more": (struct.pack("<3h", 24, 24, 24), struct.pack("<2h", 0, 0)),
    "a name": (SECRET.encode() + b" ", SECRET.encode() + b" "),
}
"""Raw values of Pixel Padding Value and Pixel Padding Range Limit; None leaves one out."""


def cases() -> Iterator[Case]:
    """All of them, to NIfTI and to a derived series."""
    for name, values in _VALUES.items():
        ends = EITHER if name == "half a value" else RIGHT
        for hu, kind in ((HEAD, "not there"), (PADDED, "there")):
            make = partial(_declaring, values=values, hu=hu)
            yield from _both(f"{name}, {kind}", make, ends, hu)
    one = partial(_declaring, values=_VALUES["right"], hu=PADDED, only=2)
    yield from _both("right, in one slice", one, RIGHT, PADDED)
    lost = PADDED.copy()
    lost[3] = 3071
    whole_slice = partial(_declaring, values=_VALUES["right"], hu=lost)
    yield from _both("a whole slice", whole_slice, RIGHT, lost)
    every = np.full_like(HEAD, 3071)
    nothing_else = partial(_declaring, values=_VALUES["right"], hu=every)
    yield from _both("nothing but padding", nothing_else, "not HU", every)


def _both(name: str, make: Callable[[Path], object], ends: str, hu: np.ndarray) -> Iterator[Case]:
    yield series_case("padding", name, make, ends, hu=hu)
    yield series_case("padding, derived", name, make, ends, hu=hu, derive=True)


def _declaring(
    folder: Path,
    values: tuple[bytes | None, bytes | None],
    hu: np.ndarray,
    only: int | None = None,
) -> None:
    """The head with these values in all slices or one."""
    names = ("PixelPaddingValue", "PixelPaddingRangeLimit")
    raw = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    for index, path in enumerate(whole(folder, hu=hu)):
        if only in (None, index):
            set_raw(path, raw)
