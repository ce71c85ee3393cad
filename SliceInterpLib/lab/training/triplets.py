"""Training examples: the slices around a place and the true slice there, cut from head CT.

A volume with thick slices gives real triplets (i−1, i, i+1), at twice the gap that is filled
later. A volume with thin slices also gives simulated thick ones, averaged over several thin
slices, whose true middle slice is known at the real gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from torch.utils.data import Dataset

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.lab.training.faint_lesions import add_faint_lesions
from SliceInterpLib.volume import Volume

THICKEST_MM = 6.0
"""Simulated thick slices are at most this thick; thin ones are also shown as they are."""

PAIR_IN_THICKNESSES = (1.0, 2.0)
"""How far apart the two slices of a simulated pair lie: touching, up to one slice apart."""

_ZOOM = (0.75, 1.1)
"""Pixels of the volume to one of the example, where it is turned."""


@dataclass(frozen=True)
class Augmentation:
    """What is drawn at random in every example, the same for all its slices. Each can be 0."""

    simulated: bool = True
    """Average thin slices into thick ones."""
    coarse: float = 0.2
    """Part of the examples shown at half the resolution, as a scan with larger pixels."""
    turned: float = 0.2
    """Part of the examples rotated by up to 10° and zoomed a little."""
    lesions: float = 0.6
    """Part of the examples with faint lesions added."""
    contrast: float = 0.1
    """Contrast around 40 HU is changed by up to this part."""
    offset_hu: float = 4.0
    """Up to so many HU are added or taken away."""


class Triplets(Dataset):
    """Augmented examples of one crop size, each volume as often as it has slices.

    Example number i is drawn from a generator seeded with (seed, i), so that it is the same
    whichever process draws it and whenever. Volumes are kept as they are (usually int16) and
    only the crop of an example is copied; forked worker processes share them.

    Args:
        volumes: those with fewer than 3 slices are left out.
        crop: pixels, height and width of an example.
        context: how many slices an example has beyond the triplet on each side.
        seed: of all that is drawn.
        augmentation: what is drawn; by default as `Augmentation` has it.

    Raises:
        ValueError: if no volume has 3 slices.
        VolumeError: as `require_acquired` does.
    """

    def __init__(
        self,
        volumes: Sequence[Volume],
        crop: int,
        *,
        context: int = 0,
        seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.crop = crop
        self.context = context
        self.seed = seed
        self.augmentation = augmentation or Augmentation()
        for volume in volumes:
            require_acquired(volume)
        volumes = [volume for volume in volumes if volume.slice_count >= 3]
        if not volumes:
            raise ValueError("No volume with at least 3 slices to train on")
        self._stacks = [volume.slices for volume in volumes]
        self._gaps = [volume.slice_spacing for volume in volumes]
        self._pixels = [max(volume.pixel_spacing) for volume in volumes]
        self._boxes = [_head_box(stack) for stack in self._stacks]
        middles = np.array([len(stack) - 2 for stack in self._stacks])
        self._share = middles / middles.sum()

    def __getitem__(self, index: int) -> np.ndarray:
        """Example (3 + 2·context, crop, crop) float32 HU, in order of position."""
        rng = np.random.default_rng((self.seed, index))
        which = int(rng.choice(len(self._stacks), p=self._share))
        pixel_mm = self._pixels[which]
        slices, zoom = self._cut(rng, which)
        if rng.random() < self.augmentation.lesions:
            inner = slice(self.context, self.context + 3)
            add_faint_lesions(rng, slices, pixel_mm * zoom, inner)
        return np.ascontiguousarray(self._recoloured(rng, _flipped(rng, slices)))

    def _cut(self, rng: np.random.Generator, which: int) -> tuple[np.ndarray, float]:
        """Slices of the final size, and how many of the volume's pixels make one of theirs."""
        stack, crop = self._stacks[which], self.crop
        chance = rng.random() - self.augmentation.coarse
        if chance < 0.0:
            side, zoom = 2 * crop, 2.0
        elif chance < self.augmentation.turned:
            # Turned by 10°, a square lies within a window that is 1.16 times as wide.
            zoom, degrees = rng.uniform(*_ZOOM), rng.uniform(-10.0, 10.0)
            side = int(np.ceil(1.16 * crop * zoom))
        else:
            side, zoom = crop, 1.0
        rows, columns = _crop_window(rng, self._boxes[which], stack.shape[1:], side)
        thickness, places = self._places(rng, which)
        slices = np.stack(
            [stack[k : k + thickness, rows, columns].mean(0, dtype=np.float32) for k in places]
        )
        slices = _padded(slices, side)
        if zoom == 2.0:
            slices = _shrunk(slices, 2)
        elif zoom != 1.0:
            slices = _turned(slices, degrees, zoom, crop)
        return slices, zoom

    def _places(self, rng: np.random.Generator, which: int) -> tuple[int, list[int]]:
        """How many slices to average, and where the first of them is for each slice.

        Context slices that would lie beyond the volume repeat those inside, as in the engine.
        """
        count = len(self._stacks[which])
        thickness, step = 1, 1
        if self.augmentation.simulated:
            thickness, step = _thickness_and_step(rng, self._gaps[which], count)
        last = count - thickness
        middle = int(rng.integers(step, last - step + 1))
        places = [middle - step, middle, middle + step]
        if self.context:
            before, after = middle - 3 * step, middle + 3 * step
            places.insert(0, before if before >= 0 else places[0])
            places.append(after if after <= last else places[-1])
        return thickness, places

    def _recoloured(self, rng: np.random.Generator, slices: np.ndarray) -> np.ndarray:
        """Contrast around 40 HU and brightness."""
        spread = self.augmentation.contrast
        gain = np.float32(rng.uniform(1.0 - spread, 1.0 + spread))
        offset = rng.uniform(-self.augmentation.offset_hu, self.augmentation.offset_hu)
        return gain * (slices - np.float32(40.0)) + np.float32(40.0 + offset)


