"""Noise signatures of several patients, by method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from SliceInterpLib.evidence.noise_tables import COLUMNS
from SliceInterpLib.lab.patient_statistics import mean_with_interval
from SliceInterpLib.table import Column, Estimate, Table


def over_patients(signatures: Mapping[str, Mapping]) -> dict[str, dict[str, object]]:
    """Parts of the acquired slices' figures: {method: {figure: {"mean", "ci95"} or None}}."""
    methods = [name for name in next(iter(signatures.values()))["rows"] if name != "acquired"]
    table: dict[str, dict[str, object]] = {}
    for method in methods:
        table[method] = {}
        for key in (column.key for column in COLUMNS):
            parts = [one["rows"][method]["of_acquired"][key] for one in signatures.values()]
            known = [part for part in parts if part is not None]
            table[method][key] = mean_with_interval(known) if known else None
    return table


def over_patients_table(summary: Mapping[str, Mapping]) -> Table:
    """What `over_patients` returns, with 95 % intervals."""
    rows = [
        {"method": method} | {key: Estimate.of(found) for key, found in row.items()}
        for method, row in summary.items()
    ]
    parts = [replace(column, unit="", style=".2f") for column in COLUMNS]
    return Table([Column("method", "part of acquired"), *parts], rows)
