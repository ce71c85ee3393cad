"""The command that sends a derived series to an archive."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import Commands, add_command, add_json, print_result
from SliceInterpLib.cli.values import count


def add_commands(commands: Commands) -> None:
    """Add send."""
    sub = add_command(commands, "send", _send, "Send a DICOM series to an archive (C-STORE).")
    sub.add_argument(
        "folder", type=Path, help="a series written by upsample --dicom --keep-identity"
    )
    sub.add_argument("host", help="name or address of the archive")
    sub.add_argument("port", type=count(most=65535), help="its DICOM port, such as 104 or 11112")
    sub.add_argument(
        "--called",
        default="ANY-SCP",
        metavar="AET",
        help="the archive's application entity title (default: ANY-SCP)",
    )
    sub.add_argument(
        "--calling",
        default="SLICEINTERP",
        metavar="AET",
        help="the application entity title to send as (default: SLICEINTERP)",
    )
    add_json(sub)


def _send(options: argparse.Namespace) -> None:
    from SliceInterpLib.files.dicom_sending import send

    sent = send(
        options.folder,
        options.host,
        options.port,
        called_aet=options.called,
        calling_aet=options.calling,
    )
    print_result({"sent": sent}, f"{sent} images sent", as_json=options.json)
