"""What the finder is worth: held against known hematomas, and on scans without any."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from SliceInterpLib.lab.agreement import dice
from SliceInterpLib.networks.registry import TrainedModel
from SliceInterpLib.table import Column, Table
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.finding import find_pieces
from SliceInterpLib.volumetry.mask import voxel_ml
from SliceInterpLib.volumetry.segmentation import Segmenter


@dataclass(frozen=True)
class Checked:
    """One scan."""

    patient: str
    pieces: int
    """That are listed."""
    without_border: int
    """Of these, that have no border and are not measured."""
    false_pieces: int
    """Of all, whose seed is in no known hematoma."""
    ml: float
    """Of all that is found, by the seeded rule."""
    false_ml: float
    """Of the false pieces that have a border."""
    known_ml: float
    found: bool | None
    """Whether a piece's seed is in the known hematoma; None where there is none."""
    dice: float | None
    """Of all pieces together, by the seeded rule, with the known hematoma; None where nothing is
    found or there is none."""
    least_confidence: float | None
    seconds: float
    """Of the CPU, for the finder and the seeded rule, without reading the scan."""


def check_finder(
    scans: Mapping[str, Callable[[], tuple[Volume, np.ndarray | None]]],
    model: TrainedModel,
    progress: Callable[[int, int], None] | None = None,
) -> list[Checked]:
    """Let the finder look at each scan.

    Args:
        scans: by name, what loads a scan and the mask of its hematoma, None where it has none.
        model: the finder.
        progress: called with scans done and their number.
    """
    rows = []
    for name, load in scans.items():
        volume, known = load()
        rows.append(_checked(name, volume, known, model))
        if progress:
            progress(len(rows), len(scans))
    return rows


def _checked(name: str, volume: Volume, known: np.ndarray | None, model: TrainedModel) -> Checked:
    began = time.process_time()
    pieces = find_pieces(Segmenter(volume), model)
    seconds = time.process_time() - began
    nothing = np.zeros(volume.slices.shape, bool)
    truth = nothing if known is None else known
    together = nothing.copy()
    for piece in pieces:
        if piece.found:
            together |= piece.found.mask
    seeds = [np.rint(volume.indices(np.array(p.seed))[0]).astype(int) for p in pieces]
    false = [p for p, seed in zip(pieces, seeds, strict=True) if not truth[tuple(seed)]]
    return Checked(
        patient=name,
        pieces=len(pieces),
        without_border=sum(piece.found is None for piece in pieces),
        false_pieces=len(false),
        ml=voxel_ml(volume, together),
        false_ml=sum(piece.ml or 0.0 for piece in false),
        known_ml=voxel_ml(volume, truth),
        found=None if known is None else len(false) < len(pieces),
        dice=dice(together, truth) if (together & truth).any() else None,
        least_confidence=min((piece.confidence for piece in pieces), default=None),
        seconds=seconds,
    )


def summary_of(rows: list[Checked]) -> dict[str, object]:
    """The figures of all scans together, and of each."""
    known = [row for row in rows if row.found is not None]
    dice = [row.dice for row in known if row.dice is not None]
    return {
        "scans": len(rows),
        "with_hematoma": len(known),
        "found": sum(bool(row.found) for row in known),
        "dice": float(np.mean(dice)) if dice else None,
        "without_border": sum(row.without_border for row in rows),
        "false_pieces": sum(row.false_pieces for row in rows),
        "false_ml": sum(row.false_ml for row in rows),
        "seconds": float(np.median([row.seconds for row in rows])),
        "per_scan": [asdict(row) for row in rows],
    }


def checked_table(rows: list[Checked]) -> Table:
    """A row a scan."""
    columns = (
        Column("patient", "scan"),
        Column("known_ml", "known", "ml", ".1f"),
        Column("ml", "found", "ml", ".1f"),
        Column("dice", "Dice", style=".3f"),
        Column("pieces", style="d"),
        Column("without_border", "without a border", style="d"),
        Column("false_pieces", "false pieces", style="d"),
        Column("false_ml", "false", "ml", ".1f"),
        Column("least_confidence", "least confidence", style=".2f"),
        Column("seconds", "CPU time", "s", ".1f"),
    )
    return Table(columns, [asdict(row) for row in rows])


def in_words(rows: list[Checked]) -> str:
    """The figures of all scans together, in a line."""
    told = summary_of(rows)
    text = f"{told['scans']} scans"
    if told["with_hematoma"]:
        mean = "" if told["dice"] is None else f", mean Dice {told['dice']:.3f} where found"
        text += f"; the hematoma found in {told['found']} of {told['with_hematoma']}{mean}"
    return (
        f"{text}; {told['without_border']} pieces without a border; {told['false_pieces']} false "
        f"pieces with {told['false_ml']:.1f} ml; median {told['seconds']:.1f} s of CPU time a scan."
    )
