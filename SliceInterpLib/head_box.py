"""The part of some slices that shows a head, as a box: beside it is air, and the headrest.

A headrest or a couch is a shell, and a head is solid; ears and noses are thin, but hang on it.
Where a headrest ends, or moves, something is to be seen beside the head too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from SliceInterpLib.hounsfield import BRAIN

_TISSUE_HU = -300.0
"""What is denser is no air, foam or hair."""

_DARKEST_HU = 5.0
"""In a brain-windowed scan air is as dark as can be, to within this (pictures are compressed)."""

_BLOCK = 4
"""Pixels: of blocks of so many by so many is decided whether they show a head."""

THINNEST = 16
"""One over the part of the slice's width that is as thick as a couch's shell may be."""

_REACH = 24
"""Blocks: how far what is thin, such as an ear, or skin over fat, reaches from what is solid."""

_ALIKE_HU = 30.0
"""Blocks that differ by less between slices, on average in the brain window, are alike: the shell
of a headrest in its noise. Of 15, 30 and 60 HU the one that leaves the predicted slices of
phe-sich/valid as near to the acquired ones as whole slices are, in the smallest boxes."""


class Box(NamedTuple):
    """Some rows and columns of a slice."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """As an index."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """As an index."""
        return slice(self.left, self.left + self.width)


def has_full_range(hu: np.ndarray) -> bool:
    """Whether a volume has HU beyond a brain window, so that an error in HU means something."""
    return bool(hu.min() < -200)


def is_tissue(hu: np.ndarray) -> np.ndarray:
    """Bool, shaped as `hu`: what is no air, also where a scan is saturated and air is not dark."""
    return hu > (_TISSUE_HU if has_full_range(hu) else hu.min() + _DARKEST_HU)


def head_box(slices: np.ndarray, margin: int, *, step: int = 8, multiple: int = 32) -> Box:
    """Where a head is in any of some slices, or where they differ; all of them without a head.

    With a margin. The order of the slices does not matter.

    Args:
        slices: (n, h, w) HU; h and w multiples of `multiple`.
        margin: in pixels, on each side, as far as the slice goes.
        step: the box begins at a multiple of it, which divides `multiple`.
        multiple: of it are the box's sides, so that there are few sizes.
    """
    height, width = slices.shape[1:]
    tissue = is_tissue(slices)
    shown = np.logical_or.reduce([_head(plane) for plane in tissue])
    if not shown.any():
        return Box(0, 0, height, width)
    shown |= _differing(slices)
    top, height = _side(shown.any(1), margin, step, multiple)
    left, width = _side(shown.any(0), margin, step, multiple)
    return Box(top, left, height, width)


def _side(shown: np.ndarray, margin: int, step: int, multiple: int) -> tuple[int, int]:
    """First pixel and length of the box along an axis, from the blocks that show something."""
    whole = _BLOCK * len(shown)
    found = _BLOCK * np.flatnonzero(shown)
    first = max(0, int(found[0]) - margin) // step * step
    end = min(whole, int(found[-1]) + _BLOCK + margin)
    length = min(whole, -(-(end - first) // multiple) * multiple)
    return min(first, whole - length), length


def _differing(slices: np.ndarray) -> np.ndarray:
    """Blocks in which some of the slices (n, h, w) HU are not alike, (h/4, w/4) bool."""
    seen = np.clip(slices, *BRAIN)
    change = seen.max(0) - seen.min(0)
    return _block_sums(change) > _ALIKE_HU * _BLOCK**2


def _head(tissue: np.ndarray) -> np.ndarray:
    """Blocks of what is solid, and of what hangs on it: (h, w) bool to (h/4, w/4) bool."""
    parts = _block_sums(tissue.astype(np.int32))
    some = parts > 0
    # Fat is air's black in a brain window, but skin lies around it.
    enclosed = ~(some | _reached(~some))
    parts[enclosed] = _BLOCK**2
    some |= enclosed
    side = max(1, min(parts.shape) // THINNEST)
    head = some & (2 * _sums_around(parts, side) > (_BLOCK * side) ** 2)
    for _ in range(_REACH):
        more = _grown(head) & some
        if np.array_equal(more, head):
            break
        head = more
    return head


def _block_sums(plane: np.ndarray) -> np.ndarray:
    """(h, w) to the sums over its blocks, (h/4, w/4)."""
    height, width = plane.shape
    # Rows first: the two axes at once take four times as long.
    rows = plane.reshape(-1, _BLOCK, width).sum(1, dtype=plane.dtype)
    return rows.reshape(height // _BLOCK, -1, _BLOCK).sum(2, dtype=plane.dtype)


def _reached(free: np.ndarray) -> np.ndarray:
    """What of a mask hangs together with the edges."""
    found = np.zeros_like(free)
    for seen, way in ((found, free), (found.T, free.T)):  # in straight lines from the edges
        seen |= np.logical_and.accumulate(way) | np.logical_and.accumulate(way[::-1])[::-1]
    while True:
        more = found.copy()
        for seen, way in ((more, free), (more.T, free.T)):
            seen[1:] |= seen[:-1] & way[1:]
            seen[:-1] |= seen[1:] & way[:-1]
        if np.array_equal(more, found):
            return found
        found = more


def _sums_around(parts: np.ndarray, side: int) -> np.ndarray:
    """Sums over side × side blocks around each; the edges repeat."""
    before = side // 2
    sums = np.pad(parts, [(before + 1, side - 1 - before)] * 2, mode="edge")
    for axis in (0, 1):
        sums = np.cumsum(sums, axis=axis)
        size = sums.shape[axis]
        sums = sums.take(range(side, size), axis) - sums.take(range(size - side), axis)
    return sums


def _grown(mask: np.ndarray) -> np.ndarray:
    """By one block in all eight directions."""
    for _ in range(2):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        mask = grown.T
    return mask
