"""A head CT drawn from formulas, with a hematoma of known volume.

It is the demo's input and the ground truth of tests. Every tissue is a formula of the place in
the head, so that slices of any spacing and thickness show one and the same head: thin slices
are the truth behind thick ones.

Places are millimetres in LPS: x to the left, y to the back, z up, with the origin in the middle
of the head. The skin of the vertex is near z = 76, the eyes are near z = -42.

The smooth minimum is the quadratic one of I. Quilez (iquilezles.org/articles/smin). The folds
of the cortex are the zeros of a sum of plane waves of similar length and random direction: a
random wave (M. V. Berry, J. Phys. A 10, 1977, 2083), whose zeros wind like sulci.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from SliceInterpLib.phantom_anatomy import (
    AIR,
    BASE_PARTS,
    BLOOD,
    BRAIN_PARTS,
    CALLOSUM,
    CRANIUM,
    CSF,
    DIPLOE,
    DURA,
    EDEMA,
    FACE,
    FAT,
    FOSSAE,
    GREY,
    MUSCLE,
    TABLE,
    WHITE,
    Part,
    norm,
)
from SliceInterpLib.volume import Volume

EXTENT = 160.0
"""Height in mm of the part of the head that is scanned when the number of slices is not given."""

_HALF_SIZE = (110.0, 90.0)
"""Rows and columns farther than this from the middle of the head (y, x in mm) are air."""

_STEP = 1.0
"""Largest distance in mm of the sub-slices that make one slice."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """A head CT and the truth about its hematoma.

    `hematoma_fraction` is float32 (z, y, x) in [0, 1], the part of every voxel that is hematoma.
    Where slices touch, its sum times the volume of a voxel is `hematoma_ml`, to 0.1 % from 10 ml
    on and 1 % at 1 ml (pixels up to 2 mm).
    """

    volume: Volume
    hematoma_ml: float
    hematoma_fraction: np.ndarray


class _Plane(NamedTuple):
    """A lattice of points in one axial plane: x (columns), y (rows), and their height z, in mm."""

    x: np.ndarray
    y: np.ndarray
    z: np.float32

    @property
    def grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y and z, to be broadcast to (y, x)."""
        return self.x[None, :], self.y[:, None], np.asarray(self.z)

    def box(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns between two corners (x, y, z); none if the plane is beside them."""
        if not low[2] < self.z < high[2]:
            return slice(0), slice(0)
        rows = slice(*np.searchsorted(self.y, (low[1], high[1])))
        return rows, slice(*np.searchsorted(self.x, (low[0], high[0])))


class _Waves:
    """A smooth random function of the place: mean 0, standard deviation 1, known at every point.

    It is a sum of `count` plane waves of random directions with wavelengths in mm between
    `shortest` and `longest`.
    """

    def __init__(
        self, rng: np.random.Generator, shortest: float, longest: float, count: int = 12
    ) -> None:
        directions = rng.normal(size=(3, count))
        directions /= np.linalg.norm(directions, axis=0)
        numbers = 2 * np.pi / rng.uniform(shortest, longest, count)
        self._k = (directions * numbers).astype(np.float32)
        self._phase = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
        self._amplitude = np.float32(np.sqrt(2 / count))

    def on(self, plane: _Plane) -> np.ndarray:
        """Values (y, x) on a plane; cos(a + b) makes it two matrix products."""
        kx, ky, kz = self._k
        a = np.outer(plane.x, kx) + (kz * plane.z + self._phase)
        b = np.outer(plane.y, ky)
        return self._amplitude * (np.cos(b) @ np.cos(a).T - np.sin(b) @ np.sin(a).T)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Values (n,) at points (3, n)."""
        return self._amplitude * np.cos(self._k.T @ points + self._phase[:, None]).sum(axis=0)

    def slope(self, points: np.ndarray) -> np.ndarray:
        """Length (n,) of the gradient, per mm, at points (3, n)."""
        sines = np.sin(self._k.T @ points + self._phase[:, None])
        return self._amplitude * norm(*(self._k @ sines))


def _smooth_min(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    h = np.maximum(1 - np.abs(a - b) / blend, 0)
    return np.minimum(a, b) - h * h * (blend / 4)


class _Hematoma:
    """A star-shaped clot: along the unit direction u its surface is at r0 (1 + bumps(u)).

    The directions live in coordinates stretched by factors whose product is 1, which leaves the
    volume alone. So the volume is the integral of (r0 (1 + bumps))^3 / 3 over the sphere.
    """

    CENTRE = (27.0, 4.0, 2.0)
    STRETCH = (0.82, 1.28, 1 / (0.82 * 1.28))

    def __init__(self, rng: np.random.Generator, millilitres: float) -> None:
        self._bumps = _Waves(rng, 0.8, 2.2)
        self._rim = _Waves(rng, 1.0, 4.0)
        # Gauss-Legendre in cos(theta) and equal steps in phi: an error below 1e-9, by doubling.
        cosine, weight = np.polynomial.legendre.leggauss(64)
        phi = np.arange(128) * (2 * np.pi / 128)
        cosine, weight = np.repeat(cosine, 128), np.repeat(weight, 128) * (2 * np.pi / 128)
        sine, phi = np.sqrt(1 - cosine**2), np.tile(phi, 64)
        surface = self._surface(np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine]))
        self.radius = float((3000 * millilitres / (weight @ surface**3)) ** (1 / 3))
        # No part of the edema is farther away than this (see the bounds in the two formulas).
        self.reach = (1.35 + 0.42) * self.radius * max(self.STRETCH)

    def _surface(self, u: np.ndarray) -> np.ndarray:
        return 1 + 0.35 * np.tanh(0.7 * self._bumps.at(u))

    def distances(self, plane: _Plane) -> tuple[np.ndarray, np.ndarray]:
        """Signed distances (y, x) in mm, negative inside, to the clot and to its edema."""
        axes = zip(plane.grid, self.CENTRE, self.STRETCH, strict=True)
        q = np.stack(np.broadcast_arrays(*((p - c) / s for p, c, s in axes))).reshape(3, -1)
        r = norm(*q)
        u = q / (r + 1e-6)
        surface = self.radius * self._surface(u)
        # To first order this is r - surface; a soft edge on it adds as much volume outside the
        # surface as it takes away inside, so that the volume stays exact.
        clot = (r**3 - surface**3) / (3 * surface**2)
        rim = 0.28 * self.radius * (1 + 0.5 * np.tanh(self._rim.at(u)))
        shape = (len(plane.y), len(plane.x))
        return clot.reshape(shape), (r - surface - rim).reshape(shape)


