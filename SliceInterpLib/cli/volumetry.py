"""The command that measures hematomas."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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
from SliceInterpLib.cli.values import count, number, point
from SliceInterpLib.errors import OutputError
from SliceInterpLib.interpolators import METHODS, make_interpolator
from SliceInterpLib.volume import Volume

if TYPE_CHECKING:
    import numpy as np

    from SliceInterpLib.volumetry.comparison import Compared
    from SliceInterpLib.volumetry.finding import Piece
    from SliceInterpLib.volumetry.measures import Measurement
    from SliceInterpLib.volumetry.settings import SegmentationSettings


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
        "number is negative)",
    )
    where.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="your own segmentation of it: NIfTI, NRRD, MetaImage, a Slicer .seg.nrrd or DICOM SEG",
    )
    where.add_argument(
        "--piece",
        type=count(),
        action="append",
        metavar="N",
        help="a piece that was found and that you confirm, by its number; may be repeated. Without "
        "any of these, what may be a hematoma is looked for and listed, and nothing is measured",
    )
    where.add_argument(
        "--all", action="store_true", help="measure all pieces that are found, confirmed by nobody"
    )
    sub.add_argument(
        "--finder", metavar="CARD", help="a finder of your own: the path of its card (a .json file)"
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
    from SliceInterpLib.files.writing import check_writable
    from SliceInterpLib.volumetry.settings import SegmentationSettings

    given = bool(options.seed or options.labels)
    if options.output:
        check_writable(options.output, overwrite=options.force, marked=False)
    volume = read_input(
        options, outputs=[options.output], others=[options.labels] if options.labels else []
    )
    if options.output and not (given or options.piece or options.all):
        raise OutputError(
            "There is no mask to write before you have said which hematoma it is: give --seed, "
            "--piece or --labels, or leave out --output to see what is found."
        )
    settings = SegmentationSettings(options.low, options.high, reach_mm=options.reach)
    mask = read_mask(options.labels, volume, options.label) if options.labels else None
    found, seeds = (None, options.seed or []) if given else _found(volume, settings, options)
    summary: dict[str, object] = {"confirmed": not options.all and bool(given or options.piece)}
    texts = []
    if found is not None:
        summary |= {"finder": found.summary, "rows": []}
        texts.append(found.text)
    if given or seeds:
        _measure(volume, mask, seeds, settings, options, summary, texts)
    print_result(summary, "\n\n".join(texts), as_json=options.json)


@dataclass(frozen=True)
class _Suggested:
    """What the finder suggests, for programs and for people."""

    summary: dict[str, object]
    text: str


def _found(
    volume: Volume, settings: SegmentationSettings, options: argparse.Namespace
) -> tuple[_Suggested, list[tuple[float, float, float]]]:
    """What the finder suggests, and the seeds of the pieces that are to be measured."""
    from SliceInterpLib.networks.registry import FINDER, find_model
    from SliceInterpLib.volumetry.finding import (
        find_pieces,
        named_pieces,
        pieces_table,
        what_none_means,
    )
    from SliceInterpLib.volumetry.segmentation import Segmenter

    model = find_model(options.finder, FINDER)
    pieces = find_pieces(Segmenter(volume), model, settings)
    named = named_pieces(pieces, options.piece or [])
    for piece in pieces:
        for warning in piece.warnings:
            say(f"sliceinterp: warning: piece {piece.number}: {warning}")
    summary: dict[str, object] = {
        "model": model.name,
        "sha256": model.sha256,
        "pieces": [_piece(piece, confirmed=piece in named) for piece in pieces],
    }
    worth = what_none_means(model)
    if not pieces:
        return _Suggested(summary | {"none_means": worth}, f"No hemorrhage found. {worth}"), []
    text = f"What may be a hematoma:\n\n{pieces_table(pieces).markdown()}"
    if options.all:
        say(
            "sliceinterp: warning: nobody has confirmed what was found, and all of it is measured. "
            "Look at each piece, and name those that are hematomas by --piece."
        )
    elif not named:
        text += (
            "\n\nNobody has confirmed this, and nothing was measured. Look at each place; name "
            "what is a hematoma (--piece 1), or a place of your own (--seed)."
        )
    return _Suggested(summary, text), [
        piece.seed for piece in (pieces if options.all else named) if piece.found
    ]


def _piece(piece: Piece, *, confirmed: bool) -> dict[str, object]:
    return {
        "piece": piece.number,
        "confirmed": confirmed,
        "confidence": round(piece.confidence, 4),
        "seed_ras": piece.seed_ras,
        "ml": piece.ml,
        "marked_ml": piece.marked_ml,
        "warnings": list(piece.warnings),
    }


def _measure(
    volume: Volume,
    mask: np.ndarray | None,
    seeds: Sequence[Sequence[float]],
    settings: SegmentationSettings,
    options: argparse.Namespace,
    summary: dict[str, object],
    texts: list[str],
) -> None:
    """Measure, write the mask, and add to what is printed."""
    from SliceInterpLib.files.writing import write_volume
    from SliceInterpLib.volumetry.comparison import compare, comparison_table
    from SliceInterpLib.volumetry.growth import growth

    methods = options.methods
    if methods is None:
        methods = () if volume.is_derived else ("linear", "learned")
    rows = compare(
        volume,
        [make_interpolator(m, model=options.model, device=options.device) for m in methods],
        mask=mask,
        seeds=seeds,
        settings=settings,
        allow_thin=options.allow_thin,
    )
    for row in rows:
        for warning in row.warnings:
            say(f"sliceinterp: warning: {row.grid}: {warning}")
    if options.output:
        shown = replace(volume, slices=rows[0].mask.astype("uint8"), provenance={})
        write_volume(shown, options.output, overwrite=options.force)
    text = f"{comparison_table(rows).markdown()}\n\n{_where(rows[0].measured)}"
    summary["rows"] = [_summary(row) for row in rows]
    if options.earlier_ml is not None:
        grown = growth(options.earlier_ml, rows[0].measured.voxel_ml)
        summary["growth"] = asdict(grown)
        text += f"\n{grown}"
    texts.append(text)


def _summary(row: Compared) -> dict[str, object]:
    return {
        "grid": row.grid,
        "mask": row.mask_is,
        "limits_hu": row.limits_hu,
        "warnings": list(row.warnings),
        "bright_ml": row.bright_ml,
        **asdict(row.measured),
    }


def _where(one: Measurement) -> str:
    right, front, up = one.centroid_ras
    side = "" if one.side is None else f", {one.side}"
    return f"Centre at R {right:.1f}, A {front:.1f}, S {up:.1f} mm{side}; {one.slices} slices."
