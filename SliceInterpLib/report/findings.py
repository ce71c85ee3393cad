"""Everything that a report says of one scan: its doubled volume, and how far to trust it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from SliceInterpLib.errors import MethodError, SliceInterpError, VolumeError
from SliceInterpLib.evidence.expected_error import BRAIN_BELOW_HU, upsample_with_expected_error
from SliceInterpLib.evidence.noise import noise_signature
from SliceInterpLib.evidence.scan_check import check_scan
from SliceInterpLib.evidence.stripes import stripe_index
from SliceInterpLib.fineness import Factor
from SliceInterpLib.interpolators import Interpolator, tells_error
from SliceInterpLib.padding import without_padding
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.carrying import carried_space
from SliceInterpLib.volumetry.intracranial import intracranial_mask
from SliceInterpLib.volumetry.measures import Measurement, measure
from SliceInterpLib.volumetry.segmentation import Segmenter

_LEAST_BRAIN_MM2 = 100.0
"""A gap with less brain than this has no mean error."""

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Findings:
    """What was made of a scan and measured on it; None where that was not possible."""

    volume: Volume
    method: Interpolator
    classical: Interpolator
    doubled: Volume
    """By the method."""
    plain: Volume
    """By the classical method."""
    check: Mapping | None
    """As of `check_scan`."""
    noise: Mapping | None
    """As of `noise_signature`."""
    stripes: Mapping[str, Mapping[str, float]] | None
    """{method: {view: index}}."""
    expected_error: Volume | None
    """Of each voxel of `doubled`, in HU, 0 in acquired slices."""
    gap_errors: Sequence[float | None] | None
    """Mean expected error in brain of the synthetic slice in each gap, HU; None without brain."""
    hematoma: Mapping[str, Measurement] | None
    """By grid; None if not asked for, or not found."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """By the name of a field: why it is None, or what makes it doubtful."""


def examine(
    volume: Volume,
    method: Interpolator,
    classical: Interpolator,
    *,
    factor: Factor = 2,
    allow_thin: bool = False,
    seeds: Sequence[Sequence[float]] = (),
    say: Callable[[str], None] = lambda line: None,
    cancelled: Callable[[], bool] | None = None,
) -> Findings:
    """Upsample a scan by two methods and measure what a report tells.

    What the scan does not allow to be measured is left out, with the reason.

    Args:
        volume: as it was acquired.
        method: the one to report on.
        classical: the one to compare it with.
        factor: as `upsample` takes it.
        allow_thin: as `upsample` takes it.
        seeds: points in a hematoma to measure, mm, LPS; without them no volumetry.
        say: told what is being done.
        cancelled: asked again and again.

    Raises:
        VolumeError, MethodError: what `upsample` raises.
        Cancelled: as soon as `cancelled()` is true.
    """
    volume = without_padding(volume)
    methods = [classical, method]
    reasons: dict[str, str] = {}

    def attempt(name: str, what: Callable[[], Found]) -> Found | None:
        try:
            return what()
        except VolumeError as problem:
            reasons[name] = str(problem)
            return None

    say("Predicting the slices between…")
    expected_error = None
    if tells_error(method):
        try:
            doubled, expected_error = upsample_with_expected_error(
                volume, method, factor=factor, allow_thin=allow_thin, cancelled=cancelled
            )
        except MethodError as problem:
            reasons["expected_error"] = str(problem)
    else:
        reasons["expected_error"] = f"{method.name} gives no expected error."
    fill = partial(upsample, volume, factor=factor, allow_thin=allow_thin, cancelled=cancelled)
    if expected_error is None:
        doubled = fill(method)
    plain = fill(classical)
    say("Hiding each acquired slice in turn and predicting it…")
    check = attempt("check", lambda: check_scan(volume, methods, cancelled=cancelled))
    say("Measuring the noise…")
    noise = attempt("noise", lambda: noise_signature(volume, methods, cancelled=cancelled))
    both = {classical.name: plain, method.name: doubled}
    stripes = attempt("stripes", lambda: {name: stripe_index(one) for name, one in both.items()})
    gap_errors = None
    if expected_error is not None:
        gap_errors = attempt("gap_errors", lambda: _in_brain(volume, doubled, expected_error))
    hematoma = None
    if seeds:
        say("Measuring the hematoma…")
        hematoma = _measured(volume, both, seeds, reasons)
    return Findings(
        volume=volume,
        method=method,
        classical=classical,
        doubled=doubled,
        plain=plain,
        check=check,
        noise=noise,
        stripes=stripes,
        expected_error=expected_error,
        gap_errors=gap_errors,
        hematoma=hematoma,
        reasons=reasons,
    )


def _in_brain(volume: Volume, doubled: Volume, errors: Volume) -> list[float | None]:
    """Mean error in each gap over brain: where both acquired slices are inside the skull."""
    inside = intracranial_mask(volume)
    made = np.flatnonzero(doubled.synthetic)
    gaps = np.cumsum(~doubled.synthetic)[made] - 1
    least = _LEAST_BRAIN_MM2 / float(np.prod(volume.pixel_spacing))
    means: list[float | None] = [None] * (volume.slice_count - 1)
    for gap, index in zip(gaps, made, strict=True):
        brain = inside[gap] & inside[gap + 1] & (doubled.slices[index] < BRAIN_BELOW_HU)
        if brain.sum() >= least:
            means[gap] = float(errors.slices[index][brain].mean())
    if not any(means):
        raise VolumeError("There is no brain between two slices of this scan.")
    return means


def _measured(
    volume: Volume,
    upsampled: Mapping[str, Volume],
    seeds: Sequence[Sequence[float]],
    reasons: dict[str, str],
) -> dict[str, Measurement] | None:
    """The hematoma, segmented and measured on each grid by itself."""
    found: dict[str, Measurement] = {}
    doubts: list[str] = []
    try:
        space = intracranial_mask(volume)
        grids: dict[str, tuple[Volume, np.ndarray]] = {"acquired": (volume, space)}
        for name, finer in upsampled.items():
            grids[name] = finer, carried_space(volume, space, finer)
        for name, (grid, inside) in grids.items():
            result = Segmenter(grid, space=inside).segment(seeds)
            doubts += result.warnings
            found[name] = measure(grid, result.mask, inside)
    except SliceInterpError as problem:
        reasons["hematoma"] = str(problem)
        return None
    if doubts:
        reasons["hematoma"] = " ".join(dict.fromkeys(doubts))
    return found
