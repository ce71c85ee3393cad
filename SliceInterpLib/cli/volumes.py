"""What a scan is, the demonstration, and the list of models."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import numpy as np

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_device,
    add_input,
    add_json,
    in_words,
    print_result,
    read_input,
    say,
)
from SliceInterpLib.doublable import require_doublable
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.fineness import ISOTROPIC, fineness_in_words, times_each
from SliceInterpLib.networks.registry import available_models
from SliceInterpLib.volume import Volume, spacing_in_words


def add_commands(commands: Commands) -> None:
    """Add info, models and demo."""
    sub = add_command(commands, "info", _info, "Describe a scan and say whether it can be doubled.")
    add_input(sub)
    add_json(sub)

    sub = add_command(commands, "models", _models, "List the trained models.")
    add_json(sub)

    sub = add_command(
        commands,
        "demo",
        _demo,
        "Double a head CT, by default the built-in phantom, and draw and measure the result.",
    )
    add_input(sub, nargs="?")
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("demo"),
        help="folder for the results (default: demo)",
    )
    add_device(sub)


def _info(options: argparse.Namespace) -> None:
    volume = read_input(options)
    try:
        require_doublable(volume)
        obstacle = None
    except VolumeError as problem:
        obstacle = in_words(problem)
    low, high = int(volume.hu.min()), int(volume.hu.max())
    rows, columns = volume.slices.shape[1:]
    summary = {
        "slices": volume.slice_count,
        "slice_spacing_mm": volume.slice_spacing if volume.is_even else volume.gaps.tolist(),
        "slice_axis": "zyx"[volume.slice_axis],
        "tilt_degrees": volume.tilt_degrees,
        "matrix": [columns, rows],
        "pixel_spacing_mm": list(volume.pixel_spacing),
        "origin_lps_mm": list(volume.origin),
        "direction_lps": volume.direction.tolist() if volume.is_even else None,
        "type": str(volume.hu.dtype),
        "hu_range": [low, high],
        "provenance": dict(volume.provenance),
        "synthetic_slices": np.flatnonzero(volume.synthetic).tolist(),
        "can_be_doubled": obstacle is None,
        "obstacle": obstacle,
    }
    lines = [
        f"{volume.slice_count} slices of {columns}×{rows}, {spacing_in_words(volume)} "
        f"along the file's {'zyx'[volume.slice_axis]} axis{_tilt(volume)}",
        "pixels of {:.4g} × {:.4g} mm".format(*volume.pixel_spacing),
        f"{volume.hu.dtype}, {low}…{high} HU",
        f"Cannot be doubled: {obstacle}" if obstacle else _outlook(volume),
    ]
    print_result(summary, "\n".join(lines), as_json=options.json)


def _outlook(volume: Volume) -> str:
    """What doubling would give."""
    if not volume.is_even:
        return (
            "can be doubled with each gap filled at its own middle: upsample --dicom, or for other "
            "files --gaps even"
        )
    found = [fineness_in_words(volume, [times]) for times in (2, 4)]
    # Of slices that are nearly as close as the pixels already there is no such number.
    with contextlib.suppress(VolumeError):
        nearest = fineness_in_words(volume, times_each(volume, ISOTROPIC))
        found.append(f"{ISOTROPIC}: {nearest}")
    return "; ".join(found)


def _tilt(volume: Volume) -> str:
    return f", gantry tilted by {volume.tilt_degrees:.1f}°" if volume.tilt_degrees else ""


def _models(options: argparse.Namespace) -> None:
    models = available_models()
    lines = [f"{m.name} ({m.kind}): {m.card.get('summary', '')} [{m.licence}]" for m in models]
    print_result({"models": [m.card for m in models]}, "\n".join(lines), as_json=options.json)


def _demo(options: argparse.Namespace) -> None:
    from SliceInterpLib.phantom import head_phantom
    from SliceInterpLib.report.demo import FILES, make_demo

    if options.input:
        volume = read_input(options, outputs=[options.output / file for file in FILES])
        name = options.input.name.split(".")[0]
    else:
        say("Drawing the head phantom…")
        # Somewhat coarser pixels than a scanner's, and no neck: a quarter of the computing.
        head = head_phantom(matrix=288, pixel_spacing=0.77, slices=28, z_offset_mm=10.0)
        volume, name = head.volume, "phantom"
    files = make_demo(volume, name, options.output, device=options.device, say=say)
    print("\n".join(str(path) for path in files))
