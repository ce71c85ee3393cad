"""Means over patients with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def mean_with_interval(values: Sequence[float], *, seed: int = 0) -> dict[str, object]:
    """{"mean": …, "ci95": [low, high]} of one value a patient.

    The interval is a percentile bootstrap over patients (10,000 resamples, seeded); None for
    fewer than three patients, where it would say nothing.
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
