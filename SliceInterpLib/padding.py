"""Padding: what scanners put around the region that they reconstruct, and no HU.

What is darker than any air is padding wherever it lies. A header may declare other values as
padding too, and among them some that tissue has (0 HU) or metal (3071 HU). Of such a value only
what surrounds the region counts: it reaches the edge of the slice, and is wider than noise that
happens to have the value. Inside the head it is tissue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from SliceInterpLib.hounsfield import Ranges
from SliceInterpLib.volume import Volume

AIR = np.float32(-1024.0)
"""The lowest HU that 12 bits hold: what padding is taken for where slices are mixed."""

_DARKEST_HU = -1500.0
"""What is darker is no HU, not even of air with noise or streaks, but what scanners put outside the
circle that they reconstruct: -2000, -2048, -3024 and the like."""

_SOFT_HU = (-500.0, 200.0)
"""From the darkest to the brightest that fat, brain and blood may be, with noise."""

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)


def credible(declared: Iterable[tuple[float, float] | None]) -> Ranges:
    """What of the HU that headers declare can be padding: no range that holds soft tissue."""
    return tuple(
        (low, high)
        for low, high in sorted({one for one in declared if one})
        if low == high or high < _SOFT_HU[0] or low > _SOFT_HU[1]
    )


def is_padding(hu: np.ndarray, declared: Ranges = ()) -> np.ndarray:
    """Which values are padding rather than HU.

    Args:
        hu: of any shape; with `declared`, (…, h, w).
        declared: as `Volume.padding` has them.

    Returns:
        bool, shaped as `hu`.
    """
    found = hu < _DARKEST_HU
    ranges = [(hu >= low) & (hu <= high) for low, high in declared]
    for alike, (_, high) in zip(ranges, declared, strict=True):
        if high <= AIR:
            found |= alike
    if any(high > AIR for _, high in declared):
        alike = np.logical_or.reduce([found, *ranges])
        for place in np.ndindex(hu.shape[:-2]):
            found[place] |= _around(alike[place])
    return found


def _around(plane: np.ndarray) -> np.ndarray:
    """What of a mask (h, w) surrounds the rest.

    Opened by a cross, whatever surrounds a convex region stays as it is: through each of its pixels
    runs a line beyond which there is nothing else, and that leaves room for the cross.
    """
    from scipy import ndimage  # takes its time, and Slicer asks for no more than `credible`

    if not any(edge.any() for edge in (plane[0], plane[-1], plane[:, 0], plane[:, -1])):
        return np.zeros(plane.shape, bool)
    # Room for the cross all around, which joins what lies in the corners.
    opened = ndimage.binary_opening(np.pad(plane, 3, constant_values=True), _CROSS)
    pieces, _ = ndimage.label(opened)
    return (pieces == pieces[1, 1])[3:-3, 3:-3]


def padding_as_air(hu: np.ndarray, declared: Ranges = ()) -> np.ndarray:
    """The HU as float32 with AIR for padding; see `is_padding`."""
    found = np.array(hu, dtype=np.float32)
    found[is_padding(hu, declared)] = AIR
    return found


def without_padding(volume: Volume) -> Volume:
    """The volume with air for padding: for what measures or draws, and writes no slices.

    Air is AIR or, in a scan saved in a window, the darkest that is no padding.

    Args:
        volume: one without padding is returned as it is.
    """
    if not any(is_padding(hu, volume.padding).any() for hu in volume.slices):
        return volume
    slices = volume.in_slices(volume.hu.copy())
    padded = [is_padding(hu, volume.padding) for hu in slices]
    darkest = min(hu[~outside].min(initial=0) for hu, outside in zip(slices, padded, strict=True))
    for hu, outside in zip(slices, padded, strict=True):
        hu[outside] = max(darkest, AIR)
    return replace(volume, slices=slices, padding=())
