"""The main command: upsample, from and to files and DICOM."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_device,
    add_input,
    add_json,
    print_result,
    progress_bar,
    say,
)
from SliceInterpLib.files import read_dicom, read_volume, write_volume
from SliceInterpLib.files.reading import is_dicom
from SliceInterpLib.files.writing import check_writable
from SliceInterpLib.interpolators import METHODS, Interpolator, make_interpolator
from SliceInterpLib.stack import SliceStack
from SliceInterpLib.straightening import straightened
from SliceInterpLib.uneven import longest_part, spaced_evenly, upsample_stack
from SliceInterpLib.upsampling import FACTORS, Progress, UpsampledVolume, upsample
from SliceInterpLib.volume import Volume, require_doublable


def add_commands(commands: Commands) -> None:
    """Add upsample."""
    sub = add_command(
        commands, "upsample", _upsample, "Put predicted slices between the acquired ones."
    )
    add_input(sub)
    sub.add_argument("-o", "--output", type=Path, required=True, help=".nii.gz, .nrrd or .mha")
    sub.add_argument("--method", choices=METHODS, default="learned")
    sub.add_argument("--model", help="name of a shipped model, or path of a model's card")
    add_device(sub)
    sub.add_argument("--factor", type=int, choices=FACTORS, default=2)
    sub.add_argument("--allow-thin", action="store_true", help="even if slices are thin already")
    uneven = sub.add_argument_group("DICOM series whose slices are unevenly spaced or tilted")
    uneven.add_argument(
        "--gaps",
        choices=("even", "longest"),
        help="fill each gap at its own middle, then space the slices evenly; or take the longest "
        "evenly spaced part alone (default: refuse uneven gaps)",
    )
    uneven.add_argument(
        "--widest-gap",
        type=float,
        metavar="MM",
        help="bridge gaps up to this, even if slices seem to be missing there",
    )
    uneven.add_argument(
        "--upright",
        action="store_true",
        help="shift the slices of a tilted gantry until they lie straight over each other; "
        "acquired slices are then resampled (default: keep them, and the tilt in the geometry)",
    )
    sub.add_argument("--force", action="store_true", help="overwrite the output")
    add_json(sub)


def _upsample(options: argparse.Namespace) -> None:
    check_writable(options.output, overwrite=options.force)
    scan = _scan(options)
    if isinstance(scan, Volume):
        require_doublable(scan, allow_thin=options.allow_thin)
    interpolator = make_interpolator(options.method, model=options.model, device=options.device)
    with progress_bar("slices", quiet=options.json) as progress:
        result = _upsampled(scan, interpolator, options, progress)
    if options.upright:
        result = straightened(result)
    write_volume(result, options.output, overwrite=options.force)
    _tell(scan, result, options)


def _scan(options: argparse.Namespace) -> Volume | SliceStack:
    """The input: a volume, or a stack whose gaps are to be filled one by one."""
    if not is_dicom(options.input):
        return read_volume(options.input, series=options.series)
    stack = read_dicom(options.input, series=options.series)
    if stack.is_even or not options.gaps:
        return stack.volume()
    if options.gaps == "even":
        return stack
    part = longest_part(stack)
    say(f"Slices {part[0] + 1} to {part[-1] + 1} of {len(stack.slices)} are evenly spaced.")
    return stack.volume(part)


def _upsampled(
    scan: Volume | SliceStack,
    interpolator: Interpolator,
    options: argparse.Namespace,
    progress: Progress,
) -> UpsampledVolume:
    if isinstance(scan, SliceStack):
        filled = upsample_stack(
            scan,
            interpolator,
            factor=options.factor,
            widest_mm=options.widest_gap,
            progress=progress,
        )
        return spaced_evenly(filled)
    return upsample(
        scan,
        interpolator,
        factor=options.factor,
        allow_thin=options.allow_thin,
        progress=progress,
    )


def _tell(scan: Volume | SliceStack, result: UpsampledVolume, options: argparse.Namespace) -> None:
    count = len(scan.slices)
    if isinstance(scan, SliceStack):
        spacing, found = [round(gap, 4) for gap in scan.gaps], "uneven"
    else:
        spacing, found = scan.slice_spacing, f"{scan.slice_spacing:.4g} mm"
    summary = {
        "output": str(options.output),
        "slices": [count, result.slice_count],
        "slice_spacing_mm": [spacing, result.slice_spacing],
        "provenance": result.provenance,
    }
    print_result(
        summary,
        f"{count} slices, {found} → {result.slice_count} slices, {result.slice_spacing:.4g} mm: "
        f"{options.output}",
        as_json=options.json,
    )
