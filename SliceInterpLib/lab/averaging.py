"""The real gap: thick slices made of thin ones, whose true middle is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.padding import without_padding
from SliceInterpLib.volume import Volume


def thick_slices(volume: Volume, thickness: int, places: int = 2) -> Volume:
    """Thin slices averaged into thick ones that begin a part of the thickness apart.

    Slices 0, N, 2N, … of the result touch, where N is the number of places, and so do 1, N + 1, …;
    those between lie at even steps between two that touch. A slice that is hidden in it with the
    N − 2 beside it is predicted from two that touch.

    Args:
        volume: evenly spaced thin slices.
        thickness: how many thin slices make a thick one; a multiple of `places`, so that the thick
            slices between two neighbours are the means of other thin ones.
        places: N, from 2.

    Raises:
        VolumeError: as `require_acquired` does, and for too few slices, or unevenly spaced ones.
        ValueError: for a thickness that is no multiple of the places.
    """
    if places < 2 or thickness < places or thickness % places:
        raise ValueError(f"thickness must be a multiple of {places} slices, not {thickness}")
    require_acquired(volume)
    if volume.slice_count < 2 * thickness:
        raise VolumeError(f"Simulating two thick slices needs at least {2 * thickness} slices.")
    volume.require_even()
    volume = without_padding(volume)
    starts = np.arange(0, volume.slice_count - thickness + 1, thickness // places)
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
