"""The engine: an interpolator fills the gaps between the slices of a volume."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

import SliceInterpLib
from SliceInterpLib.doublable import require_doublable, stretch_gaps, wide_stretches
from SliceInterpLib.errors import Cancelled, MethodError
from SliceInterpLib.hounsfield import Ranges
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.padding import AIR, is_padding
from SliceInterpLib.volume import Volume

FACTORS = (2, 4)
"""How many times as many slices can be asked for; 4 is doubling twice."""

Progress = Callable[[int, int], None]
"""Called with the number of synthetic slices done and the number there will be."""


def upsample(
    volume: Volume,
    interpolator: Interpolator,
    *,
    factor: int = 2,
    allow_thin: bool = False,
    widest_gap_mm: float | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Volume:
    """Put predicted slices between the slices of `volume`, into each gap at its own middle.

    N slices become 2N − 1 (factor 2) or 4N − 3 (factor 4); the first slice's place, orientation,
    data type and the order of the axes stay. The acquired slices come out bit for bit. The evenly
    spaced stretches of an uneven volume are filled one by one; gaps no wider than the pixels stay
    as they are, with a warning, as long as there are wider ones. Beyond the two volumes, memory
    grows with the interpolator's batch only (and, for factor 4, holds the ×2 volume).

    Args:
        volume: what `require_doublable` accepts.
        interpolator: what predicts the slices.
        factor: one of FACTORS.
        allow_thin: fill gaps no wider than the pixels too (with a warning).
        widest_gap_mm: gaps up to this are bridged, even if slices seem to be missing there.
        progress: told after every batch.
        cancelled: asked before every batch.

    Returns:
        A volume with `synthetic` and `provenance`: software, version, method, model,
        model_sha256, device, precision ("cuda, cpu" where the CPU took over midway), factor, and
        of an uneven volume `parts`: of each stretch the first and last acquired slice (from 1), the
        gap in mm and how many times as many slices it has now.

    Raises:
        VolumeError: if the volume cannot be doubled honestly.
        Cancelled: as soon as `cancelled()` is true.
        MethodError: if the interpolator fails.
    """
    if factor not in FACTORS:
        raise ValueError(f"factor must be one of {FACTORS}, not {factor}")
    require_doublable(volume, allow_thin=allow_thin, widest_gap_mm=widest_gap_mm)
    stretches = volume.stretches
    wide = np.full(len(stretches), True) if allow_thin else wide_stretches(volume)
    total = (factor - 1) * sum(len(p) - 1 for p, fill in zip(stretches, wide, strict=True) if fill)
    done = 0
    made_by: list[dict[str, object]] = []

    def count(slices: int) -> None:
        nonlocal done
        done += slices
        # After each batch, since a learned method may fall back to another device.
        if (method := dict(interpolator.provenance)) not in made_by:
            made_by.append(method)
        if progress:
            progress(done, total)

    slices, parts = volume.slices, stretches
    for _ in range(int(math.log2(factor))):
        slices, parts = _doubled(volume, slices, parts, wide, interpolator, count, cancelled)
    # Where the acquired slices are now.
    times = [factor if fill else 1 for fill in wide]
    apart = np.concatenate([np.full(len(p) - 1, n) for p, n in zip(stretches, times, strict=True)])
    acquired = np.concatenate([[0], np.cumsum(apart)])
    synthetic = np.full(len(slices), True)
    synthetic[acquired] = False
    before = np.searchsorted(acquired, np.arange(len(slices)), side="right") - 1
    after = np.searchsorted(acquired, np.arange(len(slices)))
    return replace(
        volume,
        slices=slices,
        slice_origins=np.column_stack(
            [np.interp(np.arange(len(slices)), acquired, axis) for axis in volume.slice_origins.T]
        ),
        thickness=np.fmax(volume.thickness[before], volume.thickness[after]),
        synthetic=synthetic,
        provenance=_provenance(interpolator.name, made_by, factor) | _parts(volume, times),
        files=(),
    )


def _provenance(name: str, made_by: Sequence[dict[str, object]], factor: int) -> dict[str, object]:
    """What a result says of how it was made: of whatever changed on the way, all values."""
    first, *others = made_by
    told = {
        key: value
        if all(other.get(key) == value for other in others)
        else ", ".join(str(method.get(key)) for method in made_by)
        for key, value in first.items()
    }
    return {
        "software": "SliceInterp",
        "version": SliceInterpLib.__version__,
        "method": name,
        "model": None,
        "model_sha256": None,
        "device": "cpu",
        "precision": "float32",
        "factor": factor,
    } | told


def _parts(volume: Volume, times: Sequence[int]) -> dict[str, object]:
    """What the provenance of an uneven volume says of its stretches."""
    if volume.is_even:
        return {}
    report = [
        {"slices": [part[0] + 1, part[-1] + 1], "gap_mm": round(gap, 4), "times": n}
        for part, gap, n in zip(volume.stretches, stretch_gaps(volume), times, strict=True)
    ]
    return {"parts": report}


def _doubled(
    volume: Volume,
    slices: np.ndarray,
    stretches: Sequence[range],
    wide: np.ndarray,
    interpolator: Interpolator,
    count: Callable[[int], None],
    cancelled: Callable[[], bool] | None,
) -> tuple[np.ndarray, list[range]]:
    """(n, h, w) with a slice put into every gap of the wide stretches, and the stretches then.

    The result is laid out in memory with the slices along the volume's axis.
    """
    spread: list[range] = []
    start = 0
    for part, fill in zip(stretches, wide, strict=True):
        gaps = (len(part) - 1) * (2 if fill else 1)
        spread.append(range(start, start + gaps + 1))
        start += gaps
    shape = list(slices.shape[1:])
    shape.insert(volume.slice_axis, start + 1)
    filled = np.moveaxis(np.empty(shape, slices.dtype), volume.slice_axis, 0)
    for part, to, fill in zip(stretches, spread, wide, strict=True):
        own = slices[part.start : part.stop]
        filled[to.start : to.stop : 2 if fill else 1] = own
        if not fill:
            continue
        firsts = np.arange(len(own) - 1)
        for indices, middles in predict_between(
            own, firsts, interpolator, cancelled, padding=volume.padding
        ):
            filled[to.start + 2 * indices + 1] = as_type(middles, slices.dtype)
            count(len(indices))
    return filled, spread


def predict_between(
    slices: np.ndarray,
    firsts: np.ndarray,
    interpolator: Interpolator,
    cancelled: Callable[[], bool] | None = None,
    *,
    step: int = 1,
    padding: Ranges = (),
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Predict the slices midway between slices[i] and slices[i + step] for every i in `firsts`.

    Args:
        slices: (n, h, w) HU, evenly spaced.
        firsts: (m,) indices of the first slice of each pair.
        interpolator: what predicts. Its context slices lie `step` apart as well; beyond the ends
            of the stack the last slice there repeats.
        cancelled: asked before every batch.
        step: with 2, the slice between is an acquired one that was hidden.
        padding: as `Volume.padding` has it.

    Yields:
        Some of `firsts`, and the (k, h, w) float32 HU predicted there, batch by batch.

    Raises:
        Cancelled: as soon as `cancelled()` is true.
        MethodError: if a prediction is not finite.
    """
    offsets = step * np.arange(-interpolator.context, interpolator.context + 2)
    # Plane by plane, so that memory does not grow; most scans have none.
    padded = any(is_padding(plane, padding).any() for plane in slices)
    predict = partial(_beside_padding, interpolator, padding) if padded else interpolator
    for start in range(0, len(firsts), interpolator.batch):
        if cancelled and cancelled():
            raise Cancelled("The run was cancelled; nothing was kept.")
        indices = firsts[start : start + interpolator.batch]
        around = indices[:, None] + offsets
        # Beyond an end, the last slice that whole steps lead to.
        last = len(slices) - 1
        around = np.clip(around, around % step, last - (last - around) % step)
        middles = predict(slices[around].astype(np.float32))
        if not np.isfinite(middles).all():
            raise MethodError(
                f"The method '{interpolator.name}' gave values that are not finite; "
                "the result was thrown away. Please report this with the model's name."
            )
        yield indices, middles


def _beside_padding(interpolator: Interpolator, declared: Ranges, slices: np.ndarray) -> np.ndarray:
    """What the interpolator predicts where it sees air for padding, as (k, h, w) float32 HU.

    What is padding in both slices around stays padding in the one between them.
    """
    padding = is_padding(slices, declared)
    pair = slice(interpolator.context, interpolator.context + 2)
    stays, lowest = padding[:, pair].all(1), slices[:, pair].min(1)
    slices[padding] = AIR
    return np.where(stays, lowest, interpolator(slices))


def as_type(hu: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float HU in the volume's own type: rounded and limited to its range if that is integer."""
    if dtype.kind == "f":
        return hu.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(hu), limits.min, limits.max).astype(dtype)
