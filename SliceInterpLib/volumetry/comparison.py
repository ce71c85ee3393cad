"""One hematoma before and after: measured on the acquired slices and on doubled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import ndimage

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.table import Column, Table, Value
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.carrying import carried_over, carried_space
from SliceInterpLib.volumetry.intracranial import intracranial_mask
from SliceInterpLib.volumetry.mask import voxel_ml
from SliceInterpLib.volumetry.measures import Measurement, measure
from SliceInterpLib.volumetry.segmentation import Segmenter
from SliceInterpLib.volumetry.settings import DEFAULTS, SegmentationSettings

ACQUIRED, RESULT = "acquired", "result"
"""The grid that is given: that of a scan, or that of a result of SliceInterp."""

SEGMENTED, GIVEN, CARRIED, PIECE = "segmented", "given", "carried over", "piece"
"""How a mask came about: by the same rule on this very grid, by the user, from the acquired grid by
its shape (`carried_over`), or as one of the separate pieces of the first row's mask."""

_SMALLEST_PIECE_ML = 0.2
"""Smaller pieces have no row of their own; they count in the row of the whole."""


@dataclass(frozen=True, eq=False)
class Compared:
    """One row: a grid, how its mask came about, and what it measures."""

    grid: str
    """ACQUIRED or RESULT, or the method and "×2"."""
    mask_is: str
    """SEGMENTED, GIVEN, CARRIED or PIECE."""
    mask: np.ndarray
    """bool, shaped as the grid's `slices`."""
    measured: Measurement
    limits_hu: tuple[float, float] | None
    """The threshold range, where it was segmented."""
    warnings: tuple[str, ...] = ()
    bright_ml: float | None = None
    """Of a clot of two densities, the sum of voxels of its bright part alone."""


def compare(
    volume: Volume,
    methods: Sequence[Interpolator],
    *,
    mask: np.ndarray | None = None,
    seeds: Sequence[Sequence[float]] = (),
    settings: SegmentationSettings = DEFAULTS,
    allow_thin: bool = False,
) -> list[Compared]:
    """Measure a hematoma on the acquired slices and on those of each method, ×2.

    A mask that is given is carried over by its shape: the volumes then differ by how its ends are
    rounded and by nothing that the new slices show. Without one, each grid is segmented by itself,
    by the same rule, and has a second row with the acquired grid's mask carried over.

    Args:
        volume: the acquired slices.
        methods: what doubles them.
        mask: of the hematoma, bool, shaped as `volume.slices`; None: it is segmented.
        seeds: points in it, mm, LPS, where there is no mask.
        settings: of the segmentation.
        allow_thin: as `upsample` takes it.

    Returns:
        The acquired grid first, then each of its pieces, if it has several (`pieces_of`), then one
        row or two for each method.

    Raises:
        SegmentationError: as `Segmenter` and `measure` do.
        VolumeError: as `Segmenter` and `upsample` do.
    """
    space: np.ndarray | None
    if mask is None:
        segmenter = Segmenter(volume)
        space, rows = segmenter.space, [segmented(own_grid(volume), segmenter, seeds, settings)]
        mask = rows[0].mask
    else:
        space = _space_if_any(volume)
        rows = [Compared(own_grid(volume), GIVEN, mask, measure(volume, mask, space), None)]
    rows += pieces_of(volume, rows[0], space)
    for method in methods:
        doubled = upsample(volume, method, allow_thin=allow_thin)
        grid, inside = f"{method.name} ×2", carried_space(volume, space, doubled)
        if rows[0].mask_is == SEGMENTED:
            rows.append(segmented(grid, Segmenter(doubled, space=inside), seeds, settings))
        carried = carried_over(volume, mask, doubled)
        rows.append(Compared(grid, CARRIED, carried, measure(doubled, carried, inside), None))
    return rows


def own_grid(volume: Volume) -> str:
    """ACQUIRED or RESULT."""
    return RESULT if volume.is_derived else ACQUIRED


def segmented(
    grid: str,
    segmenter: Segmenter,
    seeds: Sequence[Sequence[float]],
    settings: SegmentationSettings,
) -> Compared:
    """The row of a grid that is segmented by itself.

    Args:
        grid: its name in the tables.
        segmenter: of its volume.
        seeds: points in the hematoma, mm, LPS.
        settings: what counts as blood.

    Raises:
        SegmentationError: as `Segmenter.segment` does.
    """
    found = segmenter.segment(seeds, settings)
    measured = measure(segmenter.volume, found.mask, segmenter.space)
    bright_ml = None if found.bright is None else voxel_ml(segmenter.volume, found.bright)
    return Compared(
        grid, SEGMENTED, found.mask, measured, found.limits_hu, found.warnings, bright_ml
    )