def _thickness_and_step(rng: np.random.Generator, gap: float, slices: int) -> tuple[int, int]:
    """How many slices to average, and how many slices the neighbours lie from the middle one.

    Acquired slices that are thick already are taken as they are, at twice their gap.
    """
    most = min(int(THICKEST_MM / gap), (slices - 1) // 3)
    if most < 2:
        return 1, 1
    thickness = int(rng.integers(1, most + 1))
    half_pair = 0.5 * thickness * rng.uniform(*PAIR_IN_THICKNESSES)
    return thickness, max(1, round(half_pair))


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


def _padded(slices: np.ndarray, size: int) -> np.ndarray:
    """Slices smaller than the crop are filled up by repeating their edge, which is air."""
    missing = [max(0, size - side) for side in slices.shape[1:]]
    return np.pad(slices, [(0, 0), (0, missing[0]), (0, missing[1])], mode="edge")


def _shrunk(slices: np.ndarray, factor: int) -> np.ndarray:
    """Averaged over factor × factor pixels, as a scan with larger pixels would have it."""
    count, height, width = slices.shape
    blocks = slices.reshape(count, height // factor, factor, width // factor, factor)
    return blocks.mean(axis=(2, 4))


def _turned(slices: np.ndarray, degrees: float, zoom: float, size: int) -> np.ndarray:
    """Rotated about the centre, `zoom` of the old pixels to a new one, (n, size, size)."""
    centre = (slices.shape[1] - 1) / 2.0
    matrix = cv2.getRotationMatrix2D((centre, centre), degrees, 1.0 / zoom)
    matrix[:, 2] += (size - 1) / 2.0 - centre
    border = cv2.BORDER_REPLICATE
    return np.stack([cv2.warpAffine(hu, matrix, (size, size), borderMode=border) for hu in slices])


def _flipped(rng: np.random.Generator, slices: np.ndarray) -> np.ndarray:
    """In random order, and mirrored at random."""
    for axis in (0, 1, 2):
        if rng.random() < 0.5:
            slices = np.flip(slices, axis)
    return slices
