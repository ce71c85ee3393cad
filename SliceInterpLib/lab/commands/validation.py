"""The command that runs the whole protocol on sets of scans."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from SliceInterpLib.cli.common import Commands, add_acquired_only, add_command, print_result, say
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.apart import check_apart
from SliceInterpLib.files.scanner import scanner_facts
from SliceInterpLib.files.whole import check_place, write_text
from SliceInterpLib.grids import longest_stretch
from SliceInterpLib.interpolators import usable_interpolators
from SliceInterpLib.lab.commands.common import Scan, add_methods, scans
from SliceInterpLib.lab.contenders import make_contender
from SliceInterpLib.volume import Volume

_LEGEND = (
    "Every inner slice with a head hidden and predicted from its neighbours, at twice the real "
    "gap; means and 95 % intervals over patients (three or more), in the window −20…107 HU; MAE HU "
    "inside the head over the full range. Noise in brain tissue and the 10–90 % edge width of the "
    "skull's inner table: parts of the acquired slices', at the real gap. Contrast kept of discs "
    "of 6 HU in both neighbouring slices, by radius, with intervals over places."
)


def add_commands(commands: Commands) -> None:
    """Add validate."""
    sub = add_command(
        commands, "validate", _validate, "Measure methods on sets of scans, one table per set."
    )
    sub.add_argument(
        "data",
        type=Path,
        nargs="+",
        help="each a set: a folder of scans (files or DICOM folders, at any depth), or one scan",
    )
    add_acquired_only(sub)
    sub.add_argument("-o", "--output", type=Path, help="write the tables to this file (Markdown)")
    sub.add_argument("--force", action="store_true", help="overwrite the output")
    add_methods(sub, ("linear", "optical-flow", "learned"))


def _validate(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab.validation import validate, validation_text

    if options.output:
        check_place(options.output, overwrite=options.force)
        read = scans(options.data, acquired_only=options.acquired_only)
        check_apart([options.output], [file for scan in read for file in scan.files])
    methods = usable_interpolators(
        options.methods, make_contender, model=options.model, device=options.device
    )
    results, texts = {}, [_LEGEND]
    for place in options.data:
        say(f"{place}:")
        found = scans([place], acquired_only=options.acquired_only)
        of_set = {str(scan): partial(_load, scan) for scan in found}
        results[str(place)] = validate(of_set, methods, say=say)
        texts.append(f"## {place.name}\n\n{validation_text(results[str(place)])}")
    text = "\n\n".join(texts)
    if options.output:
        write_text(options.output, f"{text}\n")
    print_result(results, text, as_json=options.json)


def _load(scan: Scan) -> tuple[Volume, dict[str, str]]:
    """A scan, of an uneven one the longest even part, and what its header says of the scanner.

    Raises VolumeError without the path, which may hold the patient's name.
    """
    try:
        volume = scan.read()
    except VolumeError as problem:
        raise VolumeError(str(problem).removeprefix(f"{scan.path}: ")) from problem
    facts = scanner_facts(volume.files[0]) if volume.files else {}
    if volume.is_even:
        return volume, facts
    part = longest_stretch(volume)
    facts["Longest evenly spaced part"] = f"{len(part)} of {volume.slice_count} slices"
    return volume.part(part), facts
