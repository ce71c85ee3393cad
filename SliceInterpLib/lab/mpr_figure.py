"""A picture of reformatted views beside the scanner's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from SliceInterpLib.hounsfield import BRAIN, Window
from SliceInterpLib.report.figures import new_figure
from SliceInterpLib.volume import Volume

_INCHES = 3.6
_CLOSE_MM = 60.0
"""Side of the close-up of the vault."""


def save_mpr_figure(
    path: Path,
    images: Mapping[str, np.ndarray],
    grid: Volume,
    columns: Mapping[str, str],
    *,
    window: Window = BRAIN,
) -> None:
    """Write a PNG: the middle plane of some reformats, and below a close-up of the vault.

    Superior is up.

    Args:
        path: the file.
        images: (planes, rows, columns) HU by row, on the planes of `grid`, NaN where there is
            nothing.
        grid: the volume that has these planes.
        columns: which of the images are shown, by title.
        window: in which they are shown.

    Raises:
        MethodError: without matplotlib.
    """
    shown = {title: _upright(images[name], grid) for title, name in columns.items()}
    height, width = next(iter(shown.values())).shape
    rows_mm, columns_mm = _upright_spacing(grid)
    extent = (0.0, width * columns_mm, height * rows_mm, 0.0)
    head = np.argwhere(np.nan_to_num(next(iter(shown.values())), nan=-1000.0) > -300)
    top, left, right = head[:, 0].min(), *np.percentile(head[:, 1], (0, 100))
    close_x, close_y = (left + 0.2 * (right - left)) * columns_mm, (top - 4) * rows_mm
    figure = new_figure(
        figsize=(_INCHES * len(shown), _INCHES * (extent[2] / extent[1] + 1.0)),
        facecolor="black",
        layout="constrained",
    )
    axes = figure.subplots(
        2, len(shown), squeeze=False, gridspec_kw={"height_ratios": [extent[2] / extent[1], 1.0]}
    )
    for column, (title, image) in zip(axes.T, shown.items(), strict=True):
        for axis in column:
            axis.imshow(
                image,
                cmap="gray",
                vmin=window.low,
                vmax=window.high,
                extent=extent,
                interpolation="nearest",
            )
            axis.set_facecolor("black")
            axis.set_xticks([])
            axis.set_yticks([])
        column[0].set_title(title, color="white", fontsize=11)
        column[1].set_xlim(close_x, close_x + _CLOSE_MM)
        column[1].set_ylim(close_y + _CLOSE_MM, close_y)
    figure.supxlabel(
        f"HU {window.low:.0f}…{window.high:.0f}; below, {_CLOSE_MM:.0f} mm of the vault. "
        "Synthetic slices by SliceInterp; for research use only.",
        color="white",
        fontsize=9,
    )
    figure.savefig(path, dpi=130, format="png")


def _upright(planes: np.ndarray, grid: Volume) -> np.ndarray:
    """The middle plane with superior up."""
    image = planes[len(planes) // 2]
    columns, rows = grid.in_plane_axes[2]  # how steeply they rise
    if abs(columns) > abs(rows):
        image, rows = image.T, columns
    return image[::-1] if rows > 0 else image


def _upright_spacing(grid: Volume) -> tuple[float, float]:
    columns, rows = np.abs(grid.in_plane_axes[2])
    return grid.pixel_spacing if rows >= columns else grid.pixel_spacing[::-1]
