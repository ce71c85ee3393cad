"""Where the head is in a slice, and whether there is one that a prediction can be judged by."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from SliceInterpLib.head_box import THINNEST, is_tissue
from SliceInterpLib.hounsfield import BRAIN

_LEAST_HEAD = 0.02
"""Part of a slice. A smaller head leaves next to nothing to predict; in air, PSNR is infinite."""


def head_mask(hu: np.ndarray) -> np.ndarray:
    """(h, w) bool: the largest connected region of tissue, with its holes (sinuses) filled."""
    labels, count = ndimage.label(is_tissue(hu))
    if count == 0:
        return np.zeros(hu.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return ndimage.binary_fill_holes(labels == sizes.argmax())


def shows_head(hu: np.ndarray) -> bool:
    """Whether a slice (h, w) in HU has a head by which a prediction of it can be judged.

    It has where at least 2 % of it are tissue, holes filled and thin shells such as the couch's
    left out, and something of it lies inside the brain window, where errors are measured. A slice
    of air, or with the couch alone, is predicted to within rounding, and would rule every mean.
    """
    inside = (hu > BRAIN.low) & (hu < BRAIN.high)
    if not inside.any():
        return False
    solid = ndimage.binary_fill_holes(is_tissue(hu)).astype(np.float32)
    side = max(1, min(hu.shape) // THINNEST)
    solid = ndimage.uniform_filter(solid, side, mode="nearest")
    return bool((solid > 0.5).mean() >= _LEAST_HEAD)
