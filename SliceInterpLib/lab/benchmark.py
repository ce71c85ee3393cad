"""The table of methods against acquired slices, over patients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from SliceInterpLib.errors import MethodError, VolumeError
from SliceInterpLib.evidence.holdout import Comparison, hold_out, left_out, to_hide
from SliceInterpLib.evidence.metrics import METRICS, slice_metrics
from SliceInterpLib.head_box import has_full_range
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.lab.averaging import thick_slices
from SliceInterpLib.lab.ceiling import PERFECT, with_new_noise
from SliceInterpLib.lab.patient_statistics import (
    counted,
    differences,
    differences_table,
    means_table,
    patient_means,
)
from SliceInterpLib.table import Column, Table
from SliceInterpLib.volume import Volume


def benchmark(
    patients: Mapping[str, Callable[[], Volume]],
    methods: Sequence[Interpolator],
    *,
    every: int = 1,
    thickness: int | None = None,
    places: int = 2,
    against: Sequence[str] | None = None,
    ceiling: Interpolator | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compare methods on volumes, one a patient, each loaded when its turn comes.

    Args:
        patients: by name, what loads a patient's volume.
        methods: those that are compared.
        every: hold out slices 1, 1 + every, ….
        thickness: average that many thin slices into thick ones and compare with the true slices
            at the real gap, instead of holding acquired slices out.
        places: N, where all N − 1 slices between two are predicted and compared.
        against: names of the methods that every learned one is compared with, patient by patient;
            by default linear, optical-flow and the models of architecture "reference-unet", as far
            as they are among `methods`.
        ceiling: a quiet method, on whose predictions is measured what one without any error would
            score against slices with noise; it has the row "perfect".
        progress: called with how many methods are done, of all patients together, and their number.

    Returns:
        {"patients": n, "protocol": …, "hidden": {patient: {"slices": how many were compared,
        "without_head": how many show no head and were not}}, "methods": {method: {metric: {"mean",
        "ci95"}}},
        "comparisons": {method: {against: {metric: {"difference": mean of method − against, "ci95",
        "p", "q"}}}}, "per_patient": {patient: {method: {metric: mean over slices}}}}; a metric that
        a volume does not allow (mae_hu without the full range, the ceiling without brain) is None.
        p is that of `patient_statistics.paired_p`, q the same adjusted over all comparisons and
        metrics.

    Raises:
        MethodError: if `against` names a method that is not among `methods`.
        VolumeError: with the patient's name, as `thick_slices` and `hold_out` do.
    """
    references = _references(methods, against)
    per_patient: dict[str, dict[str, dict[str, float | None]]] = {}
    hidden: dict[str, dict[str, int]] = {}
    done = 0
    for patient, load in patients.items():
        volume = load()
        try:
            if thickness:
                volume = thick_slices(volume, thickness, places)
            found = to_hide(volume, every=every, places=places)
            found.require()
        except VolumeError as problem:
            raise VolumeError(f"{patient}: {problem}") from problem
        hidden[patient] = {"slices": len(found.indices), "without_head": found.without_head}
        per_patient[patient] = {}
        for method in methods:
            pairs = hold_out(volume, method, every=every, places=places)
            per_patient[patient][method.name] = _mean_metrics(pairs, volume)
            done += 1
            if progress:
                progress(done, len(patients) * len(methods))
        if ceiling:
            pairs = hold_out(volume, ceiling, every=every, places=places)
            per_patient[patient][PERFECT] = _perfect(pairs, volume)
    names = [method.name for method in methods]
    shown = [*names, PERFECT] if ceiling else names
    return {
        "patients": len(per_patient),
        "protocol": _protocol(hidden, thickness, places, every),
        "hidden": hidden,
        "methods": patient_means(per_patient, shown, METRICS),
        "comparisons": differences(per_patient, filter(_is_learned, names), references, METRICS),
        "per_patient": per_patient,
    }


def _protocol(
    hidden: Mapping[str, Mapping[str, int]], thickness: int | None, places: int, every: int
) -> str:
    if places == 2:
        how = f"true middle of {thickness} averaged slices" if thickness else "one slice held out"
    elif thickness:
        how = f"{places - 1} true slices between two of {thickness} averaged slices"
    else:
        how = f"{places - 1} slices in a row held out"
    without_head = sum(found["without_head"] for found in hidden.values())
    return f"{how}, every {every}{left_out(without_head)}"


def _mean_metrics(pairs: Iterable[Comparison], volume: Volume) -> dict[str, float | None]:
    """Means over the slices of a volume that are compared."""
    rows = [slice_metrics(found, truth) for _, found, truth in pairs]
    means: dict[str, float | None] = {}
    for metric in METRICS:
        values = [value for row in rows if (value := row[metric]) is not None]
        means[metric] = float(np.mean(values)) if values else None
    if not has_full_range(volume.hu):
        means["mae_hu"] = None
    return means


def _perfect(pairs: Iterable[Comparison], volume: Volume) -> dict[str, float | None]:
    try:
        return _mean_metrics(with_new_noise(pairs), volume)
    except VolumeError:  # no place to measure noise in
        return dict.fromkeys(METRICS)


def _is_learned(name: str) -> bool:
    return name.split(":")[0] == "learned"


def _references(methods: Sequence[Interpolator], wanted: Sequence[str] | None) -> list[str]:
    """The names of the methods to compare with, checked before anything is computed."""
    names = [method.name for method in methods]
    if wanted is None:
        return [method.name for method in methods if _is_reference(method)]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise MethodError(
            f"Cannot compare against {', '.join(missing)}: not among the methods of this run, "
            f"which are {', '.join(names)}."
        )
    return list(dict.fromkeys(wanted))


def _is_reference(method: Interpolator) -> bool:
    model = getattr(method, "model", None)
    return method.name in ("linear", "optical-flow") or (
        model is not None and model.card["architecture"] == "reference-unet"
    )


_COLUMNS = (
    Column("psnr", "PSNR", "dB", ".2f"),
    Column("ssim", "SSIM", "", ".3f"),
    Column("ms_ssim", "MS-SSIM", "", ".3f"),
    Column("mae", "MAE", "", ".4f"),
    Column("mae_hu", "MAE", "HU", ".1f"),
    Column("gradient_mae", "gradient MAE", "", ".4f"),
    Column("ncc", "NCC", "", ".3f"),
)


def quality_table(result: Mapping) -> Table:
    """A benchmark's means by method, with 95 % intervals where there are any."""
    caption = f"{counted(result['patients'])}, {result['protocol']}"
    return means_table(result["methods"], _COLUMNS, caption)


def comparison_table(result: Mapping) -> Table:
    """A benchmark's comparisons: differences, their 95 % intervals and q."""
    return differences_table(result["comparisons"], _COLUMNS)


def timing_table(speed: Mapping[str, Mapping[str, float]]) -> Table:
    """Time and memory by method."""
    return Table(
        (
            Column("method"),
            Column("seconds", style=".2f"),
            Column("to_linear", "of linear", style=".1f"),
            Column("working_mib", "working memory", "MiB", ".0f"),
        ),
        [{"method": method, **row} for method, row in speed.items()],
    )


def patient_table(result: Mapping) -> Table:
    """A benchmark's result by patient and method, for CSV: slices, and a column for each metric."""
    rows = [
        {"patient": patient, "method": method, **result["hidden"][patient], **metrics}
        for patient, methods in result["per_patient"].items()
        for method, metrics in methods.items()
    ]
    return Table(
        [Column(key) for key in ("patient", "method", "slices", "without_head", *METRICS)], rows
    )
