"""The commands that measure noise, sharpness and stripes."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import (
    Commands,
    add_acquired_only,
    add_command,
    add_factor,
    add_json,
    print_result,
    progress_bar,
)
from SliceInterpLib.lab.commands.common import (
    Scan,
    add_methods,
    add_model,
    by_name,
    named_methods,
    scans,
)
from SliceInterpLib.lab.contenders import make_contender


def add_commands(commands: Commands) -> None:
    """Add noise and uniform-check."""
    sub = add_command(
        commands, "noise", _noise, "Measure the noise and the sharpness of synthetic slices."
    )
    sub.add_argument("input", type=Path, help="a scan, or a folder of scans, one per patient")
    add_acquired_only(sub)
    add_methods(sub, ("linear", "optical-flow", "learned"))

    sub = add_command(
        commands,
        "uniform-check",
        _uniform_check,
        "Measure how much of the stripes uniform mode removes, and how much of lesions it keeps.",
    )
    sub.add_argument("input", type=Path, help="a scan, or a folder of scans, one per patient")
    add_acquired_only(sub)
    add_factor(sub)
    add_model(sub)
    add_json(sub)


def _noise(options: argparse.Namespace) -> None:
    from SliceInterpLib.evidence.noise import noise_signature
    from SliceInterpLib.evidence.noise_tables import averaging_note, noise_table
    from SliceInterpLib.lab.noise_over_patients import over_patients, over_patients_table

    methods = named_methods(options)
    signatures, texts = {}, []
    for name, scan in _patients(options).items():
        with progress_bar("slices", quiet=options.json) as progress:
            found = signatures[name] = noise_signature(scan.read(), methods, progress=progress)
        texts += [name, noise_table(found).markdown(), averaging_note(found)]
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
    patients = _patients(options)
    results = {}
    with progress_bar("patients", quiet=options.json) as progress:
        for name, scan in patients.items():
            results[name] = uniform_check(scan.read(), learned, factor=options.factor)
            progress(len(results), len(patients))
    print_result(results, uniform_text(results), as_json=options.json)


def _patients(options: argparse.Namespace) -> dict[str, Scan]:
    return by_name(scans([options.input], acquired_only=options.acquired_only))
