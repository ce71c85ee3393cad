"""What uniform mode does to a scan: the stripes that go, and the lesions that must not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from SliceInterpLib.evidence.stripes import VIEWS, stripe_index
from SliceInterpLib.fineness import Factor
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.lab.contrast import RADII_MM, Place, find_places
from SliceInterpLib.lab.patient_statistics import mean_with_interval
from SliceInterpLib.table import Column, Estimate, Table
from SliceInterpLib.uniform import uniform
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

_EDGE_PIXELS = 1.0
"""Standard deviation of the Gaussian that softens the edge of a disc."""

_REACH = 2
"""Slices on either side of one that decide about its denoised version."""


def uniform_check(
    volume: Volume,
    method: Interpolator,
    *,
    factor: Factor = 2,
    hu: float = 6.0,
    radii_mm: Sequence[float] = RADII_MM,
    places: int = 2,
    seed: int = 0,
) -> dict[str, object]:
    """Fill `volume`, make it uniform at full strength, and measure both.

    For the contrast kept, a disc is added to one acquired slice alone, at seeded places in
    homogeneous brain; kept is the mean over the disc of the denoised slice's change over that of
    the disc.

    Args:
        volume: as it was acquired.
        method: what fills it.
        factor: as `upsample` takes it.
        hu: of the discs.
        radii_mm: of the discs.
        places: how many for each radius.
        seed: of the places.

    Returns:
        {"before", "after": stripe index by view, "reduced": part of it that went, by view; "kept":
        {radius in mm: [part of the contrast left, a value a place]}}.

    Raises:
        VolumeError: as `stripe_index` does.
    """
    result = upsample(volume, method, factor=factor)
    before, after = stripe_index(result), stripe_index(uniform(result))
    chosen = find_places(volume, places, radius_mm=max(radii_mm), rng=np.random.default_rng(seed))
    kept = [_kept(volume, method, factor, place, hu, radii_mm) for place in chosen]
    return {
        "before": before,
        "after": after,
        "reduced": {view: 1.0 - after[view] / before[view] for view in VIEWS},
        "kept": {radius: [values[i] for values in kept] for i, radius in enumerate(radii_mm)},
    }


def _kept(
    volume: Volume,
    method: Interpolator,
    factor: Factor,
    place: Place,
    hu: float,
    radii_mm: Sequence[float],
) -> list[float]:
    """The contrast left of a disc of each radius on the slice `place.index` alone."""
    start = max(0, place.index - _REACH)
    own = place.index - start
    scan = volume.part(range(start, min(place.index + _REACH + 1, volume.slice_count)))
    slices = scan.slices.astype(np.float32)

    def denoised(added: np.ndarray | float) -> np.ndarray:
        shown = slices.copy()
        shown[own] += added
        part = replace(scan, slices=shown)
        result = uniform(upsample(part, method, factor=factor))
        return result.slices[np.flatnonzero(~result.synthetic)[own]]

    rows, columns = np.ogrid[: slices.shape[1], : slices.shape[2]]
    down, across = volume.pixel_spacing
    distance = np.hypot((rows - place.row) * down, (columns - place.column) * across)
    without = denoised(0.0)
    kept = []
    for radius in radii_mm:
        disc = distance <= radius
        added = hu * ndimage.gaussian_filter(disc.astype(np.float32), _EDGE_PIXELS)
        change = denoised(added) - without
        kept.append(float(change[disc].mean() / added[disc].mean()))
    return kept


def uniform_text(patients: Mapping[str, Mapping]) -> str:
    """The results of `uniform_check` by patient: a table with a row each, and what is kept."""
    columns = [
        Column("patient"),
        *(Column(view, f"{view}: before, after") for view in VIEWS),
        Column("reduced", style=".0%"),
    ]
    rows = [
        {"patient": name, "reduced": min(found["reduced"].values())}
        | {view: f"{found['before'][view]:.3f}, {found['after'][view]:.3f}" for view in VIEWS}
        for name, found in patients.items()
    ]
    lines = [Table(columns, rows).markdown()]
    for radius in next(iter(patients.values()))["kept"]:
        values = [value for found in patients.values() for value in found["kept"][radius]]
        if values:
            mean = Estimate.of(mean_with_interval(values))
            lines.append(f"\nKept of a disc of {radius:g} mm on one slice: {mean:.2f}")
    return "\n".join(lines)
