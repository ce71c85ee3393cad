"""A noise signature as a table."""

from __future__ import annotations

from collections.abc import Mapping

from SliceInterpLib.table import Column, Estimate, Table

COLUMNS = (
    Column("tissue_hu", "noise in tissue", "HU", ".2f"),
    Column("csf_hu", "in CSF", "HU", ".2f"),
    Column("nps_per_mm", "NPS mean", "1/mm", ".3f"),
    Column("inner_table_mm", "inner table", "mm", ".2f"),
    Column("hematoma_mm", "hematoma border", "mm", ".2f"),
)
"""The figures that stand beside those of acquired slices."""


def noise_table(signature: Mapping) -> Table:
    """One patient's signature; in brackets parts of the acquired slices' figures."""
    rows = []
    for name, found in signature["rows"].items():
        parts = found.get("of_acquired", {})
        row = {"slices": name, "edge_correlation": found.get("edge_correlation")}
        rows.append(row | {c.key: _beside(found[c.key], parts.get(c.key)) for c in COLUMNS})
    correlation = Column("edge_correlation", "r(residual, edges)", style=".2f")
    return Table([Column("slices"), *COLUMNS, correlation], rows)


def averaging_note(signature: Mapping) -> str:
    """What averaging alone does to the noise; nothing where that is unknown."""
    if signature["linear_theory"] is None:
        return ""
    return (
        "Noise correlation of neighbouring slices ρ = "
        f"{signature['neighbour_correlation']:.2f}: averaging alone leaves "
        f"√((1 + ρ)/2) = {signature['linear_theory']:.2f} of the noise."
    )


def _beside(value: float | None, part: float | None) -> Estimate | float | None:
    return value if value is None or part is None else Estimate(value, remark=f" ({part:.2f})")
