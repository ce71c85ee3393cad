"""Which slices of a volume node are synthetic: by the node, by its file, or by its DICOM images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import slicer

from SliceInterpLib.errors import SliceInterpError
from SliceInterpLib.files.dicom_marks import derived_in_words
from SliceInterpLib.files.hints import may_tell
from SliceInterpLib.files.suffixes import READABLE, matching_suffix
from SliceInterpLib.hounsfield import Ranges
from SliceInterpLib.marks import NODE_PROVENANCE, Marks, marks_in
from SliceInterpLib.padding import credible

SOURCE = "SliceInterp.source"
"""Node reference from a result to the volume it was made from; saved with the scene."""


def provenance_of(node: slicer.vtkMRMLNode) -> dict[str, object]:
    """How the node's volume was made; empty if not by SliceInterp."""
    try:
        provenance = json.loads(node.GetAttribute(NODE_PROVENANCE) or "{}")
    except ValueError:
        return {}
    return provenance if isinstance(provenance, dict) else {}


def synthetic_slices_of(node: slicer.vtkMRMLVolumeNode) -> tuple[int, np.ndarray] | None:
    """Array axis of the slices and (slice_count,) bool, True where synthetic; None if not ours."""
    marks = marks_in(_attributes(node))
    if not marks or marks.synthetic is None or marks.count is None or marks.axis is None:
        return None
    synthetic = np.zeros(marks.count, bool)
    synthetic[[number for number in marks.synthetic if number < marks.count]] = True
    return marks.axis, synthetic


def marks_of(node: slicer.vtkMRMLVolumeNode) -> Marks | None:
    """The marks of a node, or else of the DICOM images or the file that it was loaded from.

    Slicer takes the marks in NRRD files over into the node, and those in no others.
    """
    own = marks_in(_attributes(node))
    return own or next((source.marks for source in _sources(node) if source.marks), None)


def derived_by_others(node: slicer.vtkMRMLVolumeNode) -> str:
    """A warning, if what the node was loaded from says that it is no scanner's reconstruction.

    Asked are the file, or the first image of the series in Slicer's DICOM database.
    """
    image_type = " ".join(source.image_type for source in _sources(node))
    return "" if marks_of(node) else derived_in_words(image_type)


def padding_of(node: slicer.vtkMRMLVolumeNode) -> Ranges:
    """The padding that the DICOM images declare which the node was loaded from, or made from."""
    nodes = filter(None, (node, node.GetNodeReference(SOURCE)))
    declared = [source.padding for one in nodes for source in _sources(one)]
    return next(filter(None, declared), ())


def _attributes(node: slicer.vtkMRMLNode) -> Mapping[str, str]:
    return {name: node.GetAttribute(name) for name in node.GetAttributeNames()}


class _Source(NamedTuple):
    """What a DICOM image or another file says of how it was made, and of its padding."""

    marks: Marks | None = None
    image_type: str = ""
    padding: Ranges = ()


def _sources(node: slicer.vtkMRMLVolumeNode) -> list[_Source]:
    """Of what the node was loaded from, as far as it is still there."""
    first = (node.GetAttribute("DICOM.instanceUIDs") or "").split(" ", 1)[0]
    database = getattr(slicer, "dicomDatabase", None)
    storage = node.GetStorageNode()
    image = database.fileForInstance(first) if first and database else ""
    paths = [Path(name) for name in (image, storage and storage.GetFileName()) if name]
    return [_said_by(path, path.stat().st_mtime_ns) for path in paths if path.is_file()]


# Kept, since the panel asks whenever it says anew what it would do.
@lru_cache(maxsize=64)
def _said_by(path: Path, _changed: int) -> _Source:
    if not may_tell(path):
        return _Source()
    # What parses them takes its time to import.
    if matching_suffix(path, READABLE):
        from SliceInterpLib.files.reading import header_texts

        texts = header_texts(path)
        return _Source(marks_in(texts), str(texts.get("ImageType") or ""))
    from SliceInterpLib.files.dicom_frames import frames_of

    try:
        frames = frames_of(path)
    except (SliceInterpError, OSError):
        return _Source()
    # One image of a series tells no more than that it is a result.
    ours = Marks() if any(frame.mark.ours for frame in frames) else None
    image_types = " ".join(frame.mark.image_type for frame in frames)
    return _Source(ours, image_types, credible(frame.padding for frame in frames))
