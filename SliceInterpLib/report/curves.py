"""Errors along the scan as curves, drawn by the report's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from SliceInterpLib.report.findings import Findings

WIDTH, HEIGHT = 1000.0, 90.0
"""Size of a chart; its unit is a pixel where the page is about as wide."""

_LABELS = 16
"""About so many slices are named."""

_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


class Chart(NamedTuple):
    """Lines or bars over the place of the slices; y grows downwards, as in SVG."""

    curves: dict[str, str]
    """Points by method, "x,y x,y …"."""
    bars: list[tuple[float, float]]
    """x and height, one for each gap with brain."""
    levels: list[tuple[float, float]]
    """y and HU of the lines that are named beside."""
    slices: list[tuple[float, int]]
    """x and number of the slices that are named below."""


def check_chart(findings: Findings) -> Chart:
    """MAE in HU of the hidden slices, a curve a method."""
    assert findings.check is not None
    methods = {
        name: [(row["slice"], row["mae_window_hu"]) for row in found["slices"]]
        for name, found in findings.check["methods"].items()
    }
    chart = _empty(findings, [error for rows in methods.values() for _, error in rows])
    unit, scale = _scales(findings, chart)
    for name, rows in methods.items():
        points = (f"{index * unit:.1f},{HEIGHT - error * scale:.1f}" for index, error in rows)
        chart.curves[name] = " ".join(points)
    return chart


def expected_chart(findings: Findings) -> Chart:
    """Mean expected error in HU over the brain, a bar a gap."""
    assert findings.gap_errors is not None
    known = [(gap, error) for gap, error in enumerate(findings.gap_errors) if error is not None]
    chart = _empty(findings, [error for _, error in known])
    unit, scale = _scales(findings, chart)
    chart.bars.extend(((gap + 0.5) * unit, error * scale) for gap, error in known)
    return chart


def _empty(findings: Findings, errors: Sequence[float]) -> Chart:
    """A chart that is high enough for the errors."""
    highest = max(errors, default=0.0)
    step = next((step for step in _STEPS if highest <= 3 * step), _STEPS[-1])
    steps = max(1, -int(-highest // step))
    count = findings.volume.slice_count
    named = range(0, count, max(1, round(count / _LABELS)))
    return Chart(
        curves={},
        bars=[],
        levels=[(HEIGHT * (1.0 - n / steps), n * step) for n in range(steps + 1)],
        slices=[(index * WIDTH / (count - 1), index + 1) for index in named],
    )


def _scales(findings: Findings, chart: Chart) -> tuple[float, float]:
    """Units of the chart for a slice, and for a HU."""
    return WIDTH / (findings.volume.slice_count - 1), HEIGHT / chart.levels[-1][1]
