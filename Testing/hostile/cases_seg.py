"""DICOM segmentations: cut off, lying about themselves, making no sense, and beside their scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from hostile.case import EITHER, RIGHT, SECRET, Case
from hostile.elements import set_raw
from hostile.images import HEAD
from hostile.series import nested, nested_with_lengths, series_case, whole

_DAMAGED = "cannot be read"

_TYPE_2 = (
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    "ReferringPhysicianName",
)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _kinds()
    yield from _lies()
    yield from _frames()
    yield from _broken()
    yield from _beside_its_scan()


def _masks() -> np.ndarray:
    """(slice, row, column, segment): two that overlap, with nothing in some slices."""
    masks = np.zeros((*HEAD.shape, 2), bool)
    masks[[1, 3], 4:8, 3:6, 0] = masks[2:4, 5:9, 4:7, 1] = True
    return masks


def _with_seg(
    folder: Path,
    kind: str = "BINARY",
    change: Callable[[Dataset], None] = lambda seg: None,
    values: Mapping[str, bytes | None] | None = None,
    alter: Callable[[bytes], bytes] = bytes,
    place: str = "seg.dcm",
) -> None:
    """The head as a series, and a SEG with changed attributes, raw values of them, or bytes."""
    from seg_files import write_seg  # highdicom takes its time

    (folder / "series").mkdir(exist_ok=True)
    files = whole(folder / "series", FrameOfReferenceUID="1.2.9", **dict.fromkeys(_TYPE_2, ""))
    masks = _masks()
    if kind == "LABELMAP":
        masks = np.where(masks[..., 1], 2, masks[..., 0])
    path = folder / place
    write_seg(path, files, masks * 1.0 if kind == "FRACTIONAL" else masks, kind, change=change)
    if values:
        set_raw(path, values)
    path.write_bytes(alter(path.read_bytes()))


def _case(category: str, name: str, ends: str, label: str = "blood", **changes: object) -> Case:
    """The measuring of a segment."""
    command = ("volume", "series", "--labels=seg.dcm", f"--label={label}", "--methods", "--json")
    make = partial(_with_seg, **changes)
    return Case(f"DICOM SEG, {category}", name, make, ends, command)


def _kinds() -> Iterator[Case]:
    for kind in ("BINARY", "FRACTIONAL", "LABELMAP"):
        yield _case("kinds", kind, RIGHT, kind=kind)
    for label in ("edema", "2"):
        yield _case("kinds", f"segment {label}", RIGHT, label)
    for label in ("3", "-1", "9" * 5000, "\x1b[31m"):
        yield _case("kinds", f"segment {label[:9]!r}", "no segment .* 1 .blood., 2 .edema.", label)


def _lies() -> Iterator[Case]:
    for name, value, ends in (
        ("NumberOfFrames", b"3 ", "has 3 frames, but it says of 4"),
        ("NumberOfFrames", b"1000000000", _DAMAGED),
        ("NumberOfFrames", b"x ", _DAMAGED),
        ("NumberOfFrames", None, "has 1 frames"),
        ("Rows", b"\xff\xff", _DAMAGED),
        ("Rows", b"\0\0", _DAMAGED),
        ("Columns", b"\x0b\0", _DAMAGED),
        ("BitsAllocated", b"\x08\0", _DAMAGED),
        ("BitsAllocated", b"\0\0", _DAMAGED),
        ("BitsAllocated", None, _DAMAGED),
        ("PixelData", bytes(58), _DAMAGED),
        ("PixelData", bytes(62), _DAMAGED),
        ("PixelData", bytes(10**7), _DAMAGED),
        ("PixelData", b"", _DAMAGED),
        ("PixelData", bytes(60), "segment 1 .blood. is empty"),
        ("SegmentationType", b"FRACTIONAL", _DAMAGED),
        ("SegmentationType", b"LABELMAP", EITHER),
        ("SegmentationType", None, _DAMAGED),
        ("SegmentSequence", b"", "has no segments"),
        ("SegmentSequence", b"\xff" * 20, _DAMAGED),
        ("PerFrameFunctionalGroupsSequence", b"", "without the places of its frames"),
        ("PerFrameFunctionalGroupsSequence", b"\xff" * 20, _DAMAGED),
        ("SharedFunctionalGroupsSequence", b"", "without position"),
        ("FrameOfReferenceUID", b"1.2.8 ", "another frame of reference"),
        ("Modality", b"SR", "but an object of modality SR"),
        ("PatientName", b"\x1b[31m" + SECRET.encode(), RIGHT),
    ):
        title = f"{name} {value[:10] if value is not None else 'missing'!r}"
        yield _case("lies", f"{title} of {len(value or b'')}", ends, values={name: value})
    for largest in (0, 1000):
        change = partial(_set, MaximumFractionalValue=largest)
        title = f"MaximumFractionalValue {largest}"
        yield _case("lies", title, _DAMAGED, kind="FRACTIONAL", change=change)


def _set(seg: Dataset, **values: object) -> None:
    for name, value in values.items():
        setattr(seg, name, value)


def _frames() -> Iterator[Case]:
    for title, order, ends in (
        ("in another order", [3, 1, 0, 2], RIGHT),
        ("missing", [0], RIGHT),
        ("of the segment missing", [2, 3], "segment 1 .blood. is empty"),
        ("twice", [0, 1, 1, 2], "several frames of segment 1 in one place"),
    ):
        yield _case("frames", title, ends, change=partial(_reordered, order=order))
    for title, group, values, ends in (
        (
            "of no segment",
            "SegmentIdentificationSequence",
            {"ReferencedSegmentNumber": None},
            "of which segments",
        ),
        (
            "without a place",
            "PlanePositionSequence",
            {"ImagePositionPatient": None},
            "have no position",
        ),
        (
            "a long way off",
            "PlanePositionSequence",
            {"ImagePositionPatient": [0, 0, 1e9]},
            "reaches beyond",
        ),
        ("nowhere", "PlanePositionSequence", {"ImagePositionPatient": ["nan"] * 3}, "no position"),
        (
            "between slices",
            "PlanePositionSequence",
            {"ImagePositionPatient": [0, 0, 2.5]},
            "not lie on one grid",
        ),
        (
            "beside the others",
            "PlanePositionSequence",
            {"ImagePositionPatient": [7, 0, 5]},
            "one grid|tiles",
        ),
    ):
        change = partial(_first_frame, group=group, values=values)
        yield _case("frames", title, ends, change=change)


def _reordered(seg: Dataset, order: Sequence[int]) -> None:
    from seg_files import reordered

    reordered(order)(seg)


def _first_frame(seg: Dataset, group: str, values: Mapping[str, object]) -> None:
    from pydicom import config

    item = seg.PerFrameFunctionalGroupsSequence[0][group].value[0]
    for name, value in values.items():
        with config.disable_value_validation():
            setattr(item, name, value)


def _broken() -> Iterator[Case]:
    for end in (0, 100, 140, 400, 1000, 2000, -61, -1):
        ends = {0: "an empty file", 100: "neither a DICOM image"}.get(end, _DAMAGED)
        yield _case("cut off", f"at {end}", ends, alter=partial(_shortened, end=end))
    for seed in range(30):
        yield _case("flipped bits", f"seed {seed}", EITHER, alter=partial(_flip, seed=seed))
    for depth in (100, 5_000, 200_000):
        for how, nest in (("", nested), (", with lengths", nested_with_lengths)):
            title = f"{depth} sequences in each other{how}"
            yield _case("structure", title, EITHER, alter=partial(nest, depth=depth))


def _shortened(data: bytes, end: int) -> bytes:
    return data[:end]


def _flip(data: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    damaged = bytearray(data)
    for place in rng.integers(128, len(data), 1 + seed % 5):
        damaged[place] ^= 1 << rng.integers(8)
    return bytes(damaged)


def _beside_its_scan() -> Iterator[Case]:
    """The scan is doubled as without it, whatever state it is in."""
    for title, alter in (
        ("whole", bytes),
        ("cut off in its header", partial(_shortened, end=1500)),
        ("cut off in its pixels", partial(_shortened, end=-20)),
    ):
        make = partial(_in_one_folder, alter=alter)
        yield series_case("with a SEG", title, make, RIGHT)


def _in_one_folder(folder: Path, alter: Callable[[bytes], bytes]) -> None:
    _with_seg(folder.parent, alter=alter, place="series/seg.dcm")
