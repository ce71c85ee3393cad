"""What a radiologist measures with a ruler: diameters, ABC/2 and ABC/3."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

from SliceInterpLib.volume import Volume


class Diameters(NamedTuple):
    """Lengths in mm after Kothari et al. 1996 (Stroke 27:1304)."""

    a: float
    """The largest diameter on the slice with the largest area."""
    b: float
    """The largest diameter at right angles to A on that slice."""
    c: float
    """Sum of what slices stand for along their normal; a slice counts 1 if its area is at least
    75 % of the largest, ½ from 25 % on, and 0 below."""

    @property
    def abc2_ml(self) -> float:
        """Volume of an ellipsoid with these axes, π/6 ≈ ½ (Kothari et al. 1996), in ml."""
        return self.a * self.b * self.c / 2000.0

    @property
    def abc3_ml(self) -> float:
        """The same for irregular and multilobed hematomas (Huttner et al. 2006, Stroke 37:404)."""
        return self.a * self.b * self.c / 3000.0


def kothari_diameters(volume: Volume, mask: np.ndarray) -> Diameters:
    """A, B and C of a hematoma.

    Args:
        volume: the scan, for its geometry.
        mask: bool, shaped as `volume.slices`; not empty.
    """
    areas = np.count_nonzero(mask, axis=(1, 2))
    largest = areas.max()
    corners = _corners(mask[int(areas.argmax())]) * volume.pixel_spacing
    one, other, a = _farthest(corners[ConvexHull(corners).vertices])
    # Parallel to B, the shape is cut into strips one pixel wide.
    along = (other - one) / a
    across = np.array([-along[1], along[0]])
    strip = np.floor((corners @ along) / max(volume.pixel_spacing)).astype(int)
    strip -= strip.min()
    heights = corners @ across
    highest, lowest = np.full((2, strip.max() + 1), -np.inf)
    np.maximum.at(highest, strip, heights)
    np.maximum.at(lowest, strip, -heights)
    b = float((highest + lowest).max())
    counted = np.select([areas >= 0.75 * largest, areas >= 0.25 * largest], [1.0, 0.5])
    c = float(counted @ volume.slab_mm)
    return Diameters(a, b, c)


def largest_diameter_mm(volume: Volume, mask: np.ndarray) -> float:
    """The largest distance of two points of a mask, in any direction.

    Args:
        volume: the scan, for its geometry.
        mask: bool, shaped as `volume.slices`; not empty. Its slices count as planes.

    Returns:
        mm.
    """
    outline = []
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        corners = _corners(mask[index])
        hull = corners[ConvexHull(corners).vertices]
        outline.append(volume.places(np.insert(hull, 0, index, axis=1)))
    return _farthest(np.concatenate(outline))[2]


def _corners(plane: np.ndarray) -> np.ndarray:
    """(n, 2) fractional row and column of the corners of all pixels of a slice."""
    rows, columns = np.nonzero(plane)
    corners = [(rows + i, columns + j) for i in (-0.5, 0.5) for j in (-0.5, 0.5)]
    return np.unique(np.concatenate([np.stack(c, 1) for c in corners]), axis=0)


def _farthest(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The two points with the largest distance, and that distance."""
    distances = squareform(pdist(points))
    one, other = np.unravel_index(int(distances.argmax()), distances.shape)
    return points[one], points[other], float(distances[one, other])
