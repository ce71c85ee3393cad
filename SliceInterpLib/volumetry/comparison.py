"""One hematoma before and after: measured on the acquired slices and on doubled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.carrying import carried_over, carried_space
from SliceInterpLib.volumetry.intracranial import intracranial_mask
from SliceInterpLib.volumetry.measures import Measurement, measure
from SliceInterpLib.volumetry.segmentation import DEFAULTS, Segmenter, Settings

ACQUIRED = "acquired"
SEGMENTED, GIVEN, CARRIED = "segmented", "given", "carried over"
"""How a mask came about: by the same rule on this very grid, by the user, or from the acquired
grid by its shape (`carried_over`)."""


@dataclass(frozen=True, eq=False)
class Compared:
    """One row: a grid, how its mask came about, and what it measures."""

    grid: str
    """ACQUIRED, or the method and "×2"."""
    mask_is: str
    """SEGMENTED, GIVEN or CARRIED."""
    mask: np.ndarray
    """bool, shaped as the grid's `slices`."""
    measured: Measurement
    limits_hu: tuple[float, float] | None
    """The threshold range, where it was segmented."""
    warnings: tuple[str, ...] = ()


def compare(
    volume: Volume,
    methods: Sequence[Interpolator],
    *,
    mask: np.ndarray | None = None,
    seeds: Sequence[Sequence[float]] | None = None,
    settings: Settings = DEFAULTS,
) -> list[Compared]:
    """Measure a hematoma on the acquired slices and on those of each method, ×2.

    With a `mask` (bool, shaped as `volume.slices`), that is carried over by its shape: the volumes
    then differ by how its ends are rounded and by nothing that the new slices show. Without one,
    each grid is segmented anew by the same rule, from `seeds` (mm, LPS) or in the whole
    intracranial space, and has a second row with the acquired grid's mask carried over. Raises
    SegmentationError and VolumeError as `Segmenter`, `measure` and `upsample` do.
    """
    space: np.ndarray | None
    if mask is None:
        segmenter = Segmenter(volume)
        space, rows = segmenter.space, [segmented(ACQUIRED, segmenter, seeds, settings)]
        mask = rows[0].mask
    else:
        space = _space_if_any(volume)
        rows = [Compared(ACQUIRED, GIVEN, mask, measure(volume, mask, space), None)]
    for method in methods:
        doubled = upsample(volume, method)
        grid, inside = f"{method.name} ×2", carried_space(volume, space, doubled)
        if rows[0].mask_is == SEGMENTED:
            rows.append(segmented(grid, Segmenter(doubled, space=inside), seeds, settings))
        carried = carried_over(volume, mask, doubled)
        rows.append(Compared(grid, CARRIED, carried, measure(doubled, carried, inside), None))
    return rows


def segmented(
    grid: str,
    segmenter: Segmenter,
    seeds: Sequence[Sequence[float]] | None,
    settings: Settings,
) -> Compared:
    """The row of a grid that is segmented by itself."""
    found = segmenter.segment(seeds, settings)
    measured = measure(segmenter.volume, found.mask, segmenter.space)
    return Compared(grid, SEGMENTED, found.mask, measured, found.limits_hu, found.warnings)


def _space_if_any(volume: Volume) -> np.ndarray | None:
    """A mask of one's own needs no skull; without one, the side stays unknown."""
    try:
        return intracranial_mask(volume)
    except VolumeError:
        return None


def comparison_table(rows: Sequence[Compared]) -> str:
    """The rows as a Markdown table, with the difference of the voxel volume to the first."""
    titles = (
        "grid",
        "mask",
        "voxels ml",
        "difference ml",
        "planimetry ml",
        "surface ml",
        "partial volume ml",
        "ABC/2 ml",
        "ABC/3 ml",
        "A × B × C mm",
        "diameter mm",
        "surface mm²",
        "HU",
    )
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for row in rows:
        one = row.measured
        change = one.voxel_ml - rows[0].measured.voxel_ml
        cells = (
            row.grid,
            row.mask_is,
            f"{one.voxel_ml:.1f}",
            "–" if row is rows[0] else f"{change:+.1f}",
            f"{one.planimetric_ml:.1f}",
            f"{one.surface_ml:.1f}",
            f"{one.partial_volume_ml:.1f}",
            f"{one.abc2_ml:.1f}",
            f"{one.abc3_ml:.1f}",
            f"{one.a_mm:.0f} × {one.b_mm:.0f} × {one.c_mm:.0f}",
            f"{one.largest_diameter_mm:.0f}",
            f"{one.surface_mm2:.0f}",
            f"{one.hu_mean:.0f} ± {one.hu_std:.0f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
