"""Predictions beside the acquired slices that they should have matched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.evidence.heads import shows_head
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.padding import without_padding
from SliceInterpLib.upsampling import predict_between
from SliceInterpLib.volume import Volume

Comparison = tuple[int, np.ndarray, np.ndarray]
"""Index of the slice, (h, w) HU predicted, (h, w) HU acquired."""


@dataclass(frozen=True)
class Hidden:
    """Which slices of a scan are hidden in turn."""

    indices: list[int]
    without_head: int
    """How many others would be, but show no head to be judged by (see `shows_head`)."""

    def require(self) -> None:
        """Raise VolumeError, with the cause, where none is hidden."""
        if self.indices:
            return
        if self.without_head:
            raise VolumeError(
                "No slice between the outermost ones shows a head, so no prediction can be judged. "
                "Give a CT of the head in HU."
            )
        raise VolumeError("Holding a slice out needs at least 3 slices, evenly spaced in a row.")


def left_out(without_head: int) -> str:
    """What is said behind the number of slices that were hidden; nothing if none is left out."""
    return f", {without_head} without a head left out" if without_head else ""


def to_hide(volume: Volume, *, every: int = 1) -> Hidden:
    """What `hold_one_out` hides of a scan.

    In an uneven scan that is in each evenly spaced stretch: a slice whose neighbours are not
    equally far away is not midway between them, and is not hidden.

    Args:
        volume: the scan.
        every: N, where every N-th inner slice is hidden.
    """
    inner = [index for part in volume.stretches for index in part[1:-1:every]]
    slices = without_padding(volume).slices
    shown = [index for index in inner if shows_head(slices[index])]
    return Hidden(shown, without_head=len(inner) - len(shown))


def hold_one_out(
    volume: Volume, interpolator: Interpolator, *, every: int = 1
) -> Iterator[Comparison]:
    """Hide the slices of `to_hide` in turn and predict each from those beside it.

    The pair lies twice the real gap apart, so this is harder than what the engine is used for.

    Args:
        volume: as it was acquired.
        interpolator: what predicts.
        every: as `to_hide` takes it.

    Yields:
        Index of the slice, (h, w) HU predicted, (h, w) HU acquired.

    Raises:
        VolumeError: as `require_acquired` does, and where there are not three slices in a row or
            none of them shows a head.
    """
    require_acquired(volume)
    volume = without_padding(volume)
    hidden = to_hide(volume, every=every)
    hidden.require()
    for part in volume.stretches:
        slices = volume.slices[part.start : part.stop]
        firsts = [index - 1 - part.start for index in hidden.indices if index in part[1:-1]]
        for found, middles in predict_between(
            slices, np.array(firsts, dtype=int), interpolator, step=2
        ):
            for first, middle in zip(found, middles, strict=True):
                yield part.start + int(first) + 1, middle, slices[first + 1]
