"""What a reader of a report should see first: what was gained, and where not to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from SliceInterpLib.evidence.scan_check import hidden_count
from SliceInterpLib.report.findings import Findings
from SliceInterpLib.volume import Volume

_WORST = 3
"""So many places are named."""


class Headline(NamedTuple):
    """One figure of the first line."""

    figure: str
    """Big."""
    text: str
    """What it is."""
    note: str
    """What else to know."""


def headlines(findings: Findings) -> list[Headline]:
    """Resolution, error, noise, and the least certain places, as far as they are known."""
    found = (_resolution, _error, _noise, _least_certain)
    return [line for make in found if (line := make(findings))]


def least_certain(findings: Findings) -> list[tuple[str, float]]:
    """The worst places and their error in HU, the worst first.

    They are the gaps with the largest expected error or, without such a map, the acquired slices
    that were predicted worst when they were hidden. Slices are numbered from 1.
    """
    if findings.gap_errors:
        known = [(gap, error) for gap, error in enumerate(findings.gap_errors) if error is not None]
        worst = sorted(known, key=lambda found: -found[1])[:_WORST]
        return [(f"{gap + 1}–{gap + 2}", error) for gap, error in worst]
    if findings.check is None:
        return []
    rows = findings.check["methods"][findings.method.name]["slices"]
    rows = sorted(rows, key=lambda row: -row["mae_window_hu"])[:_WORST]
    return [(str(row["slice"] + 1), row["mae_window_hu"]) for row in rows]


def _resolution(findings: Findings) -> Headline:
    before, after = findings.volume, findings.doubled
    return Headline(
        f"{_gap(before)} → {_gap(after)}",
        f"{after.slice_count} slices from {before.slice_count}",
        f"{np.count_nonzero(after.synthetic)} synthetic, each marked; "
        "acquired slices unchanged, bit for bit",
    )


def _gap(volume: Volume) -> str:
    low, high = float(volume.gaps.min()), float(volume.gaps.max())
    return f"{low:.3g} mm" if volume.is_even else f"{low:.3g}–{high:.3g} mm"


def _error(findings: Findings) -> Headline | None:
    if findings.check is None:
        return None
    name, plain = findings.method.name, findings.classical.name
    errors = {
        method: findings.check["methods"][method]["mean"]["mae_window_hu"]
        for method in (name, plain)
    }
    gained = "" if errors[name] < errors[plain] else f": no gain over {plain} on this scan"
    return Headline(
        f"Error {errors[name]:.1f} HU, {plain} {errors[plain]:.1f}",
        f"mean, on hidden slices, in the brain window{gained}",
        f"each of {hidden_count(findings.check)} inner slices predicted from neighbours "
        f"{findings.check['hidden_gap_mm']:.3g} mm apart, twice the real gap: conservative",
    )


def _noise(findings: Findings) -> Headline | None:
    if findings.noise is None:
        return None
    name, plain = findings.method.name, findings.classical.name
    rows = findings.noise["rows"]
    parts = {method: rows[method]["of_acquired"]["tissue_hu"] for method in (name, plain)}
    if None in parts.values():
        return None
    acquired = rows["acquired"]["tissue_hu"]
    return Headline(
        f"Noise {parts[name]:.0%}, {plain} {parts[plain]:.0%}",
        f"left in synthetic slices of the {acquired:.1f} HU in acquired brain",
        f"averaging alone leaves {findings.noise['linear_theory']:.0%}{_sharpness(rows[name])}",
    )


def _sharpness(row: Mapping) -> str:
    """Whether blur was taken for denoising."""
    width = row["of_acquired"]["inner_table_mm"]
    return "" if width is None else f"; the skull's inner edge is {width:.2f} times as wide"


def _least_certain(findings: Findings) -> Headline | None:
    worst = least_certain(findings)
    if not worst:
        return None
    places = ", ".join(place for place, _ in worst)
    figures = ", ".join(f"{error:.1f}" for _, error in worst)
    if findings.gap_errors:
        return Headline(
            f"Slices {places}",
            "least certain: trust least what lies between these",
            f"expected error {figures} HU, mean over the brain",
        )
    return Headline(
        f"Slices {places}",
        "least certain: trust least what lies beside these",
        f"predicted worst when hidden: errors of {figures} HU",
    )
