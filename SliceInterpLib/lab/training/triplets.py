"""Training examples: the slices around a place and the true slice there, cut from head CT.

A volume with thick slices gives real triplets (i−1, i, i+1), at twice the gap that is filled
later, and slices at a third of three gaps. A volume with thin slices also gives simulated thick
ones, averaged over several thin slices, where the true slice is known at every place between two,
at the real gap too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor
from torch.utils.data import Dataset

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.lab.training.faint_lesions import add_faint_lesions
from SliceInterpLib.networks.prediction import place
from SliceInterpLib.volume import Volume

THICKEST_MM = 6.0
"""Simulated thick slices are at most this thick; thin ones are also shown as they are."""

PAIR_IN_THICKNESSES = (0.5, 2.0)
"""How far apart the two slices of a simulated pair lie: half overlapping, up to one slice apart."""

_BONE_KERNEL_HU = 20.0
"""Noise in brain above which a scan shows bone only. Kernels for brain leave 2 to 9 HU in slices of
1.25 mm and more, one for bone some 50."""

_ZOOM = (0.75, 1.1)
"""Pixels of the volume to one of the example, where it is turned."""


@dataclass(frozen=True)
class Augmentation:
    """What is drawn at random in every example, the same for all its slices. Each can be 0."""

    simulated: bool = True
    """Average thin slices into thick ones."""
    thin: float = 0.25
    """Part of the examples that are of scans with thin slices, where there are others too."""
    elsewhere: float = 0.5
    """Part of those that may lie anywhere between two slices, if the network takes a place."""
    thirds: float = 0.12
    """Part of the examples of thick slices that lie at a third of three gaps, likewise."""
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


class Example(NamedTuple):
    """What is learned from at once; in a batch every field has one dimension more, in front."""

    hu: Tensor
    """(3 + 2·context, crop, crop) float32, in order of position; the central one is the truth."""
    place: Tensor
    """(2,), see `prediction.place`: where the truth lies between the two beside it."""
    bone_only: Tensor
    """(), bool: the scan shows bone; what it shows of brain is noise."""


class Triplets(Dataset):
    """Augmented examples of one crop size, each volume as often as it has slices.

    Of volumes with thin slices and volumes with thick ones each have their part.

    Example number i is drawn from a generator seeded with (seed, i), so that it is the same
    whichever process draws it and whenever. Volumes are kept as they are (usually int16) and
    only the crop of an example is copied; forked worker processes share them.

    Args:
        volumes: those with fewer than 3 slices are left out.
        crop: pixels, height and width of an example.
        context: how many slices an example has beyond the triplet on each side.
        seed: of all that is drawn.
        augmentation: what is drawn; by default as `Augmentation` has it.
        any_place: whether an example may lie elsewhere than midway.

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
        any_place: bool = False,
    ) -> None:
        self.crop = crop
        self.context = context
        self.seed = seed
        self.augmentation = augmentation or Augmentation()
        self.any_place = any_place
        for volume in volumes:
            require_acquired(volume)
        volumes = [volume for volume in volumes if volume.slice_count >= 3]
        if not volumes:
            raise ValueError("No volume with at least 3 slices to train on")
        self._stacks = [volume.slices for volume in volumes]
        self._gaps = [volume.slice_spacing for volume in volumes]
        self._pixels = [max(volume.pixel_spacing) for volume in volumes]
        self._boxes = [_head_box(stack) for stack in self._stacks]
        self._bone_only = [_is_of_bone_kernel(stack) for stack in self._stacks]
        self._most = [
            _most_averaged(gap, len(stack))
            for gap, stack in zip(self._gaps, self._stacks, strict=True)
        ]
        self._share = _shares(
            np.array([len(stack) - 2 for stack in self._stacks]),
            np.array(self._most) > 1,
            self.augmentation.thin,
        )

    def __getitem__(self, index: int) -> Example:
        """The example of that number."""
        rng = np.random.default_rng((self.seed, index))
        which = int(rng.choice(len(self._stacks), p=self._share))
        pixel_mm = self._pixels[which]
        slices, where, zoom = self._cut(rng, which)
        if rng.random() < self.augmentation.lesions:
            inner = slice(self.context, self.context + 3)
            add_faint_lesions(rng, slices, pixel_mm * zoom, inner)
        slices = _mirrored(rng, slices)
        if rng.random() < 0.5:
            slices, where = slices[::-1], where.flip(0)
        hu = np.ascontiguousarray(self._recoloured(rng, slices))
        return Example(torch.from_numpy(hu), where, torch.tensor(self._bone_only[which]))

    def _cut(self, rng: np.random.Generator, which: int) -> tuple[np.ndarray, Tensor, float]:
        """Slices of the final size, the place of the truth, and pixels to one of the volume's."""
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
        thickness, apart, step = self._layout(rng, which)
        starts = self._starts(rng, len(stack) - thickness, apart, step)
        slices = np.stack(
            [stack[k : k + thickness, rows, columns].astype(np.float32).mean(0) for k in starts]
        )
        slices = _padded(slices, side)
        if zoom == 2.0:
            slices = _shrunk(slices, 2)
        elif zoom != 1.0:
            slices = _turned(slices, degrees, zoom, crop)
        return slices, place(step, apart), zoom

    def _layout(self, rng: np.random.Generator, which: int) -> tuple[int, int, int]:
        """How many slices to average, how many the pair lie apart, and the truth from the first.

        Acquired slices that are thick already are taken as they are.
        """
        most, augmentation = self._most[which], self.augmentation
        thickness = int(rng.integers(1, most + 1)) if augmentation.simulated else 1
        nearest, farthest = (round(part * thickness) for part in PAIR_IN_THICKNESSES)
        chance = augmentation.elsewhere if most > 1 else augmentation.thirds
        if self.any_place and len(self._stacks[which]) > 3 and rng.random() < chance:
            apart = int(rng.integers(max(3, nearest), max(3, farthest) + 1))
            return thickness, apart, int(rng.integers(1, apart))
        step = int(rng.integers(max(1, math.ceil(nearest / 2)), max(1, farthest // 2) + 1))
        return thickness, 2 * step, step

    def _starts(self, rng: np.random.Generator, last: int, apart: int, step: int) -> list[int]:
        """Where each slice begins, the last possible at `last`.

        Context slices that would lie beyond the volume repeat those inside, as in the engine.
        """
        first = int(rng.integers(0, last - apart + 1))
        starts = [first, first + step, first + apart]
        if self.context:
            before, after = first - apart, first + 2 * apart
            starts.insert(0, before if before >= 0 else starts[0])
            starts.append(after if after <= last else starts[-1])
        return starts

    def _recoloured(self, rng: np.random.Generator, slices: np.ndarray) -> np.ndarray:
        """Contrast around 40 HU and brightness."""
        spread = self.augmentation.contrast
        gain = np.float32(rng.uniform(1.0 - spread, 1.0 + spread))
        offset = rng.uniform(-self.augmentation.offset_hu, self.augmentation.offset_hu)
        return gain * (slices - np.float32(40.0)) + np.float32(40.0 + offset)


def _most_averaged(gap: float, slices: int) -> int:
    """How many slices can be averaged into one; 1 where they are thick already."""
    return max(1, min(int(THICKEST_MM / gap), (slices - 1) // 3))


def _shares(middles: np.ndarray, thin: np.ndarray, part: float) -> np.ndarray:
    """How often each volume is drawn: by its slices, the thin ones together making up `part`."""
    share = middles / middles.sum()
    if thin.any() and not thin.all():
        share[thin] *= part / share[thin].sum()
        share[~thin] *= (1.0 - part) / share[~thin].sum()
    return share


def _is_of_bone_kernel(stack: np.ndarray) -> bool:
    """Whether brain drowns in noise."""
    noise = []
    for hu in stack[:: max(1, len(stack) // 8)]:
        smooth = ndimage.uniform_filter(hu.astype(np.float32), 7)
        noise.append(np.abs(hu - smooth)[(smooth > 15.0) & (smooth < 60.0)])
    deviations = np.concatenate(noise)
    return bool(len(deviations)) and 1.4826 * float(np.median(deviations)) > _BONE_KERNEL_HU


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
    if not any(missing):
        return slices
    return np.pad(slices, [(0, 0), (0, missing[0]), (0, missing[1])], mode="edge")


def _shrunk(slices: np.ndarray, factor: int) -> np.ndarray:
    """Averaged over factor × factor pixels, as a scan with larger pixels would have it."""
    count, height, width = slices.shape
    blocks = slices.reshape(count, height // factor, factor, width // factor, factor)
    return blocks.mean(axis=(2, 4))


def _turned(slices: np.ndarray, degrees: float, zoom: float, size: int) -> np.ndarray:
    """Rotated about the centre, `zoom` of the old pixels to a new one, (n, size, size)."""
    angle = math.radians(degrees)
    # affine_grid has both pictures reach from −1 to 1.
    part = zoom * size / slices.shape[1]
    across, along = part * math.cos(angle), part * math.sin(angle)
    matrix = torch.tensor([[[across, -along, 0.0], [along, across, 0.0]]])
    grid = F.affine_grid(matrix, [1, 1, size, size], align_corners=False)
    images = torch.from_numpy(slices)[None]
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)[0].numpy()


def _mirrored(rng: np.random.Generator, slices: np.ndarray) -> np.ndarray:
    """Mirrored at random, up and down and sideways."""
    for axis in (1, 2):
        if rng.random() < 0.5:
            slices = np.flip(slices, axis)
    return slices
