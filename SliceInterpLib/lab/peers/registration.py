"""Registration: both slices are moved towards each other along demons' displacements and averaged.

A peer for benchmarks, after registration-based slice interpolation (Penney et al. 2004).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType

import numpy as np
import SimpleITK as sitk

from SliceInterpLib.dense_flow import between, opencv
from SliceInterpLib.hounsfield import BRAIN

_SHRINK_FACTORS = (8, 4, 2, 1)
"""The pyramid: what moves far is found on a coarse grid first."""

_ITERATIONS = 10
"""Of the demons at each level; more begin to follow the noise."""

_SMOOTHING_PIXELS = 2.0
"""Standard deviation, in pixels of the level, of the Gaussian that keeps displacements smooth.

Both are the best on training patients."""


def demons(fixed: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Displacement from `fixed` to `moving` by multi-resolution demons with symmetric forces.

    Demons: Thirion 1998; symmetric forces as in Vercauteren et al. 2007, by ITK's
    FastSymmetricForcesDemonsRegistrationFilter.

    Args:
        fixed: (h, w) HU.
        moving: (h, w) HU; the two are compared in the brain window.

    Returns:
        (h, w, 2) float32, pixels (x, y): fixed at p looks like moving at p + displacement(p).
    """
    images = [sitk.GetImageFromArray(255.0 * BRAIN.scale(hu)) for hu in (fixed, moving)]
    registration = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    registration.SetNumberOfIterations(_ITERATIONS)
    registration.SetStandardDeviations(_SMOOTHING_PIXELS)
    coarsest, *finer = ([_shrunk(image, factor) for image in images] for factor in _SHRINK_FACTORS)
    field = registration.Execute(*coarsest)
    for level in finer:  # displacements are in full-size pixels at every level
        field = registration.Execute(*level, sitk.Resample(field, level[0]))
    return sitk.GetArrayFromImage(field).astype(np.float32)


def _shrunk(image: sitk.Image, factor: int) -> sitk.Image:
    if factor == 1:
        return image
    # No further than a small slice has pixels.
    factors = [max(1, min(factor, size // 16)) for size in image.GetSize()]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, 0.5 * factor), factors)


class Registration:
    """Registration as an interpolator of slice pairs.

    Raises:
        MethodError: at construction when OpenCV, which moves the slices, is missing.
    """

    name = "registration"
    context = 0

    def __init__(self) -> None:
        opencv(self.name)
        self.provenance = MappingProxyType({"library": f"SimpleITK {sitk.Version.VersionString()}"})

    def __call__(self, pairs: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """(2, h, w) float32 HU each to (times − 1, h, w) float32 HU each."""
        for a, b in pairs:
            yield between(a, b, np.stack([demons(a, b), demons(b, a)]), times)
