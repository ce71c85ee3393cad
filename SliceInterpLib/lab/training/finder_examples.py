"""Examples that the finder learns from: slabs of head CT, with what is known to be blood in them.

Beside the patients' own clots there are clots painted into heads without blood, so that these
heads are not told by their looks; and what may be mistaken for blood is painted as what it is:
calcifications, and bright bands such as the falx, the tentorium and the sinuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from SliceInterpLib.lab.training.faint_lesions import lesion
from SliceInterpLib.networks.finder import MARGIN, PIXEL_MM, SEEN
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.slabs import on_finder_pixels, seen_slices, slices_in_slab

_STEPS = 240
"""Of the brain window in which slabs are kept: half a HU each."""

_CLOT_HU, _CLOT_MM = (48.0, 82.0), (2.5, 24.0)
_CALCIFIED_HU, _CALCIFIED_MM = (90.0, 400.0), (0.6, 4.0)
_BAND_HU, _BAND_MM, _BAND_LENGTH_MM = (50.0, 78.0), (0.6, 1.8), (12.0, 70.0)
"""Density, radius (of a band: of its Gaussian profile) and length of what is painted."""

_BRAIN_HU = (15.0, 60.0)
"""What is painted begins in tissue of so many HU."""


class Stack(NamedTuple):
    """One scan, cropped to the head."""

    seen: np.ndarray
    """(n, h, w) uint8: a slab from each slice on, averaged over `step` slices; 0…_STEPS."""
    blood: np.ndarray
    """(n, h, w) uint8: the part of a pixel of the slab that is hematoma, 0…255."""
    step: int
    """How many slices on the next slab begins."""

    @property
    def bleeding(self) -> np.ndarray:
        """The numbers of the slabs that show blood."""
        return np.flatnonzero((self.blood > 127).any(axis=(1, 2)))


def stack_of(volume: Volume, blood: np.ndarray | None) -> Stack:
    """What is kept of a scan.

    Args:
        volume: acquired.
        blood: bool or part, shaped as `volume.slices`; None: there is none.
    """
    step = slices_in_slab(volume)
    seen = _slabs(seen_slices(volume).numpy(), step)
    known = np.zeros_like(seen)
    if blood is not None:
        known = _slabs(on_finder_pixels(volume, blood.astype(np.float32)).numpy(), step)
    tissue = np.argwhere((seen > 0.0).any(axis=0))
    low = np.maximum(tissue.min(axis=0) - MARGIN, 0) if len(tissue) else np.zeros(2, int)
    high = tissue.max(axis=0) + MARGIN + 1 if len(tissue) else np.array(seen.shape[1:])
    head = (slice(None), slice(low[0], high[0]), slice(low[1], high[1]))
    return Stack(
        np.rint(seen[head] * _STEPS).astype(np.uint8),
        np.rint(known[head] * 255.0).astype(np.uint8),
        step,
    )


def _slabs(slices: np.ndarray, step: int) -> np.ndarray:
    """The mean of each slice and the step − 1 after it."""
    sums = np.cumsum(np.pad(slices, ((1, 0), (0, 0), (0, 0))), axis=0, dtype=np.float32)
    return (sums[step:] - sums[:-step]) / step


class FinderExamples:
    """Draws batches.

    Args:
        groups: kinds of scans, each with its part of the examples.
        crop: pixels, height and width of an example.
        seed: of all that is drawn.
    """

    def __init__(
        self, groups: Sequence[tuple[float, Sequence[Stack]]], *, crop: int = 160, seed: int = 0
    ) -> None:
        self.groups = [(part, list(stacks)) for part, stacks in groups if stacks]
        self.crop = crop
        self._rng = np.random.default_rng(seed)

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """(count, 3, crop, crop) slabs in [0, 1], and the part of blood (count, 1, crop, crop)."""
        slabs, blood = zip(*(self._example() for _ in range(count)), strict=True)
        return torch.stack(slabs), torch.stack(blood)

    def _example(self) -> tuple[Tensor, Tensor]:
        rng = self._rng
        parts = np.array([part for part, _ in self.groups])
        stacks = self.groups[rng.choice(len(parts), p=parts / parts.sum())][1]
        stack = stacks[rng.integers(len(stacks))]
        bleeding = stack.bleeding
        if len(bleeding) and rng.random() < 0.6:
            index = int(rng.choice(bleeding))
        else:
            index = int(rng.integers(len(stack.seen)))
        away = stack.step * (2 if rng.random() < 0.15 else 1) * rng.choice((-1, 1))
        indices = np.clip([index - away, index, index + away], 0, len(stack.seen) - 1)
        both = self._turned(
            np.concatenate([stack.seen[indices] / _STEPS, stack.blood[[index]] / 255.0])
        )
        hu = both[:3] * SEEN.width + SEEN.low
        known = both[3]
        has_own = len(bleeding) > 0
        for _ in range(rng.integers(1, 3) if rng.random() < (0.08 if has_own else 0.45) else 0):
            self._paint_clot(hu, known)
        for _ in range(rng.integers(1, 4) if rng.random() < 0.3 else 0):
            self._paint_calcification(hu, known)
        for _ in range(rng.integers(1, 3) if rng.random() < 0.3 else 0):
            self._paint_band(hu, known)
        return torch.from_numpy(SEEN.scale(self._scanned(hu))), torch.from_numpy(known)[None]

    def _turned(self, pictures: np.ndarray) -> np.ndarray:
        """A crop, rotated, zoomed and maybe mirrored: (channels, crop, crop) float32."""
        rng, (height, width) = self._rng, pictures.shape[1:]
        angle = np.deg2rad(rng.normal(0.0, 12.0))
        zoom = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
        mirror = rng.choice((-1.0, 1.0))
        # From the crop's coordinates, -1…1, to pixels around its centre, to the picture's -1…1.
        turn = (
            zoom
            * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            * np.array([[mirror, 1.0]])
        )
        slack = np.maximum(np.array([width, height]) - self.crop * 0.75, 0.0) / 2.0
        centre = rng.uniform(-slack, slack)
        scale = np.array([2.0 / width, 2.0 / height])
        matrix = np.column_stack([turn * (self.crop / 2.0) * scale[:, None], centre * scale])
        grid = F.affine_grid(
            torch.tensor(matrix[None], dtype=torch.float32),
            [1, 1, self.crop, self.crop],
            align_corners=False,
        )
        source = torch.from_numpy(pictures.astype(np.float32))[None]
        return F.grid_sample(source, grid, align_corners=False)[0].numpy()

    def _scanned(self, hu: np.ndarray) -> np.ndarray:
        """As another scanner may show it; what is saturated stays so."""
        rng = self._rng
        free = (hu > SEEN.low + 0.5) & (hu < SEEN.high - 0.5)
        noise = np.zeros_like(hu)
        if rng.random() < 0.6:
            noise = rng.standard_normal(hu.shape, dtype=np.float32)
            if rng.random() < 0.5:
                noise = ndimage.gaussian_filter(noise, (0, 0.8, 0.8)) * 2.8
            noise *= rng.uniform(0.0, 6.0)
        if rng.random() < 0.15:
            hu = ndimage.gaussian_filter(hu, (0, *(2 * [rng.uniform(0.4, 1.0)])))
        changed = 35.0 + (hu - 35.0) * rng.uniform(0.88, 1.12) + rng.uniform(-10.0, 10.0) + noise
        shown = np.where(free, changed, hu)
        low, high = SEEN
        if rng.random() < 0.3:  # as saved in a narrower window
            low, high = rng.uniform(-20.0, 0.0), rng.uniform(80.0, 100.0)
        return np.clip(shown, low, high)

    def _place(self, hu: np.ndarray) -> tuple[int, int] | None:
        """A pixel in the brain of the middle slab."""
        brain = ndimage.uniform_filter((hu[1] > _BRAIN_HU[0]) & (hu[1] < _BRAIN_HU[1]), 5, float)
        rows, columns = np.nonzero(brain > 0.9)
        if not len(rows):
            return None
        chosen = self._rng.integers(len(rows))
        return int(rows[chosen]), int(columns[chosen])

    def _paint_clot(self, hu: np.ndarray, known: np.ndarray) -> None:
        rng = self._rng
        if (place := self._place(hu)) is None:
            return
        density = rng.uniform(*_CLOT_HU)
        if density < float(np.median(hu[1][hu[1] > _BRAIN_HU[0]])) + 12.0:
            return
        radius = np.exp(rng.uniform(*np.log(_CLOT_MM))) / PIXEL_MM
        for index, part in enumerate((rng.uniform(0.0, 1.1), 1.0, rng.uniform(0.0, 1.1))):
            if part * radius < 1.0:
                continue
            window, profile = lesion(rng, place, part * radius, hu.shape[1:])
            here = hu[index][window]
            profile = profile * ((here > -10.0) & (here < 95.0))
            texture = ndimage.gaussian_filter(rng.standard_normal(here.shape), 2.0) * 12.0
            here += profile * (density + texture - here)
            if index == 1:
                np.maximum(known[window], profile, out=known[window])

    def _paint_calcification(self, hu: np.ndarray, known: np.ndarray) -> None:
        rng = self._rng
        if (place := self._place(hu)) is None or known[place] > 0.0:
            return
        radius = np.exp(rng.uniform(*np.log(_CALCIFIED_MM))) / PIXEL_MM
        density = rng.uniform(*_CALCIFIED_HU)
        for index in range(3):
            if index == 1 or rng.random() < 0.5:
                window, profile = lesion(rng, place, radius, hu.shape[1:])
                hu[index][window] += profile * (density - hu[index][window])

    def _paint_band(self, hu: np.ndarray, known: np.ndarray) -> None:
        """A straight band, such as the falx, that may go on in the neighbouring slabs."""
        rng = self._rng
        if (place := self._place(hu)) is None:
            return
        angle, half = rng.uniform(0.0, np.pi), rng.uniform(*_BAND_LENGTH_MM) / PIXEL_MM / 2.0
        y, x = np.ogrid[: hu.shape[1], : hu.shape[2]]
        y, x = y - place[0], x - place[1]
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        beyond = np.maximum(np.abs(along) - half, 0.0)
        width = rng.uniform(*_BAND_MM) / PIXEL_MM
        profile = np.exp(-0.5 * (across**2 + beyond**2) / width**2)
        density = rng.uniform(*_BAND_HU)
        for index in range(3):
            if index == 1 or rng.random() < 0.7:
                free = (hu[index] > -10.0) & (hu[index] < density) & (known < 0.05)
                hu[index] += profile * free * (density - hu[index])
