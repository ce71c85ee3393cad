"""How much of a faint lesion's contrast is left in a predicted slice.

Discs of a few HU are added to real brain in the slices beside a hidden one. What a method makes
of them is the difference between its predictions with and without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.hounsfield import Window
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.lab.patient_statistics import mean_with_interval
from SliceInterpLib.table import Column, Estimate, Table
from SliceInterpLib.upsampling import predict_between
from SliceInterpLib.volume import Volume

RADII_MM = (2.4, 4.7, 7.5)
"""Radii of the discs, in mm."""

_SOFT_TISSUE = Window(15.0, 60.0)
"""Brain without cerebrospinal fluid, calcification and most of a fresh hematoma."""

_CLOSING_HU = 90.0
"""What is denser closes the skull around the brain; scans may be saturated at 100 HU."""

_NOISE_PIXELS = 1.5
"""Tissue is judged after a Gaussian of this standard deviation, lest noise decide."""

_RIM_MM = 1.5
"""Tissue goes on for this much around the largest disc."""

_MOST_IN_A_SLICE = 3

_EDGE_PIXELS = 1.0
"""Standard deviation of the Gaussian that softens the edge of a disc."""


@dataclass(frozen=True)
class Place:
    """Where a disc goes: beside the hidden slice `index`, centred on a pixel."""

    index: int
    row: int
    column: int


def contrast_kept(
    patients: Mapping[str, Callable[[], Volume]],
    methods: Sequence[Interpolator],
    *,
    hu: float = 6.0,
    radii_mm: Sequence[float] = RADII_MM,
    places: int = 50,
    both: bool = True,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure the contrast that methods keep of faint discs in homogeneous brain.

    The discs, their edges blurred by a Gaussian of 1 pixel, go into the slices before and after a
    hidden one, at seeded places that are spread over the patients and are the same for every radius
    and method. Kept at a place is the mean over the disc of (predicted with the discs − predicted
    without) over that of the profile added: 1 where nothing is lost; a mean of the slices keeps 0.5
    of a disc in one of them alone. Slices further away that a method sees get no discs, but beyond
    an end of the scan the outermost slice repeats with its discs, as it does in use. The discs stay
    where they are while the anatomy may move from slice to slice, so that a method that follows the
    anatomy spreads them as well.

    Args:
        patients: by name, what loads a patient's volume.
        methods: those that are measured.
        hu: of the discs, above or below what is around them.
        radii_mm: of the discs.
        places: how many are wanted.
        both: without it, the discs go into the slice before the hidden one alone.
        seed: of the places.
        progress: called with the number of patients done and their number.

    Returns:
        {"patients": n, "hu", "both", "seed", "methods": {method: [{"radius_mm", "mean", "ci95"
        (over places), "places": n} of each radius]}}; fewer places than asked for where the scans
        have no more.

    Raises:
        VolumeError: as `require_acquired` does, and where the scans have no such place.
        ValueError: for discs of 0 HU.
    """
    if hu == 0.0:
        raise ValueError("discs of 0 HU have no contrast")
    rng = np.random.default_rng(seed)
    kept: dict[str, list[list[float]]] = {m.name: [[] for _ in radii_mm] for m in methods}
    found = 0
    for number, load in enumerate(patients.values()):
        volume = load()
        quota = -(-(places - found) // (len(patients) - number))  # what is left, shared out
        require_acquired(volume)
        chosen = find_places(volume, quota, radius_mm=max(radii_mm), rng=rng)
        found += len(chosen)
        for method in methods:
            for values, radius in zip(kept[method.name], radii_mm, strict=True):
                values += _kept(volume, method, chosen, hu=hu, radius_mm=radius, both=both)
        if progress:
            progress(number + 1, len(patients))
    if not found:
        raise VolumeError(
            f"There is no place for discs of {max(radii_mm):g} mm in homogeneous brain. Give "
            "smaller radii, or scans that show brain inside a closed skull."
        )
    return {
        "patients": len(patients),
        "hu": hu,
        "both": both,
        "seed": seed,
        "methods": {
            method: [
                {"radius_mm": radius, **mean_with_interval(values), "places": found}
                for radius, values in zip(radii_mm, rows, strict=True)
            ]
            for method, rows in kept.items()
        },
    }


def find_places(
    volume: Volume, count: int, *, radius_mm: float, rng: np.random.Generator
) -> list[Place]:
    """Places for discs in homogeneous brain, slice by slice.

    Over the whole disc and a rim, the hidden slice and both its neighbours show soft tissue of
    15…60 HU inside a skull that is closed in each of them. Discs that share a slice have centres
    at least four radii apart, so that they do not disturb each other; up to three do, so that few
    predictions serve many places.

    Args:
        volume: where they are sought.
        count: how many are wanted.
        radius_mm: of the discs.
        rng: draws them.

    Returns:
        Up to `count` places.
    """
    spacing = volume.pixel_spacing
    tissue = [_brain(hu) for hu in volume.slices]
    chosen: list[Place] = []
    for index in rng.permutation(np.arange(1, volume.slice_count - 1)):
        # A frame, so that beyond the slice there is no tissue.
        common = np.pad(np.logical_and.reduce(tissue[index - 1 : index + 2]), 1)
        room = ndimage.distance_transform_edt(common, sampling=spacing)[1:-1, 1:-1]
        free = room > radius_mm + _RIM_MM
        full = min(count, len(chosen) + _MOST_IN_A_SLICE)
        while len(chosen) < full and free.any():
            row, column = rng.choice(np.argwhere(free))
            chosen.append(Place(int(index), int(row), int(column)))
            free &= _distance_mm(free.shape, spacing, chosen[-1]) >= 4.0 * radius_mm
        if len(chosen) == count:
            break
    return chosen


def _brain(hu: np.ndarray) -> np.ndarray:
    """(h, w) bool: soft tissue inside a closed skull of an (h, w) slice in HU."""
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), _NOISE_PIXELS)
    bone = smooth > _CLOSING_HU
    inside = ndimage.binary_fill_holes(bone) & ~bone
    return inside & (smooth > _SOFT_TISSUE.low) & (smooth < _SOFT_TISSUE.high)


