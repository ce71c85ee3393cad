"""Which slices make one stack: a series may hold several, beside and within each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.dicom_frames import IDENTITIES, SETTINGS, Frame
from SliceInterpLib.gaps import GAP_TOLERANCE, UNUSUAL_GAP

ALL = "all"
"""What `series` can end in, or be, to have several stacks taken as one."""

_SAME_NUMBER = 0.05
"""Thicknesses and tube voltages are the same if they differ by less than this part."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices that belong together, and in words what tells them from others of their series."""

    slices: list[Frame]
    differs: str = ""

    @property
    def in_words(self) -> str:
        """How many slices, and what they are."""
        return f"{len(self.slices)} slices" + (f", {self.differs}" if self.differs else "")


def stacks_of(slices: Sequence[Frame]) -> dict[str, Stack]:
    """The stacks by their names: a series' UID, or with "/n" behind it if it holds several.

    Slices of two patients, studies or frames of reference never are one stack, nor are two lots of
    another size or orientation. Where SETTINGS differ, it depends on where the slices lie: parts of
    a scan that follow on each other are one stack, as in a head with a thinner base; those that lie
    in each other are several, as two passes, phases or reconstructions do.
    """
    by_series = defaultdict(list)
    for image in slices:
        by_series[image.series].append(image)
    stacks = {}
    for uid, members in sorted(by_series.items()):
        parts = [
            one
            for apart in _by_identity(members)
            for alike in _by_shape(apart)
            for one in _by_settings(alike)
        ]
        if len(parts) == 1:
            stacks[uid] = Stack(members)
        else:
            stacks |= {f"{uid}/{number}": part for number, part in enumerate(parts, 1)}
    return stacks


def chosen(stacks: dict[str, Stack], series: str | None) -> list[Frame]:
    """The slices of the stack that was asked for, or of the only one.

    Args:
        stacks: as `stacks_of` gives them.
        series: a name, a series' UID, or one of these with ALL.

    Raises:
        VolumeError: if there is no such one, or more than one.
    """
    listed = "\n".join(f"  {name}  {stack.in_words}" for name, stack in stacks.items())
    uid, _, part = (series or "").partition("/")
    if series == ALL or part == ALL:
        return _joined(
            [s for name, s in stacks.items() if series == ALL or name.split("/")[0] == uid]
        )
    names = [name for name in stacks if series in (None, name, name.split("/")[0])]
    if not names:
        raise VolumeError(f"The folder has no CT series {series}. It has:\n{listed}")
    if len(names) == 1:
        return stacks[names[0]].slices
    if all(len(stacks[name].slices) == 1 for name in names):
        raise VolumeError(
            f"Each of the {len(names)} CT slices has a series UID of its own, so nothing says that "
            "they belong together. Some programs that remove identities do so: have them replace "
            f"a UID by the same one everywhere. Or have all taken as one stack with --series {ALL} "
            f"(in Python series='{ALL}')."
        )
    told = " ".join(stack.differs for stack in stacks.values())
    several = "/" in "".join(names) and not any(name in told for name in IDENTITIES)
    raise VolumeError(
        f"The folder has {len(names)} CT series. Choose one with --series UID "
        f"(in Python series=UID):\n{listed}"
        + (f"\nA UID with /{ALL} takes what lies within one series as one stack." * several)
    )


def _joined(stacks: Sequence[Stack]) -> list[Frame]:
    """Their slices; raises VolumeError if they are of several patients, studies or frames."""
    slices = [image for stack in stacks for image in stack.slices]
    parts = _by_identity(slices)
    if len(parts) > 1:
        raise VolumeError(
            f"The slices differ in {parts[0].differs.split(' ')[0]}, so they are no single stack. "
            "Give the slices of one patient, study and frame of reference."
        )
    if not slices:
        raise VolumeError(f"The folder has no such CT series. Ask for --series {ALL}, or for none.")
    return slices


def _by_identity(slices: list[Frame]) -> list[Stack]:
    """By what holds wherever slices lie. A slice that does not say is no stranger to the others."""
    told = []
    for name in IDENTITIES:
        values = sorted({str(image.facts[name]) for image in slices} - {""})
        if len(values) > 1:
            told.append((name, {value: f"{name} no. {n}" for n, value in enumerate(values, 1)}))
    groups = defaultdict(list)
    for image in slices:
        words = (names.get(str(image.facts[name]), f"no {name}") for name, names in told)
        groups[", ".join(words)].append(image)
    return [Stack(group, words) for words, group in sorted(groups.items())]


