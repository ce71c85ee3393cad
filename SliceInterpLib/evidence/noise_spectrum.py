"""The noise power spectrum (NPS) of homogeneous regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BINS = 16
"""Rings of spatial frequency from 0 to the Nyquist frequency of the coarser pixel side."""


def radial_nps(
    regions: Sequence[np.ndarray], spacing: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Noise power spectrum of square regions of noise, averaged over rings.

    As in IEC 62220-1 and ICRU Report 87 (2012), section 4: a polynomial of second order is taken
    off each region, NPS(u, v) = (Δx Δy / N²) · mean |FFT|² over the regions.

    Args:
        regions: (n, n) HU each, equally large.
        spacing: mm between rows and between columns.

    Returns:
        Frequencies (1/mm) and NPS (HU² mm²) of the rings.
    """
    size = len(regions[0])
    noise = without_trend(regions)
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0) * spacing[0] * spacing[1] / size**2
    rings, edges = _rings(size, spacing)
    counts = np.bincount(rings, minlength=BINS + 1)[:BINS]
    sums = np.bincount(rings, power.ravel(), minlength=BINS + 1)[:BINS]
    return 0.5 * (edges[1:] + edges[:-1]), sums / np.maximum(counts, 1)


def without_trend(regions: Sequence[np.ndarray]) -> np.ndarray:
    """(k, n, n) float64: square regions (n, n), a polynomial of second order taken off each."""
    size = len(regions[0])
    trend = _second_order(size)
    projection = trend @ np.linalg.pinv(trend)
    flat = np.stack([np.ravel(region) for region in regions]).astype(np.float64)
    return (flat - flat @ projection.T).reshape(-1, size, size)


def mean_frequency(frequencies: np.ndarray, nps: np.ndarray) -> float:
    """Mean of the spatial frequency, weighted by the radial NPS (AAPM TG-233, 2019).

    Args:
        frequencies: as of `radial_nps`.
        nps: as of `radial_nps`.

    Returns:
        1/mm.
    """
    return float((frequencies * nps).sum() / nps.sum())


def _second_order(size: int) -> np.ndarray:
    """(size², 6): 1, x, y, x², xy and y² on a square grid."""
    y, x = np.indices((size, size)).reshape(2, -1) / (size - 1) - 0.5
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _rings(size: int, spacing: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The ring of every 2-D frequency, BINS where it is beyond Nyquist, and the rings' bounds."""
    v, u = np.meshgrid(*(np.fft.fftfreq(size, step) for step in spacing), indexing="ij")
    bounds = np.linspace(0.0, 0.5 / max(spacing), BINS + 1)
    rings = np.searchsorted(bounds, np.hypot(u, v).ravel(), side="right") - 1
    return np.minimum(rings, BINS), bounds
