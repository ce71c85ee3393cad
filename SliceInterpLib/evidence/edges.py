"""How sharp and how smooth a border is, met along rays from a point inside it.

The skull around the brain and the border of a hematoma are closed curves that rays from their
middle meet once, so one tool measures both: where each ray meets the border (its roughness), and
the mean of the profiles across it (its width).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

AROUND = np.linspace(0.0, 2.0 * np.pi, 360, endpoint=False)
"""Angles of rays all around, one degree apart: about a millimetre at the skull."""

_BELOW_BONE = 0.9
"""The skull is met at this part of the HU of bone, which interpolated values of a scan that is
saturated there seldom reach."""

_OPEN = 0.1
"""A skull that more of the rays leave without meeting is not closed."""

_BLOOD_HU = 50.0
"""Halfway between brain and a fresh hematoma."""

_LEAST_BLOOD_MM2 = 100.0
_BLOOD_DEPTH_MM = 6.0
"""Nearer to the skull, partial volume of bone looks like blood."""

_BLOOD_SMOOTHING_MM = 1.0
_BLOOD_RAYS = 5
"""Rays over which a border's distance is smoothed by a median."""

_STEP_MM = 0.1
_REACH_STEPS = 60
"""Profiles reach this far to both sides of the border."""

_FOOT_MM = 3.0
"""What is farther inside is the inner plateau; the outer one is the extreme within as much."""


def inner_table_width(
    hu: np.ndarray, spacing: tuple[float, float], inside: np.ndarray, bone: float
) -> float | None:
    """10–90 % edge width of the skull's inner table.

    Args:
        hu: (h, w), a slice.
        spacing: mm between rows and between columns.
        inside: (h, w) bool, the intracranial space.
        bone: HU from which on a voxel is bone.

    Returns:
        mm; None where the skull does not close around the space.
    """
    if not inside.any():
        return None
    centre = ndimage.center_of_mass(inside)
    radii = border_radii(hu, spacing, centre, _BELOW_BONE * bone, angles=AROUND)
    if np.isnan(radii).mean() > _OPEN:
        return None
    return edge_width(hu, spacing, centre, radii, angles=AROUND)


def hematoma_width(hu: np.ndarray, spacing: tuple[float, float], depth: np.ndarray) -> float | None:
    """10–90 % edge width of the border of the largest hematoma.

    A hematoma is what is dense over at least 1 cm², 6 mm deep or more; its border is met where HU
    fall through the middle between blood and brain.

    Args:
        hu: (h, w), a slice.
        spacing: mm between rows and between columns.
        depth: (h, w) mm, how deep in the intracranial space.

    Returns:
        mm; None without a hematoma.
    """
    pixel = float(np.mean(spacing))
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), _BLOOD_SMOOTHING_MM / pixel)
    labels, count = ndimage.label((depth > _BLOOD_DEPTH_MM) & (smooth > _BLOOD_HU))
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    if sizes.max() * spacing[0] * spacing[1] < _LEAST_BLOOD_MM2:
        return None
    blood = labels == 1 + sizes.argmax()
    centre = ndimage.center_of_mass(blood)
    if not blood[round(centre[0]), round(centre[1])]:
        return None  # a crescent, which rays from its middle do not meet once
    lightly = ndimage.gaussian_filter(hu.astype(np.float32), 0.5 * _BLOOD_SMOOTHING_MM / pixel)
    radii = border_radii(lightly, spacing, centre, _BLOOD_HU, angles=AROUND, rising=False)
    radii = ndimage.median_filter(radii, _BLOOD_RAYS, mode="wrap")
    return edge_width(hu, spacing, centre, radii, angles=AROUND)


def border_radii(
    hu: np.ndarray,
    spacing: tuple[float, float],
    centre: tuple[float, float],
    level: float,
    *,
    angles: np.ndarray,
    rising: bool = True,
) -> np.ndarray:
    """Where rays from a centre first cross a level.

    Linear interpolation between pixels and along the ray.

    Args:
        hu: (h, w), a slice.
        spacing: mm between rows and between columns.
        centre: row and column.
        level: HU.
        angles: (n,) radians from the column axis towards the row axis.
        rising: the border is brighter outside.

    Returns:
        (n,) distances from the centre in mm; NaN where a ray crosses the level nowhere.
    """
    reach = [max(c, n - 1 - c) * s for c, n, s in zip(centre, hu.shape, spacing, strict=True)]
    distances = np.arange(0.0, np.hypot(*reach), min(spacing) / 2.0)
    values = _along_rays(hu, spacing, centre, angles, distances[None, :])
    beyond = values >= level if rising else values <= level
    beyond[:, 0] = False
    first = beyond.argmax(axis=1)
    rows = np.arange(len(angles))
    before, after = values[rows, first - 1], values[rows, first]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = (level - before) / (after - before)
    radii = distances[first - 1] + part * (distances[1] - distances[0])
    return np.where(beyond.any(axis=1) & np.isfinite(part), radii, np.nan)


