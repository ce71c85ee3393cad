"""The command that measures hematomas."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_input,
    add_json,
    add_model,
    add_thin,
    print_result,
    read_input,
    say,
)
from SliceInterpLib.cli.values import number, point
from SliceInterpLib.interpolators import METHODS, make_interpolator

if TYPE_CHECKING:
    from SliceInterpLib.volumetry.comparison import Compared
    from SliceInterpLib.volumetry.measures import Measurement


def add_commands(commands: Commands) -> None:
    """Add volume."""
    sub = add_command(commands, "volume", _volume, "Measure a hematoma before and after doubling.")
    add_input(sub)
    where = sub.add_mutually_exclusive_group()
    where.add_argument(
        "--seed",
        type=point,
        action="append",
        metavar="R,A,S",
        help="a point in the hematoma, mm; may be repeated (write --seed=-20,5,30 where the first "
        "number is negative); without --seed and --labels, all blood in the skull is measured",
    )
    where.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="your own segmentation of it: NIfTI, NRRD, MetaImage, a Slicer .seg.nrrd or DICOM SEG",
    )
    sub.add_argument(
        "--label",
        metavar="SEGMENT",
        help="its number or name there (default: the only one there is)",
    )
    sub.add_argument(
        "--low",
        type=number(),
        metavar="HU",
        help="what is darker is not blood (default: found from the clot and the brain)",
    )
    sub.add_argument(
        "--high",
        type=number(),
        metavar="HU",
        help="what is brighter is not blood (default: found from the clot and the brain)",
    )
    sub.add_argument(
        "--reach",
        type=number(above=0),
        metavar="MM",
        help="how far from the seeds blood may lie (default: anywhere)",
    )
    sub.add_argument(
        "--methods",
        nargs="*",
        choices=METHODS,
        help="how to double (default: linear learned; a result of SliceInterp is measured as it "
        "is, and not doubled)",
    )
    add_model(sub)
    add_thin(sub)
    sub.add_argument(
        "--earlier-ml",
        type=number(above=0),
        metavar="ML",
        help="its volume on an earlier scan, to tell growth",
    )
    sub.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write the mask of the acquired slices"
    )
    sub.add_argument("--force", action="store_true", help="overwrite that file")
    add_json(sub)


def _volume(options: argparse.Namespace) -> None:
    from SliceInterpLib.files.masks import read_mask
    from SliceInterpLib.files.writing import check_writable, write_volume
    from SliceInterpLib.volumetry.comparison import compare, comparison_table
    from SliceInterpLib.volumetry.growth import growth
    from SliceInterpLib.volumetry.settings import SegmentationSettings

    if options.output:
        check_writable(options.output, overwrite=options.force, marked=False)
    volume = read_input(
        options, outputs=[options.output], others=[options.labels] if options.labels else []
    )
    methods = options.methods
    if methods is None:
        methods = () if volume.is_derived else ("linear", "learned")
    rows = compare(
        volume,
        [make_interpolator(m, model=options.model, device=options.device) for m in methods],
        mask=read_mask(options.labels, volume, options.label) if options.labels else None,
        seeds=options.seed,
        settings=SegmentationSettings(options.low, options.high, reach_mm=options.reach),
        allow_thin=options.allow_thin,
    )
    for row in rows:
        for warning in row.warnings:
            say(f"sliceinterp: warning: {row.grid}: {warning}")
    if options.output:
        shown = replace(volume, slices=rows[0].mask.astype("uint8"), provenance={})
        write_volume(shown, options.output, overwrite=options.force)
    text = f"{comparison_table(rows).markdown()}\n\n{_where(rows[0].measured)}"
    summary: dict[str, object] = {"rows": [_summary(row) for row in rows]}
    if options.earlier_ml is not None:
        grown = growth(options.earlier_ml, rows[0].measured.voxel_ml)
        summary["growth"] = asdict(grown)
        text += f"\n{grown}"
    print_result(summary, text, as_json=options.json)


def _summary(row: Compared) -> dict[str, object]:
    return {
        "grid": row.grid,
        "mask": row.mask_is,
        "limits_hu": row.limits_hu,
        "warnings": list(row.warnings),
        **asdict(row.measured),
    }


def _where(one: Measurement) -> str:
    right, front, up = one.centroid_ras
    side = "" if one.side is None else f", {one.side}"
    return f"Centre at R {right:.1f}, A {front:.1f}, S {up:.1f} mm{side}; {one.slices} slices."
