"""A montage: the same cuts through several volumes of one head, side by side, in one window."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

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
    """Write a PNG with axial, coronal and sagittal cuts through the point `at_mm` (LPS, mm).

    One column a volume, titled by its key. Cuts are shown as radiologists expect them (the
    patient's right on the left, superior at the top of coronal and sagittal views), every voxel
    at its true size and uninterpolated, so that the stairs between slices are what they are.
    The axial cut is the slice nearest the point and says whether it is synthetic.
    Raises MethodError if matplotlib is missing, VolumeError for a volume that lies too obliquely.
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
    """Axial, coronal and sagittal cuts of the grid planes nearest to the point."""
    hu, spacing, (k, j, i), synthetic = _in_patient_order(volume, at_mm)
    (bottom, top), (front, back), (right, left) = (
        (-0.5 * step, (count - 0.5) * step) for step, count in zip(spacing, hu.shape, strict=True)
    )
    return [
        _Cut(hu[k], (right, left, back, front), _axial_caption(synthetic, k)),
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


def _axial_caption(synthetic: np.ndarray | None, k: int) -> str:
    if synthetic is None:
        return "axial, acquired"
    return "axial, synthetic" if synthetic[k] else "axial, acquired"


def _in_patient_order(
    volume: Volume, at_mm: tuple[float, float, float]
) -> tuple[np.ndarray, tuple[float, ...], list[int], np.ndarray | None]:
    """The array with its axes running, as nearly as may be, to superior, posterior and left.

    Also the spacing along and the index of the point on these axes, and which axial slices are
    synthetic (None if none, or if slices are not axial).
    """
    order = PatientOrder.of(volume)
    inverse = np.linalg.inv(volume.direction * np.array(volume.spacing))
    point = (inverse @ (np.array(at_mm) - np.array(volume.origin)))[::-1]
    hu = order.turned(volume.hu)
    index = []
    for axis, flipped, count in zip(order.axes, order.flipped, hu.shape, strict=True):
        place = round(float(point[axis]))
        index.append(int(np.clip(count - 1 - place if flipped else place, 0, count - 1)))
    synthetic = getattr(volume, "synthetic", None) if order.axes[0] == volume.slice_axis else None
    if synthetic is not None and order.flipped[0]:
        synthetic = synthetic[::-1]
    return hu, tuple(volume.spacing[2 - axis] for axis in order.axes), index, synthetic
