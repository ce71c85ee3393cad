"""The command that tells the whole of a scan."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_factor,
    add_input,
    add_method,
    add_thin,
    read_input,
    say,
)
from SliceInterpLib.cli.values import point
from SliceInterpLib.files.whole import check_place, write_text
from SliceInterpLib.interpolators import METHODS


def add_commands(commands: Commands) -> None:
    """Add report."""
    sub = add_command(
        commands,
        "report",
        _report,
        "Double a scan and show on one web page how far the result can be trusted.",
    )
    add_input(sub)
    sub.add_argument(
        "-o", "--output", type=Path, required=True, help="HTML file, which needs no other"
    )
    add_method(sub)
    sub.add_argument(
        "--classical",
        choices=METHODS,
        default="linear",
        help="the method to compare with (default: linear)",
    )
    add_factor(sub)
    add_thin(sub)
    sub.add_argument(
        "--seed",
        type=point,
        action="append",
        metavar="R,A,S",
        help="a point in a hematoma that is to be measured, mm; may be repeated (write "
        "--seed=-20,5,30 where the first number is negative)",
    )
    sub.add_argument(
        "--keep-identity",
        action="store_true",
        help="say on the page who the patient is (default: it quotes neither what the header says "
        "of the patient nor the file's name)",
    )
    sub.add_argument("--force", action="store_true", help="overwrite the output")


def _report(options: argparse.Namespace) -> None:
    from SliceInterpLib.files.scanner import scanner_facts
    from SliceInterpLib.report.html import make_report

    check_place(options.output, overwrite=options.force)
    header = {"File": str(options.input)} if options.keep_identity else {}
    volume = read_input(options, outputs=[options.output])
    if volume.files:
        header |= scanner_facts(volume.files[0], identity=options.keep_identity)
    page = make_report(
        volume,
        method=options.method,
        model=options.model,
        device=options.device,
        classical=options.classical,
        factor=options.factor,
        allow_thin=options.allow_thin,
        seeds=options.seed or (),
        header=header,
        say=say,
    )
    write_text(options.output, page)
    print(options.output)
