"""The main command: upsample, from and to files and DICOM."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_dicom,
    add_fineness,
    add_input,
    add_json,
    add_method,
    add_thin,
    check_dicom,
    print_result,
    progress_bar,
    read_input,
    say,
)
from SliceInterpLib.cli.values import number
from SliceInterpLib.doublable import require_doublable
from SliceInterpLib.errors import MethodError, OutputError
from SliceInterpLib.evidence.expected_error import upsample_with_expected_error
from SliceInterpLib.files import write_volume
from SliceInterpLib.files.suffixes import is_dicom
from SliceInterpLib.files.writing import check_writable
from SliceInterpLib.fineness import (
    ISOTROPIC,
    MOST_TIMES,
    fineness_in_words,
    gaps_after,
    times_each,
)
from SliceInterpLib.gaps import GAP_TOLERANCE
from SliceInterpLib.grids import evenly_spaced, longest_stretch, upright
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume


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
    add_method(sub)
    add_fineness(sub)
    sub.add_argument(
        "--uniform",
        type=number(least=0, most=1),
        default=0.0,
        metavar="STRENGTH",
        help="from 0 to 1: denoise the acquired slices too, so that quiet and noisy ones do not "
        "alternate (default: 0, which leaves them unchanged, bit for bit)",
    )
    sub.add_argument(
        "--expected-error",
        type=Path,
        metavar="FILE",
        help="write the expected error of every synthetic voxel, in HU, to a second volume",
    )
    add_thin(sub)
    dicom = sub.add_argument_group("DICOM in and out")
    add_dicom(dicom, "write a derived series of CT images, one file per slice")
    uneven = sub.add_argument_group("DICOM series whose slices are unevenly spaced or tilted")
    uneven.add_argument(
        "--gaps",
        choices=("each", "even", "longest"),
        help="each: fill every gap at its own middle (default with --dicom); even: do so, and then "
        "resample to evenly spaced slices; longest: use only the longest evenly spaced stretch "
        "(default for other files: uneven gaps are refused)",
    )
    uneven.add_argument(
        "--widest-gap",
        type=number(above=0),
        metavar="MM",
        help="fill gaps up to this width even where slices seem to be missing",
    )
    uneven.add_argument(
        "--upright",
        action="store_true",
        help="shift the slices of a tilted gantry until each lies straight above the one before; "
        "this resamples the acquired slices (default: keep them, and the tilt in the geometry)",
    )
    sub.add_argument("--force", action="store_true", help="overwrite the output")
    add_json(sub)


def _upsample(options: argparse.Namespace) -> None:
    _check(options)
    scan = _scan(options)
    require_doublable(scan, allow_thin=options.allow_thin, widest_gap_mm=options.widest_gap)
    if options.spacing or options.factor == ISOTROPIC:
        times = times_each(scan, options.factor, options.spacing)
        say(f"{fineness_in_words(scan, times)}, the nearest that keeps every acquired slice.")
    interpolator = make_interpolator(options.method, model=options.model, device=options.device)
    error = None
    with progress_bar("slices", quiet=options.json) as progress:
        more = {
            "factor": options.factor,
            "spacing_mm": options.spacing,
            "allow_thin": options.allow_thin,
            "widest_gap_mm": options.widest_gap,
            "progress": progress,
        }
        if options.expected_error:
            result, error = upsample_with_expected_error(scan, interpolator, **more)
        else:
            result = upsample(scan, interpolator, **more)
    if options.uniform:
        from SliceInterpLib.uniform import uniform

        result = uniform(result, options.uniform)
    result = _arranged(result, options)
    if options.dicom:
        from SliceInterpLib.files.dicom_writing import write_dicom

        write_dicom(
            result,
            scan.files,
            options.output,
            keep_identity=options.keep_identity,
            overwrite=options.force,
        )
    else:
        write_volume(result, options.output, overwrite=options.force)
    if error:
        write_volume(_arranged(error, options), options.expected_error, overwrite=options.force)
    _tell(scan, result, options)


def _check(options: argparse.Namespace) -> None:
    """Refuse, before a long run, what could not be written after it."""
    check_dicom(options)
    if options.expected_error:
        if options.method != "learned" or options.gaps == "even":
            raise MethodError(
                "The expected error is known only for the learned method, and not with --gaps "
                "even. Change these options, or leave out --expected-error."
            )
        check_writable(options.expected_error, overwrite=options.force)
    if not options.dicom:
        if options.gaps == "each":
            raise OutputError(
                "Only DICOM can hold unevenly spaced slices. Add --dicom, or choose --gaps even."
            )
        check_writable(options.output, overwrite=options.force)
        return
    if not is_dicom(options.input):
        raise OutputError(
            f"{options.input}: A derived series needs the DICOM files that it is derived from. "
            "Give those as input, or write .nii.gz, .nrrd or .mha."
        )
    from SliceInterpLib.files.dicom_writing import check_dicom_folder

    check_dicom_folder(options.output, overwrite=options.force)


def _scan(options: argparse.Namespace) -> Volume:
    """The input, or its longest evenly spaced stretch; refused where no output could hold it."""
    scan = read_input(options, outputs=(options.output, options.expected_error))
    if options.dicom:
        from SliceInterpLib.files.dicom_writing import check_sources

        check_sources(scan)
    if scan.is_even:
        return scan
    if options.gaps == "longest":
        part = longest_stretch(scan)
        say(f"Slices {part[0] + 1} to {part[-1] + 1} of {scan.slice_count} are evenly spaced.")
        return scan.part(part)
    if options.gaps != "even" and (options.expected_error or not options.dicom):
        if _becomes_even(scan, options):
            scan.require_line()
        else:
            scan.require_even()
    return scan


def _becomes_even(scan: Volume, options: argparse.Namespace) -> bool:
    """Whether each gap gets the factor that makes all of them alike."""
    if not options.spacing and options.factor != ISOTROPIC:
        return False
    low, high = gaps_after(scan, times_each(scan, options.factor, options.spacing))
    return high - low <= 2 * GAP_TOLERANCE / MOST_TIMES


def _arranged(result: Volume, options: argparse.Namespace) -> Volume:
    """The result on the grid that was asked for."""
    if options.gaps == "even":
        result = evenly_spaced(result)
    return upright(result) if options.upright else result


def _tell(scan: Volume, result: Volume, options: argparse.Namespace) -> None:
    summary = {
        "output": str(options.output),
        "slices": [scan.slice_count, result.slice_count],
        "slice_spacing_mm": [_spacing(scan), _spacing(result)],
        "provenance": result.provenance,
    }
    before, after = (
        f"{one.slice_count} slices, "
        + (f"{one.slice_spacing:.4g} mm" if one.is_even else "unevenly spaced")
        for one in (scan, result)
    )
    print_result(summary, f"{before} → {after}: {options.output}", as_json=options.json)


def _spacing(scan: Volume) -> float | list[float]:
    """mm between the slices; of an uneven volume all its gaps."""
    return scan.slice_spacing if scan.is_even else [round(gap, 4) for gap in scan.gaps.tolist()]
