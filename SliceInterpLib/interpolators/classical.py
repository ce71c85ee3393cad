"""Classical interpolation: the middle slice as a fixed weighted sum of the slices around it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np


class Nearest:
    """A copy of one of the pair. Both are equally near; the first one, by position, is taken."""

    name = "nearest"
    context = 0
    batch = 4
    provenance: Mapping[str, object] = MappingProxyType({})

    def __call__(self, slices: np.ndarray) -> np.ndarray:
        """(n, 2, h, w) HU to (n, h, w) HU."""
        return slices[:, 0].copy()


class WeightedSum:
    """A symmetric sum, the nearest slices first: w₀(a + b) + w₁(…) and so on.

    Adding the two slices at each distance first makes the result exactly the same when the
    order of the slices is reversed.

    Args:
        name: of the method.
        weights: w₀, w₁, …; twice their sum is 1.
    """

    batch = 4
    provenance: Mapping[str, object] = MappingProxyType({})

    def __init__(self, name: str, weights: tuple[float, ...]) -> None:
        self.name = name
        self.weights = weights
        self.context = len(weights) - 1

    def __call__(self, slices: np.ndarray) -> np.ndarray:
        """(n, 2 + 2·context, h, w) float32 HU to (n, h, w) float32 HU."""
        middle = np.zeros_like(slices[:, 0])
        for distance, weight in enumerate(self.weights):
            before = slices[:, self.context - distance]
            after = slices[:, self.context + 1 + distance]
            middle += np.float32(weight) * (before + after)
        return middle


def _lanczos(lobes: int) -> tuple[float, ...]:
    """Weights of the Lanczos-windowed sinc halfway between two samples, scaled to sum to 1."""
    distances = np.arange(lobes) + 0.5
    weights = np.sinc(distances) * np.sinc(distances / lobes)
    return tuple(weights / (2.0 * weights.sum()))


METHODS: dict[str, Nearest | WeightedSum] = {
    "nearest": Nearest(),
    "linear": WeightedSum("linear", (0.5,)),
    # Catmull & Rom 1974, at the midpoint of four equidistant samples.
    "cubic": WeightedSum("cubic", (9.0 / 16.0, -1.0 / 16.0)),
    # Lanczos with three lobes, six slices.
    "sinc": WeightedSum("sinc", _lanczos(3)),
}
