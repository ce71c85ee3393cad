"""Predictions beside the acquired slices that they should have matched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.upsampling import predict_between
from SliceInterpLib.volume import Volume

Comparison = tuple[int, np.ndarray, np.ndarray]
"""Index of the slice, (h, w) HU predicted, (h, w) HU acquired."""


def hold_one_out(
    volume: Volume, interpolator: Interpolator, *, every: int = 1
) -> Iterator[Comparison]:
    """Hide inner slices 1, 1 + every, … in turn and predict each from those beside it.

    The pair lies twice the real gap apart, so this is harder than what the engine is used for.
    In an uneven scan that is done in each evenly spaced stretch: a slice whose neighbours are not
    equally far away is not midway between them, and is not hidden. Raises VolumeError where there
    are not three slices in a row.
    """
    if not hidden_count(volume):
        raise VolumeError("Holding a slice out needs at least 3 slices, evenly spaced in a row.")
    for part in volume.stretches:
        slices = volume.slices[part.start : part.stop]
        for index, middle, truth in _hide_in_turn(slices, interpolator, every):
            yield part.start + index, middle, truth


def hidden_count(volume: Volume, every: int = 1) -> int:
    """How many slices `hold_one_out` hides."""
    return sum(len(range(0, len(part) - 2, every)) for part in volume.stretches)


def true_middles(
    volume: Volume, interpolator: Interpolator, *, thickness: int, every: int = 1
) -> Iterator[Comparison]:
    """The real gap: thin slices averaged into thick ones that touch, and the true slice between.

    thickness: how many thin slices make a thick one; even, so that the thick slice half-way
    between two neighbours is the mean of other thin ones. Raises VolumeError for too few slices.
    """
    if thickness < 2 or thickness % 2:
        raise ValueError(f"thickness must be an even number of slices, not {thickness}")
    if volume.slice_count < 2 * thickness:
        raise VolumeError(f"Simulating two thick slices needs at least {2 * thickness} slices.")
    volume.require_even()
    # Running means at half-thickness steps: 0, 2, 4, … are contiguous thick slices as 1, 3, 5, …
    # are, and each of one row lies half-way between two of the other.
    starts = np.arange(0, volume.slice_count - thickness + 1, thickness // 2)
    thick = np.stack(
        [volume.slices[start : start + thickness].mean(0, dtype=np.float32) for start in starts]
    )
    yield from _hide_in_turn(thick, interpolator, every)


def _hide_in_turn(
    slices: np.ndarray, interpolator: Interpolator, every: int
) -> Iterator[Comparison]:
    """Predict slices 1, 1 + every, … of (n, h, w) from those before and after each."""
    firsts = np.arange(0, len(slices) - 2, every)
    for indices, middles in predict_between(slices, firsts, interpolator, step=2):
        for first, middle in zip(indices, middles, strict=True):
            yield int(first) + 1, middle, slices[first + 1]
