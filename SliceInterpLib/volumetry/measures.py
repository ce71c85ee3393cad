"""What a hematoma measures, each number with its definition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SliceInterpLib.padding import without_padding
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry import morphology
from SliceInterpLib.volumetry.diameters import kothari_diameters, largest_diameter_mm
from SliceInterpLib.volumetry.intracranial import AIR_HU, bone_hu
from SliceInterpLib.volumetry.mask import (
    RIM_MM,
    SegmentationError,
    bounds,
    check_shape,
    voxel_ml,
)
from SliceInterpLib.volumetry.surface import closed_surface

_AROUND_MM = 6.0
"""Brain is what lies between RIM_MM and this from the outline."""

_MIDLINE_MM = 5.0
"""A centroid closer than this to the middle of the head is on neither side."""


@dataclass(frozen=True)
class Measurement:
    """One hematoma on one grid; volumes in ml, lengths in mm."""

    voxel_ml: float
    """Sum of its voxels."""
    planimetric_ml: float
    """Areas over the slices' positions by the trapezium rule: it ends in the middle of its
    outermost slices, so that these count half. A single slice counts whole."""
    surface_ml: float
    """Inside the closed surface, smoothed as in Slicer."""
    partial_volume_ml: float
    """Rim voxels weighted by where they lie between brain's and blood's HU."""
    abc2_ml: float
    abc3_ml: float
    """ABC/2 and ABC/3, measured automatically."""
    a_mm: float
    b_mm: float
    c_mm: float
    largest_diameter_mm: float
    surface_mm2: float
    hu_mean: float
    hu_std: float
    centroid_ras: tuple[float, float, float]
    side: str | None
    """left, right or midline of the patient; None where the intracranial space is unknown."""
    slices: int
    """Number of slices that show it."""


def measure(volume: Volume, mask: np.ndarray, space: np.ndarray | None = None) -> Measurement:
    """Measure a hematoma on one grid.

    The mask may be anybody's: of `Segmenter`, of Slicer's Segment Editor, of a label file.

    Args:
        volume: the scan.
        mask: bool, shaped as `volume.slices`.
        space: the intracranial space, shaped so too; None: the side stays unknown.

    Raises:
        SegmentationError: for an empty mask, one of another shape, and without VTK.
    """
    mask = np.asarray(mask, bool)
    check_shape(volume, mask)
    if not mask.any():
        raise SegmentationError(
            "The segmentation is empty: 0 ml. Choose another, or segment the hematoma first."
        )
    volume = without_padding(volume)
    surface = closed_surface(volume, mask)
    ruler = kothari_diameters(volume, mask)
    blood = volume.slices[mask].astype(np.float64)
    left, back, up = _centroid(volume, mask).tolist()
    return Measurement(
        voxel_ml=voxel_ml(volume, mask),
        planimetric_ml=_planimetric_ml(volume, mask),
        surface_ml=surface.ml,
        partial_volume_ml=partial_volume_ml(volume, mask),
        abc2_ml=ruler.abc2_ml,
        abc3_ml=ruler.abc3_ml,
        a_mm=ruler.a,
        b_mm=ruler.b,
        c_mm=ruler.c,
        largest_diameter_mm=largest_diameter_mm(volume, mask),
        surface_mm2=surface.mm2,
        hu_mean=float(blood.mean()),
        hu_std=float(blood.std()),
        centroid_ras=(-left, -back, up),
        side=None if space is None else _side(left - _centroid(volume, space)[0]),
        slices=int(np.count_nonzero(mask.any(axis=(1, 2)))),
    )


def partial_volume_ml(volume: Volume, mask: np.ndarray) -> float:
    """Volume with each voxel of the rim counted for the part of it that is blood.

    A mixed voxel's HU is the mean of its tissues, weighted by their parts (Santago & Gage 1993,
    IEEE TMI 12:566), so that the part is (HU − brain) / (blood − brain), limited to 0…1. Blood is
    the median HU deeper than RIM_MM in the mask (or of all of it, if it is thin), brain that of
    tissue 2–6 mm around it, both within the slices. The rim is RIM_MM to both sides of the outline
    within a slice, and in the slices before the first and after the last what lies on these.
    Bone and air do not count.

    Args:
        volume: the scan.
        mask: bool, shaped as `volume.slices`; not empty.

    Returns:
        ml.
    """
    pixel = volume.pixel_spacing
    margin = (1, *(int(_AROUND_MM / size) + 1 for size in pixel))
    box = bounds(mask, margin)
    inside, hu = mask[box], volume.slices[box].astype(np.float64)
    beside = inside.copy()
    beside[1:] |= inside[:-1]
    beside[:-1] |= inside[1:]
    tissue = (hu > AIR_HU) & (hu < bone_hu(volume))
    deep = morphology.eroded(inside, pixel, RIM_MM)
    near = morphology.dilated(beside, pixel, RIM_MM)
    around = morphology.dilated(beside, pixel, _AROUND_MM) & ~near & tissue
    blood = float(np.median(hu[deep if deep.any() else inside]))
    brain = float(np.median(hu[around])) if around.any() else 0.0
    if blood <= brain:
        return voxel_ml(volume, mask)  # no contrast, so that nothing can be weighted by it
    part = np.clip((hu - brain) / (blood - brain), 0.0, 1.0)
    rim = near & ~deep & tissue
    voxels = np.where(rim, part, deep).sum(axis=(1, 2))
    return float(voxels @ volume.voxel_mm3[box[0]]) / 1000.0


def _planimetric_ml(volume: Volume, mask: np.ndarray) -> float:
    areas = np.count_nonzero(mask, axis=(1, 2)) * float(np.prod(volume.pixel_spacing))
    shown = np.flatnonzero(areas)
    if len(shown) == 1:
        return float(areas @ volume.slab_mm) / 1000.0
    part = slice(shown[0], shown[-1] + 1)
    means = 0.5 * (areas[part][1:] + areas[part][:-1])
    return float(means @ np.diff(volume.positions[part])) / 1000.0


def _centroid(volume: Volume, mask: np.ndarray) -> np.ndarray:
    """The centre of gravity of a mask in mm, LPS."""
    counts = np.count_nonzero(mask, axis=(1, 2))
    shown = np.flatnonzero(counts)
    rows, columns = (
        np.count_nonzero(mask[shown], axis=across) @ np.arange(mask.shape[3 - across])
        for across in (2, 1)
    )
    middle = np.divide([rows, columns], counts[shown])
    places = volume.places(np.column_stack([_slab_middles(volume)[shown], *middle]))
    return np.average(places, axis=0, weights=(counts * volume.slab_mm)[shown])


def _slab_middles(volume: Volume) -> np.ndarray:
    """(n,) fractional slice numbers of the middle of what each slice stands for.

    Where the gaps beside a slice differ, that is not the slice itself.
    """
    numbers = np.arange(volume.slice_count, dtype=float)
    if volume.slice_count == 1:
        return numbers
    around = np.pad(volume.gaps, 1, mode="edge")
    before, after = around[:-1], around[1:]
    shift = 0.25 * (after - before)
    return numbers + shift / np.where(shift > 0, after, before)


def _side(left_of_middle_mm: float) -> str:
    if abs(left_of_middle_mm) < _MIDLINE_MM:
        return "midline"
    return "left" if left_of_middle_mm > 0 else "right"
