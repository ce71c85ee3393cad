"""How well a mask agrees with the true one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from SliceInterpLib.volumetry.mask import bounds


class Agreement(NamedTuple):
    """Of a mask with the truth, on one lattice; the distances are None for an empty mask."""

    dice: float
    surface_mm: float | None
    """Mean distance of each voxel at the border of either to the border of the other."""
    ends_mm: float | None
    """Mean distance, at both ends of the first axis, of where the mask and the truth end."""


def agreement(found: np.ndarray, truth: np.ndarray, voxel_mm: float) -> Agreement:
    """Compare a mask with the truth.

    Args:
        found: bool (z, y, x), on a lattice of cubes.
        truth: on the same lattice.
        voxel_mm: edge of the cubes.
    """
    if not found.any():
        return Agreement(0.0, None, None)
    box = bounds(found | truth, (1, 1, 1))
    found, truth = found[box], truth[box]
    dice = (
        2.0 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth))
    )
    ours, true = (np.argwhere(mask & ~ndimage.binary_erosion(mask)) for mask in (found, truth))
    apart = np.concatenate([KDTree(true).query(ours)[0], KDTree(ours).query(true)[0]])
    (low, high), (true_low, true_high) = (
        np.flatnonzero(mask.any(axis=(1, 2)))[[0, -1]] for mask in (found, truth)
    )
    ends = (abs(low - true_low) + abs(high - true_high)) / 2.0
    return Agreement(float(dice), float(apart.mean()) * voxel_mm, float(ends) * voxel_mm)
