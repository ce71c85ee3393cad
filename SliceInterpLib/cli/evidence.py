"""The commands that show, on a scan of one's own, how far to trust synthetic slices."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_device,
    add_input,
    add_json,
    print_result,
    progress_bar,
    scans,
)
from SliceInterpLib.files.reading import read_volume
from SliceInterpLib.files.whole import check_place, whole
from SliceInterpLib.grids import longest_stretch
from SliceInterpLib.interpolators import METHODS, Interpolator, make_interpolator


def add_commands(commands: Commands) -> None:
    """Add check, noise, uniform-check and mpr-check."""
    sub = add_command(
        commands, "check", _check, "Hide every inner slice of a scan and see how it is predicted."
    )
    add_input(sub)
    _add_methods(sub, METHODS)
    sub.add_argument("--slices", action="store_true", help="a line for every hidden slice too")
    sub.add_argument(
        "--contrast", action="store_true", help="also what is left of faint lesions put into it"
    )
    add_json(sub)

    sub = add_command(
        commands, "noise", _noise, "Measure the noise and the sharpness of synthetic slices."
    )
    sub.add_argument("input", type=Path, help="a scan, or a folder of scans, one a patient")
    _add_methods(sub, ("linear", "optical-flow", "learned"))
    add_json(sub)

    sub = add_command(
        commands,
        "uniform-check",
        _uniform_check,
        "Measure the stripes that uniform mode takes away, and the lesions that it keeps.",
    )
    sub.add_argument("input", type=Path, help="a scan, or a folder of scans, one a patient")
    sub.add_argument("--model", help="name of a shipped model, or path of a model's card")
    add_device(sub)
    add_json(sub)

    sub = add_command(
        commands,
        "mpr-check",
        _mpr_check,
        "Compare reformatted views with the scanner's own reformat of the same scan.",
    )
    add_input(sub)
    sub.add_argument(
        "reformat", type=Path, help="the scanner's sagittal or coronal reformat, as such a file"
    )
    sub.add_argument("-o", "--output", type=Path, metavar="PNG", help="draw them side by side")
    sub.add_argument("--force", action="store_true", help="overwrite that picture")
    sub.add_argument("--model", help="name of a shipped model, or path of a model's card")
    add_device(sub)
    add_json(sub)


def _add_methods(sub: argparse.ArgumentParser, default: Sequence[str]) -> None:
    sub.add_argument(
        "--methods",
        type=lambda text: text.split(","),
        default=list(default),
        help=f"comma-separated (default: {','.join(default)})",
    )
    sub.add_argument("--model", help="name of a shipped model, or path of a model's card")
    add_device(sub)


def _interpolators(options: argparse.Namespace) -> list[Interpolator]:
    return [
        make_interpolator(
            name, model=options.model if name == "learned" else None, device=options.device
        )
        for name in dict.fromkeys(options.methods)
    ]


def _check(options: argparse.Namespace) -> None:
    from SliceInterpLib.evaluation.contrast import contrast_kept, contrast_table
    from SliceInterpLib.evaluation.scan_check import check_scan, check_table, slice_table

    volume = read_volume(options.input, series=options.series)
    methods = _interpolators(options)
    with progress_bar("slices", quiet=options.json) as progress:
        result = check_scan(volume, methods, progress=progress)
    left_out = (
        f" {result['not_hidden']} more are not midway between their neighbours and were not hidden."
        if result["not_hidden"]
        else ""
    )
    text = (
        f"{volume.slice_count - 2 - result['not_hidden']} slices hidden in turn.{left_out} The "
        f"slices beside a hidden one lie {result['hidden_gap_mm']:.4g} mm apart, twice the "
        f"{result['gap_mm']:.4g} mm of the scan, so that these figures are conservative. Slices "
        "count from 0.\n\n"
        f"{check_table(result)}"
    )
    if options.slices:
        text += f"\n\nPSNR in dB\n\n{slice_table(result)}"
    if options.contrast:
        result["contrast"] = contrast_kept(
            {options.input.name: lambda: volume.part(longest_stretch(volume))}, methods
        )
        text += (
            f"\n\nContrast kept of discs of {result['contrast']['hu']:g} HU in both slices, by "
            f"radius\n\n{contrast_table(result['contrast'])}"
        )
    print_result(result, text, as_json=options.json)


def _noise(options: argparse.Namespace) -> None:
    from SliceInterpLib.evaluation import noise_tables
    from SliceInterpLib.evaluation.noise import noise_signature

    methods = _interpolators(options)
    signatures, texts = {}, []
    for path in scans([options.input]):
        with progress_bar("slices", quiet=options.json) as progress:
            signatures[path.name] = noise_signature(read_volume(path), methods, progress=progress)
        texts.append(f"{path.name}\n\n{noise_tables.noise_table(signatures[path.name])}")
    summary = noise_tables.over_patients(signatures)
    if len(signatures) > 1:
        texts.append(f"{len(signatures)} patients\n\n{noise_tables.over_patients_table(summary)}")
    print_result(
        {"patients": signatures, "of_acquired": summary},
        "\n\n".join(texts),
        as_json=options.json,
    )


def _uniform_check(options: argparse.Namespace) -> None:
    from SliceInterpLib.evaluation.uniform_check import uniform_check, uniform_table

    learned = make_interpolator("learned", model=options.model, device=options.device)
    paths = scans([options.input])
    patients = {}
    with progress_bar("patients", quiet=options.json) as progress:
        for done, path in enumerate(paths, 1):
            patients[path.name] = uniform_check(read_volume(path), learned)
            progress(done, len(paths))
    print_result(patients, uniform_table(patients), as_json=options.json)


def _mpr_check(options: argparse.Namespace) -> None:
    from SliceInterpLib.evaluation import mpr_truth
    from SliceInterpLib.report.mpr_figure import save_mpr_figure

    if options.output:
        check_place(options.output, overwrite=options.force)
    axial = read_volume(options.input, series=options.series)
    reformat = read_volume(options.reformat)
    learned = make_interpolator("learned", model=options.model, device=options.device)
    methods = [(make_interpolator(name), 2) for name in ("linear", "cubic", "optical-flow")]
    with progress_bar("steps", quiet=options.json) as progress:
        result, images = mpr_truth.mpr_check(
            axial, reformat, [*methods, (learned, 2), (learned, 4)], progress=progress
        )
    if options.output:
        columns = {
            "acquired slices, as shown now": mpr_truth.SHOWN_NOW,
            "learned ×2": "learned ×2",
            "learned ×4": "learned ×4",
            "the scanner's own reformat": mpr_truth.TRUTH,
        }
        with whole(options.output) as part:
            save_mpr_figure(part, images, reformat, columns)
    offset = " ".join(f"{mm:+.2f}" for mm in result["registration"]["offset_mm"])
    text = (
        f"Registered: {offset} mm, {result['registration']['degrees']:.2f}°\n\n"
        f"{mpr_truth.mpr_table(result)}"
    )
    print_result(result, text, as_json=options.json)
