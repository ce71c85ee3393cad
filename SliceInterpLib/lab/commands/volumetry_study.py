"""The command that measures hematomas of known volume."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import Commands, add_command, progress_bar
from SliceInterpLib.cli.values import count
from SliceInterpLib.errors import OutputError
from SliceInterpLib.files.whole import write_text
from SliceInterpLib.lab.commands.common import add_model, command_line
from SliceInterpLib.lab.contenders import make_contender


def add_commands(commands: Commands) -> None:
    """Add volumetry-study."""
    sub = add_command(
        commands,
        "volumetry-study",
        _study,
        "Measure hematomas of known volume in the built-in phantom, on thick and doubled slices.",
    )
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    sub.add_argument(
        "--lesions", type=count(), default=40, help="each is scanned at three spacings"
    )
    sub.add_argument("--seed", type=count(least=0), default=0)
    add_model(sub)


def _study(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab.volumetry_study.figure import save_volumetry_figure
    from SliceInterpLib.lab.volumetry_study.study import run_study
    from SliceInterpLib.lab.volumetry_study.tables import markdown

    if not options.output.is_dir():
        raise OutputError(f"{options.output}: There is no such folder. Make it first.")
    methods = [
        make_contender(method, model=options.model, device=options.device)
        for method in ("linear", "cubic", "learned")
    ]
    with progress_bar("lesions", quiet=False) as progress:
        rows = run_study(methods, lesions=options.lesions, seed=options.seed, progress=progress)
    title = "# Hematomas of known volume"
    text = f"{title}\n\n```\n{command_line()}\n```\n\n{markdown(rows)}"
    write_text(options.output / "volumetry-study.md", text)
    save_volumetry_figure(options.output / "volumetry-study.png", rows)
    print(text)
