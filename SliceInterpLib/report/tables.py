"""The tables of a report, and its facts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TypeAlias

from SliceInterpLib.evidence.stripes import VIEWS
from SliceInterpLib.networks.expected_error import card_path
from SliceInterpLib.networks.registry import read_card
from SliceInterpLib.report.findings import Findings
from SliceInterpLib.report.orientation import PatientOrder
from SliceInterpLib.table import Column, Table, Value
from SliceInterpLib.volume import spacing_in_words

Facts: TypeAlias = list[tuple[str, str]]
"""What is told by title."""

_ENDS = (("inferior", "superior"), ("anterior", "posterior"), ("right", "left"))


def scan(findings: Findings) -> Facts:
    """What the scan is, by its geometry and its values."""
    volume = findings.volume
    rows, columns = volume.slices.shape[1:]
    tilt = volume.tilt_degrees
    return [
        ("Slices", f"{volume.slice_count}, {spacing_in_words(volume)}"),
        ("Numbered", f"from 1, {first_end(findings)}"),
        ("Matrix", f"{columns} × {rows}"),
        ("Pixels", "{:.4g} × {:.4g} mm".format(*volume.pixel_spacing)),
        ("Values", f"{volume.slices.min():.0f}…{volume.slices.max():.0f} HU"),
        *([("Gantry tilt", f"{tilt:.1f}°, upright only in the pictures")] if tilt else []),
    ]


def done(findings: Findings) -> Facts:
    """What was made of it, and by what."""
    doubled = findings.doubled
    model = getattr(findings.method, "model", None)
    licence = [("Licence of the model", model.licence)] if model else []
    provenance = [
        (name.replace("_", " ").capitalize(), _in_words(value))
        for name, value in doubled.provenance.items()
        if value is not None
    ]
    return [
        ("Result", f"{doubled.slice_count} slices, {spacing_in_words(doubled)}"),
        ("Compared with", findings.classical.name),
        *provenance,
        *licence,
    ]


def _in_words(value: object) -> str:
    """A value of the provenance; of an uneven scan's stretches, one behind the other."""
    if not isinstance(value, list):
        return str(value)
    stretches = (
        "slices {}–{}: {:.4g} mm, ×{}".format(*part["slices"], part["gap_mm"], part["times"])
        for part in value
    )
    return "; ".join(stretches)


def stripes(findings: Findings) -> Table:
    """The stripe index by method and view."""
    assert findings.stripes is not None
    rows: list[dict[str, Value]] = [
        {"method": name, **found} for name, found in findings.stripes.items()
    ]
    return Table([Column("method"), *(Column(view, style=".2f") for view in VIEWS)], rows)


def hematoma(findings: Findings) -> Table:
    """What the hematoma measures, by grid."""
    assert findings.hematoma is not None
    columns = (
        Column("grid"),
        Column("voxel_ml", "voxels", "ml", ".1f"),
        Column("partial_volume_ml", "partial volume", "ml", ".1f"),
        Column("surface_ml", "surface", "ml", ".1f"),
        Column("abc2_ml", "ABC/2", "ml", ".1f"),
        Column("largest_diameter_mm", "largest diameter", "mm", ".1f"),
        Column("slices"),
    )
    rows = [{"grid": grid, **asdict(one)} for grid, one in findings.hematoma.items()]
    return Table(columns, rows)


def slices(findings: Findings) -> Table:
    """Where to trust it, slice by slice: errors of the hidden ones, expected errors of the rest."""
    assert findings.check is not None
    names = (findings.classical.name, findings.method.name)
    columns = [
        Column("slice"),
        *(Column(f"{name} mae", f"{name}, MAE", "HU", ".2f") for name in names),
        *(Column(f"{name} psnr", f"{name}, PSNR", "dB", ".1f") for name in names),
    ]
    rows = [
        {"slice": number} | dict.fromkeys(column.key for column in columns[1:])
        for number in range(1, findings.volume.slice_count + 1)
    ]
    for name in names:
        for found in findings.check["methods"][name]["slices"]:
            row = rows[found["slice"]]
            row |= {f"{name} mae": found["mae_window_hu"], f"{name} psnr": found["psnr"]}
    if findings.gap_errors:
        title = "expected error in brain up to the next slice,"
        columns.append(Column("expected", title, "HU", ".2f"))
        for row, error in zip(rows, (*findings.gap_errors, None), strict=True):
            row["expected"] = error
    return Table(columns, rows)


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
