"""Faint lesions added to training examples, so that a network that denoises keeps them.

A network trained to predict the mean of what may lie between two slices learns to erase what
is small and faint, since in its examples such things mostly are noise. Adding lesions that
are known to be there, to the slices and to the target alike, changes that expectation.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

CONTRAST_HU = (-10.0, 20.0)
RADIUS_MM = (2.0, 10.0)
MOST = 12
"""Lesions in one example."""

_BRAIN_HU = (10.0, 60.0)
_CHANGEABLE_HU = (-15.0, 95.0)
"""Air, fat and bone stay, so that saturated values keep their limits."""


def add_faint_lesions(
    rng: np.random.Generator, slices: np.ndarray, pixel_mm: float, inner: slice
) -> None:
    """Add up to MOST faint discs and blobs, in place, to the slices of one example.

    Args:
        rng: draws them.
        slices: (n, h, w) float32 HU.
        pixel_mm: size of a pixel.
        inner: which of the slices always have the lesion, the two slices and the one between; the
            outer ones share it half of the time, as a small lesion ends there.
    """
    middle = slices[len(slices) // 2]
    rows, columns = np.nonzero((middle > _BRAIN_HU[0]) & (middle < _BRAIN_HU[1]))
    if len(rows) == 0:
        return
    changeable = (slices > _CHANGEABLE_HU[0]) & (slices < _CHANGEABLE_HU[1])
    for _ in range(rng.integers(1, MOST + 1)):
        place = rng.integers(len(rows))
        # Small radii more often than large ones: they fade first.
        radius = np.exp(rng.uniform(*np.log(RADIUS_MM))) / pixel_mm
        window, profile = lesion(rng, (rows[place], columns[place]), radius, middle.shape)
        which = slice(None) if rng.random() < 0.5 else inner
        contrast = np.float32(rng.uniform(*CONTRAST_HU))
        slices[(which, *window)] += contrast * profile * changeable[(which, *window)]


def lesion(
    rng: np.random.Generator, centre: tuple[int, int], radius: float, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], np.ndarray]:
    """A disc or an uneven blob, its edge as soft as a scan's.

    Args:
        rng: draws its outline.
        centre: row and column.
        radius: pixels.
        shape: rows and columns of the slice.

    Returns:
        The window that it fills and its profile, 0…1, there.
    """
    reach = int(1.5 * radius) + 4
    rows, columns = (
        slice(max(0, at - reach), min(side, at + reach + 1))
        for at, side in zip(centre, shape, strict=True)
    )
    y, x = (
        np.arange(extent.start, extent.stop, dtype=np.float32) - at
        for extent, at in zip((rows, columns), centre, strict=True)
    )
    outline: np.ndarray | float = radius
    if rng.random() < 0.5:
        angle = np.arctan2(y[:, None], x[None, :])
        outline = radius * (
            1.0
            + sum(
                rng.uniform(-0.2, 0.2) * np.cos(lobes * angle + rng.uniform(0.0, 2.0 * np.pi))
                for lobes in (2, 3)
            )
        )
    inside = (np.hypot(y[:, None], x[None, :]) <= outline).astype(np.float32)
    return (rows, columns), ndimage.gaussian_filter(inside, rng.uniform(0.7, 1.5))
