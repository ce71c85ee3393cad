"""The commands that measure noise, sharpness and stripes."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_json,
    print_result,
    progress_bar,
)
from SliceInterpLib.files.reading import read_volume
from SliceInterpLib.lab.commands.common import add_methods, add_model, named_methods, scans
from SliceInterpLib.lab.contenders import make_contender


def add_commands(commands: Commands) -> None:
    """Add noise and uniform-check."""
    sub = add_command(
        commands, "noise", _noise, "Measure the noise and the sharpness of synthetic slices."
    )
    sub.add_argument("input", type=Path, help="a scan, or a folder of scans, one per patient")
    add_methods(sub, ("linear", "optical-flow", "learned"))

    sub = add_command(
        commands,
        "uniform-check",
        _uniform_check,
        "Measure how much of the stripes uniform mode removes, and how much of lesions it keeps.",
    )
    sub.add_argument("input", type=Path, help="a scan, or a folder of scans, one per patient")
    add_model(sub)
    add_json(sub)


def _noise(options: argparse.Namespace) -> None:
    from SliceInterpLib.evidence.noise import noise_signature
    from SliceInterpLib.evidence.noise_tables import averaging_note, noise_table
    from SliceInterpLib.lab.noise_over_patients import over_patients, over_patients_table

    methods = named_methods(options)
    signatures, texts = {}, []
    for path in scans([options.input]):
        with progress_bar("slices", quiet=options.json) as progress:
            signatures[path.name] = noise_signature(read_volume(path), methods, progress=progress)
        found = signatures[path.name]
        texts += [path.name, noise_table(found).markdown(), averaging_note(found)]
    summary = over_patients(signatures)
    if len(signatures) > 1:
        texts.append(f"{len(signatures)} patients\n\n{over_patients_table(summary).markdown()}")
    print_result(
        {"patients": signatures, "of_acquired": summary},
        "\n\n".join(filter(None, texts)),
        as_json=options.json,
    )


def _uniform_check(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab.uniform_check import uniform_check, uniform_text

    learned = make_contender("learned", model=options.model, device=options.device)
    paths = scans([options.input])
    patients = {}
    with progress_bar("patients", quiet=options.json) as progress:
        for done, path in enumerate(paths, 1):
            patients[path.name] = uniform_check(read_volume(path), learned)
            progress(done, len(paths))
    print_result(patients, uniform_text(patients), as_json=options.json)
