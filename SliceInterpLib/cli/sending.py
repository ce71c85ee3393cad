"""The command that sends a derived series to an archive."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import Commands, add_command, add_json, print_result
from SliceInterpLib.files.dicom_sending import send


def add_commands(commands: Commands) -> None:
    """Add send."""
    sub = add_command(commands, "send", _send, "Send a DICOM series to an archive (C-STORE).")
    sub.add_argument("folder", type=Path, help="that upsample --dicom --keep-identity has written")
    sub.add_argument("host")
    sub.add_argument("port", type=int)
    sub.add_argument("--called", default="ANY-SCP", metavar="AET", help="the archive's title")
    sub.add_argument("--calling", default="SLICEINTERP", metavar="AET", help="our title")
    add_json(sub)


def _send(options: argparse.Namespace) -> None:
    sent = send(
        options.folder,
        options.host,
        options.port,
        called_aet=options.called,
        calling_aet=options.calling,
    )
    print_result({"sent": sent}, f"{sent} images sent", as_json=options.json)
