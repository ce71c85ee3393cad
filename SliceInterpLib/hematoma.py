"""A hematoma, asked about again and again: what the child process keeps of its scan, and answers.

Questions are put and answers looked at in Slicer, which has no use for what computes them: that is
imported where it is needed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from SliceInterpLib.errors import SliceInterpError, VolumeError
from SliceInterpLib.table import Value
from SliceInterpLib.tasks import Task
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.settings import Segmentation, SegmentationSettings

if TYPE_CHECKING:
    from SliceInterpLib.volumetry.comparison import Compared
    from SliceInterpLib.volumetry.segmentation import Segmenter
    from SliceInterpLib.worker import Owner

Rule = tuple[Sequence[Sequence[float]], SegmentationSettings]
"""What a hematoma is found by: seeds in mm, LPS, and settings."""


@dataclass(frozen=True)
class Volumetry(Task):
    """Answer requests about a scan until there are no more."""

    volume: Volume

    answers = True

    def run(self, owner: Owner) -> None:
        """What is wrong with a request is its answer."""
        scan = Scan(self.volume)
        for request in owner.requests():
            try:
                answer = request.answer(scan)
            except SliceInterpError as problem:
                answer = problem
            owner.answer(answer)


@dataclass(frozen=True)
class Scan:
    """A scan, and what makes the next answer about it quicker."""

    volume: Volume

    @cached_property
    def segmenter(self) -> Segmenter:
        """Raises VolumeError where there is no skull."""
        from SliceInterpLib.volumetry.segmentation import Segmenter

        return Segmenter(self.volume)

    @property
    def segmenter_if_any(self) -> Segmenter | None:
        """None where there is no skull: a mask of one's own can be measured all the same."""
        try:
            return self.segmenter
        except VolumeError:
            return None


class Request(ABC):
    """Something to be found out about the hematoma in a scan."""

    @abstractmethod
    def answer(self, scan: Scan) -> Any:
        """Find it out.

        Raises:
            SliceInterpError: where it cannot be.
        """


@dataclass(frozen=True)
class Find(Request):
    """Find it by a rule."""

    rule: Rule

    def answer(self, scan: Scan) -> Segmentation:
        """As `Segmenter.segment`."""
        return scan.segmenter.segment(*self.rule)


class Suggestion(NamedTuple):
    """A place where a hematoma may be; nobody has confirmed it."""

    number: int
    seed: tuple[float, float, float]
    """mm, LPS."""
    ml: float | None
    """By the rule, from that seed; None where that finds no border to agree with."""
    confidence: float
    """0…1."""
    doubt: str | None
    """Why there is no border."""


class Suggested(NamedTuple):
    """What the finder suggests."""

    places: list[Suggestion]
    """The largest first."""
    none_means: str
    """What it is worth if there are none."""


@dataclass(frozen=True)
class Suggest(Request):
    """Look for what may be hematomas."""

    def answer(self, scan: Scan) -> Suggested:
        """As `find_pieces`."""
        from SliceInterpLib.volumetry.finding import find_pieces, what_none_means

        places = [
            Suggestion(piece.number, piece.seed, piece.ml, piece.confidence, piece.doubt)
            for piece in find_pieces(scan.segmenter)
        ]
        return Suggested(places, what_none_means())


class Measured(NamedTuple):
    """What the rows of a comparison tell."""

    records: list[dict[str, Value]]
    """As `measures` gives them."""
    warnings: list[str]
    """What makes them doubtful."""


@dataclass(frozen=True, eq=False)
class Measure(Request):
    """Measure a segmentation on the acquired grid, and the same lesion on the grid of results."""

    mask: np.ndarray
    """bool, shaped as the scan's `slices`."""
    rule: Rule | None
    """By which it was found at first; None: it is somebody's own."""
    results: Sequence[tuple[str, Volume]]
    """Made of the scan, and what to call their grids."""

    def answer(self, scan: Scan) -> Measured:
        """What `rows` tell."""
        from SliceInterpLib.volumetry.comparison import measures

        rows = self.rows(scan)
        warnings = [f"{row.grid}: {warning}" for row in rows for warning in row.warnings]
        return Measured(measures(rows), warnings)

    def rows(self, scan: Scan) -> list[Compared]:
        """A row a grid and mask.

        The first is the mask that is given; its separate pieces follow, if it has several. A result
        is segmented by the rule, if there is one, and has a second row with the given mask carried
        over. Where the mask is no longer what the rule finds, the acquired grid has another row, by
        the rule.

        Raises:
            SegmentationError: as `measure` and `Segmenter.segment` do.
        """
        from SliceInterpLib.volumetry.carrying import carried_over, carried_space
        from SliceInterpLib.volumetry.comparison import (
            CARRIED,
            GIVEN,
            Compared,
            own_grid,
            pieces_of,
            segmented,
        )
        from SliceInterpLib.volumetry.measures import measure
        from SliceInterpLib.volumetry.segmentation import Segmenter

        volume, segmenter = scan.volume, scan.segmenter_if_any
        space = segmenter.space if segmenter else None
        rule = self.rule if segmenter else None
        rows = [segmented(own_grid(volume), segmenter, *rule)] if segmenter and rule else []
        if not rows or not np.array_equal(rows[0].mask, self.mask):
            measured = measure(volume, self.mask, space)
            rows.insert(0, Compared(own_grid(volume), GIVEN, self.mask, measured, None))
        rows[1:1] = pieces_of(volume, rows[0], space)
        for grid, result in self.results:
            inside = carried_space(volume, space, result)
            if rule:
                rows.append(segmented(grid, Segmenter(result, space=inside), *rule))
            carried = carried_over(volume, self.mask, result)
            rows.append(Compared(grid, CARRIED, carried, measure(result, carried, inside), None))
        return rows


@dataclass(frozen=True, eq=False)
class FindOnResult(Request):
    """Find the same lesion on the grid of a result, as `Measure` does."""

    mask: np.ndarray
    """bool, shaped as the scan's `slices`."""
    rule: Rule | None
    """As of `Measure`."""
    result: Volume
    """Made of the scan."""

    def answer(self, scan: Scan) -> np.ndarray:
        """Its mask, shaped as the result's `slices`: by the rule, or carried over."""
        from SliceInterpLib.volumetry.carrying import carried_over, carried_space
        from SliceInterpLib.volumetry.segmentation import Segmenter

        segmenter = scan.segmenter_if_any
        if segmenter and self.rule:
            space = carried_space(scan.volume, segmenter.space, self.result)
            return Segmenter(self.result, space=space).segment(*self.rule).mask
        return carried_over(scan.volume, self.mask, self.result)