def _cover(distance: np.ndarray, edge: float) -> np.ndarray:
    """Part of a point that a shape covers: 1 inside, 0 outside, a ramp `edge` mm wide between."""
    return np.clip(0.5 - distance / edge, 0, 1)


def _paint(hu: np.ndarray, distance: np.ndarray, value: np.ndarray | float, edge: float) -> None:
    hu += _cover(distance, edge) * (value - hu)


class _Head:
    """The head as a function of the place; `edge` is the width in mm of every edge in it."""

    def __init__(self, rng: np.random.Generator, hematoma_ml: float, edge: float) -> None:
        self.edge = edge
        self.hematoma = _Hematoma(rng, hematoma_ml)
        self._warp = [_Waves(rng, 90, 160) for _ in range(3)]
        self._bend = [_Waves(rng, 25, 50) for _ in range(3)]
        self._folds = _Waves(rng, 14, 23, count=28)
        self._slow = _Waves(rng, 40, 80)
        self._grain = _Waves(rng, 4, 9, count=24)
        self._mottle = _Waves(rng, 9, 25, count=24)

    def cut(self, plane: _Plane) -> tuple[np.ndarray, np.ndarray]:
        """HU (y, x) without noise, and the part of every point that is hematoma."""
        place = [p + 1.5 * waves.on(plane) for p, waves in zip(plane.grid, self._warp, strict=True)]
        inner = self._cranial_cavity(*place)
        hu = self._shell(plane, inner, place)
        blood = np.zeros_like(hu)
        if inner.min() < self.edge:
            brain = self._brain(plane, inner, place)
            self._bleed(plane, brain, blood)
            _paint(hu, inner, brain, self.edge)
        self._paint_parts(plane, hu, BASE_PARTS, place)
        return hu, blood

    def _cranial_cavity(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Distance to the inner table: an egg on a slanted base, with the fossae below it."""
        egg = CRANIUM.distance(x * (1.02 - 0.0013 * y), y, z)
        base = -0.95 * (z + 47 + 0.28 * y)
        inner = -_smooth_min(-egg, -base, 12.0)
        for fossa in FOSSAE:
            inner = _smooth_min(inner, fossa.distance(x, y, z), 8.0)
        return inner

    def _shell(self, plane: _Plane, inner: np.ndarray, place: list[np.ndarray]) -> np.ndarray:
        """HU of the air, the scalp, the face and the skull around the cranial cavity."""
        edge = self.edge
        x, y, z = place
        slow = self._slow.on(plane)
        grain = self._grain.on(plane)
        mottle = self._mottle.on(plane)
        skull = 5.5 + 2.5 * (y / 80) ** 2 - 2 * (np.minimum(z, 0) / 40) ** 2 + 0.5 * slow
        skull = np.maximum(skull, 2.5)
        skin = inner - skull - 5.5 - 0.4 * slow
        for part in FACE:
            skin = _smooth_min(skin, part.distance(x, y, z), 20.0)
        hu = np.full_like(inner, AIR)
        _paint(hu, skin, MUSCLE - 10, edge)
        _paint(hu, skin + 1.8, FAT + 6 * grain, edge)
        fascia = np.maximum(1 - 6 * np.abs(mottle), 0)
        _paint(hu, skin + 4.2 + slow, MUSCLE + 5 * slow - 90 * fascia, edge)
        # The diploe is the middle of the bone where the bone is thick enough to have one.
        across = np.abs(inner / skull - 0.5)
        spongy = np.clip(1.7 - 5 * across, 0, 1) * np.clip(skull / 2 - 2, 0, 1)
        _paint(hu, inner - skull, TABLE + spongy * (DIPLOE - TABLE + 80 * grain), edge)
        return hu

    def _brain(self, plane: _Plane, inner: np.ndarray, place: list[np.ndarray]) -> np.ndarray:
        """HU inside the cranial cavity without the hematoma, which pushes the tissue away."""
        edge = self.edge
        away = [p - c for p, c in zip(place, self.hematoma.CENTRE, strict=True)]
        push = 0.2 * np.exp(-sum(a * a for a in away) / (5.0 * self.hematoma.radius**2 + 1e-3))
        place = [p - push * a for p, a in zip(place, away, strict=True)]
        x, y, z = place

        slow = self._slow.on(plane)
        depth = -inner - 1.6 - 0.5 * slow
        beyond = np.maximum(-CALLOSUM.distance(np.zeros_like(x), y, z), 0)
        fissure = np.sqrt(x * x + beyond * beyond)
        sulcus = self._sulci(plane, place, depth, slow) - (0.85 + 0.3 * slow)

        brain = WHITE + 0.6 * self._mottle.on(plane)
        cortex = np.minimum(np.minimum(depth, fissure - 1.5), sulcus)
        _paint(brain, cortex - 3.2, GREY, 1.5)
        _paint(brain, sulcus, CSF, edge)
        _paint(brain, depth, CSF, edge)
        _paint(brain, fissure - 1.1 - 0.4 * slow, CSF, edge)
        _paint(brain, fissure - 0.6, DURA, edge)
        self._paint_parts(plane, brain, BRAIN_PARTS, place)
        return brain

    def _sulci(
        self, plane: _Plane, place: list[np.ndarray], depth: np.ndarray, slow: np.ndarray
    ) -> np.ndarray:
        """Distance in mm to the nearest sulcus, a sheet that goes down from the surface.

        The random wave depends on the direction from the middle of the brain, hardly on the
        distance from it, so that its zeros stand upright on the surface.
        """
        below = np.maximum(depth - 13 - 5 * slow, 0)
        near = (below < 8) & (depth > -2)
        ray = np.stack([p[near] / r for p, r in zip(place, CRANIUM.radii, strict=True)])
        length = norm(*ray) + 1e-3
        ray *= 66 / length
        ray += 3.0 * np.stack([waves.on(plane)[near] for waves in self._bend])
        # The value over the slope is the distance to first order; where the slope is nearly
        # zero, at the crossings of two sulci, a little more keeps it finite.
        distance = self._folds.at(ray) * length / (self._folds.slope(ray) + 0.03)
        sulcus = np.full_like(depth, 99)
        sulcus[near] = np.sqrt(distance**2 + below[near] ** 2)
        return sulcus

    def _bleed(self, plane: _Plane, brain: np.ndarray, blood: np.ndarray) -> None:
        """Paint edema and clot into `brain` (HU), and the part that is clot into `blood`."""
        clot = self.hematoma
        if clot.radius == 0:
            return
        reach = clot.reach + 4.0
        box = plane.box(np.subtract(clot.CENTRE, reach), np.add(clot.CENTRE, reach))
        near = _Plane(plane.x[box[1]], plane.y[box[0]], plane.z)
        to_clot, to_edema = clot.distances(near)
        brain[box] -= _cover(to_edema, 4.0) * np.maximum(brain[box] - EDEMA, 0)
        blood[box] = _cover(to_clot, self.edge)
        brain[box] += blood[box] * (BLOOD + 1.3 * self._mottle.on(near) - brain[box])

    def _paint_parts(
        self, plane: _Plane, hu: np.ndarray, parts: tuple[Part, ...], place: list[np.ndarray]
    ) -> None:
        """Paint parts over `hu`, each only in the box that it can reach."""
        for part in parts:
            box = plane.box(*part.box(margin=8.0))
            if hu[box].size:
                _paint(hu[box], part.distance(*(p[box] for p in place)), part.hu, self.edge)


def _noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Grainy noise (y, x) of standard deviation 1: white noise through a small kernel."""
    noise = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 0.7, mode="wrap")
    return noise / noise.std()


