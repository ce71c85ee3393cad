"""Means over patients, differences between methods, and their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from SliceInterpLib.table import Column, Estimate, Table, Value

PatientTable = Mapping[str, Mapping[str, Mapping[str, float | None]]]
"""{patient: {method: {metric: the patient's value, None where there is none}}}."""

Differences = dict[str, dict[str, dict[str, dict[str, Any] | None]]]
"""{method: {other: {metric: {"difference", "ci95", "p", "q"} or None}}}."""

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


def patient_means(
    patients: PatientTable, methods: Iterable[str], metrics: Sequence[str]
) -> dict[str, dict[str, dict[str, Any] | None]]:
    """{method: {metric: what `mean_with_interval` gives; None where no patient has a value}}."""
    found: dict[str, dict[str, dict[str, Any] | None]] = {}
    for method in methods:
        found[method] = {}
        for metric in metrics:
            values = [rows[method][metric] for rows in patients.values()]
            known = [value for value in values if value is not None]
            found[method][metric] = mean_with_interval(known) if known else None
    return found


def differences(
    patients: PatientTable,
    methods: Iterable[str],
    references: Sequence[str],
    metrics: Sequence[str],
) -> Differences:
    """Of each method to each reference, over the patients that have a value for both.

    Args:
        patients: what was measured.
        methods: those that are compared.
        references: those that they are compared with; none with itself.
        metrics: what is compared.

    Returns:
        Mean of method − reference with its interval, p as `paired_p` has it, q the same adjusted
        over all of them; None for a metric that no patient has for both.
    """
    table: Differences = {
        method: {
            other: {metric: _difference(patients, method, other, metric) for metric in metrics}
            for other in references
            if other != method
        }
        for method in methods
    }
    cells = [c for rows in table.values() for row in rows.values() for c in row.values() if c]
    for cell, q in zip(cells, adjusted([cell["p"] for cell in cells]), strict=True):
        cell["q"] = q
    return {method: rows for method, rows in table.items() if rows}


def _difference(
    patients: PatientTable, method: str, other: str, metric: str
) -> dict[str, Any] | None:
    pairs = [(rows[method][metric], rows[other][metric]) for rows in patients.values()]
    apart = [one - two for one, two in pairs if one is not None and two is not None]
    if not apart:
        return None
    mean = mean_with_interval(apart)
    return {"difference": mean["mean"], "ci95": mean["ci95"], "p": paired_p(apart)}


def means_table(
    means: Mapping[str, Mapping[str, Any]], columns: Sequence[Column], caption: str
) -> Table:
    """What `patient_means` gives: a row a method, with 95 % intervals where there are any.

    Args:
        means: of the methods.
        columns: of the metrics.
        caption: stands above.
    """
    rows: list[dict[str, Value]] = [
        {"method": method} | {metric: Estimate.of(found) for metric, found in row.items()}
        for method, row in means.items()
    ]
    return Table([Column("method"), *columns], rows, caption)


def differences_table(found: Differences, columns: Sequence[Column]) -> Table:
    """What `differences` gives: a row a pair of methods, with 95 % intervals and q.

    Args:
        found: the differences.
        columns: of the metrics.
    """
    rows: list[dict[str, Value]] = [
        {"pair": f"{method} − {other}"} | {metric: _cell(cell) for metric, cell in row.items()}
        for method, others in found.items()
        for other, row in others.items()
    ]
    return Table(
        [
            Column("pair", "method − against"),
            *(replace(column, style=f"+{column.style}") for column in columns),
        ],
        rows,
        caption="Mean differences over patients with 95 % intervals; q: Wilcoxon signed-rank tests "
        "after Benjamini and Hochberg (six patients or more)",
    )


def _cell(found: Mapping | None) -> Estimate | None:
    if found is None:
        return None
    remark = "" if found["q"] is None else f", q {found['q']:.2g}"
    return Estimate(found["difference"], found["ci95"], remark)
