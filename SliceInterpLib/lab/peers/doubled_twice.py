"""Doubling twice: quarters between two slices as the middles beside a predicted middle.

A peer for benchmarks: what a network that knows the middle alone can do, to be compared with one
that is asked for the quarters themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from SliceInterpLib.errors import MethodError
from SliceInterpLib.interpolators import Interpolator


class DoubledTwice:
    """Asks another method for middles alone, the second time between its own slices too.

    Args:
        method: the other one.
        name: of its row.
    """

    name = "doubled-twice"

    def __init__(self, method: Interpolator, name: str = name) -> None:
        self.name = name
        self._method = method
        self.batch = method.batch
        # What lies beside a quarter are the middles of the next gaps, which need slices of theirs.
        self.context = 2 * method.context

    @property
    def provenance(self) -> Mapping[str, object]:
        """The method's own."""
        return self._method.provenance

    def __call__(self, slices: np.ndarray, times: int) -> np.ndarray:
        """(n, 2 + 2·context, h, w) float32 HU to (n, 3, h, w) float32 HU.

        Raises MethodError unless times is 4.
        """
        if times != 4:
            raise MethodError(f"Doubling twice gives 3 slices between two, not {times - 1}.")
        around = list(slices.swapaxes(0, 1))
        middles = self._middles(around)
        beside = self._method.context
        before, middle, after = middles[:beside], middles[beside], middles[beside + 1 :]
        first, second = around[self.context : self.context + 2]
        quarters = self._middles([*before, first, middle, second, *after])
        return np.stack([quarters[0], middle, quarters[1]], 1)

    def _middles(self, slices: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the method puts between any two of some (n, h, w) slices that have enough beside."""
        seen = 2 + 2 * self._method.context
        windows = range(len(slices) - seen + 1)
        return [self._method(np.stack(slices[k : k + seen], 1), 2)[:, 0] for k in windows]
