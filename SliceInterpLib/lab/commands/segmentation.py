"""The command that holds the segmentation against reference hematomas."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from SliceInterpLib.cli.common import Commands, add_command, add_json, print_result, progress_bar
from SliceInterpLib.cli.values import count
from SliceInterpLib.lab.commands.common import add_labels, by_name, scans


def add_commands(commands: Commands) -> None:
    """Add segmentation-check."""
    sub = add_command(
        commands,
        "segmentation-check",
        _check,
        "Segment hematomas from seeds, and compare with a reference.",
    )
    sub.add_argument("input", type=Path, help="a scan, or a folder of scans, one per patient")
    add_labels(sub)
    sub.add_argument("--seeds", type=count(), default=5, help="for each patient")
    add_json(sub)


def _check(options: argparse.Namespace) -> None:
    from SliceInterpLib.files.masks import read_mask
    from SliceInterpLib.lab.segmentation_check import check_patient, segmentation_text

    patients = by_name(scans([options.input]))
    checked = []
    with progress_bar("patients", quiet=options.json) as progress:
        for name, scan in patients.items():
            volume = scan.read()
            reference = read_mask(options.labels / scan.path.name, volume, options.label)
            checked.append(check_patient(name, volume, reference, options.seeds))
            progress(len(checked), len(patients))
    summary = {"patients": [asdict(one) for one in checked]}
    print_result(summary, segmentation_text(checked), as_json=options.json)
