"""Where a skull with a window in it ends: the inner table, drawn on across the window.

After a craniectomy, beside a fracture, or where the field of view cuts the head off, bone does not
close around the brain. Outside the window lies scalp, as dense as blood, so that the space must
end where the bone would have been.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from SliceInterpLib.volumetry.morphology import Pixel

_RAYS = 360

_EDGE_RAYS = 8
"""So near to a window rays meet the cut through the bone, which is not its inner table."""

_FRAGMENT_MM2 = 100.0
"""Smaller pieces of bone in a slice are calcifications, or fragments that have left their place."""

_LARGEST_WINDOW_DEGREES = 130
"""Eight centimetres of a small skull, and a margin; with less of the skull its shape is a guess."""

_LEAST_RADIUS = 0.6
_RING_SHARE = 0.85
"""In a slice of the vault, at least this share of the bone's inner edge is farther from the middle
than this part of the ellipse. At the skull's base and below, bone lies in the middle."""


def within_open_ring(bone: np.ndarray, pixel: Pixel) -> np.ndarray:
    """What lies inside a ring of bone that is open somewhere, in one slice.

    From the middle of the bone a ray goes out in every direction, to the first bone it meets.
    Where it meets none, the ring is drawn on: its distance from the middle, in parts of that of
    an ellipse as long and as wide as the bone, changes evenly from one edge of the window to the
    other.

    Args:
        bone: bool (row, column).
        pixel: mm along rows and columns.

    Returns:
        bool (row, column); nothing where the slice shows no vault of a skull: with too little
        bone around, or bone in the middle.
    """
    nothing = np.zeros(bone.shape, bool)
    bone = _without_fragments(bone, pixel)
    if not bone.any():
        return nothing
    places = np.argwhere(bone).astype(np.float64)
    # Its extent, not its mass, which lies away from the window.
    low, high = places.min(axis=0), places.max(axis=0)
    middle, half = (low + high) / 2.0, (high - low + 1.0) / 2.0
    radius = _inner_radius((places - middle) / half, 1.0 / half.min())
    met = np.isfinite(radius)
    if _widest_gap(met) > _LARGEST_WINDOW_DEGREES:
        return nothing
    if np.mean(radius[met] > _LEAST_RADIUS) < _RING_SHARE:
        return nothing
    around = np.pad(met, _EDGE_RAYS, mode="wrap")
    sound = ndimage.binary_erosion(around, np.ones(2 * _EDGE_RAYS + 1))[_EDGE_RAYS:-_EDGE_RAYS]
    if not sound.any():
        return nothing
    outline = np.interp(np.arange(_RAYS), np.flatnonzero(sound), radius[sound], period=_RAYS)
    outline = np.minimum(outline, radius)
    down, across = (
        (np.arange(n) - m) / h for n, m, h in zip(bone.shape, middle, half, strict=True)
    )
    far, ray = _polar(down[:, None], across[None, :])
    return far < outline[ray]


def _without_fragments(bone: np.ndarray, pixel: Pixel) -> np.ndarray:
    pieces, _ = ndimage.label(bone, np.ones((3, 3)))
    large = np.bincount(pieces.ravel()) * float(np.prod(pixel)) >= _FRAGMENT_MM2
    large[0] = False
    return large[pieces]


def _polar(down: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the middle, and the number of the nearest ray."""
    turn = np.arctan2(across, down) / (2 * np.pi)
    return np.hypot(down, across), np.rint(turn * _RAYS).astype(int) % _RAYS


def _inner_radius(from_middle: np.ndarray, width: float) -> np.ndarray:
    """(rays,) distance from the middle of the first bone (n, 2) in each direction, inf if none.

    Bone is as wide as a pixel, so that rays far out do not pass between two.
    """
    radius = np.full(_RAYS, np.inf)
    far, ray = _polar(*from_middle.T)
    half = np.ceil(np.degrees(0.5 * width / np.maximum(far, width)) * _RAYS / 360.0)
    for step in range(-int(half.max()), int(half.max()) + 1):
        reached = np.abs(step) <= half
        np.minimum.at(radius, (ray[reached] + step) % _RAYS, far[reached])
    return radius


def _widest_gap(met: np.ndarray) -> float:
    """Degrees between two neighbouring rays that meet bone, at most."""
    angles = np.flatnonzero(met)
    return float(np.diff(np.append(angles, angles[0] + _RAYS)).max()) * 360.0 / _RAYS
