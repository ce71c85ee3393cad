"""DICOM attributes that are missing, wrong, or hold words that must stay inside."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hostile.case import EITHER, RIGHT, SECRET, Case
from hostile.series import series_case, spoilt

_DAMAGED = "cannot be read"
_NO_SLICES = "no CT slices"

_MISSING = {
    "SOPClassUID": EITHER,
    "SOPInstanceUID": RIGHT,
    "StudyInstanceUID": RIGHT,
    "SeriesInstanceUID": RIGHT,
    "Modality": _NO_SLICES,
    "ImageType": RIGHT,
    "ImagePositionPatient": _NO_SLICES,
    "ImageOrientationPatient": _NO_SLICES,
    "PixelSpacing": _NO_SLICES,
    "SliceThickness": RIGHT,
    "SamplesPerPixel": _NO_SLICES,
    "PhotometricInterpretation": EITHER,
    "Rows": _DAMAGED,
    "Columns": _DAMAGED,
    "BitsAllocated": _DAMAGED,
    "BitsStored": EITHER,
    "HighBit": EITHER,
    "PixelRepresentation": EITHER,
    "RescaleSlope": EITHER,
    "RescaleIntercept": EITHER,
    "PixelData": _DAMAGED,
}
"""What happens without each attribute."""

_WRONG = {
    "Rows": {b"\0\0": "no CT slices|cannot be read", b"\xff\xff": _DAMAGED, b"\5\0": EITHER},
    "Columns": {b"\0\0": "no CT slices|cannot be read", b"\xff\xff": _DAMAGED},
    "BitsAllocated": {b"\0\0": _DAMAGED, b"\x07\0": _DAMAGED, b"\xff\xff": _DAMAGED},
    "BitsStored": {b"\0\0": EITHER, b"\xff\xff": EITHER},
    "HighBit": {b"\xff\xff": EITHER},
    "SamplesPerPixel": {b"\0\0": _NO_SLICES, b"\3\0": "colour", b"\xff\xff": "colour"},
    "PixelSpacing": {
        b"0\\0 ": _NO_SLICES,
        b"-1\\1": _NO_SLICES,
        b"abc ": _NO_SLICES + "|cannot be read",
        b"1e999\\1 ": _NO_SLICES,
        b"nan\\1 ": _NO_SLICES,
        b"0.5 ": _NO_SLICES,
        b"1e-300\\1e-300 ": "direction|spacing|position|axes|CT slices",
    },
    "ImagePositionPatient": {
        b"abc ": _NO_SLICES + "|cannot be read",
        b"1\\2 ": _NO_SLICES,
        b"nan\\0\\0 ": _NO_SLICES,
        b"0\\0\\1e999 ": _NO_SLICES,
        b"0\\0\\1e300 ": "lie where|one slice",
        b"0\\0\\0 ": "lie where|one slice",
    },
    "ImageOrientationPatient": {
        b"0\\0\\0\\0\\0\\0 ": _NO_SLICES,
        b"1\\0\\0\\1\\0\\0 ": _NO_SLICES,
        b"1\\0\\0 ": _NO_SLICES,
        b"1e200\\0\\0\\0\\1e200\\0 ": EITHER,
        b"9\\0\\0\\0\\9\\0 ": EITHER,
        b"1\\0\\0\\.7\\.7\\0": "right angles|direction",
    },
    "RescaleSlope": {
        b"0 ": "rescale|not HU",
        b"abc ": "rescale|cannot be read",
        b"1e999 ": "rescale|finite|not HU|cannot be read",
        b"nan ": "rescale|finite|not HU|cannot be read",
        b"1e30": EITHER,
    },
    "RescaleIntercept": {b"abc ": "rescale|cannot be read", b"nan ": "rescale|finite|cannot be"},
    "SliceThickness": {b"abc ": EITHER, b"-5": RIGHT, b"1e999 ": RIGHT},
    "NumberOfFrames": {b"0 ": EITHER, b"-1": EITHER, b"999999999 ": "multi-frame", b"x ": EITHER},
    "AcquisitionNumber": {b"abc ": EITHER, b"9" * 40: EITHER},
    "Modality": {b"\x1b[31mCT\x1b[0m ": _NO_SLICES, SECRET.encode() + b" ": _NO_SLICES},
    "ImageType": {b"LOCALIZER " * 30: EITHER, b"\xff\xfe": EITHER},
    "SeriesInstanceUID": {b"1.2.\x1b[31m.3 ": EITHER, b"x" * 9000: EITHER},
    "SpecificCharacterSet": {b"NO_SUCH_SET ": RIGHT, b"\\" * 99 + b" ": EITHER},
    "PatientName": {
        "Müller^Jörg".encode("latin1") + b" ": RIGHT,
        b"\x1b[2J\x1b[31mSecret ": RIGHT,
        b"Secret\nsliceinterp: error: Person ": RIGHT,
        b"Secret\0Person": RIGHT,
        b"Secret" * 1666: RIGHT,
        b"\x1b$B\x1b(B" * 99 + b" ": RIGHT,
    },
}
"""Raw values of attributes, of every slice."""


def cases() -> Iterator[Case]:
    """All of them."""
    for name, ends in _MISSING.items():
        yield series_case("without", name, partial(spoilt, values={name: None}), ends)
    for name, values in _WRONG.items():
        for value, ends in values.items():
            title = f"{name} = {value[:20]!r}"
            yield series_case("wrong", title, partial(spoilt, values={name: value}), ends)