def pieces_of(volume: Volume, whole: Compared, space: np.ndarray | None) -> list[Compared]:
    """A row for each of the separate pieces of a mask, the largest first; none for a single one.

    Args:
        volume: the scan.
        whole: the row of all of them together, on the scan's grid.
        space: as `measure` takes it.
    """
    labels, count = ndimage.label(whole.mask)
    counts = np.stack([np.bincount(one.ravel(), minlength=count + 1) for one in labels])
    ml = volume.voxel_mm3 @ counts / 1000.0
    large = [number for number in range(1, count + 1) if ml[number] >= _SMALLEST_PIECE_ML]
    if len(large) < 2:
        return []
    rows = []
    for place, number in enumerate(sorted(large, key=lambda number: -ml[number]), 1):
        mask = labels == number
        measured = measure(volume, mask, space)
        rows.append(Compared(f"{whole.grid}, piece {place}", PIECE, mask, measured, None))
    return rows


def _space_if_any(volume: Volume) -> np.ndarray | None:
    """A mask of one's own needs no skull; without one, the side stays unknown."""
    try:
        return intracranial_mask(volume)
    except VolumeError:
        return None


def measures(rows: Sequence[Compared]) -> list[dict[str, Value]]:
    """All that the rows tell, by the names of `Measurement`, place and range a value each."""
    found = []
    for row in rows:
        right, anterior, superior = row.measured.centroid_ras
        low, high = row.limits_hu or (None, None)
        measured = asdict(row.measured)
        del measured["centroid_ras"]
        record: dict[str, Value] = {
            "grid": row.grid,
            "mask": row.mask_is,
            "difference_ml": difference_ml(row, rows),
            "bright_ml": row.bright_ml,
            **measured,
            "right_mm": right,
            "anterior_mm": anterior,
            "superior_mm": superior,
            "low_hu": low,
            "high_hu": high,
        }
        found.append(record)
    return found


def difference_ml(row: Compared, rows: Sequence[Compared]) -> float | None:
    """How far the sum of voxels is from that of the given grid with a mask of the same kind.

    Args:
        row: one of the rows. If it was segmented, so was the one it is compared with.
        rows: all of them, the given grid among them.

    Returns:
        ml; None for the row that others are compared with, and for pieces of it.
    """
    if row.mask_is == PIECE:
        return None
    acquired = [one for one in rows if one.grid in (ACQUIRED, RESULT)]
    same = acquired[-1] if row.mask_is == SEGMENTED else acquired[0]
    return None if row is same else row.measured.voxel_ml - same.measured.voxel_ml


def comparison_table(rows: Sequence[Compared]) -> Table:
    """The rows with what is usually told of a hematoma."""
    two = any(row.bright_ml is not None for row in rows)
    columns = (
        Column("grid"),
        Column("mask"),
        Column("voxel_ml", "voxels", "ml", ".1f"),
        Column("difference_ml", "difference", "ml", "+.1f"),
        *([Column("bright_ml", "bright part alone", "ml", ".1f")] if two else []),
        Column("planimetric_ml", "planimetry", "ml", ".1f"),
        Column("surface_ml", "surface", "ml", ".1f"),
        Column("partial_volume_ml", "partial volume", "ml", ".1f"),
        Column("abc2_ml", "ABC/2", "ml", ".1f"),
        Column("abc3_ml", "ABC/3", "ml", ".1f"),
        Column("abc_mm", "A × B × C", "mm"),
        Column("largest_diameter_mm", "diameter", "mm", ".0f"),
        Column("surface_mm2", "surface", "mm²", ".0f"),
        Column("hu", "HU"),
    )
    shown = []
    for row, record in zip(rows, measures(rows), strict=True):
        one = row.measured
        record["abc_mm"] = f"{one.a_mm:.0f} × {one.b_mm:.0f} × {one.c_mm:.0f}"
        record["hu"] = f"{one.hu_mean:.0f} ± {one.hu_std:.0f}"
        shown.append(record)
    return Table(columns, shown)
