"""Hematomas of patients on every second slice, restored, and held against the slices left out.

The seeded rule segments every grid by itself, from one seed. What it finds on all the acquired
slices is the truth: not where an expert would draw the border, but what the rule would have found,
had those slices been acquired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.lab.agreement import agreement, dice
from SliceInterpLib.lab.segmentation_check import deepest_place, mask_from
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.carrying import carried_over, carried_space
from SliceInterpLib.volumetry.mask import voxel_ml
from SliceInterpLib.volumetry.segmentation import Segmenter

MULTIPLIED, CARRIED = "thick voxels", "mask carried over"
"""Rows that need no method: the thick slices' own mask, as its sum of voxels and by its shape."""

METRICS = ("dice", "dice_hidden", "surface_mm", "hd95_mm", "error_ml", "error_percent")

_LEAST_AGREEMENT = 0.7
"""Dice. Where the rule does not find the reference hematoma on all slices, there is no truth."""


class NoTruthError(VolumeError):
    """A patient cannot be measured: why, for the report."""


@dataclass(frozen=True)
class Restored:
    """One patient's hematoma, as one method shows it."""

    method: str
    ml: float
    """Sum of voxels; 0 where the segmentation found nothing."""
    dice: float | None
    dice_hidden: float | None
    """On the slices that were hidden alone; None where neither mask shows there."""
    surface_mm: float | None
    hd95_mm: float | None
    """As `Agreement`; None where nothing was found."""
    error_ml: float
    error_percent: float
    """Of the volume, absolute."""


@dataclass(frozen=True)
class Patient:
    """One patient."""

    name: str
    spacing_mm: tuple[float, float]
    """Of the slices that were kept, and of all."""
    true_ml: float
    """By the rule, on all slices."""
    rows: tuple[Restored, ...]
    """A row a method, behind MULTIPLIED (which has no slices to compare) and CARRIED."""


def measure_patient(
    name: str, volume: Volume, reference: np.ndarray, methods: Sequence[Interpolator]
) -> Patient:
    """Hide every second slice, restore them by each method, segment and compare.

    The seed is the deepest place of the reference hematoma in the kept slice in which that is
    largest. The intracranial space of a restored grid comes from the kept slices, as in use.

    Args:
        name: the patient's.
        volume: as it was acquired, evenly spaced. Of an even number of slices the last is left out.
        reference: a hematoma that is known to be there, bool, shaped as `volume.slices`; for the
            seed, and for whether the rule finds it.
        methods: what restores the slices; at least one.

    Raises:
        NoTruthError: where fewer than three slices or no kept one shows it, and where the rule does
            not find it on all slices.
        VolumeError: as `Segmenter` and `upsample` do.
    """
    volume.require_even()
    count = volume.slice_count - (volume.slice_count + 1) % 2
    whole, kept = volume.part(range(count)), volume.part(range(0, count, 2))
    if count < 3 or not reference[:count:2].any():
        raise NoTruthError("no slice that is kept shows the hematoma")
    seed = deepest_place(kept, reference[:count:2])
    truth = mask_from(Segmenter(whole), seed)
    agreed = dice(truth, reference[:count])
    if agreed < _LEAST_AGREEMENT:
        raise NoTruthError(
            f"on all slices the rule does not find the reference hematoma (Dice {agreed:.2f})"
        )
    rows = _rows(Segmenter(kept), seed, whole, truth, methods)
    spacing = (kept.slice_spacing, whole.slice_spacing)
    return Patient(name, spacing, voxel_ml(whole, truth), tuple(rows))


def _rows(
    thick: Segmenter,
    seed: np.ndarray,
    whole: Volume,
    truth: np.ndarray,
    methods: Sequence[Interpolator],
) -> Iterator[Restored]:
    kept, mask = thick.volume, mask_from(thick, seed)
    true_ml = voxel_ml(whole, truth)
    yield _restored(MULTIPLIED, voxel_ml(kept, mask), true_ml)
    for index, method in enumerate(methods):
        # Slices were left out on purpose: gaps as wide as these are no fault here.
        filled = upsample(kept, method, widest_gap_mm=float(kept.gaps.max()))
        if index == 0:
            yield _compared(CARRIED, carried_over(kept, mask, filled), whole, truth)
        space = carried_space(kept, thick.space, filled)
        yield _compared(method.name, mask_from(Segmenter(filled, space=space), seed), whole, truth)


def _compared(name: str, mask: np.ndarray, whole: Volume, truth: np.ndarray) -> Restored:
    agreed = agreement(mask, truth, whole.places)
    hidden = (mask[1::2], truth[1::2])
    return _restored(
        name,
        voxel_ml(whole, mask),
        voxel_ml(whole, truth),
        agreed.dice,
        dice(*hidden) if np.any(hidden) else None,
        agreed.surface_mm,
        agreed.hd95_mm,
    )


def _restored(
    name: str,
    ml: float,
    true_ml: float,
    dice: float | None = None,
    dice_hidden: float | None = None,
    surface_mm: float | None = None,
    hd95_mm: float | None = None,
) -> Restored:
    error = abs(ml - true_ml)
    return Restored(
        name, ml, dice, dice_hidden, surface_mm, hd95_mm, error, 100.0 * error / true_ml
    )
