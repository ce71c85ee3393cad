"""Doubling twice: quarters between two slices as the middles beside a predicted middle.

A peer for benchmarks: what a network that knows the middle alone can do, to be compared with one
that is asked for the quarters themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

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
        # What lies beside a quarter are the middles of the next gaps, which need slices of theirs.
        self.context = 2 * method.context

    @property
    def provenance(self) -> Mapping[str, object]:
        """The method's own."""
        return self._method.provenance

    def __call__(self, pairs: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """(2 + 2·context, h, w) float32 HU each to (3, h, w) float32 HU each.

        Raises MethodError unless times is 4.
        """
        if times != 4:
            raise MethodError(f"Doubling twice gives 3 slices between two, not {times - 1}.")
        beside = self._method.context
        for around in pairs:
            middles = self._middles(list(around))
            before, middle, after = middles[:beside], middles[beside], middles[beside + 1 :]
            first, second = around[self.context : self.context + 2]
            quarters = self._middles([*before, first, middle, second, *after])
            yield np.stack([quarters[0], middle, quarters[1]])

    def _middles(self, slices: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the method puts between any two of some (h, w) slices that have enough beside."""
        seen = 2 + 2 * self._method.context
        windows = (np.stack(slices[k : k + seen]) for k in range(len(slices) - seen + 1))
        return [middle for (middle,) in self._method(windows, 2)]
