"""The real gap: thick slices made of thin ones, whose true middle is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.padding import without_padding
from SliceInterpLib.volume import Volume


def thick_slices(volume: Volume, thickness: int) -> Volume:
    """Thin slices averaged into thick ones that begin half a thickness apart.

    Slices 0, 2, 4, … of the result touch, and so do 1, 3, 5, …; each of one row lies half-way
    between two of the other. A slice that is hidden in it is predicted from two that touch.

    Args:
        volume: evenly spaced thin slices.
        thickness: how many thin slices make a thick one; even, so that the thick slice half-way
            between two neighbours is the mean of other thin ones.

    Raises:
        VolumeError: as `require_acquired` does, and for too few slices, or unevenly spaced ones.
        ValueError: for a thickness that is odd or less than 2.
    """
    if thickness < 2 or thickness % 2:
        raise ValueError(f"thickness must be an even number of slices, not {thickness}")
    require_acquired(volume)
    if volume.slice_count < 2 * thickness:
        raise VolumeError(f"Simulating two thick slices needs at least {2 * thickness} slices.")
    volume.require_even()
    volume = without_padding(volume)
    starts = np.arange(0, volume.slice_count - thickness + 1, thickness // 2)
    middles = np.zeros((len(starts), 3))
    middles[:, 0] = starts + 0.5 * (thickness - 1)
    return replace(
        volume,
        slices=np.stack(
            [volume.slices[start : start + thickness].mean(0, dtype=np.float32) for start in starts]
        ),
        slice_origins=volume.places(middles),
        thickness=np.full(len(starts), thickness * volume.slice_spacing),
        synthetic=np.zeros(len(starts), bool),
        files=(),
    )
