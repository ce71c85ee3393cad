"""How many times as many slices: what is asked for, and what each stretch of a scan gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import numpy as np

from SliceInterpLib.doublable import stretch_gaps, wide_stretches
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.gaps import SAME_SPACING
from SliceInterpLib.volume import Volume

MOST_TIMES = 12
"""More slices than this for each acquired one would tell of the method alone."""

ISOTROPIC: Final = "isotropic"
"""As many as bring the slices nearest to the pixels."""

Factor: TypeAlias = "int | Literal['isotropic']"
"""From 2 to MOST_TIMES, or ISOTROPIC."""


def times_each(
    volume: Volume,
    factor: Factor = 2,
    spacing_mm: float | None = None,
    *,
    allow_thin: bool = False,
) -> list[int]:
    """How many times as many slices each evenly spaced stretch of a scan gets.

    Slices can be put between acquired ones at even steps alone, since the acquired ones stay. A
    factor is the same for all stretches; for a spacing each has its own, so that the result is as
    even as whole numbers allow.

    Args:
        volume: a scan.
        factor: one for all, or ISOTROPIC for the spacing of the pixels (the wider one).
        spacing_mm: how far apart the slices should be, instead of a factor.
        allow_thin: a factor is for gaps no wider than the pixels too.

    Returns:
        For each stretch N from 1, where it stays as it is, to MOST_TIMES.

    Raises:
        VolumeError: if all slices are as near to each other as they are asked to be.
        ValueError: for a factor or a spacing that cannot be.
    """
    gaps = stretch_gaps(volume)
    if spacing_mm is None and factor != ISOTROPIC:
        if not isinstance(factor, int) or not 2 <= factor <= MOST_TIMES:
            raise ValueError(f"factor must be from 2 to {MOST_TIMES}, or '{ISOTROPIC}': {factor}")
        wide = wide_stretches(volume)
        return [factor if is_wide or allow_thin else 1 for is_wide in wide]
    wanted = max(volume.pixel_spacing) if spacing_mm is None else spacing_mm
    if not np.isfinite(wanted) or wanted <= 0:
        raise ValueError(f"the spacing must be a positive number of mm, not {wanted}")
    times = [_nearest(gap, wanted) for gap in gaps]
    if max(times) == 1:
        raise VolumeError(
            f"The slices are {min(gaps):.4g} mm apart, and no whole number of slices between them "
            f"brings them nearer to {wanted:.4g} mm. Ask for less than that, or for a factor."
        )
    return times


def _nearest(gap: float, wanted: float) -> int:
    """The N for which gap / N is nearest to what is wanted; of two, the smaller."""
    steps = np.arange(1, MOST_TIMES + 1)
    return int(steps[np.argmin(np.abs(gap / steps - wanted).round(6))])


def slices_after(volume: Volume, times: Sequence[int]) -> int:
    """How many slices a scan has then, with so many times as many in each stretch."""
    pairs = zip(volume.stretches, times, strict=True)
    return 1 + sum(n * (len(part) - 1) for part, n in pairs)


def gaps_after(volume: Volume, times: Sequence[int]) -> tuple[float, float]:
    """The smallest and the largest gap in mm then."""
    gaps = np.array(stretch_gaps(volume)) / times
    return float(gaps.min()), float(gaps.max())


def fineness_in_words(volume: Volume, times: Sequence[int]) -> str:
    """What comes of it: ×N, how many slices, and how far apart they are then."""
    low, high = gaps_after(volume, times)
    apart = f"{low:.4g}" if high - low < SAME_SPACING * low else f"{low:.4g}…{high:.4g}"
    factors = f"{min(times)}" if min(times) == max(times) else f"{min(times)}…{max(times)}"
    return f"×{factors}: {slices_after(volume, times)} slices, {apart} mm"
