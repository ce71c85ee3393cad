"""What `volumetry_real` measured, over patients: means, paired differences, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from SliceInterpLib.lab.patient_statistics import (
    DIFFERENCES_ARE,
    counted,
    difference_cell,
    differences,
    patient_means,
)
from SliceInterpLib.lab.volumetry_real import METRICS, Patient
from SliceInterpLib.table import Column, Estimate, Table, Value

_COLUMNS = (
    Column("dice", "Dice", "", ".3f"),
    Column("dice_hidden", "Dice on hidden slices", "", ".3f"),
    Column("surface_mm", "surface", "mm", ".2f"),
    Column("hd95_mm", "HD95", "mm", ".2f"),
    Column("error_ml", "volume error", "ml", ".2f"),
    Column("error_percent", "volume error", "%", ".1f"),
)


def summary_of(patients: Sequence[Patient], left_out: Mapping[str, str]) -> dict[str, Any]:
    """All figures: of each method over patients, of the last against the others, of each patient.

    Args:
        patients: at least one, each with the same methods.
        left_out: why, by patient.
    """
    table: dict[str, dict[str, dict[str, float | None]]] = {
        one.name: {row.method: {key: getattr(row, key) for key in METRICS} for row in one.rows}
        for one in patients
    }
    methods = [row.method for row in patients[0].rows]
    nothing = {
        method: sum(row.ml == 0.0 for one in patients for row in one.rows if row.method == method)
        for method in methods
    }
    return {
        "patients": len(patients),
        "left_out": dict(left_out),
        "methods": patient_means(table, methods, METRICS),
        "found_nothing": nothing,
        "comparisons": differences(table, methods[-1:], methods, METRICS),
        "per_patient": [asdict(one) for one in patients],
    }


def tables_text(summary: Mapping[str, Any]) -> str:
    """Means, differences, patients, and who was left out."""
    tables = (methods_table(summary), differences_table(summary), patients_table(summary))
    texts = [table.markdown() for table in tables]
    nothing = {name: count for name, count in summary["found_nothing"].items() if count}
    if nothing:
        told = ", ".join(f"{name} {count}" for name, count in nothing.items())
        texts.append(f"Nothing was found, by method, in so many patients: {told}.")
    texts += [f"Left out: {name}, {why}." for name, why in summary["left_out"].items()]
    return "\n\n".join(texts)


def methods_table(summary: Mapping[str, Any]) -> Table:
    """A row a method."""
    thick, fine = summary["per_patient"][0]["spacing_mm"]
    return Table(
        [Column("method"), *_COLUMNS],
        [
            {"method": method} | {key: Estimate.of(found) for key, found in row.items()}
            for method, row in summary["methods"].items()
        ],
        caption=f"{counted(summary['patients'])}, every second slice hidden ({thick:g} → "
        f"{fine:g} mm in the first); mean and 95 % interval over patients",
    )


def differences_table(summary: Mapping[str, Any]) -> Table:
    """The last method against each other row."""
    rows: list[dict[str, Value]] = [
        {"pair": f"{method} − {other}"} | {key: difference_cell(row[key]) for key in METRICS}
        for method, others in summary["comparisons"].items()
        for other, row in others.items()
    ]
    columns = [replace(column, style=f"+{column.style}") for column in _COLUMNS]
    return Table([Column("pair", "method − against"), *columns], rows, caption=DIFFERENCES_ARE)


def patients_table(summary: Mapping[str, Any]) -> Table:
    """A row a patient: the true volume, and Dice and volume by each method."""
    methods = [method for method, row in summary["methods"].items() if row["dice"]]
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
            *(Column(f"{method} dice", f"{method}, Dice", "", ".3f") for method in methods),
            *(Column(f"{method} ml", method, "ml", ".1f") for method in summary["methods"]),
        ],
        rows,
    )