def _distance_mm(shape: tuple[int, ...], spacing: Sequence[float], place: Place) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot((rows - place.row) * spacing[0], (columns - place.column) * spacing[1])


def _kept(
    volume: Volume,
    method: Interpolator,
    places: Sequence[Place],
    *,
    hu: float,
    radius_mm: float,
    both: bool,
) -> Iterator[float]:
    """The contrast kept at each of the places."""
    reach = 1 + 2 * method.context
    for index in dict.fromkeys(place.index for place in places):
        discs = [
            _distance_mm(volume.slices.shape[1:], volume.pixel_spacing, place) <= radius_mm
            for place in places
            if place.index == index
        ]
        added = hu * ndimage.gaussian_filter(
            np.logical_or.reduce(discs).astype(np.float32), _EDGE_PIXELS
        )
        # What the method may see, no more; at an end, the array ends where the volume does.
        start = max(0, index - reach)
        around = volume.slices[start : index + reach + 1].astype(np.float32)
        before = index - 1 - start
        without = _predict(around, before, method)
        around[[before, before + 2] if both else before] += added
        change = _predict(around, before, method) - without
        yield from (float(change[disc].mean() / added[disc].mean()) for disc in discs)


def _predict(slices: np.ndarray, before: int, method: Interpolator) -> np.ndarray:
    """(h, w) HU between slices[before] and slices[before + 2]."""
    [(_, (middle,))] = predict_between(slices, [before], method, step=2)
    return middle


def contrast_table(result: Mapping) -> Table:
    """The contrast kept: means with 95 % intervals, a column for each radius."""
    rows = [
        {"method": method, "places": cells[0]["places"]}
        | {f"{cell['radius_mm']:g}": Estimate.of(cell) for cell in cells}
        for method, cells in result["methods"].items()
    ]
    radii = [
        Column(f"{cell['radius_mm']:g}", unit="mm", style=".2f")
        for cell in next(iter(result["methods"].values()))
    ]
    return Table([Column("method"), *radii, Column("places")], rows)
