"""How quiet synthetic slices are, and whether it is noise alone that went missing.

Every figure of a synthetic slice stands beside that of the two acquired slices around it, over the
very same pixels: homogeneous tissue and cerebrospinal fluid (CSF) that were found in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.stats import median_abs_deviation

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.errors import Cancelled, VolumeError
from SliceInterpLib.evidence.edges import hematoma_width, inner_table_width
from SliceInterpLib.evidence.holdout import hold_out, to_hide
from SliceInterpLib.evidence.noise_spectrum import mean_frequency, radial_nps
from SliceInterpLib.hounsfield import Window
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.padding import without_padding
from SliceInterpLib.upsampling import predict_between
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.intracranial import bone_hu, intracranial_mask

REGIONS = {"tissue": Window(20.0, 55.0), "csf": Window(-5.0, 14.0)}
"""HU of the homogeneous regions after smoothing: brain without fresh blood, and CSF."""

_HIGH_PASS_PIXELS = 2.0
"""Standard deviation of the Gaussian that leaves anatomy and takes the noise away."""

_SMOOTH_PIXELS = 2.5
_FLAT_HU_PER_MM = 2.0
"""What changes faster than this after smoothing is an edge."""

_RIM_MM = 2.5
"""So far from bone nothing is taken."""

FEWEST_PIXELS = 500
"""Fewer than these in a gap say too little."""

_ROI_PIXELS = 32
"""Side of a square for the noise power spectrum."""

_EVERY = 3
"""N, where every N-th slice is hidden for the correlation of the residual with edges."""


def noise_signature(
    volume: Volume,
    methods: Sequence[Interpolator],
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, object]:
    """Noise, sharpness and what was taken away, of acquired and of synthetic slices.

    Noise is the scaled median absolute deviation of x − gaussian(x, 2 px). ρ is the robust
    correlation of that of the two acquired slices (Gnanadesikan and Kettenring 1972): the mean of
    two slices has √((1 + ρ)/2) of their noise, with no denoising at all. Figures are means over the
    gaps, weighted by pixels; edge widths and their parts are medians over the gaps.
    edge_correlation is Pearson's coefficient, inside the skull, of |acquired − predicted| with the
    size of the acquired slice's gradient, for hidden slices (twice the real gap): 0 if nothing but
    noise was left out.

    Args:
        volume: as it was acquired.
        methods: what fills its gaps.
        progress: called with the number of predictions done and their number.
        cancelled: asked after every prediction.

    Returns:
        {"neighbour_correlation": ρ, "linear_theory": √((1 + ρ)/2), "rows": {"acquired" or a
        method's name: {"tissue_hu", "csf_hu": noise standard deviation in HU; "nps_per_mm": mean
        frequency of the noise power spectrum; "inner_table_mm", "hematoma_mm": 10–90 % edge widths;
        of methods also "edge_correlation", and "of_acquired": {figure: its part of the acquired
        slices'}}}}. What the scan does not allow is None.

    Raises:
        VolumeError: for fewer than 3 slices and where there is no brain inside a skull.
        Cancelled: as soon as `cancelled()` is true.
    """
    require_acquired(volume)
    volume = without_padding(volume)
    if volume.slice_count < 3:
        raise VolumeError("Measuring the noise of synthetic slices needs at least 3 slices.")
    inside = intracranial_mask(volume)
    gaps = [gap for gap in _gaps(volume, inside) if gap.regions]
    if not gaps:
        raise VolumeError(
            "There is no homogeneous brain to measure noise in. Give a CT of the head in HU."
        )
    acquired = [gap.acquired for gap in gaps]
    widths = _widths(gaps, acquired, volume)
    rows: dict[str, dict[str, Any]] = {"acquired": _row(gaps, acquired, volume.pixel_spacing)}
    rows["acquired"] |= {edge: _median(found) for edge, found in widths.items()}
    hidden = len(to_hide(volume, every=_EVERY).indices)
    done, total = 0, len(methods) * (len(gaps) + hidden)

    def count() -> None:
        nonlocal done
        if cancelled and cancelled():
            raise Cancelled("The run was cancelled; nothing was kept.")
        done += 1
        if progress:
            progress(done, total)

    for method in methods:
        predicted = []
        for middle in _predicted(volume, [gap.first for gap in gaps], method):
            predicted.append([middle])
            count()
        row: dict[str, Any] = _row(gaps, predicted, volume.pixel_spacing)
        row["of_acquired"] = {key: _part(row[key], rows["acquired"][key]) for key in row}
        for edge, found in _widths(gaps, predicted, volume).items():
            row[edge] = _median(found)
            row["of_acquired"][edge] = _median(found / widths[edge])
        row["edge_correlation"] = (
            _edge_correlation(volume, inside, method, count) if hidden else None
        )
        rows[method.name] = row
    correlation = _mean([(gap.correlation, gap.pixels("tissue")) for gap in gaps])
    theory = None if correlation is None else float(np.sqrt(0.5 * (1.0 + correlation)))
    return {"neighbour_correlation": correlation, "linear_theory": theory, "rows": rows}


@dataclass(frozen=True, eq=False)
class _Gap:
    """Two neighbouring acquired slices and the homogeneous regions that both show."""

    first: int
    acquired: list[np.ndarray]
    depth: np.ndarray
    """(h, w) mm: how deep in the intracranial space of both; 0 outside it."""
    regions: dict[str, np.ndarray]
    squares: list[tuple[slice, slice]]

    def pixels(self, region: str) -> int:
        """Number of pixels of a region; 0 if there is none."""
        return int(self.regions[region].sum()) if region in self.regions else 0

    @property
    def correlation(self) -> float | None:
        """Robust correlation of the two slices' noise in tissue."""
        if "tissue" not in self.regions:
            return None
        one, other = (high_passed(hu)[self.regions["tissue"]] for hu in self.acquired)
        plus, minus = _spread(one + other) ** 2, _spread(one - other) ** 2
        return (plus - minus) / (plus + minus)


def high_passed(hu: np.ndarray) -> np.ndarray:
    """(h, w) HU without what a Gaussian of 2 pixels keeps: mostly noise where tissue is flat."""
    return hu - ndimage.gaussian_filter(hu, _HIGH_PASS_PIXELS)


def homogeneous(
    slices: Iterable[np.ndarray], depth: np.ndarray, spacing: tuple[float, float]
) -> dict[str, np.ndarray]:
    """Where all of some slices show the same tissue and are flat.

    Args:
        slices: (h, w) HU each.
        depth: (h, w) mm, how deep in the part of the slice that is of interest; its rim of 2.5 mm
            is left out.
        spacing: mm between rows and between columns.

    Returns:
        (h, w) bool by name of REGIONS.
    """
    flat = depth > _RIM_MM
    smooth = [ndimage.gaussian_filter(np.asarray(hu, np.float32), _SMOOTH_PIXELS) for hu in slices]
    for hu in smooth:
        flat &= np.hypot(*np.gradient(hu, *spacing)) < _FLAT_HU_PER_MM
    low, high = np.min(smooth, axis=0), np.max(smooth, axis=0)
    return {name: flat & (low > hu.low) & (high < hu.high) for name, hu in REGIONS.items()}


def squares_in(region: np.ndarray | None) -> list[tuple[slice, slice]]:
    """Squares of 32 pixels, none over another, that lie but for a twentieth in a region (h, w)."""
    if region is None:
        return []
    found = []
    for row in range(0, region.shape[0] - _ROI_PIXELS + 1, _ROI_PIXELS):
        for column in range(0, region.shape[1] - _ROI_PIXELS + 1, _ROI_PIXELS):
            square = np.s_[row : row + _ROI_PIXELS, column : column + _ROI_PIXELS]
            if region[square].mean() >= 0.95:
                found.append(square)
    return found


def _gaps(volume: Volume, inside: np.ndarray) -> Iterator[_Gap]:
    spacing = volume.pixel_spacing
    for first in range(volume.slice_count - 1):
        acquired = [hu.astype(np.float32) for hu in volume.slices[first : first + 2]]
        both = np.pad(inside[first] & inside[first + 1], 1)
        depth = ndimage.distance_transform_edt(both, sampling=spacing)[1:-1, 1:-1]
        found = homogeneous(acquired, depth, spacing)
        regions = {name: mask for name, mask in found.items() if mask.sum() >= FEWEST_PIXELS}
        yield _Gap(first, acquired, depth, regions, squares_in(regions.get("tissue")))


def _predicted(volume: Volume, firsts: Sequence[int], method: Interpolator) -> Iterator[np.ndarray]:
    """The slice (h, w) in the gap behind each of some slices, in order."""
    for part in volume.stretches:
        own = [first - part.start for first in firsts if first in part[:-1]]
        for _, (middle,) in predict_between(volume.slices[part.start : part.stop], own, method):
            yield middle


def _row(
    gaps: Sequence[_Gap], slices: Sequence[list[np.ndarray]], spacing: tuple[float, float]
) -> dict[str, float | None]:
    """Noise of the slices of each gap: of the two acquired ones, or of the predicted one."""
    row: dict[str, float | None] = {}
    for region in REGIONS:
        row[f"{region}_hu"] = _mean(
            (_spread(high_passed(hu)[gap.regions[region]]), gap.pixels(region))
            for gap, one in zip(gaps, slices, strict=True)
            if region in gap.regions
            for hu in one
        )
    squares = [
        hu[square]
        for gap, one in zip(gaps, slices, strict=True)
        for hu in one
        for square in gap.squares
    ]
    row["nps_per_mm"] = mean_frequency(*radial_nps(squares, spacing)) if squares else None
    return row


def _widths(
    gaps: Sequence[_Gap], slices: Sequence[list[np.ndarray]], volume: Volume
) -> dict[str, np.ndarray]:
    """Edge widths in mm by gap, the mean over its slices; NaN where one of them has none."""
    spacing, bone = volume.pixel_spacing, bone_hu(volume)
    tables, bloods = [], []
    for gap, shown in zip(gaps, slices, strict=True):
        inside = gap.depth > 0
        tables.append([inner_table_width(hu, spacing, inside, bone) for hu in shown])
        bloods.append([hematoma_width(hu, spacing, gap.depth) for hu in shown])
    return {
        "inner_table_mm": np.array(tables, dtype=float).mean(axis=1),
        "hematoma_mm": np.array(bloods, dtype=float).mean(axis=1),
    }


def _edge_correlation(
    volume: Volume, inside: np.ndarray, method: Interpolator, count: Callable[[], None]
) -> float | None:
    errors, edges = [], []
    for index, predicted, acquired in hold_out(volume, method, every=_EVERY):
        where = inside[index]
        acquired = acquired.astype(np.float32)
        errors.append(np.abs(acquired - predicted)[where])
        edges.append(ndimage.gaussian_gradient_magnitude(acquired, _HIGH_PASS_PIXELS)[where])
        count()
    error, edge = np.concatenate(errors), np.concatenate(edges)
    if error.size < 2 or np.ptp(error) == 0.0 or np.ptp(edge) == 0.0:
        return None
    return float(np.corrcoef(error, edge)[0, 1])


def _spread(values: np.ndarray) -> float:
    """The median absolute deviation, scaled to a normal distribution's standard deviation."""
    return float(median_abs_deviation(values, scale="normal"))


def _mean(weighted: Iterable[tuple[float | None, int]]) -> float | None:
    """Weighted mean of the values that are known."""
    known = [(value, weight) for value, weight in weighted if value is not None]
    if not known:
        return None
    values, weights = zip(*known, strict=True)
    return float(np.average(values, weights=weights))


def _median(values: np.ndarray) -> float | None:
    """Median of the values that are known."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def _part(value: float | None, whole: float | None) -> float | None:
    return None if value is None or not whole else value / whole
