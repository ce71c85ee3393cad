"""Where hematomas may be: pieces that the finder suggests, each to be confirmed by a reader.

The finder (`networks.finder`) marks what looks like a hematoma and gives a seed in it; the border
and the ml are those of the seeded rule (`Segmenter`), as if a person had put the seed there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from SliceInterpLib.errors import MethodError
from SliceInterpLib.networks.registry import FINDER, TrainedModel, find_model
from SliceInterpLib.process import uncollected
from SliceInterpLib.table import Column, Table, Value
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry import slabs
from SliceInterpLib.volumetry.mask import SegmentationError, voxel_ml
from SliceInterpLib.volumetry.segmentation import Segmenter
from SliceInterpLib.volumetry.settings import DEFAULTS, Segmentation, SegmentationSettings

_SEEDS_TRIED = 3
"""In so many of the slabs with most of a piece a seed is tried before it has no border."""

_DIFFERENT = 3.0
"""Where the rule takes so many times what the finder marks, or so much less, the two do not see the
same thing, and there is no border to be measured. In validation patients it takes 0.7 to 1.1."""


_LOOK = (
    "Look at it; if it is a hematoma, place a seed with a threshold range of your own, or draw it "
    "by hand."
)


@dataclass(frozen=True, eq=False)
class Piece:
    """What may be one hematoma. Nobody has confirmed it."""

    number: int
    """From 1, the largest first."""
    seed: tuple[float, float, float]
    """mm, LPS: where the seeded rule begins."""
    confidence: float
    """0…1, the finder's: the mean of its probabilities in what it marks."""
    marked_ml: float
    """What the finder marks, on its coarse pixels."""
    ml: float | None
    """By the seeded rule; None where that finds no border that agrees with the finder."""
    found: Segmentation | None
    """The same."""
    doubt: str | None
    """Why there is none."""

    @property
    def seed_ras(self) -> tuple[float, float, float]:
        """The seed as Slicer shows places."""
        left, back, up = self.seed
        return -left, -back, up

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes it doubtful."""
        if self.doubt:
            return (self.doubt,)
        return self.found.warnings if self.found else ()


@dataclass(frozen=True)
class _Limits:
    """What a finder's card says of when a piece counts: chosen on validation patients."""

    probability: float
    """Of a pixel that is marked."""
    confidence: float
    smallest_ml: float


def find_pieces(
    segmenter: Segmenter,
    model: TrainedModel | None = None,
    settings: SegmentationSettings = DEFAULTS,
) -> list[Piece]:
    """What may be a hematoma in a scan, the largest first; an empty list if there is nothing.

    The same scan gives the same pieces each time.

    Args:
        segmenter: of the scan; it draws the borders.
        model: the finder; by default the one that is shipped.
        settings: of the segmentation.

    Raises:
        MethodError: without torch, and for a model that is no finder or cannot be trusted.
    """
    model = model or find_model(kind=FINDER)
    limits = _limits_of(model)
    volume, taken = segmenter.volume, np.zeros(segmenter.volume.slices.shape, bool)
    pieces: list[Piece] = []
    for marked in _marked(volume, model, limits):
        piece = _piece(segmenter, marked, taken, settings)
        if piece is None:
            continue
        if piece.found:
            taken |= piece.found.mask
        pieces.append(piece)
    pieces.sort(key=lambda piece: (piece.ml is None, -(piece.ml or piece.marked_ml)))
    return [replace(piece, number=number) for number, piece in enumerate(pieces, 1)]


def _piece(
    segmenter: Segmenter, marked: _Marked, taken: np.ndarray, settings: SegmentationSettings
) -> Piece | None:
    """With the border of the rule, if that is of what the finder marks; None if that has a piece.

    Args:
        segmenter: of the scan.
        marked: by the finder.
        taken: what other pieces have, bool, shaped as the scan's `slices`.
        settings: of the segmentation.
    """
    volume = segmenter.volume
    seed, found = _segmented(segmenter, marked, settings)
    ml = voxel_ml(volume, found.mask) if found else None
    doubt = None
    if found is None or ml is None:
        doubt = "sees no blood there: either it is hardly denser than the brain, or it is none"
    elif 2 * np.count_nonzero(found.mask & taken) > np.count_nonzero(found.mask):
        pixels = _voxels(volume, np.argwhere(marked.slabs), marked.slabs.shape[1:])
        if taken[tuple(pixels.T)].mean() >= 0.5:
            return None  # the rule joins the two
        doubt = "takes what another piece has from there, and little of this"
    elif not marked.ml / _DIFFERENT <= ml <= marked.ml * _DIFFERENT:
        doubt = f"takes {ml:.1f} ml from there"
    if doubt:
        doubt = (
            f"It has no border: the finder marks {marked.ml:.1f} ml, and the rule that draws "
            f"borders {doubt}. {_LOOK}"
        )
    return Piece(
        number=0,
        seed=seed,
        confidence=marked.confidence,
        marked_ml=marked.ml,
        ml=None if doubt else ml,
        found=None if doubt else found,
        doubt=doubt,
    )


