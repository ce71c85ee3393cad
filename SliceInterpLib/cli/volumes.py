"""The commands on one scan: upsample, info, demo; and the list of models."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_device,
    add_input,
    add_json,
    print_result,
    progress_bar,
    say,
)
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.reading import read_volume
from SliceInterpLib.files.writing import check_writable, write_volume
from SliceInterpLib.interpolators import METHODS, make_interpolator
from SliceInterpLib.networks.registry import available_models
from SliceInterpLib.upsampling import FACTORS, upsample
from SliceInterpLib.volume import require_doublable


def add_commands(commands: Commands) -> None:
    """Add upsample, info, models and demo."""
    sub = add_command(
        commands, "upsample", _upsample, "Put predicted slices between the acquired ones."
    )
    add_input(sub)
    sub.add_argument("-o", "--output", type=Path, required=True, help=".nii.gz, .nrrd or .mha")
    sub.add_argument("--method", choices=METHODS, default="learned")
    sub.add_argument("--model", help="name of a shipped model, or path of a model's card")
    add_device(sub)
    sub.add_argument("--factor", type=int, choices=FACTORS, default=2)
    sub.add_argument("--allow-thin", action="store_true", help="even if slices are thin already")
    sub.add_argument("--force", action="store_true", help="overwrite the output")
    add_json(sub)

    sub = add_command(commands, "info", _info, "Say what a scan is and whether it can be doubled.")
    add_input(sub)
    add_json(sub)

    sub = add_command(commands, "models", _models, "List the trained models.")
    add_json(sub)

    sub = add_command(commands, "demo", _demo, "Double a head, measure it and draw it.")
    add_input(sub, nargs="?")
    sub.add_argument("-o", "--output", type=Path, default=Path("demo"), help="folder")
    add_device(sub)


def _upsample(options: argparse.Namespace) -> None:
    check_writable(options.output, overwrite=options.force)
    volume = read_volume(options.input, series=options.series)
    require_doublable(volume, allow_thin=options.allow_thin)
    interpolator = make_interpolator(options.method, model=options.model, device=options.device)
    with progress_bar("slices", quiet=options.json) as progress:
        result = upsample(
            volume,
            interpolator,
            factor=options.factor,
            allow_thin=options.allow_thin,
            progress=progress,
        )
    write_volume(result, options.output, overwrite=options.force)
    summary = {
        "output": str(options.output),
        "slices": [volume.slice_count, result.slice_count],
        "slice_spacing_mm": [volume.slice_spacing, result.slice_spacing],
        "provenance": result.provenance,
    }
    print_result(
        summary,
        f"{volume.slice_count} slices, {volume.slice_spacing:.4g} mm → {result.slice_count} "
        f"slices, {result.slice_spacing:.4g} mm: {options.output}",
        as_json=options.json,
    )


def _info(options: argparse.Namespace) -> None:
    volume = read_volume(options.input, series=options.series)
    try:
        require_doublable(volume)
        obstacle = None
    except VolumeError as problem:
        obstacle = str(problem)
    low, high = int(volume.hu.min()), int(volume.hu.max())
    rows, columns = volume.slices.shape[1:]
    summary = {
        "slices": volume.slice_count,
        "slice_spacing_mm": volume.slice_spacing,
        "slice_axis": "zyx"[volume.slice_axis],
        "matrix": [columns, rows],
        "pixel_spacing_mm": list(volume.pixel_spacing),
        "origin_lps_mm": list(volume.origin),
        "direction_lps": volume.direction.tolist(),
        "type": str(volume.hu.dtype),
        "hu_range": [low, high],
        "can_be_doubled": obstacle is None,
        "obstacle": obstacle,
    }
    lines = [
        f"{volume.slice_count} slices of {columns}×{rows}, {volume.slice_spacing:.4g} mm apart "
        f"along the file's {'zyx'[volume.slice_axis]} axis",
        "pixels of {:.4g} × {:.4g} mm".format(*volume.pixel_spacing),
        f"{volume.hu.dtype}, {low}…{high} HU",
        f"Cannot be doubled: {obstacle}"
        if obstacle
        else f"×2: {2 * volume.slice_count - 1} slices, {volume.slice_spacing / 2:.4g} mm; "
        f"×4: {4 * volume.slice_count - 3} slices, {volume.slice_spacing / 4:.4g} mm",
    ]
    print_result(summary, "\n".join(lines), as_json=options.json)


def _models(options: argparse.Namespace) -> None:
    models = available_models()
    lines = [f"{m.name}: {m.card.get('summary', '')} [{m.card.get('licence')}]" for m in models]
    print_result({"models": [m.card for m in models]}, "\n".join(lines), as_json=options.json)


def _demo(options: argparse.Namespace) -> None:
    from SliceInterpLib.phantom import head_phantom
    from SliceInterpLib.report.demo import make_demo

    if options.input:
        volume = read_volume(options.input, series=options.series)
        name = options.input.name.split(".")[0]
    else:
        say("Drawing the head phantom…")
        volume, name = head_phantom().volume, "phantom"
    files = make_demo(volume, name, options.output, device=options.device, say=say)
    print("\n".join(str(path) for path in files))
