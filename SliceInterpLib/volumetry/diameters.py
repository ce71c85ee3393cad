"""What a radiologist measures with a ruler: diameters, ABC/2 and ABC/3."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.mask import in_slices


class Diameters(NamedTuple):
    """Lengths in mm after Kothari et al. 1996 (Stroke 27:1304)."""

    a: float
    """The largest diameter on the slice with the largest area."""
    b: float
    """The largest diameter at right angles to A on that slice."""
    c: float
    """Slices × their distance; a slice counts 1 if its area is at least 75 % of the largest, ½
    from 25 % on, and 0 below."""

    @property
    def abc2_ml(self) -> float:
        """Volume of an ellipsoid with these axes, π/6 ≈ ½ (Kothari et al. 1996), in ml."""
        return self.a * self.b * self.c / 2000.0

    @property
    def abc3_ml(self) -> float:
        """The same for irregular and multilobed hematomas (Huttner et al. 2006, Stroke 37:404)."""
        return self.a * self.b * self.c / 3000.0


def kothari_diameters(volume: Volume, mask: np.ndarray) -> Diameters:
    """A, B and C of a mask that is shaped as `volume.hu` and not empty."""
    slices = in_slices(volume, mask)
    areas = np.count_nonzero(slices, axis=(1, 2))
    largest = areas.max()
    corners = _corners(slices[int(areas.argmax())], volume.pixel_spacing)
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
    c = volume.slice_spacing * float(
        np.select([areas >= 0.75 * largest, areas >= 0.25 * largest], [1.0, 0.5]).sum()
    )
    return Diameters(a, b, c)


def largest_diameter_mm(volume: Volume, mask: np.ndarray) -> float:
    """The largest distance in mm of two points of a mask, in any direction; slices as planes."""
    outline = []
    slices = in_slices(volume, mask)
    for index in np.flatnonzero(slices.any(axis=(1, 2))):
        corners = _corners(slices[index], volume.pixel_spacing)
        hull = corners[ConvexHull(corners).vertices]
        outline.append(np.insert(hull, 0, index * volume.slice_spacing, axis=1))
    return _farthest(np.concatenate(outline))[2]


def _corners(plane: np.ndarray, pixel: tuple[float, float]) -> np.ndarray:
    """(n, 2) row and column of the corners of all pixels of a slice, in mm."""
    rows, columns = np.nonzero(plane)
    corners = [(rows + i, columns + j) for i in (0, 1) for j in (0, 1)]
    return np.unique(np.concatenate([np.stack(c, 1) for c in corners]), axis=0) * pixel


def _farthest(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The two points with the largest distance, and that distance."""
    distances = squareform(pdist(points))
    one, other = np.unravel_index(int(distances.argmax()), distances.shape)
    return points[one], points[other], float(distances[one, other])
