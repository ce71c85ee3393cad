"""DICOM segmentations of small CT series, written by highdicom, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from dicom_files import write_slice
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pack_bits
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

EVEN = tuple(5.0 * index for index in range(6))
UNEVEN = (0.0, 1.08, 5.08, 9.08, 16.08, 23.08)

SHAPE = (6, 7, 9)
"""(slice, row, column): frames of 63 bits, so that most begin within a byte."""


def ct_series(
    folder: Path, heights: Sequence[float] = EVEN, *, tilt: float = 0.0, **changes: object
) -> list[Path]:
    """Write slices of 7 × 9 pixels of 0.5 × 0.6 mm at these heights, sheared by `tilt` degrees."""
    folder.mkdir(exist_ok=True)
    common = {
        **dict.fromkeys(("PatientID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"), ""),
        **dict.fromkeys(("PatientBirthDate", "PatientSex", "ReferringPhysicianName"), ""),
        "FrameOfReferenceUID": "1.2.3.9",
        "SliceThickness": 5,
    }
    rng = np.random.default_rng(0)
    paths = []
    for index, height in enumerate(heights):
        paths.append(folder / f"{index}.dcm")
        write_slice(
            paths[-1],
            (1, 2 + round(height * float(np.tan(np.radians(tilt))), 6), height),
            pixels=rng.integers(1000, 1100, SHAPE[1:]).astype(np.int16),
            **{"series": "1.2.3.4", **common, **changes},
        )
    return paths


def blood_and_edema() -> np.ndarray:
    """(6, 7, 9, 2) bool: like none of its mirror images, with an empty slice within, overlapping.

    The outermost slices hold nothing.
    """
    masks = np.zeros((*SHAPE, 2), bool)
    masks[1, 1:6, 2:5, 0] = masks[3, 2:4, 3:9, 0] = masks[3, 6, 8, 0] = True
    masks[3:5, 0:4, 2:7, 1] = True
    return masks


def write_seg(
    path: Path,
    sources: Sequence[Path],
    masks: np.ndarray,
    kind: str = "BINARY",
    *,
    names: Sequence[str] = ("blood", "edema"),
    change: Callable[[Dataset], None] = lambda seg: None,
    changes: Mapping[str, object] | None = None,
    **options: object,
) -> Path:
    """Write masks, (slice, row, column, segment), of a series as a DICOM SEG.

    LABELMAP takes (slice, row, column) of segment numbers, FRACTIONAL parts of 1. `options` are
    highdicom's; `change` and then `changes`, attributes (None: left out), are applied to what it
    makes.
    """
    seg = hd.seg.Segmentation(
        source_images=[pydicom.dcmread(source) for source in sources],
        pixel_array=masks if kind == "FRACTIONAL" else masks.astype(np.uint8),
        segmentation_type=kind,
        segment_descriptions=[_segment(number, name) for number, name in enumerate(names, 1)],
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="maker",
        manufacturer_model_name="model",
        software_versions="1",
        device_serial_number="1",
        **options,
    )
    seg.save_as(path)
    written = pydicom.dcmread(path)
    change(written)
    for name, value in (changes or {}).items():
        if value is None:
            delattr(written, name)
        else:
            setattr(written, name, value)
    written.save_as(path)
    return path


def _segment(number: int, name: str) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Hemorrhage,
        algorithm_type="MANUAL",
    )


def reordered(order: Sequence[int]) -> Callable[[Dataset], None]:
    """A `change` that puts the frames of a binary SEG into this order, leaving out the others."""

    def change(seg: Dataset) -> None:
        groups, planes = seg.PerFrameFunctionalGroupsSequence, seg.pixel_array
        seg.PerFrameFunctionalGroupsSequence = [groups[index] for index in order]
        seg.NumberOfFrames = len(order)
        seg.PixelData = pack_bits(planes[list(order)].ravel())

    return change
