"""Classical interpolation: each slice between two as a fixed weighted sum of those around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

import numpy as np


class Nearest:
    """A copy of the nearer one of the pair; midway, of the first one by position."""

    name = "nearest"
    context = 0
    provenance: Mapping[str, object] = MappingProxyType({})

    def __call__(self, pairs: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """(2, h, w) HU each to (times − 1, h, w) HU each."""
        for pair in pairs:
            yield pair[[0 if 2 * k <= times else 1 for k in range(1, times)]]


class WeightedSum:
    """A sum of the slices around, with weights that depend on the place alone.

    Weights are mirrored rather than computed anew beyond the middle, and the two slices at each
    distance are added first: the result is exactly the same when the order of the slices is
    reversed.

    Args:
        name: of the method.
        context: how many slices beyond the pair are summed on each side.
        weights: of the 2 + 2·context slices, in order, for a place t from 0 to ½; their sum is 1.
    """

    provenance: Mapping[str, object] = MappingProxyType({})

    def __init__(self, name: str, context: int, weights: Callable[[float], np.ndarray]) -> None:
        self.name = name
        self.context = context
        self._weights = weights

    def __call__(self, pairs: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """(2 + 2·context, h, w) float32 HU each to (times − 1, h, w) float32 HU each."""
        for slices in pairs:
            between = np.zeros((times - 1, *slices.shape[1:]), np.float32)
            for k, hu in enumerate(between, 1):
                weights = self.weights(k, times)
                for before in range(self.context, -1, -1):
                    after = -1 - before
                    hu += weights[before] * slices[before] + weights[after] * slices[after]
            yield between

    def weights(self, k: int, n: int) -> np.ndarray:
        """Of the slices around, (2 + 2·context,) float32, at the place k/n between the two."""
        nearer = self._weights(min(k, n - k) / n)
        return (nearer if 2 * k <= n else nearer[::-1]).astype(np.float32)


def _linear(t: float) -> np.ndarray:
    return np.array([1.0 - t, t])


def _catmull_rom(t: float) -> np.ndarray:
    """Catmull & Rom 1974, over four equidistant samples."""
    return 0.5 * np.array(
        [
            -t + 2.0 * t**2 - t**3,
            2.0 - 5.0 * t**2 + 3.0 * t**3,
            t + 4.0 * t**2 - 3.0 * t**3,
            -(t**2) + t**3,
        ]
    )


def _lanczos(t: float) -> np.ndarray:
    """The Lanczos-windowed sinc with three lobes, over six samples, scaled to sum to 1."""
    distances = t - np.arange(-2, 4)
    weights = np.sinc(distances) * np.sinc(distances / 3.0)
    return weights / weights.sum()


METHODS: dict[str, Nearest | WeightedSum] = {
    "nearest": Nearest(),
    "linear": WeightedSum("linear", 0, _linear),
    "cubic": WeightedSum("cubic", 1, _catmull_rom),
    "sinc": WeightedSum("sinc", 2, _lanczos),
}
