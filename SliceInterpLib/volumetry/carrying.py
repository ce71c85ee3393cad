"""A mask carried over from a grid to the finer one that was made of it, by its shape."""

from __future__ import annotations

import numpy as np

from SliceInterpLib.upsampling import UpsampledVolume
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry import morphology
from SliceInterpLib.volumetry.intracranial import INNER_TABLE_HU
from SliceInterpLib.volumetry.mask import from_slices, in_slices


def carried_over(volume: Volume, mask: np.ndarray, doubled: UpsampledVolume) -> np.ndarray:
    """A mask of `volume` on the slices of `doubled`, which is `volume` with slices put between.

    Shape-based interpolation (Raya & Udupa 1990, IEEE TMI 9:32): a slice between two has what is
    inside the mean of their signed distances to the outline; the slices of `volume` keep theirs.
    Beside a slice without the mask it shrinks towards the innermost point: half its depth is gone
    halfway. Returns bool, shaped as `doubled.hu`.
    """
    slices = in_slices(volume, mask)
    pixel = volume.pixel_spacing
    distance = morphology.depth(slices, pixel) - morphology.depth(~slices, pixel)
    shown = slices.any(axis=(1, 2))
    while len(distance) < doubled.slice_count:
        between = (_beside(distance, shown, 1) + _beside(distance, shown, -1)) / 2.0
        distance = _interleaved(distance, between)
        shown = _interleaved(shown, shown[:-1] | shown[1:])
    return from_slices(doubled, distance > 0)


def carried_space(
    volume: Volume, space: np.ndarray | None, doubled: UpsampledVolume
) -> np.ndarray | None:
    """The intracranial mask of `volume`, if there is one, on the slices of `doubled`.

    It is found on acquired slices only: what a network puts above a saturated scan's top would be
    taken for bone. What is clearly bone on a synthetic slice is left out all the same.
    """
    if space is None:
        return None
    return carried_over(volume, space, doubled) & (doubled.hu < INNER_TABLE_HU)


def _beside(distance: np.ndarray, shown: np.ndarray, step: int) -> np.ndarray:
    """Of each pair, the distances of its first (step 1) or second slice (step -1).

    A slice without the mask, beside one with it, is as far outside as the other is deep inside.
    """
    one, other = (slice(None, -1), slice(1, None))[::step]
    own, next_to = distance[one].copy(), distance[other]
    empty = ~shown[one] & shown[other]
    own[empty] = -next_to[empty].max(axis=(1, 2), keepdims=True)
    own[~shown[one] & ~shown[other]] = -1.0
    return own


def _interleaved(ours: np.ndarray, between: np.ndarray) -> np.ndarray:
    both = np.empty((2 * len(ours) - 1, *ours.shape[1:]), ours.dtype)
    both[0::2], both[1::2] = ours, between
    return both
