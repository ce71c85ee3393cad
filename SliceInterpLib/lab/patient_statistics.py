"""Means over patients, differences between methods, and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

_FEWEST_TO_TEST = 6


def mean_with_interval(values: Sequence[float], *, seed: int = 0) -> dict[str, Any]:
    """{"mean": …, "ci95": [low, high]} of one value a patient.

    The interval is a percentile bootstrap over patients (10,000 resamples, seeded); None for
    fewer than three patients, where it would say nothing.

    Args:
        values: one a patient.
        seed: of the resamples.
    """
    mean = float(np.mean(values))
    if len(values) < 3:
        return {"mean": mean, "ci95": None}
    interval = stats.bootstrap(
        (np.asarray(values),),
        np.mean,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return {"mean": mean, "ci95": [float(interval.low), float(interval.high)]}


def counted(patients: int) -> str:
    """Their number in words."""
    return f"{patients} patient{'s' if patients != 1 else ''}"


def paired_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of the Wilcoxon signed-rank test (Wilcoxon 1945) on one difference a patient.

    None for fewer than six patients: even if all of five agreed, p would be 2/2⁵ = 0.06, so that
    the test could find nothing at the usual 0.05.
    """
    if len(differences) < _FEWEST_TO_TEST:
        return None
    if not np.any(differences):
        return 1.0  # no patient speaks for either side; scipy gives NaN
    return float(stats.wilcoxon(differences).pvalue)


def adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """q values of Benjamini and Hochberg 1995 for all p values of one table; None stays None."""
    known = [p for p in p_values if p is not None]
    if not known:
        return [None] * len(p_values)
    found = iter(stats.false_discovery_control(known))
    return [None if p is None else float(next(found)) for p in p_values]
