"""The grey part of a clot of two densities, which the limit of the bright part leaves out.

Fresh blood beside older or unclotted blood (the blend sign: Li et al. 2015, Stroke 46:2119): the
bright part sets a limit that the grey one is below.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SliceInterpLib.volumetry import morphology
from SliceInterpLib.volumetry.mask import bounds
from SliceInterpLib.volumetry.morphology import Pixel

_REACH_MM = 25.0
"""A grey part farther than this from the bright one is not looked for."""

_SMOOTHING_MM = 2.0
"""A median over so much to each side tells grey blood, some HU above brain, from noise."""

_HALF_WIDTH_MM = 2.5
"""What is narrower than twice this beside a clot is its blurred edge, cortex or a vessel."""

_SURE_HU = 10.0
_OUTLINE_HU = 8.0
"""So much above brain, what is smoothed is hardly grey matter; and where it is joined to that, so
much is enough."""

_LEAST_SHARE = 0.25
_LEAST_ML = 0.5
"""A smaller part does not change what the clot measures, and is often cortex."""

_PLATEAU_HU = 2.0
_PLATEAU_SHARE = 0.5
"""Blood has an outline: where the limit rises by so much, at least this share of it remains. Brain
that is merely a little brighter than elsewhere melts away."""


def grey_part(
    hu: np.ndarray,
    inside: np.ndarray,
    bright: np.ndarray,
    pixel: Pixel,
    voxel_ml: np.ndarray,
    brain_hu: float,
) -> np.ndarray:
    """What is joined to a clot, darker than it and yet denser than brain.

    Args:
        hu: (slice, row, column), as scanned.
        inside: the intracranial space, bool, shaped so.
        bright: the clot as its own limit finds it, bool, shaped so; not empty.
        pixel: mm along rows and columns.
        voxel_ml: of a voxel in each slice.
        brain_hu: HU of the brain.

    Returns:
        bool, shaped so, without `bright`; empty if there is no such part.
    """
    margin = (1, *(int(_REACH_MM / size) + 1 for size in pixel))
    box = bounds(bright, margin)
    clot = bright[box]
    smooth = _smoothed(hu[box], pixel)
    within = morphology.depth(inside[box], pixel) > _HALF_WIDTH_MM
    within &= ~clot
    above = smooth - np.float32(brain_hu)
    sure, steady = (
        _joined(above >= limit, within, clot, pixel) for limit in (_SURE_HU, _SURE_HU + _PLATEAU_HU)
    )
    found = np.zeros_like(bright)
    ml, ml_steady, ml_bright = (
        float(np.count_nonzero(part, axis=(1, 2)) @ voxel_ml[box[0]])
        for part in (sure, steady, clot)
    )
    if ml < max(_LEAST_ML, _LEAST_SHARE * ml_bright) or ml_steady < _PLATEAU_SHARE * ml:
        return found
    limit = max(_OUTLINE_HU, float(np.median(above[sure])) / 2.0)
    whole = _joined(above >= limit, within, sure, pixel)
    edge = morphology.dilated(whole, pixel, _HALF_WIDTH_MM) & (above >= limit)
    found[box] = morphology.filled(clot | whole | edge) & inside[box] & ~clot
    return found


def _smoothed(hu: np.ndarray, pixel: Pixel) -> np.ndarray:
    rows, columns = (max(1, round(_SMOOTHING_MM / size)) for size in pixel)
    image = sitk.GetImageFromArray(np.ascontiguousarray(hu))
    return sitk.GetArrayFromImage(sitk.Median(image, (columns, rows, 0)))


def _joined(dense: np.ndarray, within: np.ndarray, clot: np.ndarray, pixel: Pixel) -> np.ndarray:
    """The wide pieces of what is dense that lie beside the clot, or touch it."""
    wide = morphology.opened(dense & within, pixel, _HALF_WIDTH_MM)
    pieces, _ = ndimage.label(wide)
    beside = ndimage.binary_dilation(clot, ndimage.generate_binary_structure(3, 1), iterations=2)
    chosen = np.zeros(pieces.max() + 1, bool)
    chosen[pieces[beside]] = True
    chosen[0] = False
    return chosen[pieces]
