"""DICOM folders: cut off, flipped, badly packed, mixed and oddly built."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from dicom_files import write_slice
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from hostile.case import EITHER, RIGHT, SECRET, Case
from hostile.elements import PREAMBLE, set_raw
from hostile.images import HEAD, PADDED, PADDING_STORED
from hostile.series import (
    altered,
    deflated_bomb,
    enhanced,
    enhanced_head,
    nested,
    nested_with_lengths,
    packed,
    placed,
    series_case,
    spoilt,
    whole,
)

_DAMAGED = "cannot be read"

_DICOMDIR = bytes(128) + b"DICM\2\0\2\0UI\x14\x001.2.840.10008.1.3.10\0"

_SYNTAXES = {
    "JPEG": ("1.2.840.10008.1.2.4.50", b"\xff\xd8\xff\xc0"),
    "JPEG Lossless": ("1.2.840.10008.1.2.4.70", b"\xff\xd8\xff\xc3"),
    "JPEG-LS": ("1.2.840.10008.1.2.4.80", b"\xff\xd8\xff\xf7"),
    "JPEG 2000": ("1.2.840.10008.1.2.4.90", b"\xff\x4f\xff\x51"),
    "RLE": ("1.2.840.10008.1.2.5", b"\1\0\0\0@\0\0\0"),
    "MPEG2": ("1.2.840.10008.1.2.4.100", b""),
    "an unknown syntax": ("1.2.3.4.5", b""),
}
"""Transfer syntaxes, and how a frame of each begins."""


def cases() -> Iterator[Case]:
    """All of them."""
    yield series_case("series", "whole", whole, RIGHT)
    yield from _cut()
    yield from _flipped()
    yield from _pixels()
    yield from _mixed()
    yield from _structures()
    yield from _enhanced()
    yield from _combined()
    yield from _passes()
    yield from _frames()


def _cut() -> Iterator[Case]:
    for end, index, ends in (
        (0, 2, "uneven"),
        (100, 2, "uneven"),
        (140, 2, _DAMAGED),
        (300, 2, _DAMAGED),
        (500, 2, _DAMAGED),
        (-len(HEAD[0].tobytes()), 2, _DAMAGED),
        (-1, 2, _DAMAGED),
        # That the last one is missing leaves no gap: it may not pass unnoticed.
        (140, -1, _DAMAGED),
        (300, -1, _DAMAGED),
        (-1, -1, _DAMAGED),
    ):
        make = partial(altered, alter=partial(_shortened, end=end), index=index)
        yield series_case("cut off", f"slice {index} at {end}", make, ends)


def _shortened(data: bytes, end: int) -> bytes:
    return data[:end]


def _flipped() -> Iterator[Case]:
    for seed in range(30):
        make = partial(altered, alter=partial(_flip, seed=seed))
        yield series_case("flipped bits", f"seed {seed}", make, EITHER)


def _flip(data: bytes, seed: int) -> bytes:
    """Flip a few bits of the header."""
    rng = np.random.default_rng(seed)
    damaged = bytearray(data)
    for place in rng.integers(128, len(data) - HEAD[0].nbytes, 1 + seed % 5):
        damaged[place] ^= 1 << rng.integers(8)
    return bytes(damaged)


def _pixels() -> Iterator[Case]:
    for title, pixels, ends in (
        ("too few", bytes(100), _DAMAGED),
        ("none", b"", _DAMAGED),
        ("too many", bytes(10**6), EITHER),
    ):
        make = partial(spoilt, values={"PixelData": pixels})
        yield series_case("pixels", title, make, ends)
    garbage = np.random.default_rng(0).bytes(2000)
    for title, (syntax, start) in _SYNTAXES.items():
        make = partial(packed, syntax=syntax, fragments=[start + garbage])
        yield series_case("pixels", f"garbage as {title}", make, _DAMAGED)
        make = partial(packed, syntax=syntax, fragments=[b"\0\0"])
        yield series_case("pixels", f"hardly any as {title}", make, _DAMAGED)


def _mixed() -> Iterator[Case]:
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    for title, make, ends in (
        ("a slice missing", _with_a_gap, "uneven"),
        ("a copy", _with_a_copy, RIGHT),
        ("all with one instance UID", partial(whole, SOPInstanceUID="1.2.3"), RIGHT),
        ("two series", _two_series, "2 CT series"),
        ("with a localizer", partial(_two_series, ImageType=scout), RIGHT),
        ("a localizer alone", partial(whole, ImageType=scout), "localizer"),
        ("an MR", partial(whole, Modality="MR"), "modality MR"),
        ("other files beside it", _with_other_files, RIGHT),
        ("a presentation state beside it", _with_a_presentation_state, RIGHT),
        ("an empty folder", lambda folder: None, "no DICOM images"),
    ):
        yield series_case("mixed", title, make, ends)
    for name, value, ends in (
        ("Rows", b"\x0b\0", "differ"),
        ("PixelSpacing", b"9\\9 ", "differ"),
        ("ImageOrientationPatient", b"0\\1\\0\\0\\0\\1", "differ"),
        ("BitsAllocated", b"\x08\0", _DAMAGED),
        ("PixelRepresentation", b"\0\0", EITHER),
        ("RescaleSlope", b"7 ", EITHER),
    ):
        make = partial(spoilt, values={name: value}, only=3)
        yield series_case("mixed", f"one slice with another {name}", make, ends)


def _with_a_gap(folder: Path) -> None:
    whole(folder)[2].unlink()


def _with_a_copy(folder: Path) -> None:
    (folder / "copy").write_bytes(whole(folder)[1].read_bytes())


def _two_series(folder: Path, **changes: object) -> None:
    whole(folder)
    whole(folder, series="1.2.3.5", **changes)


def _with_other_files(folder: Path) -> None:
    whole(folder)
    (folder / "notes.txt").write_text(SECRET)
    (folder / "DICOMDIR").write_bytes(_DICOMDIR)
    (folder / "sub").mkdir()


def _with_a_presentation_state(folder: Path) -> None:
    """An object without pixels that names the class of the images it is about."""
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CTImageStorage, "1.2.3"
    whole(folder)
    changes = {
        **dict.fromkeys(("PixelData", "SamplesPerPixel", "Rows", "Columns")),
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.1",
        "Modality": "PR",
        "ReferencedImageSequence": [image],
    }
    write_slice(folder / "state", (0, 0, 0), series="9", **changes)


def _structures() -> Iterator[Case]:
    yield series_case("structure", "without preambles", _without_preambles, RIGHT)
    for depth in (100, 5_000, 200_000):
        for how, nest in (("", nested), (", with lengths", nested_with_lengths)):
            make = partial(altered, alter=partial(nest, depth=depth))
            yield series_case("structure", f"{depth} sequences in each other{how}", make, EITHER)
    make = partial(altered, alter=_without_class)
    yield series_case("structure", "an unknown type for the class", make, _DAMAGED + "|uneven")
    yield series_case("structure", "a deflated bomb", deflated_bomb, "deflated")


def _without_preambles(folder: Path) -> None:
    for path in whole(folder):
        path.write_bytes(path.read_bytes()[PREAMBLE:])


def _without_class(data: bytes) -> bytes:
    """A file whose meta information cannot be read, and whose header says nothing of its class."""
    data = data.replace(b"\2\0\2\0UI", b"\2\0\2\0U\xfc", 1)
    return data.replace(b"\x08\0\x16\0UI", b"\x08\0\x17\0UI", 1)


def _enhanced() -> Iterator[Case]:
    for title, values, ends in (
        ("whole", {}, EITHER),
        ("of 10^9 frames", {"NumberOfFrames": b"1000000000"}, _DAMAGED),
        ("of 1 frame", {"NumberOfFrames": b"1 "}, _DAMAGED),
        ("of x frames", {"NumberOfFrames": b"x "}, _DAMAGED),
        ("of 65535 rows", {"Rows": b"\xff\xff"}, _DAMAGED),
        ("cut off", {"PixelData": bytes(100)}, _DAMAGED),
        ("with no groups", {"PerFrameFunctionalGroupsSequence": b""}, "CT slices"),
        ("with garbage for groups", {"PerFrameFunctionalGroupsSequence": b"\xff" * 20}, _DAMAGED),
    ):
        yield series_case("enhanced", title, partial(enhanced, values=values), ends)


_PLACES = {
    "even": [5.0 * index for index in range(len(HEAD))],
    "rounded": [round(4.83 * index, 1) for index in range(len(HEAD))],
    "uneven": [0.0, 5.0, 10.0, 17.0, 24.0, 31.0],
}


def _combined() -> Iterator[Case]:
    """Every mixture of tilt, display, kind of object, gaps and padding."""
    for tilted, display, (kind, make), (places, heights), padded in itertools.product(
        (False, True),
        ("MONOCHROME1", "MONOCHROME2"),
        (("classic", placed), ("enhanced", enhanced_head)),
        _PLACES.items(),
        (False, True),
    ):
        title = f"{kind}, {display}, {places}{', tilted' * tilted}{', padded' * padded}"
        hu = PADDED if padded else HEAD
        values = {"PhotometricInterpretation": display, "heights": heights, "tilted": tilted}
        made = partial(_combination, make, padded=padded, hu=hu, **values)
        # Only DICOM holds them all.
        ends = "uneven" if places == "uneven" else "--upright" if tilted else RIGHT
        yield series_case("combined", title, made, ends, hu=hu)
        yield series_case("combined, derived", title, made, RIGHT, hu=hu, derive=True)


def _combination(
    make: Callable[..., None], folder: Path, *, padded: bool, **values: object
) -> None:
    make(folder, **values)
    for path in folder.iterdir() if padded else ():
        set_raw(path, {"PixelPaddingValue": struct.pack("<h", PADDING_STORED)})


def _passes() -> Iterator[Case]:
    for name, value in (
        ("AcquisitionNumber", 7),
        ("ConvolutionKernel", "bone"),
        ("ContrastBolusAgent", SECRET),
        ("ImageType", ["DERIVED", "SECONDARY", "AXIAL"]),
        ("SliceThickness", 2),
        ("KVP", 80),
        ("PatientID", "other"),
        ("StudyInstanceUID", "9.9"),
    ):
        for shift in (0.0, 1.0, 2.5):
            make = partial(_two_passes, shift=shift, changes={name: value})
            yield series_case("passes", f"{name}, {shift:g} mm apart", make, "2 CT series")
    make = partial(_two_passes, shift=0.0, changes={})
    yield series_case("passes", "that nothing tells apart", make, "lie where another")
    yield series_case("passes", "a series UID a slice", _scattered, "series UID of its own")
    for kind in ("Z_EFF", SECRET, "PCT"):
        make = partial(whole, RescaleType=kind[:16])
        yield series_case("passes", f"values of type {kind}", make, "other values than HU")
    for high in (12, 15):
        make = partial(whole, BitsStored=12, HighBit=high)
        yield series_case("passes", f"12 bits up to bit {high}", make, EITHER)


def _two_passes(folder: Path, shift: float, changes: dict[str, object]) -> None:
    heights = _PLACES["even"]
    first = {"AcquisitionNumber": 1, "ConvolutionKernel": "soft", "SliceThickness": 5, "KVP": 120}
    placed(folder, heights, PatientID=SECRET, **first)
    for path in list(folder.iterdir()):
        path.rename(folder / f"first-{path.name}")
    moved = [height + shift for height in heights]
    placed(folder, moved, **{"PatientID": SECRET, **first, **changes})


def _scattered(folder: Path) -> None:
    for index in range(len(HEAD)):
        write_slice(folder / f"{index}", (0, 0, 5.0 * index), series=f"1.2.{index}")


def _frames() -> Iterator[Case]:
    for title, change, ends in (
        ("fewer frames described", _fewer, _DAMAGED),
        ("a frame without a position", _unplaced, "have no position"),
        ("a localizer frame", _with_localizer, EITHER),
        ("one file of a concatenation", _part_of_two, "only 1 of 2"),
    ):
        make = partial(enhanced_head, heights=_PLACES["even"], change=change)
        yield series_case("enhanced", title, make, ends)


def _fewer(image: Dataset) -> None:
    del image.PerFrameFunctionalGroupsSequence[-2:]


def _unplaced(image: Dataset) -> None:
    del image.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence


def _with_localizer(image: Dataset) -> None:
    group = image.PerFrameFunctionalGroupsSequence[0]
    group.CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]


def _part_of_two(image: Dataset) -> None:
    image.ConcatenationUID, image.InConcatenationNumber = "1.2.9", 1
    image.InConcatenationTotalNumber = 2
