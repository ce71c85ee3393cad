"""Segmentations from files: one number a voxel, or Slicer's `.seg.nrrd`.

Keys: https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.dicom_reading import naming
from SliceInterpLib.files.reading import is_dicom, read_layers, read_volume
from SliceInterpLib.volume import Volume

_MOST_LABELS = 1000
"""Numbers that a segmentation may use: atlases have hundreds, a CT thousands."""


@dataclass(frozen=True)
class _Segment:
    name: str
    layer: int
    value: int
    """Its number in its layer."""


def read_labels(path: str | Path, label: int) -> Volume:
    """Read the labels of a segmentation among which one is to be looked for.

    Args:
        path: a NIfTI, NRRD or MetaImage file, or a DICOM series.
        label: of a `.seg.nrrd` the segment's label value, or, where segments of several layers
            share one, its number from 1 in the order of the file.

    Returns:
        Labels on the segmentation's own grid; the segment has the number `label` there.

    Raises:
        VolumeError: for what cannot be read, for values that are no labels, as those of a CT, and
            for a `.seg.nrrd` without that segment; the message lists those that are there.
    """
    path = Path(path)
    if is_dicom(path):
        with naming(path):
            _refuse_dicom_seg(path)
            return _labels(read_volume(path))
    with naming(path):
        layers, keys = read_layers(path)
        numbered = _numbered(_segments(keys))
        if not numbered and len(layers) > 1:
            raise VolumeError(
                f"The segmentation has {len(layers)} values per voxel and does not say of which "
                "segments. Save the one that counts to a file of its own."
            )
        if not numbered:
            return _labels(layers[0])
        if label not in numbered:
            there = ", ".join(f"{number} ({one.name})" for number, one in numbered.items())
            raise VolumeError(
                f"The segmentation has no segment {label}. It has {there}: choose one of these by "
                "--label."
            )
        segment = numbered[label]
        if not 0 <= segment.layer < len(layers):
            raise VolumeError(
                f"The segment {segment.name} lies in a layer that the file does not have. "
                "Save the segmentation again."
            )
        layer = layers[segment.layer]
        # The same number may stand for another segment in another layer.
        return replace(layer, slices=np.where(layer.slices == segment.value, label, 0))


def _labels(volume: Volume) -> Volume:
    """The volume itself; raises VolumeError if its values are not those of a segmentation."""
    values = volume.slices
    low, high = values.min(), values.max()
    if low < 0:
        what = "as in a CT"
    elif (values % 1).any():
        what = "and not all are whole numbers"
    elif high > _MOST_LABELS and len(np.unique(values)) > _MOST_LABELS:
        what = "too many different ones"
    else:
        return volume
    raise VolumeError(
        f"This is no segmentation: its values go from {low:g} to {high:g}, {what}. Give one that "
        "was made on the scan, with 0 where nothing is and 1, 2, … where something is."
    )


def _refuse_dicom_seg(path: Path) -> None:
    """Raise VolumeError for a DICOM SEG, or a folder of nothing else: it is not read."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    kinds = set()
    for file in filter(Path.is_file, files):  # a pipe would never end
        with contextlib.suppress(OSError, InvalidDicomError):
            kinds.add(
                dcmread(file, specific_tags=["Modality"], stop_before_pixels=True).get("Modality")
            )
    if kinds == {"SEG"}:
        raise VolumeError(
            "This is a DICOM SEG, which is not read. Load it in Slicer and save the segmentation "
            "as .seg.nrrd."
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
