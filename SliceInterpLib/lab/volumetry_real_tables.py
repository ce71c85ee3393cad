"""What `volumetry_real` measured, over patients: means, paired differences, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from SliceInterpLib.lab.patient_statistics import (
    counted,
    differences,
    differences_table,
    means_table,
    patient_means,
)
from SliceInterpLib.lab.volumetry_real import METRICS, MULTIPLIED, Patient
from SliceInterpLib.table import Column, Table, Value

_COLUMNS = (
    Column("dice", "Dice", "", ".3f"),
    Column("dice_hidden", "Dice on hidden slices", "", ".3f"),
    Column("surface_mm", "surface", "mm", ".2f"),
    Column("hd95_mm", "HD95", "mm", ".2f"),
    Column("error_ml", "volume error", "ml", ".2f"),
    Column("error_percent", "volume error", "%", ".1f"),
)

_LEAK = 3.0
"""Where a grid has so many times the true volume, the rule has leaked into other tissue."""


def summary_of(patients: Sequence[Patient], left_out: Mapping[str, str]) -> dict[str, Any]:
    """All figures: of each method over patients, of the last against the others, of each patient.

    A leak says more of the rule and its seed than of the slices, and one would rule every mean:
    patients with a leak on any grid are told and in the means of "with_leaks" alone.

    Args:
        patients: at least one, each with the same methods.
        left_out: why, by patient.
    """
    methods = [row.method for row in patients[0].rows]
    leaks = {
        one.name: [row.method for row in one.rows if row.ml > _LEAK * one.true_ml]
        for one in patients
    }
    leaks = {name: where for name, where in leaks.items() if where}
    table = {one.name: _figures(one) for one in patients}
    whole = {name: figures for name, figures in table.items() if name not in leaks}
    return {
        "patients": len(whole),
        "leaks": leaks,
        "left_out": dict(left_out),
        "methods": patient_means(whole, methods, METRICS),
        "comparisons": differences(whole, methods[-1:], methods, METRICS),
        "with_leaks": patient_means(table, methods, METRICS) if leaks else None,
        "found_nothing": {method: _found_nothing(patients, method) for method in methods},
        "per_patient": [asdict(one) for one in patients],
    }


def _figures(patient: Patient) -> dict[str, dict[str, float | None]]:
    return {row.method: {key: getattr(row, key) for key in METRICS} for row in patient.rows}


def _found_nothing(patients: Sequence[Patient], method: str) -> int:
    return sum(row.ml == 0.0 for one in patients for row in one.rows if row.method == method)


def tables_text(summary: Mapping[str, Any]) -> str:
    """Means, differences, patients, and who was left out."""
    thick, fine = summary["per_patient"][0]["spacing_mm"]
    caption = (
        f"{counted(summary['patients'])}, every second slice hidden ({thick:g} → {fine:g} mm in "
        "the first); mean and 95 % interval over patients"
    )
    tables = [
        means_table(summary["methods"], _COLUMNS, caption),
        differences_table(summary["comparisons"], _COLUMNS),
        patients_table(summary),
    ]
    texts = [table.markdown() for table in tables]
    for name, where in summary["leaks"].items():
        texts.append(
            f"The rule leaks in {name}, which is in none of the means above: more than "
            f"{_LEAK:g} times the true volume on {', '.join(where)}."
        )
    if summary["with_leaks"]:
        count = counted(len(summary["per_patient"]))
        told = means_table(summary["with_leaks"], _COLUMNS, f"{count}, with the leaks")
        texts.append(told.markdown())
    nothing = {name: count for name, count in summary["found_nothing"].items() if count}
    if nothing:
        told_of = ", ".join(f"{name} {count}" for name, count in nothing.items())
        texts.append(f"Nothing was found, by method, in so many patients: {told_of}.")
    texts += [f"Left out: {name}, {why}." for name, why in summary["left_out"].items()]
    return "\n\n".join(texts)


def patients_table(summary: Mapping[str, Any]) -> Table:
    """A row a patient: the true volume, and Dice and volume by each method."""
    methods = [row["method"] for row in summary["per_patient"][0]["rows"]]
    of_slices = [method for method in methods if method != MULTIPLIED]
    rows: list[dict[str, Value]] = []
    for one in summary["per_patient"]:
        row: dict[str, Value] = {"patient": one["name"], "true_ml": one["true_ml"]}
        for found in one["rows"]:
            row[f"{found['method']} dice"] = found["dice"]
            row[f"{found['method']} ml"] = found["ml"]
        rows.append(row)
    return Table(
        [
            Column("patient"),
            Column("true_ml", "true", "ml", ".1f"),
            *(Column(f"{method} dice", f"{method}, Dice", "", ".3f") for method in of_slices),
            *(Column(f"{method} ml", method, "ml", ".1f") for method in methods),
        ],
        rows,
    )
