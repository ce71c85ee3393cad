"""The anatomy of the phantom: HU of the tissues, and the head's parts as ellipsoids.

Places are millimetres in LPS, as phantom.py says. The distance to an ellipsoid is the
first-order bound k0 (k0 - 1) / k1 of I. Quilez (iquilezles.org/articles/ellipsoids).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

AIR, FAT, CSF, EDEMA, WHITE, GREY, MUSCLE, DURA, BLOOD = -1000, -80, 8, 20, 29, 38, 50, 60, 70
TABLE, DIPLOE, BONE = 1400, 750, 1000
"""HU of the tissues; the skull has two dense tables with the lighter diploe between them."""


def norm(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Length of the vectors (x, y, z)."""
    return np.sqrt(x * x + y * y + z * z)


@dataclass(frozen=True)
class Part:
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
        size: np.ndarray | float = 1.0
        if self.end is not None:
            sx, sy, sz = (e - c for e, c in zip(self.end, self.centre, strict=True))
            along = (x * sx + y * sy + z * sz) / (sx * sx + sy * sy + sz * sz)
            along = np.clip(along, 0, 1)
            x, y, z = x - along * sx, y - along * sy, z - along * sz
            size = 1 + (self.taper - 1) * along
        rx, ry, rz = (r * size for r in self.radii)
        x, y, z = x / rx, y / ry, z / rz
        k0 = norm(x, y, z)
        return k0 * (k0 - 1) / (norm(x / rx, y / ry, z / rz) + 1e-6)

    def box(self, margin: float) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest (x, y, z) in mm of the part, with a margin around it."""
        ends = np.array([self.centre, self.end or self.centre])
        reach = np.array(self.radii) * max(1.0, self.taper) + margin
        return ends.min(axis=0) - reach, ends.max(axis=0) + reach


def both_sides(*parts: Part) -> tuple[Part, ...]:
    """The parts, each paired one followed by its mirror image."""
    every = []
    for part in parts:
        every.append(part)
        if part.paired:
            end = None if part.end is None else _mirrored(part.end)
            every.append(replace(part, centre=_mirrored(part.centre), end=end))
    return tuple(every)


def _mirrored(place: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = place
    return -x, y, z


CRANIUM = Part(CSF, (0, 0, 0), (62, 79, 63.5))
FOSSAE = both_sides(
    Part(CSF, (37, -24, -36), (20, 24, 19), paired=True),
    Part(CSF, (0, 38, -42), (48, 40, 25)),
    Part(CSF, (0, 20, -60), (13, 15, 8), end=(0, 30, -110)),
)
FACE = (
    Part(MUSCLE, (0, -40, -56), (67, 50, 30), end=(0, -40, -110)),
    Part(MUSCLE, (0, 30, -50), (60, 50, 28), end=(0, 38, -110), taper=0.9),
    Part(MUSCLE, (0, -86, -52), (9, 9, 9), end=(0, -98, -76), taper=1.2),
)
CALLOSUM = Part(WHITE, (0, 2, 2), (1e3, 46, 30))

# Painted in this order, each over what is there: cisterns and hindbrain, nuclei, ventricles.
BRAIN_PARTS = both_sides(
    Part(DURA, (0, 44, -44), (58, 40, 31)),
    Part(CSF, (0, 44, -44), (57, 39, 30)),
    Part(36, (0, 44, -44.5), (55, 38, 29.2)),
    Part(CSF, (0, 80, -52), (4, 8, 14)),
    Part(CSF, (0, 9, -28), (19, 17, 9)),
    Part(CSF, (0, -13, -31), (12, 8, 7)),
    Part(CSF, (0, 2, -48), (20, 14, 12)),
    Part(32, (0, 8, -22), (16, 13, 12)),
    Part(32, (0, 10, -40), (16, 14, 14)),
    Part(32, (0, 14, -50), (9, 8, 8), end=(0, 25, -110), taper=0.8),
    Part(GREY, (41, -18, -12), (5, 9, 9), end=(42, 14, 4), paired=True),
    Part(GREY, (44, -16, -14), (9, 5, 6), end=(62, -4, -6), paired=True),
    Part(CSF, (41, -18, -12), (1.2, 6, 6), end=(42, 12, 4), paired=True),
    Part(CSF, (44, -16, -14), (8, 1.3, 4), end=(62, -4, -6), paired=True),
    Part(GREY, (11, 8, 0), (8, 14, 9), paired=True),
    Part(GREY, (25, -4, -2), (7, 17, 9), paired=True),
    Part(GREY, (14, -21, 6), (5, 9, 8), end=(16, 2, 18), taper=0.5, paired=True),
    Part(CSF, (4, -10, 9), (2.6, 5, 5), end=(9, -31, 4), taper=1.4, paired=True),
    Part(CSF, (4, -10, 11), (2.8, 5, 4.5), end=(9, 14, 14), taper=1.4, paired=True),
    Part(CSF, (9, 14, 14), (3.6, 5, 5), end=(22, 34, 6), taper=1.2, paired=True),
    Part(CSF, (22, 34, 5), (4, 5, 6), end=(17, 52, 2), taper=0.4, paired=True),
    Part(CSF, (23, 32, 4), (3, 3, 3), end=(31, 2, -24), taper=0.7, paired=True),
    Part(CSF, (0, -8, -12), (1.6, 4, 6), end=(0, 10, -8)),
    Part(CSF, (0, 25, -18), (10, 3, 4)),
    Part(CSF, (0, 27, -42), (5, 4, 8)),
    Part(150, (21, 32, 5), (1.5, 4, 2), paired=True),
    Part(180, (0, 20, -8), (2, 2, 2)),
)

# The base of the skull, the orbits and the air spaces.
BASE_PARTS = both_sides(
    Part(BONE, (14, 0, -46), (7, 8, 8), end=(50, 20, -48), taper=1.5, paired=True),
    Part(BONE, (0, -32, -44), (17, 15, 11)),
    Part(BONE, (0, -14, -46), (13, 4, 8), end=(0, 2, -68)),
    Part(BONE, (31, -62, -42), (19, 15, 19), end=(15, -28, -42), taper=0.35, paired=True),
    Part(BONE, (0, -78, -24), (24, 9, 10)),
    Part(BONE, (26, -56, -76), (18, 22, 16), paired=True),
    Part(BONE, (52, -62, -60), (3, 3, 3.5), end=(61, -16, -58), paired=True),
    Part(BONE, (49, -12, -64), (4, 8, 8), end=(46, -14, -110), paired=True),
    Part(BONE, (19, 18, -76), (8, 10, 7), paired=True),
    Part(FAT, (31, -63, -42), (17, 15, 17), end=(16, -30, -42), taper=0.3, paired=True),
    Part(MUSCLE, (18, -36, -42), (2.2, 2.2, 2.2), end=(30, -62, -42), paired=True),
    Part(MUSCLE, (16, -36, -42), (1.6, 2, 4), end=(19, -62, -42), paired=True),
    Part(MUSCLE, (20, -36, -42), (1.6, 2, 4), end=(43, -62, -42), paired=True),
    Part(MUSCLE, (31, -68, -42), (13, 13, 13), paired=True),
    Part(12, (31, -68, -42), (11.8, 11.8, 11.8), paired=True),
    Part(90, (31, -77, -42), (4.5, 2, 4.5), paired=True),
    Part(AIR, (8, -80, -23), (8, 4, 7), paired=True),
    Part(AIR, (0, -32, -44), (14, 11, 8)),
    Part(AIR, (5, -58, -46), (4.3, 18, 14), paired=True),
    Part(AIR, (5, -60, -74), (4, 26, 13), paired=True),
    Part(AIR, (27, -56, -76), (14, 19, 14), paired=True),
    Part(AIR, (40, 8, -47), (3, 3, 3), end=(80, 8, -48), paired=True),
    Part(AIR, (52, 22, -48), (4, 8, 9), paired=True),
)
