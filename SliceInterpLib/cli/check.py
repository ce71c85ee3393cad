"""The command that shows, on a scan of one's own, how far to trust synthetic slices."""

from __future__ import annotations

import argparse

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_input,
    add_json,
    add_model,
    print_result,
    progress_bar,
    read_input,
)
from SliceInterpLib.cli.values import names_of
from SliceInterpLib.interpolators import METHODS, make_interpolator


def add_commands(commands: Commands) -> None:
    """Add check."""
    sub = add_command(
        commands,
        "check",
        _check,
        "Hide each inner slice of a scan in turn and measure how well it is predicted.",
    )
    add_input(sub)
    sub.add_argument(
        "--methods",
        type=names_of(METHODS),
        default=list(METHODS),
        help=f"comma-separated (default: {','.join(METHODS)})",
    )
    add_model(sub)
    sub.add_argument("--slices", action="store_true", help="list every hidden slice as well")
    add_json(sub)


def _check(options: argparse.Namespace) -> None:
    from SliceInterpLib.evidence.scan_check import check_scan, check_table, slice_table

    volume = read_input(options)
    methods = [
        make_interpolator(
            name, model=options.model if name == "learned" else None, device=options.device
        )
        for name in options.methods
    ]
    with progress_bar("slices", quiet=options.json) as progress:
        result = check_scan(volume, methods, progress=progress)
    text = (
        f"The slices beside a hidden one lie {result['hidden_gap_mm']:.4g} mm apart, twice the "
        f"{result['gap_mm']:.4g} mm of the scan, so that these figures are conservative. Slices "
        "are numbered from 1.\n\n"
        f"{check_table(result).markdown()}"
    )
    if options.slices:
        text += f"\n\n{slice_table(result).markdown()}"
    print_result(result, text, as_json=options.json)
