"""A montage: the same cuts through several volumes of one head, side by side, in one window."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from SliceInterpLib.errors import MethodError
from SliceInterpLib.hounsfield import BRAIN, Window
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
    Raises MethodError if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MethodError(
            "Pictures need matplotlib, which is not installed. "
            "Install it with: pip install matplotlib"
        ) from missing

    cuts = {title: _cuts(volume, at_mm) for title, volume in columns.items()}
    heights = [height / width for _, (width, height), _ in next(iter(cuts.values()))]
    figure = Figure(
        figsize=(
            _INCHES_PER_COLUMN * len(cuts),
            _INCHES_PER_COLUMN * sum(heights) + 0.35 * len(heights) + 0.3,
        ),
        facecolor="black",
        layout="constrained",
    )
    axes = figure.subplots(
        len(heights), len(cuts), squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for column, (title, views) in zip(axes.T, cuts.items(), strict=True):
        for axis, (image, (width, height), caption) in zip(column, views, strict=True):
            axis.imshow(
                image,
                cmap="gray",
                vmin=window.low,
                vmax=window.high,
                extent=(0, width, height, 0),
                interpolation="nearest",
            )
            axis.set_title(f"{title}: {caption}", color="white", fontsize=8)
            axis.set_axis_off()
    figure.supxlabel(
        f"HU {window.low:.0f}…{window.high:.0f}. {note}".strip(), color="white", fontsize=8
    )
    figure.savefig(path, dpi=160, format="png")


_Cut = tuple[np.ndarray, tuple[float, float], str]
"""Image, its width and height in mm, its caption."""


def _cuts(volume: Volume, at_mm: tuple[float, float, float]) -> list[_Cut]:
    """Axial, coronal and sagittal cuts of the grid planes nearest to the point."""
    hu, spacing, index, synthetic = _in_patient_order(volume, at_mm)
    k, j, i = index
    dz, dy, dx = spacing
    upwards = hu[::-1]
    return [
        (hu[k], (hu.shape[2] * dx, hu.shape[1] * dy), _axial_caption(synthetic, k)),
        (upwards[:, j], (hu.shape[2] * dx, hu.shape[0] * dz), "coronal"),
        (upwards[:, :, i], (hu.shape[1] * dy, hu.shape[0] * dz), "sagittal"),
    ]


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
    inverse = np.linalg.inv(volume.direction * np.array(volume.spacing))
    point = (inverse @ (np.array(at_mm) - np.array(volume.origin)))[::-1]
    towards = np.abs(volume.direction)[:, ::-1]  # rows: L, P, S; columns: the array's axes
    order = [int(towards[axis].argmax()) for axis in (2, 1, 0)]
    if sorted(order) != [0, 1, 2]:
        raise ValueError("The volume lies too obliquely for axial, coronal and sagittal cuts")
    hu = volume.hu.transpose(order)
    index = [round(float(point[axis])) for axis in order]
    synthetic = getattr(volume, "synthetic", None) if order[0] == volume.slice_axis else None
    for position, (axis, world) in enumerate(zip(order, (2, 1, 0), strict=True)):
        if volume.direction[world, 2 - axis] < 0:
            hu = np.flip(hu, position)
            index[position] = hu.shape[position] - 1 - index[position]
            if position == 0 and synthetic is not None:
                synthetic = synthetic[::-1]
    index = [int(np.clip(i, 0, n - 1)) for i, n in zip(index, hu.shape, strict=True)]
    return hu, tuple(volume.spacing[2 - axis] for axis in order), index, synthetic
