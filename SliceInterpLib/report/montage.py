"""A montage: the same cuts through several volumes of one head, side by side, in one window."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from SliceInterpLib.grids import as_drawn
from SliceInterpLib.hounsfield import BRAIN, Window
from SliceInterpLib.report.figures import new_figure
from SliceInterpLib.report.orientation import PatientOrder
from SliceInterpLib.volume import Volume

_INCHES_PER_COLUMN = 3.0


def save_montage(
    path: Path,
    columns: Mapping[str, Volume],
    at_mm: tuple[float, float, float],
    *,
    window: Window = BRAIN,
    note: str = "",
) -> None:
    """Write a PNG with axial, coronal and sagittal cuts through a point.

    Cuts are shown as radiologists expect them (the patient's right on the left, superior at the top
    of coronal and sagittal views), every voxel at its true size and uninterpolated, so that the
    stairs between slices are what they are. The axial cut is the slice nearest the point and says
    whether it is synthetic. A tilted or unevenly spaced volume is drawn as `grids.as_drawn`
    resamples it.

    Args:
        path: the file to write.
        columns: a volume for each column, by its title.
        at_mm: the point, mm, LPS.
        window: the HU from black to white.
        note: a line below the pictures.

    Raises:
        MethodError: if matplotlib is missing.
        VolumeError: for a volume that lies too obliquely.
    """
    cuts = {title: _cuts(volume, at_mm) for title, volume in columns.items()}
    frames = [_head_frame(cut) for cut in next(iter(cuts.values()))]
    heights = [abs(top - bottom) / (right - left) for left, right, bottom, top in frames]
    figure = new_figure(
        figsize=(
            _INCHES_PER_COLUMN * len(cuts),
            _INCHES_PER_COLUMN * sum(heights) + 0.3 * len(heights) + 0.3,
        ),
        facecolor="black",
        layout="constrained",
    )
    axes = figure.subplots(
        len(heights), len(cuts), squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for column, (title, views) in zip(axes.T, cuts.items(), strict=True):
        for axis, cut, (left, right, bottom, top) in zip(column, views, frames, strict=True):
            axis.imshow(
                cut.hu,
                cmap="gray",
                vmin=window.low,
                vmax=window.high,
                extent=cut.extent,
                interpolation="nearest",
            )
            axis.set_xlim(left, right)
            axis.set_ylim(bottom, top)
            axis.set_title(f"{title}: {cut.caption}", color="white", fontsize=8)
            axis.set_axis_off()
    figure.supxlabel(
        f"HU {window.low:.0f}…{window.high:.0f}. {note}".strip(), color="white", fontsize=8
    )
    figure.savefig(path, dpi=160, format="png")


class _Cut(NamedTuple):
    """One plane through a volume, its rows from top to bottom as they are shown."""

    hu: np.ndarray
    extent: tuple[float, float, float, float]
    """Left, right, bottom and top edges in mm from the corner voxel's centre, as imshow's."""
    caption: str


def _cuts(volume: Volume, at_mm: tuple[float, float, float]) -> list[_Cut]:
    """Axial, coronal and sagittal cuts of the planes nearest to the point."""
    volume = as_drawn(volume)
    order = PatientOrder.of(volume)
    hu, spacing = order.turned(volume.slices), order.spacing(volume)
    k, j, i = order.index(volume, at_mm)
    (bottom, top), (front, back), (right, left) = (
        (-0.5 * step, (count - 0.5) * step) for step, count in zip(spacing, hu.shape, strict=True)
    )
    return [
        _Cut(hu[k], (right, left, back, front), _axial_caption(volume, order, k)),
        _Cut(hu[::-1, j], (right, left, bottom, top), "coronal"),
        _Cut(hu[::-1, :, i], (front, back, bottom, top), "sagittal"),
    ]


def _head_frame(cut: _Cut) -> tuple[float, float, float, float]:
    """The part of a cut's extent that holds the head, with 5 mm around it."""
    head = cut.hu > -300 if (cut.hu < -300).any() else cut.hu > 0
    if not head.any():
        return cut.extent
    frame = []
    sides = (cut.extent[:2], cut.extent[3:1:-1])  # columns from the left, rows from the top
    for axis, (start, stop) in zip((0, 1), sides, strict=True):
        filled = np.flatnonzero(head.any(axis))
        step = (stop - start) / head.shape[1 - axis]
        margin = np.copysign(5.0, step)
        frame.append((start + filled[0] * step - margin, start + (filled[-1] + 1) * step + margin))
    (left, right), (top, bottom) = frame
    return left, right, bottom, top


def _axial_caption(volume: Volume, order: PatientOrder, k: int) -> str:
    if order.axes[0] != 0:
        return "axial"  # across the slices, so that it shows them all
    number = volume.slice_count - 1 - k if order.flipped[0] else k
    return "axial, synthetic" if volume.synthetic[number] else "axial, acquired"
