"""Uniform mode: acquired slices made as quiet as the synthetic ones between them.

Noisy and quiet slices alternate in a doubled volume and draw stripes in reformatted views. Here
the acquired slices give way to denoised ones. That is never the default, and always marked.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.padding import is_padding, padding_as_air
from SliceInterpLib.upsampling import as_type
from SliceInterpLib.volume import Volume

_BOX_MM = 3.3
"""Side of the square over which an acquired slice is compared with its neighbours."""


def uniform(result: Volume, strength: float = 1.0) -> Volume:
    """Replace each acquired slice of `result` by one that is as quiet as its neighbours.

    A slice is what the two beside it make of its place and a rest. The rest holds the noise, what
    shows on this slice alone, and where anatomy moved. Wiener's filter with local statistics (Lee,
    IEEE Trans. PAMI 2, 1980, 165) keeps of the rest its mean over a square of 3.3 mm and, beyond
    that, what varies more than noise does: the median variance over such squares in the brain
    window. So a lesion that no neighbour shows is still seen.

    Args:
        result: of `upsample`.
        strength: from 0 (nothing changes) to 1, the part of the way to the denoised slice.

    Returns:
        A volume whose synthetic slices are those of `result`. Its provenance tells which slices
        were changed ("uniform": {"strength", "denoised_slices"}).

    Raises:
        ValueError: for a strength out of range.
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"the strength must be from 0 to 1, not {strength}")
    acquired = np.flatnonzero(~result.synthetic)
    slices = result.slices
    changed = result.in_slices(result.hu.copy())
    # Odd, so that the square's middle is a pixel.
    box = [2 * max(1, round(0.5 * (_BOX_MM / size - 1.0))) + 1 for size in result.pixel_spacing]
    last = len(slices) - 1
    for index in acquired if strength > 0.0 else ():
        # At an end the one neighbour counts twice.
        one, other = abs(index - 1), last - abs(last - index - 1)
        nearer = np.float32(_share(result.positions[[one, index, other]]))
        before, own, after = (
            padding_as_air(slices[number], result.padding) for number in (one, index, other)
        )
        expected = (1 - nearer) * before + nearer * after
        quiet = np.clip(expected + _wiener(own - expected, own, box), own.min(), own.max())
        made = as_type(own + np.float32(strength) * (quiet - own), slices.dtype)
        padding = is_padding(slices[index], result.padding)
        changed[index] = np.where(padding, slices[index], made)
    denoised = acquired.tolist() if strength > 0.0 else []
    marks = {"strength": strength, "denoised_slices": denoised}
    return replace(result, slices=changed, provenance={**result.provenance, "uniform": marks})


def _share(positions: np.ndarray) -> float:
    """Of the later of the two slices beside one, by the positions (3,) in mm of the three."""
    before, own, after = positions
    return float((own - before) / (after - before)) if after > before else 0.5


def _wiener(rest: np.ndarray, hu: np.ndarray, box: list[int]) -> np.ndarray:
    """The rest (h, w) without noise, whose variance is found where `hu` (h, w) shows brain."""
    mean = ndimage.uniform_filter(rest, box)
    variance = np.maximum(ndimage.uniform_filter(rest * rest, box) - mean * mean, 0.0)
    # Pixels at the window's bounds may be clipped, as those of saturated scans are.
    brain = ndimage.binary_erosion((hu > BRAIN.low) & (hu < BRAIN.high), np.ones(box))
    noise = np.median(variance[brain]) if brain.any() else 0.0
    kept = np.maximum(variance - noise, 0.0) / np.maximum(variance, np.finfo(np.float32).tiny)
    return mean + kept * (rest - mean)
