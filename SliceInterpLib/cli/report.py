"""The commands that tell the whole of a scan, and of sets of scans."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_device,
    add_input,
    add_json,
    point,
    print_result,
    say,
)
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files import read_volume
from SliceInterpLib.files.scanner import scanner_facts
from SliceInterpLib.files.whole import check_place, write_text
from SliceInterpLib.grids import longest_stretch
from SliceInterpLib.interpolators import METHODS, usable_interpolators
from SliceInterpLib.upsampling import FACTORS
from SliceInterpLib.volume import Volume

if TYPE_CHECKING:
    from SliceInterpLib.evaluation.validation import Scan

_LEGEND = (
    "Every inner slice hidden and predicted from its neighbours, at twice the real gap; means and "
    "95 % intervals over patients (three or more), in the window −20…107 HU; MAE HU inside the "
    "head over the full range. Noise in brain tissue and the 10–90 % edge width of the skull's "
    "inner table: parts of the acquired slices', at the real gap. Contrast kept of discs of 6 HU "
    "in both neighbouring slices, by radius, with intervals over places."
)


def add_commands(commands: Commands) -> None:
    """Add report and validate."""
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

    sub = add_command(
        commands, "validate", _validate, "Measure methods on sets of scans, one table a set."
    )
    sub.add_argument(
        "data",
        type=Path,
        nargs="+",
        help="each a set: a folder of scans (files or DICOM folders, at any depth), or one scan",
    )
    sub.add_argument("-o", "--output", type=Path, help="write the tables to this file (Markdown)")
    sub.add_argument(
        "--methods",
        type=lambda text: text.split(","),
        default=["linear", "optical-flow", "learned"],
        help="comma-separated (default: linear,optical-flow,learned)",
    )
    sub.add_argument("--model", help="name of a shipped model, or path of a model's card")
    add_device(sub)
    sub.add_argument("--force", action="store_true", help="overwrite the output")
    add_json(sub)


def _report(options: argparse.Namespace) -> None:
    from SliceInterpLib.report.html import make_report

    check_place(options.output, overwrite=options.force)
    header = {"File": str(options.input)} if options.keep_identity else {}
    volume = read_volume(options.input, series=options.series)
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


def _validate(options: argparse.Namespace) -> None:
    from SliceInterpLib.evaluation.validation import validate, validation_table

    if options.output:
        check_place(options.output, overwrite=options.force)
    methods = usable_interpolators(options.methods, model=options.model, device=options.device)
    results, texts = {}, [_LEGEND]
    for place in options.data:
        say(f"{place}:")
        results[str(place)] = validate(_scans(place), methods, say=say)
        texts.append(f"## {place.name}\n\n{validation_table(results[str(place)])}")
    text = "\n\n".join(texts)
    if options.output:
        write_text(options.output, f"{text}\n")
    print_result(results, text, as_json=options.json)


def _scans(place: Path) -> dict[str, Scan]:
    """The scans of a set by what tells them apart."""
    from SliceInterpLib.archive.finding import find_series

    if not place.is_dir():
        return {str(place): partial(_load, place, None)}
    # Nothing is to be left out: no folder lies below itself.
    return {
        f"{series.path} {series.uid or ''}": partial(_load, place / series.path, series.uid)
        for series in find_series(place, leave_out=place)
    }


def _load(path: Path, series: str | None) -> tuple[Volume, dict[str, str]]:
    """A scan, of an uneven one the longest even stretch, and what its header says of the scanner.

    Raises VolumeError without the path, which may hold the patient's name.
    """
    try:
        volume = read_volume(path, series=series)
    except VolumeError as problem:
        raise VolumeError(str(problem).removeprefix(f"{path}: ")) from problem
    facts = scanner_facts(volume.files[0]) if volume.files else {}
    if volume.is_even:
        return volume, facts
    part = longest_stretch(volume)
    facts["Longest evenly spaced part"] = f"{len(part)} of {volume.slice_count} slices"
    return volume.part(part), facts
