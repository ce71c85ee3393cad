"""The laboratory's commands, where it is installed. All that the product knows of it is here."""

from __future__ import annotations

import importlib.util

from SliceInterpLib.cli.common import Commands


def add_commands(commands: Commands, *, chosen: bool) -> None:
    """Add lab. Its own commands are imported only if it was chosen."""
    summary = "Judge and train networks: see sliceinterp lab --help."
    sub = commands.add_parser("lab", help=summary, description="Judge and train networks.")
    if not chosen:
        return
    if importlib.util.find_spec("SliceInterpLib.lab") is None:
        raise SystemExit(
            "sliceinterp: error: the laboratory is not installed here (the Slicer extension leaves "
            'it out); in a checkout of SliceInterp, pip install ".[lab]" installs it'
        )
    from SliceInterpLib.lab.commands import add_commands as add_lab_commands

    add_lab_commands(sub.add_subparsers(title="commands", required=True, metavar="COMMAND"))
