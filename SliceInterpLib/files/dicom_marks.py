"""What DICOM images say of how they were made: the words we write, read again, and those of others.

Archives and other programs may drop comments, so each slice says what it is in two places, and who
made it in a third.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from SliceInterpLib.marks import Marks

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

EQUIPMENT = "SliceInterp"
"""The manufacturer in the Contributing Equipment Sequence."""

SYNTHETIC, ACQUIRED, PROCESSED = "SYNTHETIC slice", "ACQUIRED slice", "PROCESSED slice"
"""How Image Comments begin."""

UNCHANGED = "HU unchanged"
PREDICTED = "Predicted by SliceInterp."
CHANGED = "Acquired, then"
"""How the Derivation Description begins, in the same order but acquired first."""

MADE_UPRIGHT, DENOISED = "shifted within its plane to undo the tilt", "denoised"
"""What was done to a processed slice, in both places."""

_CHANGES = {"upright": MADE_UPRIGHT, "uniform": DENOISED}
"""By their names in the provenance."""

TAGS = (
    *("ImageType", "ImageComments", "DerivationDescription"),
    "ContributingEquipmentSequence",
)

_ROLES = {
    "ImageComments": {name: re.compile(name) for name in (SYNTHETIC, ACQUIRED, PROCESSED)},
    "DerivationDescription": {
        SYNTHETIC: re.compile(PREDICTED),
        ACQUIRED: re.compile(rf"{UNCHANGED}\.$"),
        PROCESSED: re.compile(CHANGED),
    },
}
_OURS = re.compile(
    f"{SYNTHETIC}: predicted from the|{ACQUIRED}, {UNCHANGED}, in a series with synth|"
    f"{PROCESSED}: acquired, then|{PREDICTED}"
)
_METHOD = re.compile(
    r"Method: ([\w-]{1,60})\.(?: Model: ([\w.-]{1,60}), SHA-256 ([0-9a-f]{64})\.)?"
)

DERIVED_WORDS = (
    *("DERIVED", "MPR", "MIP", "MINIP", "MAX_IP", "MIN_IP"),
    *("RESAMPLED", "REFORMATTED"),
)
"""In the Image Type of series that others made of the scanner's."""


@dataclass(frozen=True)
class SliceMark:
    """What one image says of how it was made."""

    role: str = ""
    """SYNTHETIC, ACQUIRED or PROCESSED; empty where it does not tell."""
    ours: bool = False
    changes: frozenset[str] = frozenset()
    """Of a processed slice, by their names in the provenance."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    image_type: str = ""
    """As far as it tells the image from what a scanner reconstructs."""


def mark_of(attributes: Dataset) -> SliceMark:
    """The mark of an image, by its header; of what cannot be read, none."""
    try:
        texts = {name: str(attributes.get(name) or "") for name in _ROLES}
        kind = f"{attributes.get('ImageType')} {attributes.get('FrameType')}"
        made = [
            item
            for item in attributes.get("ContributingEquipmentSequence") or ()
            if item.get("Manufacturer") == EQUIPMENT
        ]
        version = re.match(r"[\w.+-]{1,60}$", str(made[0].get("SoftwareVersions")) if made else "")
        told = " ".join(
            [*(str(one.get("ContributionDescription")) for one in made), *texts.values()]
        )
    except Exception:  # pydicom's parsers raise whatever they stumble over
        return SliceMark()
    mark = SliceMark(image_type=" ".join(derived_words(kind)))
    if not made and not any(_OURS.match(text) for text in texts.values()):
        return mark
    roles = [
        role
        for name, patterns in _ROLES.items()
        for role, pattern in patterns.items()
        if pattern.match(texts[name])
    ]
    method = _METHOD.search(told)
    provenance = {"software": EQUIPMENT} | ({"version": version[0]} if version else {})
    if method:
        found = zip(("method", "model", "model_sha256"), method.groups(), strict=True)
        provenance |= {name: value for name, value in found if value}
    return replace(
        mark,
        role=roles[0] if len(set(roles)) == 1 else "",
        ours=True,
        changes=frozenset(name for name, words in _CHANGES.items() if words in told),
        provenance=provenance,
    )


def stack_marks(slices: Sequence[SliceMark]) -> Marks | None:
    """What the images of a stack say together; None if SliceInterp did not make it.

    Nor did it where somebody has taken the synthetic slices out and left the acquired ones.
    """
    made = [mark for mark in slices if mark.ours]
    if not made or all(mark.role == ACQUIRED for mark in slices):
        return None
    provenance = dict(max(made, key=lambda mark: len(mark.provenance)).provenance)
    if not all(mark.changes if mark.role == PROCESSED else mark.role for mark in slices):
        return Marks(provenance)
    synthetic = [number for number, mark in enumerate(slices) if mark.role == SYNTHETIC]
    others = [number for number, mark in enumerate(slices) if mark.role != SYNTHETIC]
    times = np.unique(np.diff(others))
    if len(times) == 1 and times[0] > 1:
        provenance["factor"] = int(times[0])
    for name in _CHANGES:
        changed = [number for number in others if name in slices[number].changes]
        if changed:
            provenance[name] = {"denoised_slices": changed} if name == "uniform" else True
    return Marks(provenance, tuple(synthetic), len(slices))


def warn_if_derived(image_type: object) -> None:
    """Warn, once a series, if its Image Type says that it is not what a scanner reconstructs."""
    warning = derived_in_words(image_type)
    if warning:
        warnings.warn(warning, stacklevel=3)


def derived_in_words(image_type: object) -> str:
    """The warning of a series with such an Image Type; empty if there is nothing to warn of."""
    words = ", ".join(derived_words(str(image_type)))
    return words and (
        f"The series is not what a scanner reconstructs (Image Type: {words}): its slices may be "
        "resampled, projected or predicted. Give the original series if there is one."
    )


def derived_words(image_type: str) -> tuple[str, ...]:
    """The words of an Image Type that tell it from that of a scanner's reconstruction."""
    words = {word.strip("'[]") for word in re.split(r"[\s,]+", image_type.upper())}
    return tuple(word for word in DERIVED_WORDS if word in words)
