"""What a prediction without any error would score, since the acquired slice has noise.

No prediction can know the noise of the slice that it is compared with, so no metric can be
perfect. How far it can go is seen on slices whose truth is known: predicted slices, to which the
noise that was measured on the acquired ones is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy import signal

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.evidence.holdout import Comparison
from SliceInterpLib.evidence.noise import homogeneous, squares_in
from SliceInterpLib.evidence.noise_spectrum import without_trend

PERFECT = "perfect"
"""The name of the row."""


def with_new_noise(pairs: Iterable[Comparison], *, seed: int = 0) -> Iterator[Comparison]:
    """For each predicted slice itself, and the same with noise like the acquired slice's.

    The noise is Gaussian, with the power spectrum of acquired − predicted in homogeneous brain, a
    quadratic surface taken off each square of 32 pixels; what of that is not noise but error makes
    the result look less within reach than it is. It has the same strength everywhere, and none
    where the acquired slices are saturated.

    Args:
        pairs: a quiet method's, of one volume, as `hold_out` gives them.
        seed: of the noise.

    Yields:
        Index of the slice, (h, w) HU predicted, (h, w) HU predicted with new noise.

    Raises:
        VolumeError: if no slice has homogeneous brain.
    """
    pairs = list(pairs)
    kernel = _noise_kernel(pairs)
    rng = np.random.default_rng(seed)
    low = min(float(truth.min()) for _, _, truth in pairs)
    high = max(float(truth.max()) for _, _, truth in pairs)
    for index, predicted, _ in pairs:
        white = rng.standard_normal(predicted.shape, dtype=np.float32)
        noise = signal.fftconvolve(white, kernel, mode="same").astype(np.float32)
        # Within half a HU of a limit a voxel is taken to lie at it, or beyond.
        free = (predicted > low + 0.5) & (predicted < high - 0.5)
        yield index, predicted, np.where(free, np.clip(predicted + noise, low, high), predicted)


def _noise_kernel(pairs: Sequence[Comparison]) -> np.ndarray:
    """(32, 32) in HU: what turns white noise of variance 1 into the scan's."""
    residuals = [
        (truth - predicted)[square]
        for _, predicted, truth in pairs
        for square in _flat_squares(predicted)
    ]
    if not residuals:
        raise VolumeError(
            "There is no homogeneous brain to measure noise in. Give a CT of the head in HU."
        )
    noise = without_trend(residuals)
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0) / noise[0].size
    return np.fft.fftshift(np.fft.ifft2(np.sqrt(power)).real)


def _flat_squares(predicted: np.ndarray) -> list[tuple[slice, slice]]:
    anywhere = np.full(predicted.shape, np.inf)
    # A pixel counts as half a millimetre, about that of a head CT; only flatness depends on it.
    return squares_in(homogeneous([predicted], anywhere, (0.5, 0.5))["tissue"])
