"""The table of methods against acquired slices, over patients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from SliceInterpLib.evaluation.holdout import hold_one_out, true_middles
from SliceInterpLib.evaluation.metrics import METRICS, has_full_range, slice_metrics
from SliceInterpLib.evaluation.statistics import mean_with_interval
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.volume import Volume


def benchmark(
    patients: Mapping[str, Callable[[], Volume]],
    methods: Sequence[Interpolator],
    *,
    every: int = 1,
    thickness: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, object]:
    """Compare methods on volumes, one a patient, each loaded when its turn comes.

    every: hold out slices 1, 1 + every, …. thickness: average that many thin slices into thick
    ones and compare with the true middle slice at the real gap, instead of holding slices out.

    Returns {"patients": n, "protocol": …, "methods": {method: {metric: {"mean", "ci95"}}},
    "per_patient": {patient: {method: {metric: mean over slices}}}}; a metric that a volume does
    not allow (mae_hu without the full range) is None.
    """
    per_patient: dict[str, dict[str, dict[str, float | None]]] = {}
    done = 0
    for patient, load in patients.items():
        volume = load()
        per_patient[patient] = {}
        for method in methods:
            if thickness:
                pairs = true_middles(volume, method, thickness=thickness, every=every)
            else:
                pairs = hold_one_out(volume, method, every=every)
            means = _mean_metrics(slice_metrics(found, truth) for _, found, truth in pairs)
            if not has_full_range(volume.hu):
                means["mae_hu"] = None
            per_patient[patient][method.name] = means
            done += 1
            if progress:
                progress(done, len(patients) * len(methods))
    return {
        "patients": len(per_patient),
        "protocol": f"true middle of {thickness} averaged slices, every {every}"
        if thickness
        else f"one slice held out, every {every}",
        "methods": {
            method.name: {
                metric: _over_patients(per_patient, method.name, metric) for metric in METRICS
            }
            for method in methods
        },
        "per_patient": per_patient,
    }


def _mean_metrics(slices: Iterable[dict[str, float | None]]) -> dict[str, float | None]:
    rows = list(slices)
    means: dict[str, float | None] = {}
    for metric in METRICS:
        values = [row[metric] for row in rows if row[metric] is not None]
        means[metric] = float(np.mean(values)) if values else None
    return means


def _over_patients(
    per_patient: Mapping[str, Mapping[str, Mapping[str, float | None]]], method: str, metric: str
) -> dict[str, object] | None:
    values = [rows[method][metric] for rows in per_patient.values()]
    known = [value for value in values if value is not None]
    return mean_with_interval(known) if known else None


_FORMATS = {
    "psnr": ("PSNR dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.3f}"),
    "ms_ssim": ("MS-SSIM", "{:.3f}"),
    "mae": ("MAE", "{:.4f}"),
    "mae_hu": ("MAE HU", "{:.1f}"),
}


def quality_table(result: Mapping) -> str:
    """A benchmark's result as a Markdown table: means, with 95 % intervals where there are any."""
    lines = [
        "| method | " + " | ".join(title for title, _ in _FORMATS.values()) + " |",
        "|---" * (1 + len(_FORMATS)) + "|",
    ]
    for method, row in result["methods"].items():
        cells = [_cell(row[metric], style) for metric, (_, style) in _FORMATS.items()]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: Mapping | None, style: str) -> str:
    if value is None:
        return "–"
    mean = style.format(value["mean"])
    if value["ci95"] is None:
        return mean
    return f"{mean} ({'…'.join(style.format(bound) for bound in value['ci95'])})"


def speed_lines(speed: Mapping[str, Mapping[str, float]]) -> str:
    """The speed table as Markdown."""
    lines = ["| method | seconds | of linear | working memory MiB |", "|---|---|---|---|"]
    lines += [
        f"| {method} | {row['seconds']:.2f} | {row['to_linear']:.1f} | {row['working_mib']:.0f} |"
        for method, row in speed.items()
    ]
    return "\n".join(lines)
