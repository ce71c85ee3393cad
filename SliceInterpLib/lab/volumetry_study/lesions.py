"""Hematomas of known shape and volume in the built-in head, for the phantom study.

All is drawn on a lattice of 0.5 mm: the head without noise, and in it lesions of which every
voxel is known. Thick slices are sums of its planes, so that the lattice is their truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.intracranial import intracranial_mask
from SliceInterpLib.volumetry.mask import bounds
from SliceInterpLib.volumetry.morphology import largest_piece

SHAPES = ("ellipsoid", "irregular", "multilobed", "crescent", "layer")
"""In the brain, but for the crescent, which lies on the inner table as a subdural hematoma does."""

LATTICE_MM = 0.5
NOISE_HU = 4.0
"""Standard deviation of the noise of a 5 mm slice; it falls with the root of the thickness."""

_PLANE_MM = 1.0
"""Distance of the head's planes, each drawn twice in the lattice; tissue changes slowly."""

_AIR_PIXELS = 12
"""Air around the head that is kept."""

_BLUR_PIXELS = 1.0
"""Standard deviation of the scanner's in-plane blur."""

_EMPTY_SLICES = 4
"""Slices around a lesion on each side: the cubic and the learned method look two away."""


class Head:
    """The phantom's head of one seed: HU of its planes, its intracranial space and depth in it."""

    def __init__(self, seed: int) -> None:
        phantom = head_phantom(
            slice_spacing=_PLANE_MM,
            pixel_spacing=LATTICE_MM,
            matrix=420,
            noise_hu=0.0,
            hematoma_ml=0.0,
            seed=seed,
        )
        head = bounds(phantom.volume.hu > -500.0, (0, _AIR_PIXELS, _AIR_PIXELS))[1:]
        self.hu = phantom.volume.hu[(slice(None), *head)]
        """(plane, row, column)."""
        self.space = intracranial_mask(phantom.volume)[(slice(None), *head)]
        coarse = self.space[:, ::2, ::2]
        self.depth = ndimage.distance_transform_edt(coarse).astype(np.float32)
        """(plane, row, column) mm to the end of the space, on a lattice of 1 mm."""


@dataclass(frozen=True, eq=False)
class Lesion:
    """One lesion in a head."""

    head: Head
    shape: str
    hu: float
    corner: tuple[int, int, int]
    """Index (z, y, x) in the head's 0.5 mm lattice of the first voxel of `truth`."""
    truth: np.ndarray
    """bool (z, y, x): the lesion in its bounding box."""

    @property
    def ml(self) -> float:
        """Its volume."""
        return int(self.truth.sum()) * LATTICE_MM**3 / 1000.0


def draw_lesion(head: Head, shape: str, ml: float, rng: np.random.Generator) -> Lesion:
    """A lesion of that shape and volume, elsewhere in the head and posed at random.

    Each shape is a function of the place that grows outwards; the lesion is where it is below the
    level at which the volume is the one wanted. What would leave the intracranial space does not
    count, so that a lesion at the skull follows the skull; of several pieces the largest is kept,
    so that the volume may be smaller than wanted.

    Args:
        head: where it is drawn.
        shape: one of SHAPES.
        ml: the volume wanted.
        rng: draws place and pose.
    """
    unit = (3000.0 * ml / (4.0 * np.pi)) ** (1 / 3)  # radius in mm of a ball of that volume
    centre = _centre(head, unit, shape == "crescent", rng)
    half = int((2.4 * unit + 4.0) / LATTICE_MM)
    size = np.array([2 * head.hu.shape[0], *head.hu.shape[1:]])
    low = np.maximum(np.rint(centre / LATTICE_MM).astype(int) - half, 0)
    high = np.minimum(low + 2 * half, size)
    box = tuple(map(slice, low, high))
    axes = (np.arange(a, b) * LATTICE_MM - c for a, b, c in zip(low, high, centre, strict=True))
    place = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32) / np.float32(unit)
    space = _on_lattice(head.space, box)
    if shape == "crescent":
        level = _depth(head, box) / (0.35 * unit) + (place**2).sum(0) / 1.7**2
    else:
        level = _level(shape, place, rng)
    wanted = min(round(ml * 1000.0 / LATTICE_MM**3), int(np.count_nonzero(space)) - 1)
    inside = space & (level < np.partition(level[space], wanted)[wanted])
    inside = largest_piece(inside)
    tight = bounds(inside)
    z, y, x = (int(a + part.start) for a, part in zip(low, tight, strict=True))
    return Lesion(head, shape, float(rng.uniform(60.0, 75.0)), (z, y, x), inside[tight])


