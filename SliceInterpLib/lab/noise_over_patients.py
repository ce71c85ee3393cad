"""Noise signatures of several patients, by method."""

from __future__ import annotations

from collections.abc import Mapping

from SliceInterpLib.evidence.noise_tables import COLUMNS
from SliceInterpLib.lab.patient_statistics import mean_with_interval, with_interval


def over_patients(signatures: Mapping[str, Mapping]) -> dict[str, dict[str, object]]:
    """Parts of the acquired slices' figures: {method: {figure: {"mean", "ci95"} or None}}."""
    methods = [name for name in next(iter(signatures.values()))["rows"] if name != "acquired"]
    table: dict[str, dict[str, object]] = {}
    for method in methods:
        table[method] = {}
        for key in COLUMNS:
            parts = [one["rows"][method]["of_acquired"][key] for one in signatures.values()]
            known = [part for part in parts if part is not None]
            table[method][key] = mean_with_interval(known) if known else None
    return table


def over_patients_table(summary: Mapping[str, Mapping]) -> str:
    """What `over_patients` returns as a Markdown table, with 95 % intervals."""
    titles = ["part of acquired", *(title.rsplit(" ", 1)[0] for title, _ in COLUMNS.values())]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for method, row in summary.items():
        cells = [
            "–" if c is None else with_interval(c["mean"], c["ci95"], ".2f") for c in row.values()
        ]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)
