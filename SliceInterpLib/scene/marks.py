"""Which slices of a volume node are synthetic: by the node, by its file, or by its DICOM images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import slicer

from SliceInterpLib.errors import SliceInterpError
from SliceInterpLib.marks import NODE_PROVENANCE, Marks, marks_in


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
    """The marks of a node, or else of the file or the DICOM images that it was loaded from.

    Slicer takes the marks in NRRD files over into the node, and those in no others.
    """
    return marks_in(_attributes(node)) or _marks_of_images(node) or _marks_of_file(node)


def _attributes(node: slicer.vtkMRMLNode) -> Mapping[str, str]:
    return {name: node.GetAttribute(name) for name in node.GetAttributeNames()}


def _marks_of_images(node: slicer.vtkMRMLVolumeNode) -> Marks | None:
    """Of the DICOM series that the node was loaded from: no more than that it is a result."""
    first = (node.GetAttribute("DICOM.instanceUIDs") or "").split(" ", 1)[0]
    database = getattr(slicer, "dicomDatabase", None)
    path = Path(database.fileForInstance(first)) if first and database else Path()
    return _marks_of_image(path, path.stat().st_mtime_ns) if path.is_file() else None


def _marks_of_file(node: slicer.vtkMRMLVolumeNode) -> Marks | None:
    storage = node.GetStorageNode()
    path = Path((storage.GetFileName() if storage else None) or "")
    return _marks_of_header(path, path.stat().st_mtime_ns) if path.is_file() else None


# Kept, since the panel asks whenever it says anew what it would do.


@lru_cache(maxsize=64)
def _marks_of_image(path: Path, _changed: int) -> Marks | None:
    from SliceInterpLib.files.dicom_frames import frames_of  # brings pydicom, which takes its time

    try:
        ours = any(frame.mark.ours for frame in frames_of(path))
    except (SliceInterpError, OSError):
        return None
    return Marks() if ours else None


@lru_cache(maxsize=64)
def _marks_of_header(path: Path, _changed: int) -> Marks | None:
    from SliceInterpLib.files.reading import READABLE, marks_of_header, matching_suffix

    return marks_of_header(path) if matching_suffix(path, READABLE) else None
