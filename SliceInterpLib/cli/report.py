"""The command that tells the whole of a scan."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_device,
    add_input,
    point,
    read_input,
    say,
)
from SliceInterpLib.files.scanner import scanner_facts
from SliceInterpLib.files.whole import check_place, write_text
from SliceInterpLib.interpolators import METHODS
from SliceInterpLib.upsampling import FACTORS


def add_commands(commands: Commands) -> None:
    """Add report."""
    sub = add_command(
        commands, "report", _report, "Double a scan and tell, as a page, how far to trust it."
    )
    add_input(sub)
    sub.add_argument("-o", "--output", type=Path, required=True, help=".html, complete in itself")
    sub.add_argument("--method", choices=METHODS, default="learned")
    sub.add_argument("--model", help="name of a shipped model, or path of a model's card")
    add_device(sub)
    sub.add_argument("--classical", choices=METHODS, default="linear", help="to compare with")
    sub.add_argument("--factor", type=int, choices=FACTORS, default=2)
    sub.add_argument(
        "--seed",
        type=point,
        action="append",
        metavar="R,A,S",
        help="a point in a hematoma, in mm, to measure it; may be repeated (write --seed=-5,3,40)",
    )
    sub.add_argument(
        "--keep-identity",
        action="store_true",
        help="tell who the patient is (default: nothing of the header does, nor the file's name)",
    )
    sub.add_argument("--force", action="store_true", help="overwrite the output")


def _report(options: argparse.Namespace) -> None:
    from SliceInterpLib.report.html import make_report

    check_place(options.output, overwrite=options.force)
    header = {"File": str(options.input)} if options.keep_identity else {}
    volume = read_input(options)
    if volume.files:
        header |= scanner_facts(volume.files[0], identity=options.keep_identity)
    page = make_report(
        volume,
        method=options.method,
        model=options.model,
        device=options.device,
        classical=options.classical,
        factor=options.factor,
        seeds=options.seed or (),
        header=header,
        say=say,
    )
    write_text(options.output, page)
    print(options.output)
