"""The main command: upsample, from and to files and DICOM."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
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
from SliceInterpLib.errors import MethodError, OutputError
from SliceInterpLib.evidence.expected_error import upsample_with_expected_error
from SliceInterpLib.files import read_dicom, read_volume, write_volume
from SliceInterpLib.files.reading import is_dicom
from SliceInterpLib.files.writing import check_writable
from SliceInterpLib.interpolators import METHODS, Interpolator, make_interpolator
from SliceInterpLib.stack import SliceStack
from SliceInterpLib.straightening import straightened
from SliceInterpLib.uneven import UpsampledStack, longest_part, spaced_evenly, upsample_stack
from SliceInterpLib.uniform import uniform
from SliceInterpLib.upsampling import FACTORS, Progress, UpsampledVolume, upsample
from SliceInterpLib.volume import Volume, require_doublable


def add_commands(commands: Commands) -> None:
    """Add upsample."""
    sub = add_command(
        commands, "upsample", _upsample, "Put predicted slices between the acquired ones."
    )
    add_input(sub)
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help=".nii.gz, .nrrd or .mha; with --dicom a folder",
    )
    sub.add_argument("--method", choices=METHODS, default="learned")
    sub.add_argument("--model", help="name of a shipped model, or path of a model's card")
    add_device(sub)
    sub.add_argument("--factor", type=int, choices=FACTORS, default=2)
    sub.add_argument(
        "--uniform",
        type=_part,
        default=0.0,
        metavar="STRENGTH",
        help="from 0 to 1: denoise the acquired slices too, so that quiet and noisy ones do not "
        "alternate (default: 0, they stay bit for bit)",
    )
    sub.add_argument(
        "--expected-error",
        type=Path,
        metavar="FILE",
        help="write the expected error of every synthetic voxel, in HU, to a second volume",
    )
    sub.add_argument("--allow-thin", action="store_true", help="even if slices are thin already")
    dicom = sub.add_argument_group("DICOM in and out")
    dicom.add_argument(
        "--dicom", action="store_true", help="write a derived series of CT images, a file a slice"
    )
    dicom.add_argument(
        "--keep-identity",
        action="store_true",
        help="the series joins the patient's study (default: nothing tells who was scanned)",
    )
    uneven = sub.add_argument_group("DICOM series whose slices are unevenly spaced or tilted")
    uneven.add_argument(
        "--gaps",
        choices=("each", "even", "longest"),
        help="fill each gap at its own middle (needs --dicom); do so and then space the slices "
        "evenly; or take the longest evenly spaced part alone (default: refuse uneven gaps)",
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
    _check(options)
    scan, files = _scan(options)
    if isinstance(scan, Volume):
        require_doublable(scan, allow_thin=options.allow_thin)
    interpolator = make_interpolator(options.method, model=options.model, device=options.device)
    error = None
    with progress_bar("slices", quiet=options.json) as progress:
        if options.expected_error:
            result, error = upsample_with_expected_error(
                scan, interpolator, allow_thin=options.allow_thin, progress=progress
            )
        else:
            result = _upsampled(scan, interpolator, options, progress)
    if options.uniform:
        result = uniform(result, options.uniform)
    if options.upright:
        result = straightened(result)
    if options.dicom:
        from SliceInterpLib.files.dicom_writing import write_dicom

        write_dicom(
            result,
            files,
            options.output,
            keep_identity=options.keep_identity,
            overwrite=options.force,
        )
    else:
        write_volume(result, options.output, overwrite=options.force)
    if error:
        error = straightened(error) if options.upright else error
        write_volume(error, options.expected_error, overwrite=options.force)
    _tell(scan, result, options)


def _check(options: argparse.Namespace) -> None:
    """Refuse, before a long run, what could not be written after it."""
    if options.expected_error:
        if options.method != "learned" or options.factor != 2 or options.gaps in ("each", "even"):
            raise MethodError(
                "The expected error is known for the learned method, factor 2 and even gaps alone."
            )
        check_writable(options.expected_error, overwrite=options.force)
    if options.gaps == "each" and options.uniform:
        raise MethodError("Uniform mode needs evenly spaced slices: leave out --gaps each.")
    if not options.dicom:
        if options.gaps == "each":
            raise OutputError("Only DICOM can hold unevenly spaced slices: give --dicom.")
        check_writable(options.output, overwrite=options.force)
        return
    if options.gaps == "each" and options.upright:
        raise OutputError("Unevenly spaced slices stay where they are: leave out --upright.")
    if not is_dicom(options.input):
        raise OutputError(
            f"{options.input}: A derived series needs the DICOM files that it is derived from. "
            "Give those as input, or write .nii.gz, .nrrd or .mha."
        )
    from SliceInterpLib.files.dicom_writing import check_dicom_folder

    check_dicom_folder(options.output, overwrite=options.force)


def _part(text: str) -> float:
    """A number from 0 to 1; argparse names it in its message."""
    part = float(text)
    if not 0.0 <= part <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return part


def _scan(options: argparse.Namespace) -> tuple[Volume | SliceStack, Sequence[Path]]:
    """The input, a volume or a stack whose gaps are to be filled one by one; its DICOM files."""
    if not is_dicom(options.input):
        return read_volume(options.input, series=options.series), ()
    stack = read_dicom(options.input, series=options.series)
    if stack.is_even or not options.gaps:
        return stack.volume(), stack.files
    if options.gaps != "longest":
        return stack, stack.files
    part = longest_part(stack)
    say(f"Slices {part[0] + 1} to {part[-1] + 1} of {len(stack.slices)} are evenly spaced.")
    return stack.volume(part), stack.files[part.start : part.stop]


def _upsampled(
    scan: Volume | SliceStack,
    interpolator: Interpolator,
    options: argparse.Namespace,
    progress: Progress,
) -> UpsampledVolume | UpsampledStack:
    if isinstance(scan, SliceStack):
        filled = upsample_stack(
            scan,
            interpolator,
            factor=options.factor,
            widest_mm=options.widest_gap,
            progress=progress,
        )
        return filled if options.gaps == "each" else spaced_evenly(filled)
    return upsample(
        scan,
        interpolator,
        factor=options.factor,
        allow_thin=options.allow_thin,
        progress=progress,
    )


def _tell(
    scan: Volume | SliceStack, result: UpsampledVolume | UpsampledStack, options: argparse.Namespace
) -> None:
    before, after = _spacing(scan), _spacing(result)
    summary = {
        "output": str(options.output),
        "slices": [len(scan.slices), len(result.slices)],
        "slice_spacing_mm": [before, after],
        "provenance": result.provenance,
    }
    words = [
        f"{one:.4g} mm" if isinstance(one, float) else "unevenly spaced" for one in (before, after)
    ]
    print_result(
        summary,
        f"{len(scan.slices)} slices, {words[0]} → {len(result.slices)} slices, {words[1]}: "
        f"{options.output}",
        as_json=options.json,
    )


def _spacing(scan: Volume | SliceStack) -> float | list[float]:
    """mm between the slices; of a stack all its gaps."""
    if isinstance(scan, SliceStack):
        return [round(gap, 4) for gap in scan.gaps.tolist()]
    return scan.slice_spacing
