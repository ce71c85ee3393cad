"""Marks of results that lie: damaged, contradicting, endless, or telling of a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial

from hostile.case import EITHER, RIGHT, SECRET, Case, doubling, written
from hostile.images import HEAD, metaimage, nifti, nrrd
from hostile.series import series_case, spoilt

_RESULT = "SliceInterp made this"
_MADE = {"SliceInterp_provenance": '{"method":"linear"}'}
_SLICES = {"SliceInterp_synthetic_slices": "1,3"}

_MARKS = {
    "whole": _MADE | _SLICES,
    "of another count": _MADE | _SLICES | {"SliceInterp_slices": '{"axis":0,"count":5}'},
    "beyond the last slice": _MADE | {"SliceInterp_synthetic_slices": "1,99"},
    "before the first slice": _MADE | {"SliceInterp_synthetic_slices": "-1"},
    "of words": _MADE | {"SliceInterp_synthetic_slices": "one,three"},
    "of a number with 10,000 digits": _MADE | {"SliceInterp_synthetic_slices": "1" * 10_000},
    "of all slices": _MADE | {"SliceInterp_synthetic_slices": "0,1,2,3,4,5"},
    "of no slices": _MADE | {"SliceInterp_synthetic_slices": ""},
    "without provenance": _SLICES,
    "without slices": _MADE,
    "that are no JSON": _SLICES | {"SliceInterp_provenance": "{"},
    "nested 10,000 times": _SLICES | {"SliceInterp_provenance": "[" * 10_000},
    "of another axis": _MADE | _SLICES | {"SliceInterp_slices": '{"axis":9,"count":6}'},
    "with a person in it": _SLICES | {"SliceInterp_provenance": json.dumps({"person": SECRET})},
    "of a node of Slicer": {
        "SliceInterp.provenance": '{"method":"linear"}',
        "SliceInterp.syntheticSlices": '{"axis":0,"slices":"01010"}',
    },
}

_BESIDE = {
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe\x00",
    "a list": b"[1]",
    "nested 100,000 times": b"[" * 100_000,
    "of 2 MB": b" " * (2 << 20) + b"{}",
    "empty": b"",
    "of a converter": json.dumps({"PatientName": SECRET, "ImageType": ["DERIVED"]}).encode(),
}
"""JSON files beside NIfTI that say nothing."""

_DICOM = {
    "ImageComments": {
        b"SYNTHETIC slice: predicted from the slices around it ": _RESULT,
        b"ACQUIRED slice, HU unchanged, in a series with synthetic slices.": RIGHT,
        b"PROCESSED slice: acquired, then eaten.": _RESULT,
        b"SYNTHETIC": RIGHT,
        SECRET.encode() + b" ": RIGHT,
        b"\x1b[31m\xff\xfe ": RIGHT,
    },
    "DerivationDescription": {
        b"Predicted by SliceInterp. Method: \x1b[31m. ": _RESULT,
        b"Predicted by others ": RIGHT,
    },
    "ContributingEquipmentSequence": {b"\xff" * 40: EITHER},
    "ImageType": {b"DERIVED\\SECONDARY\\MPR ": RIGHT, b"DERIVED\\" * 999: RIGHT},
}


def cases() -> Iterator[Case]:
    """All of them."""
    for title, marks in _MARKS.items():
        yield _case("NRRD", title, "scan.nrrd", {"scan.nrrd": _nrrd(marks)}, _RESULT)
        yield _case("MetaImage", title, "scan.mha", {"scan.mha": metaimage(marks)}, _RESULT)
        beside = json.dumps(marks).encode()
        files = {"scan.nii": nifti(), "scan.json": beside}
        yield _case("NIfTI", title, "scan.nii", files, _RESULT)
    for title, content in _BESIDE.items():
        files = {"scan.nii": nifti(), "scan.json": content}
        yield _case("JSON beside NIfTI", title, "scan.nii", files, RIGHT)
    for name, values in _DICOM.items():
        for value, ends in values.items():
            title = f"{name} = {value[:30]!r}"
            yield series_case("marks", title, partial(spoilt, values={name: value}), ends)


def _nrrd(marks: Mapping[str, str]) -> bytes:
    keys = "".join(f"{name}:={value}\n" for name, value in marks.items())
    return nrrd().replace(b"\n\n", f"\n{keys}\n".encode(), 1)


def _case(kind: str, title: str, name: str, files: Mapping[str, bytes], ends: str) -> Case:
    make = written(files, HEAD if ends == RIGHT else None)
    return Case(f"marks, {kind}", title, make, ends, doubling(name))