def edge_width(
    hu: np.ndarray,
    spacing: tuple[float, float],
    centre: tuple[float, float],
    radii: np.ndarray,
    *,
    angles: np.ndarray,
) -> float | None:
    """The width in which the mean profile across a border rises from 10 to 90 % of its step.

    The profiles are averaged where they meet the border, so that noise averages out and does not
    count as sharpness; the plateaus are the median HU 3…6 mm inside and the extreme within 3 mm
    outside. In a scan that is saturated within the step the width is that of the part which can be
    seen, and compares with scans that are saturated alike.

    Args:
        hu: (h, w), a slice.
        spacing: mm between rows and between columns.
        centre: row and column.
        radii: (n,) mm, of the border by ray, as of `border_radii`.
        angles: (n,) of the rays, as `border_radii` takes them.

    Returns:
        mm; None where no ray meets the border or the profile has no step.
    """
    met = np.isfinite(radii)
    if not met.any():
        return None
    offsets = _STEP_MM * np.arange(-_REACH_STEPS, _REACH_STEPS + 1)
    distances = np.maximum(radii[met, None] + offsets, 0.0)
    profile = _along_rays(hu, spacing, centre, angles[met], distances).mean(axis=0)
    inside = float(np.median(profile[offsets < -_FOOT_MM]))
    near = profile[(offsets >= 0.0) & (offsets <= _FOOT_MM)]
    outside = float(near[np.abs(near - inside).argmax()])
    if outside == inside:
        return None
    risen = (profile - inside) / (outside - inside)
    middle = len(offsets) // 2
    inner = _first_at_least(1.0 - risen[middle::-1], 0.9)
    outer = _first_at_least(risen[middle:], 0.9)
    return None if inner is None or outer is None else (inner + outer) * _STEP_MM


def roughness(radii: np.ndarray, *, angles: np.ndarray, smoothing_mm: float) -> float:
    """Root mean square distance of a border from itself smoothed along its length.

    The smooth border is the Gaussian mean of those radii that are known; fans that are not closed
    are continued by reflection.

    Args:
        radii: (n,) mm, of the border along a fan of evenly spaced rays.
        angles: (n,) of the rays, radians.
        smoothing_mm: standard deviation of the Gaussian along the border.

    Returns:
        mm.
    """
    known = np.isfinite(radii)
    filled = np.where(known, radii, 0.0)
    pixels = smoothing_mm / (float(np.median(radii[known])) * float(angles[1] - angles[0]))
    weight = ndimage.gaussian_filter1d(known.astype(float), pixels)
    smooth = ndimage.gaussian_filter1d(filled, pixels) / np.maximum(weight, 1e-9)
    return float(np.sqrt(np.mean((radii - smooth)[known] ** 2)))


def _along_rays(
    hu: np.ndarray,
    spacing: tuple[float, float],
    centre: tuple[float, float],
    angles: np.ndarray,
    distances: np.ndarray,
) -> np.ndarray:
    """(rays, samples) HU at `distances` (1 or rays, samples) in mm from the centre."""
    rows = centre[0] + np.sin(angles)[:, None] * distances / spacing[0]
    columns = centre[1] + np.cos(angles)[:, None] * distances / spacing[1]
    image = np.asarray(hu, np.float32)
    return ndimage.map_coordinates(image, [rows, columns], order=1, mode="nearest")


def _first_at_least(curve: np.ndarray, level: float) -> float | None:
    """The place, as a fractional index, at which a curve first reaches `level`."""
    i = int((curve >= level).argmax())
    if curve[i] < level:
        return None
    return i - float((curve[i] - level) / (curve[i] - curve[i - 1])) if i else 0.0
