"""Denoised linear: linear interpolation of the two slices after non-local means.

A peer for benchmarks: how much of a network's gain is no more than its quietness. Non-local
means: Buades, Coll and Morel, CVPR 2005, as OpenCV has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from scipy import ndimage

from SliceInterpLib.dense_flow import opencv
from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.interpolators.classical import METHODS

_LEVELS_PER_HU = 64.0
"""The window as 16-bit numbers, so that rounding stays far below the noise."""

_STRENGTH = 6.0
"""OpenCV's h over the standard deviation of the noise; the best on training patients."""

_PATCH, _SEARCH = 5, 15
"""Pixels across: what is compared, and where likenesses are looked for."""

_SMOOTH_PIXELS = 3.0
"""Standard deviation of the Gaussian that leaves anatomy and takes the noise away."""


def noise_hu(hu: np.ndarray) -> float:
    """Standard deviation of the noise of an (h, w) slice in HU; 0 where nothing is in the window.

    The median absolute deviation (as of a normal distribution) of what a Gaussian smooths away,
    over pixels well inside the brain window. The usual masks of second differences would see
    little of a CT's noise, which neighbouring pixels share.
    """
    # Pixels at the window's bounds may be clipped, as those of saturated scans are.
    inside = ndimage.binary_erosion(_in_window(hu), np.ones((9, 9)))
    if not inside.any():
        return 0.0
    passed = hu - ndimage.gaussian_filter(hu.astype(np.float32), _SMOOTH_PIXELS)
    return float(1.4826 * np.median(np.abs(passed[inside])))


def denoised(hu: np.ndarray) -> np.ndarray:
    """An (h, w) float32 HU slice after non-local means; outside the brain window as it was."""
    cv2 = opencv(DenoisedLinear.name)
    strength = _STRENGTH * _LEVELS_PER_HU * noise_hu(hu)
    if strength == 0.0:
        return hu
    levels = np.rint((np.clip(hu, *BRAIN) - BRAIN.low) * _LEVELS_PER_HU).astype(np.uint16)
    quiet = cv2.fastNlMeansDenoising(
        levels,
        h=[strength],
        templateWindowSize=_PATCH,
        searchWindowSize=_SEARCH,
        normType=cv2.NORM_L1,
    )
    found = quiet.astype(np.float32) / np.float32(_LEVELS_PER_HU) + np.float32(BRAIN.low)
    return np.where(_in_window(hu), found, hu)


def _in_window(hu: np.ndarray) -> np.ndarray:
    return (hu > BRAIN.low) & (hu < BRAIN.high)


class DenoisedLinear:
    """Linear interpolation of denoised slices as an interpolator.

    Raises:
        MethodError: at construction when OpenCV is missing.
    """

    name = "denoised-linear"
    context = 0

    def __init__(self) -> None:
        self.provenance = {"library": f"opencv {opencv(self.name).__version__}"}

    def __call__(self, pairs: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """(2, h, w) float32 HU each to (times − 1, h, w) float32 HU each."""
        quiet = (np.stack([denoised(hu) for hu in pair]) for pair in pairs)
        return METHODS["linear"](quiet, times)
