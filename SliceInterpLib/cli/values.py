"""Values of options, checked where they are given; argparse puts the option's name before."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence

from SliceInterpLib.fineness import ISOTROPIC, MOST_TIMES, Factor


def count(*, least: int = 1, most: int | None = None, multiple_of: int = 1) -> Callable[[str], int]:
    """A type for argparse: a whole number within limits, both included."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most) or value % multiple_of:
            kind = f"a multiple of {multiple_of}" if multiple_of > 1 else "a whole number"
            limits = f"from {least} to {most}" if most is not None else f"of at least {least}"
            raise argparse.ArgumentTypeError(f"'{text}' is not {kind} {limits}")
        return value

    return parse


def number(
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Callable[[str], float]:
    """A type for argparse: a finite number within limits.

    Args:
        least: the lowest allowed.
        most: the highest allowed.
        above: what it must exceed.
        below: what it must not reach.
    """
    limits = (
        (least, "at least", lambda value, limit: value >= limit),
        (most, "at most", lambda value, limit: value <= limit),
        (above, "above", lambda value, limit: value > limit),
        (below, "below", lambda value, limit: value < limit),
    )
    asked = [(limit, words, holds) for limit, words, holds in limits if limit is not None]

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and all(holds(value, limit) for limit, _, holds in asked)):
            within = " and ".join(f"{words} {limit:g}" for limit, words, _ in asked)
            raise argparse.ArgumentTypeError(f"'{text}' is not a number {within}".rstrip())
        return value

    return parse


def factor(text: str) -> Factor:
    """For argparse: a factor as `upsample` takes it."""
    if text == ISOTROPIC:
        return ISOTROPIC
    try:
        return count(least=2, most=MOST_TIMES)(text)
    except argparse.ArgumentTypeError as problem:
        raise argparse.ArgumentTypeError(f"{problem}, or '{ISOTROPIC}'") from None


def names_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """A type for argparse: some of the known names, with commas between, each once."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(text.split(",")))
        unknown = [f"'{name}'" for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(unknown)}; choose from {', '.join(known)}"
            )
        return names

    return parse


def point(text: str) -> tuple[float, float, float]:
    """R,A,S in mm, as Slicer shows places, as LPS; for argparse."""
    try:
        right, front, up = (float(part) for part in text.split(","))
    except ValueError:
        right = front = up = math.nan
    if not all(map(math.isfinite, (right, front, up))):
        raise argparse.ArgumentTypeError(f"'{text}' is not three numbers R,A,S in mm")
    return -right, -front, up
