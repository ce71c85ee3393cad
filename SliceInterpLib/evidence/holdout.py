"""Predictions beside the acquired slices that they should have matched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.padding import without_padding
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
    equally far away is not midway between them, and is not hidden.

    Args:
        volume: as it was acquired.
        interpolator: what predicts.
        every: N, where every N-th inner slice is hidden.

    Yields:
        Index of the slice, (h, w) HU predicted, (h, w) HU acquired.

    Raises:
        VolumeError: as `require_acquired` does, and where there are not three slices in a row.
    """
    require_acquired(volume)
    volume = without_padding(volume)
    if not hidden_count(volume):
        raise VolumeError("Holding a slice out needs at least 3 slices, evenly spaced in a row.")
    for part in volume.stretches:
        slices = volume.slices[part.start : part.stop]
        for index, middle, truth in hide_in_turn(slices, interpolator, every):
            yield part.start + index, middle, truth


def hidden_count(volume: Volume, every: int = 1) -> int:
    """How many slices `hold_one_out` hides."""
    return sum(len(range(0, len(part) - 2, every)) for part in volume.stretches)


def hide_in_turn(
    slices: np.ndarray, interpolator: Interpolator, every: int
) -> Iterator[Comparison]:
    """Predict slices 1, 1 + every, … from those before and after each.

    Args:
        slices: (n, h, w) HU, evenly spaced.
        interpolator: what predicts.
        every: N, where every N-th inner slice is predicted.

    Yields:
        Index of the slice, (h, w) HU predicted, (h, w) HU that is there.
    """
    firsts = np.arange(0, len(slices) - 2, every)
    for indices, middles in predict_between(slices, firsts, interpolator, step=2):
        for first, middle in zip(indices, middles, strict=True):
            yield int(first) + 1, middle, slices[first + 1]
