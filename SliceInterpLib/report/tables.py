"""The tables of a report: rows of text cells, the titles first."""

from __future__ import annotations

from typing import TypeAlias

from SliceInterpLib.evidence import noise_tables
from SliceInterpLib.evidence.scan_check import SHOWN
from SliceInterpLib.evidence.stripes import VIEWS
from SliceInterpLib.networks.expected_error import card_path
from SliceInterpLib.networks.registry import read_card
from SliceInterpLib.report.findings import Findings
from SliceInterpLib.report.orientation import PatientOrder
from SliceInterpLib.volume import spacing_in_words

Table: TypeAlias = list[list[str]]

_HEMATOMA = {
    "voxel_ml": ("voxels ml", ".1f"),
    "partial_volume_ml": ("partial volume ml", ".1f"),
    "surface_ml": ("surface ml", ".1f"),
    "abc2_ml": ("ABC/2 ml", ".1f"),
    "largest_diameter_mm": ("largest diameter mm", ".1f"),
    "slices": ("slices", "d"),
}
"""Titles and formats of what is told of a hematoma."""

_ENDS = (("inferior", "superior"), ("anterior", "posterior"), ("right", "left"))


def scan(findings: Findings) -> Table:
    """What the scan is, by its geometry and its values."""
    volume = findings.volume
    rows, columns = volume.slices.shape[1:]
    tilt = volume.tilt_degrees
    return [
        ["Slices", f"{volume.slice_count}, {spacing_in_words(volume)}"],
        ["Numbered", f"from 1, {first_end(findings)}"],
        ["Matrix", f"{columns} × {rows}"],
        ["Pixels", "{:.4g} × {:.4g} mm".format(*volume.pixel_spacing)],
        ["Values", f"{volume.slices.min():.0f}…{volume.slices.max():.0f} HU"],
        *([["Gantry tilt", f"{tilt:.1f}°, upright in the pictures alone"]] if tilt else []),
    ]


def done(findings: Findings) -> Table:
    """What was made of it, and by what."""
    doubled = findings.doubled
    model = getattr(findings.method, "model", None)
    licence = [["Licence of the model", str(model.card.get("licence", "–"))]] if model else []
    provenance = [
        [name.replace("_", " ").capitalize(), str(value)]
        for name, value in doubled.provenance.items()
        if value is not None
    ]
    return [
        ["Result", f"{doubled.slice_count} slices, {spacing_in_words(doubled)}"],
        ["Compared with", findings.classical.name],
        *provenance,
        *licence,
    ]


def check(findings: Findings) -> Table:
    """The metrics of the hidden slices, by method, with the worst slice."""
    assert findings.check is not None
    rows = [["method", *(title for title, _ in SHOWN.values()), "worst slice"]]
    for name, found in findings.check["methods"].items():
        worst = found["worst"]
        cells = [_text(found["mean"][key], style) for key, (_, style) in SHOWN.items()]
        rows.append([name, *cells, f"{worst['slice'] + 1} ({worst['psnr']:.1f} dB)"])
    return rows


def noise(findings: Findings) -> Table:
    """Noise and sharpness of acquired and synthetic slices."""
    assert findings.noise is not None
    lines = noise_tables.noise_table(findings.noise).splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return [cells[0], *cells[2:]]  # without Markdown's line below the titles


def stripes(findings: Findings) -> Table:
    """The stripe index by method and view."""
    assert findings.stripes is not None
    return [
        ["method", *VIEWS],
        *([name, *(f"{row[v]:.2f}" for v in VIEWS)] for name, row in findings.stripes.items()),
    ]


def hematoma(findings: Findings) -> Table:
    """What the hematoma measures, by grid."""
    assert findings.hematoma is not None
    return [
        ["grid", *(title for title, _ in _HEMATOMA.values())],
        *(
            [grid, *(format(getattr(one, key), style) for key, (_, style) in _HEMATOMA.items())]
            for grid, one in findings.hematoma.items()
        ),
    ]


def slices(findings: Findings) -> Table:
    """Where to trust it, slice by slice: errors of the hidden ones, expected errors of the rest."""
    assert findings.check is not None
    names = [findings.classical.name, findings.method.name]
    both = (findings.check["methods"][name]["slices"] for name in names)
    found = {rows[0]["slice"]: rows for rows in zip(*both, strict=True)}
    gaps = findings.gap_errors
    table = [["slice", *(f"{name}, MAE HU" for name in names), *(f"{n}, PSNR dB" for n in names)]]
    if gaps:
        table[0].append("expected error in brain up to the next slice, HU")
    for index in range(findings.volume.slice_count):
        rows = found.get(index, ({"mae_window_hu": None, "psnr": None},) * 2)
        line = [str(index + 1)]
        line += [_text(row["mae_window_hu"], ".2f") for row in rows]
        line += [_text(row["psnr"], ".1f") for row in rows]
        if gaps:
            line.append(_text(gaps[index] if index < len(gaps) else None, ".2f"))
        table.append(line)
    return table


def limits(findings: Findings) -> list[str]:
    """What the result is not good for."""
    found = [
        "Synthetic slices are predictions, not measurements. Whatever matters must be seen on the "
        "acquired slices."
    ]
    model = getattr(findings.method, "model", None)
    if model:
        found += model.card.get("limits", ())
    if model and findings.expected_error is not None:
        card = read_card(card_path(model)).card
        found += [f"Expected error: {limit}" for limit in card.get("limits", ())]
    return found


def first_end(findings: Findings) -> str:
    """Which end of the patient the first slice of the file is."""
    order = PatientOrder.of(findings.volume)
    axis = order.axes.index(0)
    return f"{_ENDS[axis][order.flipped[axis]]} first"


def _text(value: float | None, style: str) -> str:
    return "–" if value is None else format(value, style)