def scan(lesion: Lesion, spacing_mm: float, rng: np.random.Generator) -> tuple[Volume, int]:
    """The lesion and what is around it as slices that touch.

    A slice is the mean of its planes, blurred in-plane, with noise of a CT's texture; the first
    slice begins at a random plane.

    Args:
        lesion: what is scanned.
        spacing_mm: thickness and distance of the slices.
        rng: draws the noise and where the slices begin.

    Returns:
        The volume, in whose coordinates the lattice's first voxel lies at (0, 0, 0) mm, and the
        index of the plane that its first slice begins with.
    """
    planes = round(spacing_mm / LATTICE_MM)
    bottom, top = lesion.corner[0], lesion.corner[0] + lesion.truth.shape[0]
    start = bottom - _EMPTY_SLICES * planes - int(rng.integers(planes))
    count = -(-(top - start) // planes) + _EMPTY_SLICES
    start = max(0, start)
    count = min(count, (2 * len(lesion.head.hu) - start) // planes)
    rows, columns = (
        slice(first, first + size)
        for first, size in zip(lesion.corner[1:], lesion.truth.shape[1:], strict=True)
    )
    slices = np.empty((count, *lesion.head.hu.shape[1:]), np.float32)
    for index in range(count):
        levels = start + index * planes + np.arange(planes)
        layers = lesion.head.hu[levels // 2].astype(np.float32)
        for layer, level in zip(layers, levels - bottom, strict=True):
            if 0 <= level < len(lesion.truth):
                layer[rows, columns][lesion.truth[level]] = lesion.hu
        slices[index] = layers.mean(0)
    slices = ndimage.gaussian_filter(slices, (0, _BLUR_PIXELS, _BLUR_PIXELS))
    sigma = NOISE_HU * np.sqrt(5.0 / spacing_mm)
    slices += sigma * np.clip((slices + 1000.0) / 1000.0, 0.0, 1.0) * _ct_noise(slices.shape, rng)
    first = (start + (planes - 1) / 2) * LATTICE_MM
    volume = Volume.from_grid(
        hu=np.rint(slices).astype(np.int16),
        origin=(0.0, 0.0, first),
        spacing=(LATTICE_MM, LATTICE_MM, spacing_mm),
        direction=np.eye(3),
    )
    return volume, start


def _centre(head: Head, unit: float, at_skull: bool, rng: np.random.Generator) -> np.ndarray:
    """A random place (z, y, x) in mm above the skull's base: on the inner table, or off it."""
    upper = head.depth.copy()
    upper[: int(0.4 * len(upper))] = 0.0
    deep = min(unit, 0.8 * float(upper.max()))
    fits = (upper > 0) & (upper < 1.5) if at_skull else upper >= deep
    places = np.argwhere(fits)
    return places[rng.integers(len(places))] * _PLANE_MM


def _level(shape: str, place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A shape as a function of the place (3, z, y, x) in units of a ball's radius."""
    turn = Rotation.random(rng=rng).as_matrix().astype(np.float32)
    x, y, z = np.tensordot(turn, place, 1)
    if shape == "layer":
        return np.maximum(np.abs(z) / 0.2, np.hypot(x, y) / 1.8)
    if shape == "multilobed":
        ways = rng.normal(size=(4, 3))
        ways *= 0.85 / np.linalg.norm(ways, axis=1, keepdims=True)
        lobes = zip(ways, rng.uniform(0.5, 0.8, 4), strict=True)
        return np.minimum.reduce(
            [np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / r for (a, b, c), r in lobes]
        )
    ellipsoid = np.sqrt((x / 0.75) ** 2 + y**2 + (z / 1.33) ** 2)
    if shape == "ellipsoid":
        return ellipsoid
    waves = rng.normal(size=(6, 3)).astype(np.float32) * 1.6  # radians a radius: broad bumps
    phases = rng.uniform(0.0, 2.0 * np.pi, 6)
    bumps = sum(
        np.cos(a * x + b * y + c * z + p) for (a, b, c), p in zip(waves, phases, strict=True)
    )
    return ellipsoid * np.exp(0.12 * bumps)


def _on_lattice(mask: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """A part of a mask of the head's planes on the 0.5 mm lattice."""
    planes = np.arange(box[0].start, box[0].stop) // 2
    return mask[planes][:, box[1], box[2]]


def _depth(head: Head, box: tuple[slice, ...]) -> np.ndarray:
    """A part of the head's depth on the 0.5 mm lattice, between its 1 mm voxels linearly."""
    index = np.meshgrid(*(np.arange(b.start, b.stop) / 2.0 for b in box), indexing="ij")
    return ndimage.map_coordinates(head.depth, index, order=1, mode="nearest")


def _ct_noise(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Noise of standard deviation 1 in every slice, with the texture of filtered back projection.

    Its power rises with the frequency, as the ramp filter makes it, and falls with the blur of
    reconstruction (Riederer et al. 1978, Phys. Med. Biol. 23:446).
    """
    frequency = np.hypot(*np.meshgrid(fft.fftfreq(shape[1]), fft.rfftfreq(shape[2]), indexing="ij"))
    amplitude = np.sqrt(frequency) * np.exp(-((frequency / 0.22) ** 2))
    white = fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    noise = fft.irfft2(white * amplitude.astype(np.float32), shape[1:])
    return noise / noise.std(axis=(1, 2), keepdims=True)