def head_phantom(
    *,
    slice_spacing: float = 5.0,
    slice_thickness: float | None = None,
    pixel_spacing: float = 0.47,
    matrix: int = 512,
    slices: int | None = None,
    noise_hu: float = 4.0,
    seed: int = 0,
    hematoma_ml: float = 30.0,
    z_offset_mm: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Phantom:
    """Scan the head that belongs to `seed`.

    A slice is the mean of the head over its thickness.

    Args:
        slice_spacing: mm between the middles of neighbouring slices.
        slice_thickness: mm; by default `slice_spacing`: slices that touch.
        pixel_spacing: mm.
        matrix: the image has `matrix` x `matrix` pixels.
        slices: how many there are; by default they fill 160 mm.
        noise_hu: standard deviation of the noise in soft tissue and bone; it fades to none in air.
        seed: of the head and its noise.
        hematoma_ml: 0 (none) to 80.
        z_offset_mm: the slices lie centred around this z.
        progress: called after each slice, with the number of those drawn and of all.

    Returns:
        The scan, HU int16 with air of -1000, and the truth about its hematoma.

    Raises:
        ValueError: for lengths that are not positive, or a hematoma out of range.
    """
    thickness = slice_spacing if slice_thickness is None else slice_thickness
    if min(slice_spacing, thickness, pixel_spacing) <= 0:
        raise ValueError("spacings and thickness must be positive lengths in mm")
    if not 0 <= hematoma_ml <= 80:
        raise ValueError("hematoma_ml must be between 0 and 80, or the clot leaves the brain")
    count = max(1, round(EXTENT / slice_spacing)) if slices is None else slices
    in_plane = ((np.arange(matrix) - (matrix - 1) / 2) * pixel_spacing).astype(np.float32)
    levels = (np.arange(count) - (count - 1) / 2) * slice_spacing + z_offset_mm
    parts = int(np.ceil(thickness / _STEP))
    inside = ((np.arange(parts) + 0.5) / parts - 0.5) * thickness

    # The edge is at least as wide as the sub-slices are apart, so that surfaces lying nearly in
    # the plane show no terraces, and as a pixel, so that no edge is jagged.
    head = _Head(np.random.default_rng(seed), hematoma_ml, max(_STEP, pixel_spacing))
    rows, columns = (slice(*np.searchsorted(in_plane, (-r, r))) for r in _HALF_SIZE)
    hu = np.full((count, matrix, matrix), AIR, dtype=np.int16)
    fraction = np.zeros(hu.shape, dtype=np.float32)
    for index, level in enumerate(levels):
        image = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        blood = fraction[index, rows, columns]
        for z in level + inside:
            cut = head.cut(_Plane(in_plane[columns], in_plane[rows], np.float32(z)))
            image += cut[0] / parts
            blood += cut[1] / parts
        noise = _noise(np.random.default_rng((seed, index)), image.shape)
        image += noise_hu * np.clip((image - AIR) / -AIR, 0, 1) * noise
        hu[index, rows, columns] = np.rint(image)
        if progress:
            progress(index + 1, count)
    corner = float(in_plane[0])
    volume = Volume.from_grid(
        hu=hu,
        origin=(corner, corner, float(levels[0])),
        spacing=(pixel_spacing, pixel_spacing, slice_spacing),
        direction=np.eye(3),
    )
    return Phantom(volume, hematoma_ml, fraction)


def sample_head(
    matrix: int = 512,
    slice_spacing: float = 5.0,
    progress: Callable[[int, int], None] | None = None,
) -> Volume:
    """The whole head, in as many pixels as asked for, with a hematoma of 30 ml.

    Args:
        matrix: as of `head_phantom`.
        slice_spacing: mm.
        progress: as of `head_phantom`.
    """
    return head_phantom(
        matrix=matrix,
        pixel_spacing=0.47 * 512 / matrix,
        slice_spacing=slice_spacing,
        progress=progress,
    ).volume