def _by_shape(stack: Stack) -> list[Stack]:
    """By size, pixel spacing and orientation, if at least two slices are of each kind."""
    kinds = by_shape(stack.slices)
    if len(kinds) == 1 or min(map(len, kinds)) < 2:
        return [stack]
    return [
        Stack(
            kind,
            _words(
                stack.differs,
                "{} × {} pixels of {:.3g} × {:.3g} mm".format(
                    *kind[0].size, *kind[0].pixel_spacing
                ),
            ),
        )
        for kind in kinds
    ]


def by_shape(slices: Sequence[Frame]) -> list[list[Frame]]:
    """Slices of one size, pixel spacing and orientation together, the most frequent first."""
    kinds: list[list[Frame]] = []
    for image in slices:
        for kind in kinds:
            if _alike(image, kind[0]):
                kind.append(image)
                break
        else:
            kinds.append([image])
    return sorted(kinds, key=len, reverse=True)


def _alike(one: Frame, other: Frame) -> bool:
    return (
        one.size == other.size
        and np.allclose(one.pixel_spacing, other.pixel_spacing, rtol=1e-4)
        and np.allclose(one.in_plane_axes, other.in_plane_axes, rtol=0, atol=1e-3)
    )


def _by_settings(stack: Stack) -> list[Stack]:
    """By all settings of which the slices of one value lie within those of another."""
    slices = stack.slices
    positions = np.array([float(image.origin @ slices[0].normal) for image in slices])
    keys: list[list[tuple[int, str]]] = [[] for _ in slices]
    for name in SETTINGS:
        parts = _parts([image.facts[name] for image in slices], positions)
        if len(parts) > 1:
            for number, (words, indices) in enumerate(parts):
                for index in indices:
                    keys[index].append((number, f"{name} {words}"))
    groups = defaultdict(list)
    for key, image in zip(keys, slices, strict=True):
        groups[tuple(key)].append(image)
    return [
        Stack(groups[key], _words(stack.differs, *(words for _, words in key)))
        for key in sorted(groups)
    ]


def _parts(values: Sequence[str | float], positions: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The slices by the values of a setting, values of slices that follow on each other together.

    Args:
        values: of the setting, one a slice.
        positions: (n,) mm of the slices along their normal.

    Returns:
        The values in words and the indices of the slices that have them.
    """
    parts: list[tuple[list[str], np.ndarray]] = []
    for words, indices in _by_value(values):
        if parts and not _in_each_other(positions[parts[-1][1]], positions[indices]):
            known, before = parts[-1]
            parts[-1] = ([*known, words], np.concatenate([before, indices]))
        else:
            parts.append(([words], indices))
    return [
        (known[0] if len(known) == 1 else f"{known[0]} to {known[-1]}", indices)
        for known, indices in parts
    ]


def _by_value(values: Sequence[str | float]) -> list[tuple[str, np.ndarray]]:
    """Indices of the slices of each value, in the order of the values; numbers as numbers."""
    grouped = defaultdict(list)
    for index, value in enumerate(values):
        grouped[value].append(index)
    found: list[tuple[str, np.ndarray]] = []
    last: str | float = ""
    for value in sorted(grouped, key=_order):
        indices = np.array(grouped[value])
        numbers = isinstance(value, float) and isinstance(last, float)
        if numbers and float(value) - float(last) < _SAME_NUMBER * float(value):
            found[-1] = (found[-1][0], np.concatenate([found[-1][1], indices]))
        else:
            found.append((_value_in_words(value), indices))
        last = value
    return found


def _order(value: str | float) -> tuple[bool, float, str]:
    text = str(value)
    number = text.removeprefix("-").replace(".", "", 1).isdecimal()
    return not number, float(value) if number else 0.0, text


def _value_in_words(value: str | float) -> str:
    if value == "":
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return value if len(value) < 64 else "given"  # a digest


def _in_each_other(some: np.ndarray, others: np.ndarray) -> bool:
    """Whether two lots of slices lie in one place or within each other, by their positions in mm.

    Not if those of one are only what the other lacks: a slice that was taken again.
    """
    return bool(
        (np.abs(some[:, None] - others).min() < GAP_TOLERANCE)
        or _within(np.sort(some), others)
        or _within(np.sort(others), some)
    )


def _within(stack: np.ndarray, others: np.ndarray) -> bool:
    """Whether one of the others lies in a gap of the stack, (n,) mm in order, that misses none."""
    if len(stack) < 3:
        return False
    gaps = np.diff(stack)
    after = np.searchsorted(stack, others)
    inside = (after > 0) & (after < len(stack))
    return bool((gaps[after[inside] - 1] <= UNUSUAL_GAP * np.median(gaps)).any())


def _words(*words: str) -> str:
    return ", ".join(filter(None, words))
