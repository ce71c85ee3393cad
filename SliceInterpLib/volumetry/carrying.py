"""A mask carried over from a grid to the finer one that was made of it, by its shape."""

from __future__ import annotations

from typing import overload

import numpy as np

from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry import morphology
from SliceInterpLib.volumetry.intracranial import INNER_TABLE_HU


def carried_over(volume: Volume, mask: np.ndarray, filled: Volume) -> np.ndarray:
    """A mask of a volume on the slices of the one that was made of it by putting slices between.

    Shape-based interpolation (Raya & Udupa 1990, IEEE TMI 9:32): a slice between two has what is
    inside the mean of their signed distances to the outline, weighted by how near they are; the
    slices of `volume` keep theirs. Beside a slice without the mask it shrinks towards the innermost
    point: half its depth is gone halfway.

    Args:
        volume: the acquired slices.
        mask: bool, shaped as `volume.slices`.
        filled: `volume` with slices put between.

    Returns:
        bool, shaped as `filled.slices`.
    """
    pixel = volume.pixel_spacing
    distance = morphology.depth(mask, pixel) - morphology.depth(~mask, pixel)
    shown = np.any(mask, axis=(1, 2))
    one, other = _beside(distance, shown, 1), _beside(distance, shown, -1)
    acquired = np.flatnonzero(~filled.synthetic)
    index = np.arange(filled.slice_count)
    first = np.clip(np.searchsorted(acquired, index, side="right") - 1, 0, len(acquired) - 2)
    part = (index - acquired[first]) / (acquired[first + 1] - acquired[first])
    return np.stack(
        [(1.0 - t) * one[k] + t * other[k] > 0 for k, t in zip(first, part, strict=True)]
    )


@overload
def carried_space(volume: Volume, space: np.ndarray, filled: Volume) -> np.ndarray: ...


@overload
def carried_space(volume: Volume, space: None, filled: Volume) -> None: ...


def carried_space(volume: Volume, space: np.ndarray | None, filled: Volume) -> np.ndarray | None:
    """The intracranial space of a volume on the slices of the one that was made of it.

    It is found on acquired slices only: what a network puts above a saturated scan's top would be
    taken for bone. What is clearly bone on a synthetic slice is left out all the same.

    Args:
        volume: the acquired slices.
        space: bool, shaped as `volume.slices`; None if it is not known.
        filled: `volume` with slices put between.

    Returns:
        bool, shaped as `filled.slices`; None if `space` is.
    """
    if space is None:
        return None
    return carried_over(volume, space, filled) & (filled.slices < INNER_TABLE_HU)


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
