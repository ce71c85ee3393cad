"""The real gap: thick slices made of thin ones, whose true middle is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.evidence.holdout import Comparison, hide_in_turn
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.volume import Volume


def true_middles(
    volume: Volume, interpolator: Interpolator, *, thickness: int, every: int = 1
) -> Iterator[Comparison]:
    """Thin slices averaged into thick ones that touch, and the true slice between.

    Args:
        volume: evenly spaced thin slices.
        interpolator: what predicts.
        thickness: how many thin slices make a thick one; even, so that the thick slice half-way
            between two neighbours is the mean of other thin ones.
        every: predict slices 1, 1 + every, ….

    Yields:
        Index of the thick slice among all that begin half a thickness apart, (h, w) HU predicted,
        (h, w) HU true.

    Raises:
        VolumeError: for too few slices, or unevenly spaced ones.
        ValueError: for a thickness that is odd or less than 2.
    """
    if thickness < 2 or thickness % 2:
        raise ValueError(f"thickness must be an even number of slices, not {thickness}")
    require_acquired(volume)
    if volume.slice_count < 2 * thickness:
        raise VolumeError(f"Simulating two thick slices needs at least {2 * thickness} slices.")
    volume.require_even()
    # Running means at half-thickness steps: 0, 2, 4, … are contiguous thick slices as 1, 3, 5, …
    # are, and each of one row lies half-way between two of the other.
    starts = np.arange(0, volume.slice_count - thickness + 1, thickness // 2)
    thick = np.stack(
        [volume.slices[start : start + thickness].mean(0, dtype=np.float32) for start in starts]
    )
    yield from hide_in_turn(thick, interpolator, every)
