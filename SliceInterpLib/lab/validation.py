"""The whole protocol on scans that a model has not seen: one table a set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from typing import TypeAlias

from SliceInterpLib.doublable import require_doublable
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.evidence.holdout import to_hide
from SliceInterpLib.evidence.noise import noise_signature
from SliceInterpLib.head_box import has_full_range
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.lab.benchmark import benchmark, quality_table
from SliceInterpLib.lab.contrast import RADII_MM, contrast_kept
from SliceInterpLib.lab.noise_over_patients import over_patients
from SliceInterpLib.table import Column, Estimate, Table
from SliceInterpLib.volume import Volume

_PARTS = {"tissue_hu": "noise", "inner_table_mm": "inner table"}
"""Titles of figures that are given as parts of the acquired slices'."""

Scan: TypeAlias = Callable[[], tuple[Volume, Mapping[str, str]]]
"""Loads a scan, one a patient, and tells by title what is known of how it was made; nothing of it
tells who the patient is."""


def _volume_of(scan: Scan) -> Volume:
    return scan()[0]


def validate(
    scans: Mapping[str, Scan],
    methods: Sequence[Interpolator],
    *,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, object]:
    """Measure methods on a set of scans: quality, noise, sharpness, contrast kept.

    A scan that cannot be used is left out and noted, by its place in `scans` and not by its key,
    which may be a patient's name.

    Args:
        scans: by name, what loads a scan.
        methods: those that are measured.
        say: called with a line about what is done now.

    Returns:
        {"scans": n, "kinds": [{"scans", "slices": [fewest, most], "facts"}] of scans that are
        alike, "quality": as of `benchmark`, "noise": parts of the acquired slices' as of
        `over_patients` or None, "contrast": as of `contrast_kept` or None, "notes": what could not
        be measured and why}.

    Raises:
        VolumeError: if none can be used.
    """
    notes: list[str] = []
    kinds: dict[tuple[tuple[str, str], ...], list[int]] = defaultdict(list)
    usable: dict[str, Callable[[], Volume]] = {}
    for number, (name, scan) in enumerate(scans.items(), 1):
        try:
            volume, facts = scan()
            require_doublable(volume, allow_thin=True)
            to_hide(volume).require()
        except VolumeError as problem:
            notes.append(f"Scan {number} left out: {problem}")
            continue
        usable[name] = partial(_volume_of, scan)
        kinds[tuple((_geometry(volume) | dict(facts)).items())].append(volume.slice_count)
    if not usable:
        raise VolumeError("No scan of the set can be used. " + " ".join(notes))
    say("Hiding slices and predicting them…")
    quality = benchmark(usable, methods)
    say("Measuring noise and edges…")
    signatures, reasons = {}, []
    for name, load in usable.items():
        try:
            signatures[name] = noise_signature(load(), methods)
        except VolumeError as problem:
            reasons.append(str(problem))
    if reasons:
        notes.append(f"Noise not measured on {len(reasons)} of the scans: {reasons[0]}")
    say("Adding faint discs…")
    try:
        contrast = contrast_kept(usable, methods)
    except VolumeError as problem:
        contrast = None
        notes.append(f"Contrast not measured: {problem}")
    return {
        "scans": len(usable),
        "kinds": [
            {"scans": len(counts), "slices": [min(counts), max(counts)], "facts": dict(facts)}
            for facts, counts in kinds.items()
        ],
        "quality": quality,
        "noise": over_patients(signatures) if signatures else None,
        "contrast": contrast,
        "notes": notes,
    }


def validation_text(result: Mapping) -> str:
    """What `validate` returns: the scans, the table in Markdown, and what is missing from it."""
    kinds = "\n".join(_kind_line(kind) for kind in result["kinds"])
    return "\n\n".join([kinds, _table(result).markdown(), *result["notes"]])


def _table(result: Mapping) -> Table:
    """The quality by method, and beside it noise, sharpness and contrast as far as is known."""
    quality = quality_table(result["quality"])
    others = [Column(key, title, style=".2f") for key, title in _PARTS.items()]
    others += [Column(f"contrast {radius:g}", unit="mm", style=".2f") for radius in RADII_MM]
    rows = []
    for row in quality.rows:
        noise = result["noise"][row["method"]] if result["noise"] else {}
        contrast = result["contrast"]["methods"][row["method"]] if result["contrast"] else []
        found = [*(noise.get(key) for key in _PARTS), *contrast]
        found += [None] * (len(others) - len(found))
        values = zip(others, map(Estimate.of, found), strict=True)
        rows.append({**row, **{column.key: value for column, value in values}})
    return Table([*quality.columns, *others], rows, quality.caption)


def _kind_line(kind: Mapping) -> str:
    fewest, most = kind["slices"]
    count = f"{kind['scans']} scan{'s' if kind['scans'] != 1 else ''}"
    slices = f"{fewest} slices" if fewest == most else f"{fewest}–{most} slices"
    # A header's text is one line, and no markup.
    facts = [f"{title}: {escape(' '.join(text.split()))}" for title, text in kind["facts"].items()]
    return "- " + "; ".join([f"{count} of {slices}", *facts])


def _geometry(volume: Volume) -> dict[str, str]:
    rows, columns = volume.slices.shape[1:]
    tilt = volume.tilt_degrees
    return {
        "slice distance": f"{volume.slice_spacing:.4g} mm",
        "pixels": "{:.4g} × {:.4g} mm".format(*volume.pixel_spacing),
        "matrix": f"{columns} × {rows}",
        "HU": "full range" if has_full_range(volume.slices) else "brain window only",
        **({"gantry tilt": f"{tilt:.1f}°"} if tilt else {}),
    }
