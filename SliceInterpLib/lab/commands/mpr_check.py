"""The command that compares with a scanner's own reformat."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_input,
    add_json,
    print_result,
    progress_bar,
    read_input,
)
from SliceInterpLib.files.apart import check_apart
from SliceInterpLib.files.reading import read_volume
from SliceInterpLib.files.whole import check_place, whole
from SliceInterpLib.lab.commands.common import add_model
from SliceInterpLib.lab.contenders import make_contender


def add_commands(commands: Commands) -> None:
    """Add mpr-check."""
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
    add_model(sub)
    add_json(sub)


def _mpr_check(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab import mpr_truth
    from SliceInterpLib.lab.mpr_figure import save_mpr_figure

    if options.output:
        check_place(options.output, overwrite=options.force)
    axial = read_input(options, outputs=[options.output], others=[options.reformat])
    reformat = read_volume(options.reformat)
    check_apart([options.output], reformat.files)
    learned = make_contender("learned", model=options.model, device=options.device)
    methods = [(make_contender(name), 2) for name in ("linear", "cubic", "optical-flow")]
    with progress_bar("steps", quiet=options.json) as progress:
        result, images = mpr_truth.mpr_check(
            axial, reformat, [*methods, *((learned, n) for n in (2, 4, 8))], progress=progress
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
        f"{mpr_truth.mpr_table(result).markdown()}"
    )
    print_result(result, text, as_json=options.json)
