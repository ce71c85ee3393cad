"""The seeded segmentation held against reference hematomas: overlap, volume, seeds, warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from SliceInterpLib.lab.agreement import dice
from SliceInterpLib.lab.patient_statistics import counted
from SliceInterpLib.table import Column, Table, Value
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry import morphology
from SliceInterpLib.volumetry.mask import SegmentationError, voxel_ml
from SliceInterpLib.volumetry.segmentation import Segmentation, Segmenter

LARGEST_SPREAD = 0.1
"""Volumes from several seeds that differ by more than this part call for a warning."""

_SEED_DEPTH_MM = 2.0
"""Nobody clicks on the very edge."""


@dataclass(frozen=True)
class Checked:
    """One patient."""

    name: str
    reference_ml: float
    ml: float
    """From the first seed; 0 where it was refused."""
    dice: float
    bright_ml: float | None
    """Of a clot of two densities, its bright part alone."""
    spread: float
    """How far apart the volumes from all the seeds are, as a part of their mean."""
    warnings: tuple[str, ...]
    """From the first seed."""
    silent: bool
    """The spread is larger than LARGEST_SPREAD, and from some seed no warning came."""


def check_patient(name: str, volume: Volume, reference: np.ndarray, seeds: int = 5) -> Checked:
    """Segment a reference hematoma from several seeds.

    The first is the deepest point of the slice in which the reference is largest; the others lie
    anywhere in it, drawn with a fixed generator.

    Args:
        name: the patient's.
        volume: the scan.
        reference: bool, shaped as `volume.slices`; not empty.
        seeds: how many, at least 1.

    Raises:
        VolumeError: as `Segmenter` does.
    """
    segmenter = Segmenter(volume)
    found = [_segmented(segmenter, place) for place in _places(volume, reference, seeds)]
    sizes = [0.0 if one is None else voxel_ml(volume, one.mask) for one in found]
    spread = (max(sizes) - min(sizes)) / np.mean(sizes) if any(sizes) else 0.0
    # A refusal is not silent.
    told = all(one is None or one.warnings for one in found)
    first = found[0]
    return Checked(
        name,
        voxel_ml(volume, reference),
        sizes[0],
        0.0 if first is None else dice(first.mask, reference),
        None if first is None or first.bright is None else voxel_ml(volume, first.bright),
        float(spread),
        ("refused",) if first is None else first.warnings,
        bool(spread > LARGEST_SPREAD and not told),
    )


def _segmented(segmenter: Segmenter, place: np.ndarray) -> Segmentation | None:
    try:
        return segmenter.segment([place.tolist()])
    except SegmentationError:
        return None


def mask_from(segmenter: Segmenter, seed: np.ndarray) -> np.ndarray:
    """The mask from a seed (3,) in mm, LPS; empty where the rule sees no blood there."""
    try:
        return segmenter.mask([seed.tolist()])
    except SegmentationError:
        return np.zeros(segmenter.volume.slices.shape, bool)


def deepest_place(volume: Volume, reference: np.ndarray) -> np.ndarray:
    """Of the slice in which a hematoma is largest, the place that is deepest in it: mm, LPS.

    Args:
        volume: the scan.
        reference: bool, shaped as `volume.slices`; not empty.
    """
    largest = int(np.count_nonzero(reference, axis=(1, 2)).argmax())
    depth = morphology.depth(reference[largest : largest + 1], volume.pixel_spacing)[0]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return volume.places(np.array([largest, row, column], float)).ravel()


def _places(volume: Volume, reference: np.ndarray, seeds: int) -> Iterator[np.ndarray]:
    """Points in mm, LPS."""
    yield deepest_place(volume, reference)
    depth = morphology.depth(reference, volume.pixel_spacing)
    inner = np.argwhere(depth > min(_SEED_DEPTH_MM, 0.5 * depth.max()))
    for place in inner[np.random.default_rng(0).choice(len(inner), seeds - 1)]:
        yield volume.places(place.astype(np.float64)).ravel()


def segmentation_table(patients: Sequence[Checked]) -> Table:
    """A row for each patient."""
    columns = (
        Column("patient"),
        Column("reference_ml", "reference", "ml", ".1f"),
        Column("ml", "found", "ml", ".1f"),
        Column("bright_ml", "bright part alone", "ml", ".1f"),
        Column("dice", "Dice", "", ".3f"),
        Column("spread", "seed spread", "", ".0%"),
        Column("warnings"),
    )
    rows: list[dict[str, Value]] = [
        {
            "patient": one.name,
            "reference_ml": one.reference_ml,
            "ml": one.ml,
            "bright_ml": one.bright_ml,
            "dice": one.dice,
            "spread": one.spread,
            "warnings": str(len(one.warnings)),
        }
        for one in patients
    ]
    return Table(columns, rows)


def segmentation_text(patients: Sequence[Checked]) -> str:
    """The table, the warnings, and the whole in a few lines."""
    errors = [abs(one.ml - one.reference_ml) for one in patients]
    parts = [e / one.reference_ml for e, one in zip(errors, patients, strict=True)]
    warned = sum(bool(one.warnings) for one in patients)
    silent = [one.name for one in patients if one.silent]
    lines = [
        f"{counted(len(patients))}: Dice {np.mean([one.dice for one in patients]):.3f}, volume "
        f"error {np.mean(errors):.1f} ml ({np.mean(parts):.0%}), warnings in {warned}.",
        f"Seeds that differ by more than {LARGEST_SPREAD:.0%} without a warning: "
        + (", ".join(silent) or "none")
        + ".",
        *(f"{one.name}: {warning}" for one in patients for warning in one.warnings),
    ]
    return f"{segmentation_table(patients).markdown()}\n\n" + "\n".join(lines)
