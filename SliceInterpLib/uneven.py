"""Stacks whose gaps differ: every gap is filled by itself; then, if asked for, spaced evenly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.stack import GAP_TOLERANCE, SliceStack
from SliceInterpLib.upsampling import Progress, UpsampledVolume, upsample

SAME_PLACE = 0.005
"""mm: half the last digit of positions that are written with two decimals."""


@dataclass(frozen=True, eq=False)
class UpsampledStack(SliceStack):
    """A stack with synthetic slices between its acquired ones."""

    synthetic: np.ndarray
    """(n,) bool, True where the slice was predicted rather than acquired."""
    provenance: dict[str, object]
    """As of an UpsampledVolume, and `parts`: of each evenly spaced part the first and last acquired
    slice (from 1), the gap in mm and how many times as many slices it has now."""


def upsample_stack(
    stack: SliceStack,
    interpolator: Interpolator,
    *,
    factor: int = 2,
    widest_mm: float | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> UpsampledStack:
    """Put predicted slices into every gap of the stack, each at its own middle.

    The evenly spaced parts are filled one by one, as volumes of their own; a part whose slices lie
    no further apart than its pixels stays as it is. Acquired slices come out bit for bit.

    widest_mm: gaps up to this are bridged; without it, those that `stack.missing()` names are
    refused. Raises VolumeError for wider gaps, and what `upsample` raises.
    """
    _refuse_wide_gaps(stack, widest_mm)
    parts = stack.stretches()
    gaps = [float(stack.gaps[part.start]) for part in parts]
    times = [factor if gap > max(stack.pixel_spacing) else 1 for gap in gaps]
    if max(times) == 1:
        raise VolumeError("No two slices are further apart than the pixels: doubling adds nothing.")
    total = sum((len(part) - 1) * (n - 1) for part, n in zip(parts, times, strict=True))
    slices, marks, done = [stack.slices[:1]], [np.array([False])], 0

    def count(now: int, _: int) -> None:
        if progress:
            progress(done + now, total)

    for part, n in zip(parts, times, strict=True):
        piece = stack.slices[part.start : part.stop]
        if n > 1:
            result = upsample(
                stack.volume(part), interpolator, factor=n, progress=count, cancelled=cancelled
            )
            piece, provenance = result.slices, result.provenance
        synthetic = np.arange(len(piece)) % n != 0
        done += int(synthetic.sum())
        slices.append(piece[1:])
        marks.append(synthetic[1:])
    synthetic = np.concatenate(marks)
    acquired = np.flatnonzero(~synthetic)
    places = np.arange(len(synthetic))
    report = [
        {"slices": [part[0] + 1, part[-1] + 1], "gap_mm": round(gap, 4), "times": n}
        for part, gap, n in zip(parts, gaps, times, strict=True)
    ]
    return UpsampledStack(
        slices=np.concatenate(slices),
        slice_origins=np.column_stack(
            [np.interp(places, acquired, axis) for axis in stack.slice_origins.T]
        ),
        pixel_spacing=stack.pixel_spacing,
        in_plane_axes=stack.in_plane_axes,
        thickness=np.interp(places, acquired, stack.thickness),
        synthetic=synthetic,
        provenance=provenance | {"parts": report},
    )


def longest_part(stack: SliceStack) -> range:
    """The evenly spaced part with the most slices."""
    return max(stack.stretches(), key=len)


def spaced_evenly(stack: UpsampledStack, spacing: float | None = None) -> UpsampledVolume:
    """An evenly spaced volume of the stack, from its first slice on.

    Where a slice of the stack lies at a place of the new grid, it is taken bit for bit; elsewhere
    the two around it are mixed in proportion, and what comes out counts as synthetic.

    spacing: mm between the planes; without it the smallest gap that occurs several times in a row.
    """
    positions = stack.positions
    spacing = spacing or _smallest_common_gap(stack)
    wanted = np.arange(0.0, positions[-1] + SAME_PLACE, spacing)
    after = np.clip(np.searchsorted(positions, wanted), 1, len(positions) - 1)
    weights = (wanted - positions[after - 1]) / (positions[after] - positions[after - 1])
    nearest = np.abs(wanted[:, None] - positions).argmin(1)
    same = np.abs(wanted - positions[nearest]) <= SAME_PLACE
    hu = np.empty((len(wanted), *stack.slices.shape[1:]), stack.slices.dtype)
    for index, (second, weight) in enumerate(zip(after, weights, strict=True)):
        if same[index]:
            hu[index] = stack.slices[nearest[index]]
        else:
            first = stack.slices[second - 1].astype(np.float32)
            mixed = first + np.float32(weight) * (stack.slices[second] - first)
            hu[index] = np.rint(mixed) if hu.dtype.kind == "i" else mixed
    rows, columns = stack.pixel_spacing
    step = (stack.slice_origins[-1] - stack.slice_origins[0]) * (spacing / positions[-1])
    length = float(np.linalg.norm(step))
    return UpsampledVolume(
        hu=hu,
        origin=tuple(stack.slice_origins[0].tolist()),
        spacing=(columns, rows, length),
        direction=np.column_stack([stack.in_plane_axes, step / length]),
        synthetic=np.where(same, stack.synthetic[nearest], True),
        through_plane_axis=0,
        provenance=stack.provenance
        | {"spaced_evenly_mm": spacing, "mixed_slices": int(np.count_nonzero(~same))},
    )


def _refuse_wide_gaps(stack: SliceStack, widest_mm: float | None) -> None:
    wide = stack.missing() if widest_mm is None else stack.gaps > widest_mm + GAP_TOLERANCE
    if wide.any():
        places = ", ".join(
            f"{i + 1} and {i + 2} ({stack.gaps[i]:.1f} mm)" for i in np.flatnonzero(wide)[:6]
        )
        raise VolumeError(
            f"Slices are missing: between slices {places}, where a slice put there would be "
            "invented. Load the complete series, take its longest even part (--gaps longest), or "
            f"say that gaps up to {stack.gaps.max():.1f} mm are to be bridged (--widest-gap)."
        )


def _smallest_common_gap(stack: SliceStack) -> float:
    """The smallest mean gap of the parts with at least three gaps; else the median gap."""
    common = [
        float(stack.gaps[part.start : part.stop - 1].mean())
        for part in stack.stretches()
        if len(part) > 3
    ]
    return min(common, default=float(np.median(stack.gaps)))
