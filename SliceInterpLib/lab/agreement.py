"""How well a mask agrees with the true one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from SliceInterpLib.volumetry.mask import bounds


class Agreement(NamedTuple):
    """Of a mask with the truth, on one grid; the distances are None where either is empty."""

    dice: float
    surface_mm: float | None
    """Mean distance of each voxel at the border of either to the border of the other."""
    hd95_mm: float | None
    """The larger of the two 95th percentiles of these distances, one from each side."""
    ends_mm: float | None
    """Mean distance, at both ends of the first axis, of where the mask and the truth end."""


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Twice what two masks share over their sum (Dice 1945, Ecology 26:297); 1 for empty ones."""
    total = np.count_nonzero(found) + np.count_nonzero(truth)
    return 2.0 * np.count_nonzero(found & truth) / total if total else 1.0


def agreement(
    found: np.ndarray, truth: np.ndarray, places: Callable[[np.ndarray], np.ndarray]
) -> Agreement:
    """Compare a mask with the truth.

    Args:
        found: bool (slice, row, column).
        truth: the same grid's.
        places: where (m, 3) voxels lie, (m, 3) mm, as `Volume.places`.
    """
    if not (found.any() and truth.any()):
        return Agreement(dice(found, truth), None, None, None)
    box = bounds(found | truth, (1, 1, 1))
    corner = [side.start for side in box]
    ours, true = (places(_border(mask[box]) + corner) for mask in (found, truth))
    apart = [KDTree(true).query(ours)[0], KDTree(ours).query(true)[0]]
    return Agreement(
        dice(found, truth),
        float(np.concatenate(apart).mean()),
        float(max(np.percentile(one, 95) for one in apart)),
        float(np.linalg.norm(places(_ends(found)) - places(_ends(truth)), axis=1).mean()),
    )


def _border(mask: np.ndarray) -> np.ndarray:
    """(m, 3) voxels with a neighbour outside."""
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def _ends(mask: np.ndarray) -> np.ndarray:
    """(2, 3) of the first and of the last slice that shows the mask, the first voxel."""
    shown = np.flatnonzero(mask.any(axis=(1, 2)))[[0, -1]]
    return np.column_stack([shown, np.zeros((2, 2), int)])
