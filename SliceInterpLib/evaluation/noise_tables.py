"""Noise signatures as tables: of one patient, and of a method over patients."""

from __future__ import annotations

from collections.abc import Mapping

from SliceInterpLib.patient_statistics import mean_with_interval, with_interval

_COLUMNS = {
    "tissue_hu": ("noise in tissue HU", ".2f"),
    "csf_hu": ("in CSF HU", ".2f"),
    "nps_per_mm": ("NPS mean 1/mm", ".3f"),
    "inner_table_mm": ("inner table mm", ".2f"),
    "hematoma_mm": ("hematoma border mm", ".2f"),
}
"""Titles and formats of the figures that stand beside those of acquired slices."""


def noise_table(signature: Mapping) -> str:
    """One patient's signature as a Markdown table; in brackets parts of the acquired slices'."""
    titles = ["slices", *(title for title, _ in _COLUMNS.values()), "r(residual, edges)"]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    rows = signature["rows"]
    for name, row in rows.items():
        cells = []
        for key, (_, style) in _COLUMNS.items():
            part = row.get("of_acquired", {}).get(key)
            cells.append(_text(row[key], style) + ("" if part is None else f" ({part:.2f})"))
        cells.append(_text(row.get("edge_correlation"), ".2f"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if signature["linear_theory"] is not None:
        lines.append(
            f"\nNoise correlation of neighbouring slices ρ = "
            f"{signature['neighbour_correlation']:.2f}: averaging alone leaves "
            f"√((1 + ρ)/2) = {signature['linear_theory']:.2f} of the noise."
        )
    return "\n".join(lines)


def over_patients(signatures: Mapping[str, Mapping]) -> dict[str, dict[str, object]]:
    """Parts of the acquired slices' figures: {method: {figure: {"mean", "ci95"} or None}}."""
    methods = [name for name in next(iter(signatures.values()))["rows"] if name != "acquired"]
    table: dict[str, dict[str, object]] = {}
    for method in methods:
        table[method] = {}
        for key in _COLUMNS:
            parts = [one["rows"][method]["of_acquired"][key] for one in signatures.values()]
            known = [part for part in parts if part is not None]
            table[method][key] = mean_with_interval(known) if known else None
    return table


def over_patients_table(summary: Mapping[str, Mapping]) -> str:
    """What `over_patients` returns as a Markdown table, with 95 % intervals."""
    titles = ["part of acquired", *(title.rsplit(" ", 1)[0] for title, _ in _COLUMNS.values())]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for method, row in summary.items():
        cells = [
            "–" if c is None else with_interval(c["mean"], c["ci95"], ".2f") for c in row.values()
        ]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _text(value: float | None, style: str) -> str:
    return "–" if value is None else format(value, style)
