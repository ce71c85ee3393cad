"""Segmentations from files: a number a voxel, Slicer's `.seg.nrrd`, or a DICOM SEG.

Keys: https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.checks import naming
from SliceInterpLib.files.dicom_seg import find_seg
from SliceInterpLib.files.mask_grid import onto_scan
from SliceInterpLib.files.reading import read_layers, read_volume
from SliceInterpLib.files.suffixes import is_dicom
from SliceInterpLib.volume import Volume

_MOST_LABELS = 1000
"""Numbers that a segmentation may use: atlases have hundreds, a CT thousands."""

_MOST_NAMED = 50
"""Segments that an error lists."""


@dataclass(frozen=True)
class _Segment:
    name: str
    layer: int
    value: int
    """Its number in its layer."""


def read_mask(path: str | Path, scan: Volume, label: str | None = None) -> np.ndarray:
    """Read one of the segments of a segmentation.

    Args:
        path: a NIfTI, NRRD or MetaImage file, a DICOM SEG or a folder with one in it, or a DICOM
            series of labels.
        scan: that it was made on.
        label: the segment's number or, where segments have names, its name. The number is that of
            the voxels; in a `.seg.nrrd` whose layers share label values it counts the segments
            from 1, in a DICOM SEG it is the Segment Number. None: the only one.

    Returns:
        bool, shaped as `scan.slices`; it is somewhere.

    Raises:
        VolumeError: for what cannot be read, is none, as a CT, or does not lie on the scan's grid,
            and for one without that segment, or with several if none was asked for; the message
            lists those that are there.
    """
    path = Path(path)
    with naming(path):
        if not path.exists():
            raise VolumeError("There is no such file or folder. Check the path.")
        if not is_dicom(path):
            layers, keys = read_layers(path)
            return onto_scan(scan, _of_layers(layers, _segments(keys), label))
        seg = find_seg(path)
        if not seg:
            return onto_scan(scan, _of_numbers(read_volume(path), label))
        same_series = seg.belongs_to(scan)
        number = _chosen(seg.segments, label)
        segment = _not_empty(seg.segment(number), number, seg.segments[number])
        return onto_scan(scan, segment, same_series=same_series)


def _of_layers(layers: list[Volume], segments: list[_Segment], label: str | None) -> Volume:
    """One of the segments that the layers of a file hold, or, without segments, its one layer."""
    numbered = _numbered(segments)
    if not numbered and len(layers) > 1:
        raise VolumeError(
            f"The segmentation has {len(layers)} values per voxel and does not say of which "
            "segments. Save the one that counts to a file of its own."
        )
    if not numbered:
        return _of_numbers(layers[0], label)
    number = _chosen({number: one.name for number, one in numbered.items()}, label)
    segment = numbered[number]
    if not 0 <= segment.layer < len(layers):
        raise VolumeError(
            f"The segment {segment.name} lies in a layer that the file does not have. "
            "Save the segmentation again."
        )
    # The same number may stand for another segment in another layer.
    return _not_empty(_equal(layers[segment.layer], segment.value), number, segment.name)


def _of_numbers(labels: Volume, label: str | None) -> Volume:
    """Where voxels have the number of the label; raises VolumeError for values that are none."""
    values = labels.slices
    low, high = values.min(), values.max()
    if low < 0:
        what = "as in a CT"
    elif (values % 1).any():
        what = "and not all are whole numbers"
    elif len(numbers := np.unique(values)) > _MOST_LABELS:
        what = "too many different ones"
    elif not high:
        raise VolumeError(
            "The segmentation is empty: all of its voxels are 0. Give one with the hematoma in it."
        )
    else:
        names = {int(number): "" for number in numbers if number}
        return _equal(labels, _chosen(names, label))
    raise VolumeError(
        f"This is no segmentation: its values go from {low:g} to {high:g}, {what}. Give one that "
        "was made on the scan, with 0 where nothing is and 1, 2, … where something is."
    )


def _equal(labels: Volume, value: int) -> Volume:
    return replace(labels, slices=(labels.slices == value).astype(np.uint8))


def _not_empty(mask: Volume, number: int, name: str) -> Volume:
    if not mask.slices.any():
        raise VolumeError(
            f"The segment {number} ({name}) is empty: 0 ml. Give one with the hematoma in it."
        )
    return mask


def _chosen(names: Mapping[int, str], label: str | None) -> int:
    """The number that is asked for, itself or by its name; without a label the only one."""
    if not names:
        raise VolumeError("The segmentation has no segments. Give one with the hematoma in it.")
    if label is None:
        fitting = list(names)
    else:
        fitting = [number for number in names if str(number) == label] or [
            number for number, name in names.items() if name == label
        ]
    if len(fitting) == 1:
        return fitting[0]
    listed = [f"{number}" + f" ({name})" * bool(name) for number, name in names.items()]
    there = ", ".join(listed[:_MOST_NAMED]) + " and more" * (len(listed) > _MOST_NAMED)
    what = f"{'several segments' if fitting else 'no segment'}{f' {label}' if label else ''}"
    raise VolumeError(
        f"The segmentation has {what}. It has {there}: choose one of these by --label."
    )


def _segments(keys: Mapping[str, str]) -> list[_Segment]:
    """What the keys of a header tell of segments, in the file's order."""
    found = []
    indices = (re.fullmatch(r"Segment(\d+)_ID", key) for key in keys)
    for index in sorted(int(match[1]) for match in indices if match):
        start = f"Segment{index}_"
        name = keys.get(f"{start}Name", keys[f"{start}ID"])
        try:
            # Before Slicer 4.11, each segment had a layer of its own, of 0 and 1.
            layer = int(keys.get(f"{start}Layer", index))
            value = int(keys.get(f"{start}LabelValue", 1))
        except ValueError as error:
            raise VolumeError(
                f"The segment {name} has a layer or label value that is no number. "
                "Save the segmentation again."
            ) from error
        found.append(_Segment(name, layer, value))
    return found


def _numbered(segments: list[_Segment]) -> dict[int, _Segment]:
    """The segments by the number that chooses each."""
    by_value = {segment.value: segment for segment in segments}
    return by_value if len(by_value) == len(segments) else dict(enumerate(segments, 1))
