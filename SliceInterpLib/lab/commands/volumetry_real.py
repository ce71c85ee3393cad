"""The command that measures patients' hematomas on slices that were hidden and restored."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from SliceInterpLib.cli.common import Commands, add_command, print_result, progress_bar
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.lab.commands.common import (
    add_labels,
    add_methods,
    by_name,
    named_methods,
    scans,
)


def add_commands(commands: Commands) -> None:
    """Add volumetry-real."""
    sub = add_command(
        commands,
        "volumetry-real",
        _measure,
        "Hide every second slice, restore it, and compare the hematomas that are found.",
    )
    sub.add_argument("data", type=Path, nargs="+", help="scans, or folders of scans, even slices")
    add_labels(sub)
    add_methods(sub, ("linear", "cubic", "optical-flow", "learned"))


def _measure(options: argparse.Namespace) -> None:
    from SliceInterpLib.files.masks import read_mask
    from SliceInterpLib.lab.volumetry_real import NoTruthError, Patient, measure_patient
    from SliceInterpLib.lab.volumetry_real_tables import summary_of, tables_text

    began = time.process_time()
    methods, patients = named_methods(options), by_name(scans(options.data))
    measured: list[Patient] = []
    left_out: dict[str, str] = {}
    with progress_bar("patients", quiet=options.json) as progress:
        for name, scan in patients.items():
            volume = scan.read()
            reference = read_mask(options.labels / scan.path.name, volume, options.label)
            try:
                measured.append(measure_patient(name, volume, reference, methods))
            except NoTruthError as problem:
                left_out[name] = str(problem)
            progress(len(measured) + len(left_out), len(patients))
    if not measured:
        told = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise VolumeError(f"No hematoma can be measured: {told}.")
    made = [method.provenance.get("model") for method in methods]
    model = next((name for name in made if name), None)
    seconds = time.process_time() - began
    summary = summary_of(measured, left_out) | {"model": model, "seconds": seconds}
    ends = f"{f'Learned: {model}. ' if model else ''}{seconds:.0f} s of CPU time."
    print_result(summary, f"{tables_text(summary)}\n\n{ends}", as_json=options.json)
