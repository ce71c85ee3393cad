"""Optical flow: both slices are moved towards each other along OpenCV's DIS flow and averaged.

No learning, and far stronger than the mean of the two slices; every claim of the networks is
made against it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from SliceInterpLib.dense_flow import between, both_flows, opencv
from SliceInterpLib.hounsfield import BRAIN, WIDE

_FLAT_GREY_LEVELS = 2.0
"""A neighbourhood whose grey values spread less than this carries no motion that can be seen."""

_NEIGHBOURHOOD = (15, 15)
"""Pixels over which flatness is judged and over which the two flows are faded into each other."""


def _brain_flatness(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(h, w) in [0, 1]: 1 where neither slice has contrast in the brain window."""
    cv2 = opencv()
    spread = np.zeros(first.shape, np.float32)
    for hu in (first, second):
        grey = BRAIN.to_8bit(hu).astype(np.float32)
        mean = cv2.blur(grey, _NEIGHBOURHOOD)
        variance = cv2.blur(grey * grey, _NEIGHBOURHOOD) - mean * mean
        spread = np.maximum(spread, np.sqrt(np.maximum(variance, 0.0)))
    return cv2.blur((spread < _FLAT_GREY_LEVELS).astype(np.float32), _NEIGHBOURHOOD)


def _between(first: np.ndarray, second: np.ndarray, times: int) -> np.ndarray:
    """(times − 1, h, w) HU between two (h, w) float32 HU slices."""
    flows = both_flows(first, second, BRAIN)
    flat = _brain_flatness(first, second)
    if flat.any():
        flows += flat[..., None] * (both_flows(first, second, WIDE) - flows)
    return between(first, second, flows, times)


class OpticalFlow:
    """Optical flow as an interpolator of slice pairs.

    Raises:
        MethodError: at construction when OpenCV is missing.
    """

    name = "optical-flow"
    context = 0

    def __init__(self) -> None:
        self.provenance = {"library": f"opencv {opencv().__version__}"}

    def __call__(self, pairs: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """(2, h, w) float32 HU each to (times − 1, h, w) float32 HU each."""
        for first, second in pairs:
            yield _between(first, second, times)
