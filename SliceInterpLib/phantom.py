"""A head CT drawn from formulas, with a hematoma of known volume.

It is the demo's input and the ground truth of tests. Every tissue is a formula of the place in
the head, so that slices of any spacing and thickness show one and the same head: thin slices
are the truth behind thick ones.

Places are millimetres in LPS: x to the left, y to the back, z up, with the origin in the middle
of the head. The skin of the vertex is near z = 76, the eyes are near z = -42.

The distance to an ellipsoid is the first-order bound k0 (k0 - 1) / k1, the smooth minimum the
quadratic one, both by I. Quilez (iquilezles.org/articles: ellipsoids, smin). The folds of the
cortex are the zeros of a sum of plane waves of similar length and random direction: a random
wave (M. V. Berry, J. Phys. A 10, 1977, 2083), whose zeros wind like sulci.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from SliceInterpLib.volume import Volume

AIR, FAT, CSF, EDEMA, WHITE, GREY, MUSCLE, DURA, BLOOD = -1000, -80, 8, 20, 29, 38, 50, 60, 70
TABLE, DIPLOE, BONE = 1400, 750, 1000
"""HU of the tissues; the skull has two dense tables with the lighter diploe between them."""

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
        return self._amplitude * _norm(*(self._k @ sines))


def _norm(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y + z * z)


def _smooth_min(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    h = np.maximum(1 - np.abs(a - b) / blend, 0)
    return np.minimum(a, b) - h * h * (blend / 4)


@dataclass(frozen=True)
class _Part:
    """An ellipsoid, or one swept from `centre` to `end` while its radii grow `taper` times.

    Lengths are in mm; a `paired` part is there on both sides of the head.
    """

    hu: float
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    end: tuple[float, float, float] | None = None
    taper: float = 1.0
    paired: bool = False

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Approximate distance in mm to the surface, negative inside."""
        x, y, z = (p - c for p, c in zip((x, y, z), self.centre, strict=True))
        size = 1.0
        if self.end is not None:
            sx, sy, sz = (e - c for e, c in zip(self.end, self.centre, strict=True))
            along = (x * sx + y * sy + z * sz) / (sx * sx + sy * sy + sz * sz)
            along = np.clip(along, 0, 1)
            x, y, z = x - along * sx, y - along * sy, z - along * sz
            size = 1 + (self.taper - 1) * along
        rx, ry, rz = (r * size for r in self.radii)
        x, y, z = x / rx, y / ry, z / rz
        k0 = _norm(x, y, z)
        return k0 * (k0 - 1) / (_norm(x / rx, y / ry, z / rz) + 1e-6)

    def box(self, margin: float) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest (x, y, z) in mm of the part, with a margin around it."""
        ends = np.array([self.centre, self.end or self.centre])
        reach = np.array(self.radii) * max(1.0, self.taper) + margin
        return ends.min(axis=0) - reach, ends.max(axis=0) + reach


def _both_sides(*parts: _Part) -> tuple[_Part, ...]:
    """The parts, each paired one followed by its mirror image."""
    every = []
    for part in parts:
        every.append(part)
        if part.paired:
            centre, end = (p and (-p[0], p[1], p[2]) for p in (part.centre, part.end))
            every.append(replace(part, centre=centre, end=end))
    return tuple(every)


_CRANIUM = _Part(CSF, (0, 0, 0), (62, 79, 63.5))
_FOSSAE = _both_sides(
    _Part(CSF, (37, -24, -36), (20, 24, 19), paired=True),
    _Part(CSF, (0, 38, -42), (48, 40, 25)),
    _Part(CSF, (0, 20, -60), (13, 15, 8), end=(0, 30, -110)),
)
_FACE = (
    _Part(MUSCLE, (0, -40, -56), (67, 50, 30), end=(0, -40, -110)),
    _Part(MUSCLE, (0, 30, -50), (60, 50, 28), end=(0, 38, -110), taper=0.9),
    _Part(MUSCLE, (0, -86, -52), (9, 9, 9), end=(0, -98, -76), taper=1.2),
)
_CALLOSUM = _Part(WHITE, (0, 2, 2), (1e3, 46, 30))

# Painted in this order, each over what is there: cisterns and hindbrain, nuclei, ventricles.
_BRAIN_PARTS = _both_sides(
    _Part(DURA, (0, 44, -44), (58, 40, 31)),
    _Part(CSF, (0, 44, -44), (57, 39, 30)),
    _Part(36, (0, 44, -44.5), (55, 38, 29.2)),
    _Part(CSF, (0, 80, -52), (4, 8, 14)),
    _Part(CSF, (0, 9, -28), (19, 17, 9)),
    _Part(CSF, (0, -13, -31), (12, 8, 7)),
    _Part(CSF, (0, 2, -48), (20, 14, 12)),
    _Part(32, (0, 8, -22), (16, 13, 12)),
    _Part(32, (0, 10, -40), (16, 14, 14)),
    _Part(32, (0, 14, -50), (9, 8, 8), end=(0, 25, -110), taper=0.8),
    _Part(GREY, (41, -18, -12), (5, 9, 9), end=(42, 14, 4), paired=True),
    _Part(GREY, (44, -16, -14), (9, 5, 6), end=(62, -4, -6), paired=True),
    _Part(CSF, (41, -18, -12), (1.2, 6, 6), end=(42, 12, 4), paired=True),
    _Part(CSF, (44, -16, -14), (8, 1.3, 4), end=(62, -4, -6), paired=True),
    _Part(GREY, (11, 8, 0), (8, 14, 9), paired=True),
    _Part(GREY, (25, -4, -2), (7, 17, 9), paired=True),
    _Part(GREY, (14, -21, 6), (5, 9, 8), end=(16, 2, 18), taper=0.5, paired=True),
    _Part(CSF, (4, -10, 9), (2.6, 5, 5), end=(9, -31, 4), taper=1.4, paired=True),
    _Part(CSF, (4, -10, 11), (2.8, 5, 4.5), end=(9, 14, 14), taper=1.4, paired=True),
    _Part(CSF, (9, 14, 14), (3.6, 5, 5), end=(22, 34, 6), taper=1.2, paired=True),
    _Part(CSF, (22, 34, 5), (4, 5, 6), end=(17, 52, 2), taper=0.4, paired=True),
    _Part(CSF, (23, 32, 4), (3, 3, 3), end=(31, 2, -24), taper=0.7, paired=True),
    _Part(CSF, (0, -8, -12), (1.6, 4, 6), end=(0, 10, -8)),
    _Part(CSF, (0, 25, -18), (10, 3, 4)),
    _Part(CSF, (0, 27, -42), (5, 4, 8)),
    _Part(150, (21, 32, 5), (1.5, 4, 2), paired=True),
    _Part(180, (0, 20, -8), (2, 2, 2)),
)

# The base of the skull, the orbits and the air spaces.
_BASE_PARTS = _both_sides(
    _Part(BONE, (14, 0, -46), (7, 8, 8), end=(50, 20, -48), taper=1.5, paired=True),
    _Part(BONE, (0, -32, -44), (17, 15, 11)),
    _Part(BONE, (0, -14, -46), (13, 4, 8), end=(0, 2, -68)),
    _Part(BONE, (31, -62, -42), (19, 15, 19), end=(15, -28, -42), taper=0.35, paired=True),
    _Part(BONE, (0, -78, -24), (24, 9, 10)),
    _Part(BONE, (26, -56, -76), (18, 22, 16), paired=True),
    _Part(BONE, (52, -62, -60), (3, 3, 3.5), end=(61, -16, -58), paired=True),
    _Part(BONE, (49, -12, -64), (4, 8, 8), end=(46, -14, -110), paired=True),
    _Part(BONE, (19, 18, -76), (8, 10, 7), paired=True),
    _Part(FAT, (31, -63, -42), (17, 15, 17), end=(16, -30, -42), taper=0.3, paired=True),
    _Part(MUSCLE, (18, -36, -42), (2.2, 2.2, 2.2), end=(30, -62, -42), paired=True),
    _Part(MUSCLE, (16, -36, -42), (1.6, 2, 4), end=(19, -62, -42), paired=True),
    _Part(MUSCLE, (20, -36, -42), (1.6, 2, 4), end=(43, -62, -42), paired=True),
    _Part(MUSCLE, (31, -68, -42), (13, 13, 13), paired=True),
    _Part(12, (31, -68, -42), (11.8, 11.8, 11.8), paired=True),
    _Part(90, (31, -77, -42), (4.5, 2, 4.5), paired=True),
    _Part(AIR, (8, -80, -23), (8, 4, 7), paired=True),
    _Part(AIR, (0, -32, -44), (14, 11, 8)),
    _Part(AIR, (5, -58, -46), (4.3, 18, 14), paired=True),
    _Part(AIR, (5, -60, -74), (4, 26, 13), paired=True),
    _Part(AIR, (27, -56, -76), (14, 19, 14), paired=True),
    _Part(AIR, (40, 8, -47), (3, 3, 3), end=(80, 8, -48), paired=True),
    _Part(AIR, (52, 22, -48), (4, 8, 9), paired=True),
)


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
        axes = zip((plane.x, plane.y[:, None], plane.z), self.CENTRE, self.STRETCH, strict=True)
        q = np.stack(np.broadcast_arrays(*((p - c) / s for p, c, s in axes))).reshape(3, -1)
        r = _norm(*q)
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
        grid = (plane.x[None, :], plane.y[:, None], plane.z)
        place = [p + 1.5 * waves.on(plane) for p, waves in zip(grid, self._warp, strict=True)]
        inner = self._cranial_cavity(*place)
        hu = self._shell(plane, inner, place)
        blood = np.zeros_like(hu)
        if inner.min() < self.edge:
            brain = self._brain(plane, inner, place)
            self._bleed(plane, brain, blood)
            _paint(hu, inner, brain, self.edge)
        self._paint_parts(plane, hu, _BASE_PARTS, place)
        return hu, blood

    def _cranial_cavity(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Distance to the inner table: an egg on a slanted base, with the fossae below it."""
        egg = _CRANIUM.distance(x * (1.02 - 0.0013 * y), y, z)
        base = -0.95 * (z + 47 + 0.28 * y)
        inner = -_smooth_min(-egg, -base, 12.0)
        for fossa in _FOSSAE:
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
        for part in _FACE:
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
        beyond = np.maximum(-_CALLOSUM.distance(np.zeros_like(x), y, z), 0)
        fissure = np.sqrt(x * x + beyond * beyond)
        sulcus = self._sulci(plane, place, depth, slow) - (0.85 + 0.3 * slow)

        brain = WHITE + 0.6 * self._mottle.on(plane)
        cortex = np.minimum(np.minimum(depth, fissure - 1.5), sulcus)
        _paint(brain, cortex - 3.2, GREY, 1.5)
        _paint(brain, sulcus, CSF, edge)
        _paint(brain, depth, CSF, edge)
        _paint(brain, fissure - 1.1 - 0.4 * slow, CSF, edge)
        _paint(brain, fissure - 0.6, DURA, edge)
        self._paint_parts(plane, brain, _BRAIN_PARTS, place)
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
        ray = np.stack([p[near] / r for p, r in zip(place, _CRANIUM.radii, strict=True)])
        length = _norm(*ray) + 1e-3
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
        self, plane: _Plane, hu: np.ndarray, parts: tuple[_Part, ...], place: list[np.ndarray]
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
) -> Phantom:
    """Scan the head that belongs to `seed`.

    Lengths are in mm. A slice is the mean of the head over `slice_thickness` (by default
    `slice_spacing`: slices that touch). `slices` slices lie centred around z = `z_offset_mm`;
    by default they fill 160 mm. The image has `matrix` x `matrix` pixels. `noise_hu` is the
    standard deviation of the noise in soft tissue and bone; it fades to none in air.
    `hematoma_ml` is 0 (none) to 80. HU are int16; the air is -1000.
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
    corner = float(in_plane[0])
    volume = Volume(
        hu=hu,
        origin=(corner, corner, float(levels[0])),
        spacing=(pixel_spacing, pixel_spacing, slice_spacing),
        direction=np.eye(3),
    )
    return Phantom(volume, hematoma_ml, fraction)
