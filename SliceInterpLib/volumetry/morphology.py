"""Binary morphology within the slices of a stack, with discs of exact radii in mm.

Slices are thick and pixels small, so that a ball in mm would hardly reach a neighbouring slice:
everything here but the pieces works in-plane. Masks are bool (slice, row, column); `pixel` is the
size of a pixel in mm along rows and columns, as `Volume.pixel_spacing` gives it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

Pixel = tuple[float, float]


def depth(mask: np.ndarray, pixel: Pixel) -> np.ndarray:
    """Distance in mm of every pixel in the mask to the nearest one outside, 0 outside.

    What lies beyond the image does not count as outside; a full slice is infinitely deep.
    """
    return _by_slice(mask.astype(np.float64), lambda plane: _plane_depth(plane > 0, pixel))


def eroded(mask: np.ndarray, pixel: Pixel, radius_mm: float) -> np.ndarray:
    """The mask without what lies within the radius of its outside."""
    return _by_slice(mask, lambda plane: _plane_depth(plane, pixel) > radius_mm)


def dilated(mask: np.ndarray, pixel: Pixel, radius_mm: float) -> np.ndarray:
    """The mask and what lies within the radius of it."""
    return _by_slice(mask, lambda plane: _plane_depth(~plane, pixel) <= radius_mm)


def opened(mask: np.ndarray, pixel: Pixel, radius_mm: float) -> np.ndarray:
    """The mask without what a disc of the radius does not fit into."""
    return dilated(eroded(mask, pixel, radius_mm), pixel, radius_mm) & mask


def closed(mask: np.ndarray, pixel: Pixel, radius_mm: float) -> np.ndarray:
    """The mask with gaps filled that a disc of the radius does not fit into."""
    return eroded(dilated(mask, pixel, radius_mm), pixel, radius_mm) | mask


def filled(mask: np.ndarray) -> np.ndarray:
    """The mask with its holes filled, slice by slice."""
    return _by_slice(mask, ndimage.binary_fill_holes)


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a mask; all of an empty one."""
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask.copy()
    return pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))


def freed(
    dense: np.ndarray,
    bright: np.ndarray,
    inside: np.ndarray,
    pixel: Pixel,
    *,
    margin_mm: float,
    neck_mm: float,
) -> np.ndarray:
    """Dense voxels without the rim of the bone and without what hangs on by narrow necks.

    Within twice the margin of the bone it grows back into all that is bright.
    """
    deep = depth(inside, pixel)
    free = opened(dense & (deep > margin_mm), pixel, neck_mm)
    rim = bright & (deep <= 2.0 * margin_mm)
    return free | (dilated(free, pixel, 2.0 * margin_mm) & rim)


def _plane_depth(plane: np.ndarray, pixel: Pixel) -> np.ndarray:
    if plane.all():
        return np.full(plane.shape, np.inf)
    return ndimage.distance_transform_edt(plane, sampling=pixel)


def _by_slice(planes: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.stack([change(plane) if plane.any() else plane for plane in planes])
