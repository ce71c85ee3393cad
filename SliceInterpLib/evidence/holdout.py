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
    """Which slices of a scan are hidden in turn, `places` − 1 in a row."""

    firsts: list[int]
    """Indices of the slices before those that are hidden."""
    without_head: int
    """How many others would be such, but what is to be hidden shows no head to be judged by (see
    `shows_head`)."""
    places: int = 2

    @property
    def indices(self) -> list[int]:
        """What is hidden, in this order; with more than two places some of it more than once."""
        return [first + k for first in self.firsts for k in range(1, self.places)]

    def require(self) -> None:
        """Raise VolumeError, with the cause, where none is hidden."""
        if self.firsts:
            return
        if self.without_head:
            raise VolumeError(
                "No slice between the outermost ones shows a head, so no prediction can be judged. "
                "Give a CT of the head in HU."
            )
        held = "a slice" if self.places == 2 else f"{self.places - 1} slices"
        raise VolumeError(
            f"Holding {held} out needs at least {self.places + 1} slices, evenly spaced in a row."
        )


def left_out(without_head: int) -> str:
    """What is said behind the number of slices that were hidden; nothing if none is left out."""
    return f", {without_head} without a head left out" if without_head else ""


def to_hide(volume: Volume, *, every: int = 1, places: int = 2) -> Hidden:
    """What `hold_out` hides of a scan.

    In an uneven scan that is in each evenly spaced stretch: a slice whose neighbours are not
    equally far away is not midway between them, and is not hidden.

    Args:
        volume: the scan.
        every: N, where one begins to hide at every N-th slice.
        places: N, where N − 1 slices in a row are hidden at a time; all must show a head.
    """
    firsts = [index for part in volume.stretches for index in part[:-places:every]]
    slices = without_padding(volume).slices
    inner = {first + k for first in firsts for k in range(1, places)}
    shown = {index for index in inner if shows_head(slices[index])}
    found = [first for first in firsts if shown.issuperset(range(first + 1, first + places))]
    return Hidden(found, len(firsts) - len(found), places)


def hold_out(
    volume: Volume, interpolator: Interpolator, *, every: int = 1, places: int = 2
) -> Iterator[Comparison]:
    """Hide the slices of `to_hide` in turn and predict them from those around.

    The pair lies `places` times the real gap apart, so this is harder than what the engine is used
    for.

    Args:
        volume: as it was acquired.
        interpolator: what predicts.
        every: as `to_hide` takes it.
        places: as `to_hide` takes it.

    Yields:
        Index of the slice, (h, w) HU predicted, (h, w) HU acquired.

    Raises:
        VolumeError: as `require_acquired` does, and where there are not enough slices in a row or
            none of them shows a head.
        MethodError: of a method that does not know these places.
    """
    require_acquired(volume)
    volume = without_padding(volume)
    hidden = to_hide(volume, every=every, places=places)
    hidden.require()
    for part in volume.stretches:
        slices = volume.slices[part.start : part.stop]
        firsts = [first - part.start for first in hidden.firsts if first in part[:-places]]
        for first, between in predict_between(
            slices, firsts, interpolator, times=places, step=places
        ):
            for index, hu in enumerate(between, first + 1):
                yield part.start + index, hu, slices[index]
