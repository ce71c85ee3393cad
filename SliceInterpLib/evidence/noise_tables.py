"""A noise signature as a table."""

from __future__ import annotations

from collections.abc import Mapping

COLUMNS = {
    "tissue_hu": ("noise in tissue HU", ".2f"),
    "csf_hu": ("in CSF HU", ".2f"),
    "nps_per_mm": ("NPS mean 1/mm", ".3f"),
    "inner_table_mm": ("inner table mm", ".2f"),
    "hematoma_mm": ("hematoma border mm", ".2f"),
}
"""Titles and formats of the figures that stand beside those of acquired slices."""


def noise_table(signature: Mapping) -> str:
    """One patient's signature as a Markdown table; in brackets parts of the acquired slices'."""
    titles = ["slices", *(title for title, _ in COLUMNS.values()), "r(residual, edges)"]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    rows = signature["rows"]
    for name, row in rows.items():
        cells = []
        for key, (_, style) in COLUMNS.items():
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


def _text(value: float | None, style: str) -> str:
    return "–" if value is None else format(value, style)
