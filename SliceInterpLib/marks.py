"""What a file or node says of itself when SliceInterp made it, as text: written and read again.

Other programs re-save results, and not all of the marks survive that. Whatever does still tells
that it is a result; where it no longer tells which slices are synthetic, all of them count as such.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from SliceInterpLib.volume import Volume

PROVENANCE = "SliceInterp_provenance"
"""Key in files: how the volume was made, JSON."""

SYNTHETIC = "SliceInterp_synthetic_slices"
"""Key in files: the indices of synthetic slices, "1,3,5" or a list."""

SLICES = "SliceInterp_slices"
"""Key in files, JSON: "axis" of the array (z, y, x) that runs through-plane, "count", and "first",
where the first slice's first pixel lies (mm, LPS)."""

NODE_PROVENANCE = "SliceInterp.provenance"
"""Attribute of Slicer's nodes: how the volume was made, JSON."""

NODE_SYNTHETIC = "SliceInterp.syntheticSlices"
"""Attribute of Slicer's nodes, JSON: the "axis" and in "slices" a '1' for each synthetic slice."""

UNKNOWN_SLICES = "synthetic_slices_unknown"
"""In the provenance of a result whose marks no longer tell which slices are synthetic."""

_SAME_MM = 0.1
"""How far from where it was a pixel may be after a file was saved again."""

_REMARKS = ("ITK_FileNotes", "descrip", "aux_file", "ImageComments")
"""Texts of which NIfTI, what was made from it, and the JSON files of dcm2niix have one or more."""

_OUR_REMARK = re.compile(
    "SliceInterp: [0-9]+ of [0-9]+ slices synthetic"
    # As dcm2niix cuts Image Comments for NIfTI.
    "|SYNTHETIC slice: predi|ACQUIRED slice, HU unc|PROCESSED slice: acqui"
)


@dataclass(frozen=True)
class Marks:
    """What is known of a result's slices; by default only that it is one."""

    provenance: Mapping[str, Any] = field(default_factory=dict)
    synthetic: tuple[int, ...] | None = None
    """Indices; None where they are not told, or cannot be believed."""
    count: int | None = None
    """How many slices there were; None where that is not told."""
    axis: int | None = None
    """Axis of the array (z, y, x) that runs through-plane; None where that is not told."""
    first: tuple[float, ...] | None = None
    """Where the first slice's first pixel lay, mm, LPS; None where that is not told."""

    def axis_in(self, shape: Sequence[int]) -> int | None:
        """The axis, if an array of that shape has as many slices along it as there were."""
        fits = self.axis is not None and shape[self.axis] == self.count
        return self.axis if fits else None


def texts_of(volume: Volume) -> dict[str, Any]:
    """The keys in files, not yet as text, that mark a result; none for an acquired volume."""
    if not volume.is_derived:
        return {}
    return {
        PROVENANCE: dict(volume.provenance),
        SYNTHETIC: np.flatnonzero(volume.synthetic).tolist(),
        SLICES: {
            "axis": volume.slice_axis,
            "count": volume.slice_count,
            "first": np.round(volume.slice_origins[0], 4).tolist(),
        },
    }


def marks_in(texts: Mapping[str, Any]) -> Marks | None:
    """The marks among the keys of a file or the attributes of a node; None if it has none.

    Marks that are damaged tell no more than that this is a result.
    """
    ours = {PROVENANCE, SYNTHETIC, SLICES, NODE_PROVENANCE, NODE_SYNTHETIC}
    if not ours.isdisjoint(texts):
        try:
            return _parsed(texts)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return Marks()
    if any(_OUR_REMARK.match(str(texts.get(name, ""))) for name in _REMARKS):
        return Marks()
    return None


def _parsed(texts: Mapping[str, Any]) -> Marks:
    if NODE_SYNTHETIC in texts:
        marks, slices = json.loads(texts[NODE_SYNTHETIC]), []
        provenance = json.loads(texts[NODE_PROVENANCE])
        slices = [number for number, mark in enumerate(marks["slices"]) if mark == "1"]
        axis, count, first = marks["axis"], len(marks["slices"]), None
    else:
        provenance, slices = _json(texts[PROVENANCE]), texts[SYNTHETIC]
        if isinstance(slices, str):
            slices = [int(number) for number in slices.split(",") if number]
        place = _json(texts.get(SLICES, {}))
        axis, count, first = (place.get(name) for name in ("axis", "count", "first"))
    numbers = [*slices, *(number for number in (axis, count) if number is not None)]
    if not isinstance(provenance, dict) or axis not in (None, 0, 1, 2):
        raise ValueError("no marks of ours")
    if not all(type(number) is int and 0 <= number < 1 << 31 for number in numbers):
        raise ValueError("no numbers of slices")
    place_of_first = None if first is None else tuple(float(x) for x in first)
    return Marks(provenance, tuple(slices), count, axis, place_of_first)


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def marked(volume: Volume, marks: Marks | None) -> Volume:
    """The volume with its marks.

    Warns where they do not fit its slices; then all of those count as synthetic.

    Args:
        volume: as it was read.
        marks: None for an acquired volume, which is returned as it is.
    """
    if marks is None:
        return volume
    count = volume.slice_count
    if not _fit(marks, volume) or UNKNOWN_SLICES in marks.provenance:
        warnings.warn(
            f"SliceInterp made this, but its marks (or those in the .json beside it) do not tell "
            f"which of the {count} slices are synthetic, or not since another program saved, "
            "cropped or resampled it: all of them count as such.",
            stacklevel=3,
        )
        every = np.ones(count, bool)
        unknown = {**_named(marks.provenance), UNKNOWN_SLICES: True}
        return replace(volume, synthetic=every, provenance=unknown)
    synthetic = np.zeros(count, bool)
    synthetic[list(marks.synthetic or ())] = True
    return replace(volume, synthetic=synthetic, provenance=_named(marks.provenance))


def _fit(marks: Marks, volume: Volume) -> bool:
    """Whether the marks tell which of the volume's slices are synthetic."""
    count = volume.slice_count
    if marks.synthetic is None or marks.count not in (None, count):
        return False
    if max(marks.synthetic, default=0) >= count:
        return False
    reads_alike = set(marks.synthetic) == {count - 1 - number for number in marks.synthetic}
    # Some programs turn the slices round, and the marks would then be those of others.
    return reads_alike or marks.first is None or _near(volume.slice_origins[0], marks.first)


def _near(one: np.ndarray, other: Sequence[float]) -> bool:
    return len(other) == 3 and bool(np.linalg.norm(one - np.array(other)) < _SAME_MM)


def _named(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Never empty, since an empty provenance is that of an acquired volume."""
    return {"software": "SliceInterp", **provenance}
