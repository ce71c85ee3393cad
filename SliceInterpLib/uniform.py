"""Uniform mode: acquired slices made as quiet as the synthetic ones between them.

Noisy and quiet slices alternate in a doubled volume and draw stripes in reformatted views. Here
the acquired slices give way to denoised ones. That is never the default, and always marked.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy import ndimage

from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.upsampling import UpsampledVolume, as_type

_BOX_MM = 3.3
"""Side of the square over which an acquired slice is compared with its neighbours."""


@dataclass(frozen=True, eq=False)
class UniformVolume(UpsampledVolume):
    """An upsampled volume whose acquired slices were denoised."""

    denoised: np.ndarray
    """(slice_count,) bool, True where an acquired slice was replaced."""


def uniform(result: UpsampledVolume, strength: float = 1.0) -> UniformVolume:
    """Replace each acquired slice of `result` by one that is as quiet as its neighbours.

    strength: from 0 (nothing changes) to 1, the part of the way to the denoised slice. Synthetic
    slices stay as they are. `denoised` and the provenance ("uniform": {"strength",
    "denoised_slices"}) tell which slices were changed.

    A slice is the mean of the two beside it and a rest. The rest holds the noise, what shows on
    this slice alone, and where anatomy moved. Wiener's filter with local statistics (Lee, IEEE
    Trans. PAMI 2, 1980, 165) keeps of the rest its mean over a square of 3.3 mm and, beyond that,
    what varies more than noise does: the median variance over such squares in the brain window.
    So a lesion that no neighbour shows is still seen.

    Raises ValueError for a strength out of range.
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"the strength must be from 0 to 1, not {strength}")
    acquired = np.flatnonzero(~result.synthetic)
    slices = result.slices
    hu = result.hu.copy()
    changed = np.moveaxis(hu, result.slice_axis, 0)
    # Odd, so that the square's middle is a pixel.
    box = [2 * max(1, round(0.5 * (_BOX_MM / size - 1.0))) + 1 for size in result.pixel_spacing]
    last = len(slices) - 1
    for index in acquired if strength > 0.0 else ():
        # At an end the one neighbour counts twice.
        beside = [abs(index - 1), last - abs(last - index - 1)]
        expected = slices[beside].mean(axis=0, dtype=np.float32)
        own = slices[index].astype(np.float32)
        quiet = np.clip(expected + _wiener(own - expected, own, box), own.min(), own.max())
        changed[index] = as_type(own + np.float32(strength) * (quiet - own), hu.dtype)
    denoised = ~result.synthetic & (strength > 0.0)
    given = {field.name: getattr(result, field.name) for field in fields(UpsampledVolume)}
    marks = {"strength": strength, "denoised_slices": np.flatnonzero(denoised).tolist()}
    provenance = result.provenance | {"uniform": marks}
    return UniformVolume(**given | {"hu": hu, "provenance": provenance}, denoised=denoised)


def _wiener(rest: np.ndarray, hu: np.ndarray, box: list[int]) -> np.ndarray:
    """The rest (h, w) without noise, whose variance is found where `hu` (h, w) shows brain."""
    mean = ndimage.uniform_filter(rest, box)
    variance = np.maximum(ndimage.uniform_filter(rest * rest, box) - mean * mean, 0.0)
    # Pixels at the window's bounds may be clipped, as those of saturated scans are.
    brain = ndimage.binary_erosion((hu > BRAIN.low) & (hu < BRAIN.high), np.ones(box))
    noise = np.median(variance[brain]) if brain.any() else 0.0
    kept = np.maximum(variance - noise, 0.0) / np.maximum(variance, np.finfo(np.float32).tiny)
    return mean + kept * (rest - mean)
