"""Training examples: two slices and the true slice midway between them, cut from head CT.

A volume with thick slices gives real triplets (i−1, i, i+1), at twice the gap that is filled
later. A volume with thin slices also gives simulated thick ones, averaged over several thin
slices, whose true middle slice is known at the real gap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from SliceInterpLib.volume import Volume

THICKEST_MM = 5.0
"""Thin slices are averaged to at most this thickness."""


class Triplets:
    """Draws augmented triplets of one crop size at random, each volume as often as it has slices.

    Volumes are kept as they are (usually int16); only the crop of a draw is copied.
    """

    def __init__(self, volumes: Sequence[Volume], crop: int) -> None:
        self.crop = crop
        self._stacks = [volume.slices for volume in volumes if volume.slice_count >= 3]
        if not self._stacks:
            raise ValueError("No volume with at least 3 slices to train on")
        self._gaps = [volume.slice_spacing for volume in volumes if volume.slice_count >= 3]
        self._boxes = [_head_box(stack) for stack in self._stacks]
        middles = np.array([len(stack) - 2 for stack in self._stacks])
        self._share = middles / middles.sum()

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One triplet (3, crop, crop) float32 HU: first, middle, last."""
        which = rng.choice(len(self._stacks), p=self._share)
        stack = self._stacks[which]
        thickness, step = _thickness_and_step(rng, self._gaps[which], len(stack))
        zoom = 2 if rng.random() < 0.2 else 1
        rows, columns = _crop_window(rng, self._boxes[which], stack.shape[1:], self.crop * zoom)
        reach = step + (thickness - 1) // 2
        middle = rng.integers(reach, len(stack) - step - thickness // 2)
        starts = middle + step * np.array([-1, 0, 1]) - (thickness - 1) // 2
        triplet = np.stack(
            [
                stack[start : start + thickness, rows, columns].mean(0, dtype=np.float32)
                for start in starts
            ]
        )
        return _augmented(rng, _shrunk(_padded(triplet, self.crop * zoom), zoom))

    def batch(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """(size, 3, crop, crop) float32 HU."""
        return np.stack([self.draw(rng) for _ in range(size)])


def _thickness_and_step(rng: np.random.Generator, gap: float, slices: int) -> tuple[int, int]:
    """How many slices to average, and how many slices the neighbours lie from the middle one.

    The step runs from the real gap (neighbours that touch half-way) to twice the gap.
    """
    thickest = max(1, min(int(THICKEST_MM / gap), (slices - 1) // 3))
    thickness = int(rng.integers(1, thickest + 1))
    return thickness, int(rng.integers((thickness + 1) // 2, thickness + 1))


def _head_box(stack: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that hold tissue in some slice; the whole slice where none does."""
    tissue = np.zeros(stack.shape[1:], bool)
    for hu in stack:
        tissue |= hu > 0
    if not tissue.any():
        return slice(0, stack.shape[1]), slice(0, stack.shape[2])
    rows, columns = (np.flatnonzero(tissue.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _crop_window(
    rng: np.random.Generator, box: tuple[slice, slice], shape: tuple[int, ...], size: int
) -> tuple[slice, slice]:
    """A random square over the head, a little beyond its edge, inside the slice."""
    window = []
    for extent, side in zip(box, shape, strict=True):
        margin = size // 8
        low = max(0, extent.start - margin)
        high = max(low, min(side, extent.stop + margin) - size)
        start = min(int(rng.integers(low, high + 1)), max(0, side - size))
        window.append(slice(start, start + size))
    return window[0], window[1]


def _padded(triplet: np.ndarray, size: int) -> np.ndarray:
    """Slices smaller than the crop are filled up by repeating their edge, which is air."""
    missing = [max(0, size - side) for side in triplet.shape[1:]]
    return np.pad(triplet, [(0, 0), (0, missing[0]), (0, missing[1])], mode="edge")


def _shrunk(triplet: np.ndarray, factor: int) -> np.ndarray:
    """Averaged over factor × factor pixels, as a scan with larger pixels would have it."""
    count, height, width = triplet.shape
    blocks = triplet.reshape(count, height // factor, factor, width // factor, factor)
    return blocks.mean(axis=(2, 4))


def _augmented(rng: np.random.Generator, triplet: np.ndarray) -> np.ndarray:
    """Random order, flips, contrast and brightness, the same for all three slices."""
    for axis in (0, 1, 2):
        if rng.random() < 0.5:
            triplet = np.flip(triplet, axis)
    gain, offset_hu = rng.uniform(0.9, 1.1), rng.uniform(-4.0, 4.0)
    return np.float32(gain) * (triplet - np.float32(40.0)) + np.float32(40.0 + offset_hu)