def named_pieces(pieces: Sequence[Piece], numbers: Sequence[int]) -> list[Piece]:
    """The pieces of these numbers; SegmentationError for one that is not there or has no border."""
    by_number = {piece.number: piece for piece in pieces}
    for number in numbers:
        if number not in by_number:
            there = f"{len(pieces)} were found" if pieces else "none was found"
            raise SegmentationError(
                f"There is no piece {number}: {there}. Without --piece they are listed; --seed "
                "names a place of your own."
            )
        if doubt := by_number[number].doubt:
            raise SegmentationError(f"Piece {number} cannot be measured. {doubt}")
    return [by_number[number] for number in dict.fromkeys(numbers)]


def pieces_table(pieces: Sequence[Piece]) -> Table:
    """The pieces, a row each."""
    columns = (
        Column("piece"),
        Column("place", "place (RAS, mm)"),
        Column("ml", "", "ml", ".1f"),
        Column("confidence", style=".2f"),
    )
    rows: list[dict[str, Value]] = [
        {
            "piece": str(piece.number),
            "place": "{:.0f}, {:.0f}, {:.0f}".format(*piece.seed_ras),
            "ml": piece.ml,
            "confidence": piece.confidence,
        }
        for piece in pieces
    ]
    return Table(columns, rows)


def what_none_means(model: TrainedModel | None = None) -> str:
    """What it is worth that nothing was found, as the finder's card tells it."""
    card = (model or find_model(kind=FINDER)).card
    return str(card.get("none_means") or "How often it misses one is not told on its card.")


@dataclass(frozen=True, eq=False)
class _Marked:
    """A connected piece of what the finder marks."""

    slabs: np.ndarray
    """bool (slabs, h, w)."""
    confidence: float
    ml: float


def _marked(volume: Volume, model: TrainedModel, limits: _Limits) -> Iterator[_Marked]:
    """What the finder marks, the largest piece first."""
    likely = likelihood(volume, model)
    labels, count = ndimage.label(likely >= limits.probability, np.ones((3, 3, 3), bool))
    numbers = np.arange(1, count + 1)
    ends = volume.slab_edges[slabs.slab_starts(volume)]
    scale = np.divide(volume.slices.shape[1:], likely.shape[1:])
    mm2 = float(np.prod(scale * volume.pixel_spacing))
    pixel_ml = np.broadcast_to(np.diff(ends)[:, None, None] * mm2 / 1000.0, likely.shape)
    sizes = ndimage.sum_labels(pixel_ml, labels, numbers)
    means = ndimage.mean(likely, labels, numbers)
    for index in np.argsort(-sizes, kind="stable"):
        if sizes[index] >= limits.smallest_ml and means[index] >= limits.confidence:
            yield _Marked(labels == numbers[index], float(means[index]), float(sizes[index]))


def likelihood(volume: Volume, model: TrainedModel) -> np.ndarray:
    """(slabs, h, w) in [0, 1]: the finder's, slab by slab (`slabs.slab_starts`)."""
    try:
        with uncollected():  # torch comes with it
            from SliceInterpLib.networks.finder import load_finder, probabilities
    except ImportError as missing:
        if missing.name != "torch":
            raise
        raise MethodError(
            "Hematomas are found by a neural network, which needs torch. Install it with: pip "
            "install torch; or place a seed in the hematoma yourself."
        ) from missing
    return probabilities(load_finder(model), slabs.seen_slabs(volume)).numpy()


def _segmented(
    segmenter: Segmenter, marked: _Marked, settings: SegmentationSettings
) -> tuple[tuple[float, float, float], Segmentation | None]:
    """A seed inside what is marked, and what the rule finds there; None if that is no blood."""
    areas = np.count_nonzero(marked.slabs, axis=(1, 2))
    largest = [int(index) for index in np.argsort(-areas, kind="stable") if areas[index]]
    seeds = [_deepest(segmenter.volume, marked.slabs[i], i) for i in largest[:_SEEDS_TRIED]]
    for seed in seeds:
        try:
            return seed, segmenter.segment([seed], settings)
        except SegmentationError:
            continue
    return seeds[0], None


def _deepest(volume: Volume, marked: np.ndarray, index: int) -> tuple[float, float, float]:
    """The place in a slab that is farthest from the outline of what is marked, mm, LPS."""
    depth = ndimage.distance_transform_edt(np.pad(marked, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    (voxel,) = _voxels(volume, np.array([[index, row, column]]), marked.shape)
    left, back, up = volume.places(voxel)[0].tolist()
    return left, back, up


def _voxels(volume: Volume, pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """(m, 3) the voxel (slice, row, column) in the middle of each of the finder's pixels.

    Args:
        volume: the scan.
        pixels: (m, 3) slab, row and column.
        size: rows and columns that the finder sees.
    """
    starts = slabs.slab_starts(volume)
    middles = (starts[:-1] + starts[1:] - 1) // 2
    scale = np.divide(volume.slices.shape[1:], size)
    within = np.rint((pixels[:, 1:] + 0.5) * scale - 0.5).astype(int)
    within = np.clip(within, 0, np.array(volume.slices.shape[1:]) - 1)
    return np.column_stack([middles[pixels[:, 0]], within])


def _limits_of(model: TrainedModel) -> _Limits:
    told: Any = model.card.get("finding")
    try:
        return _Limits(**{name: float(value) for name, value in dict(told).items()})
    except (TypeError, ValueError) as problem:
        raise MethodError(
            f"The card of the finder '{model.name}' does not say when a piece counts: it needs "
            "'finding' with probability, confidence and smallest_ml."
        ) from problem
