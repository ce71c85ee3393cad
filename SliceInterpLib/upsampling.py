"""The engine: an interpolator fills the gaps between the slices of a volume."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

import SliceInterpLib
from SliceInterpLib.doublable import require_doublable, stretch_gaps
from SliceInterpLib.errors import Cancelled, MethodError
from SliceInterpLib.fineness import Factor, times_each
from SliceInterpLib.hounsfield import Ranges
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.padding import AIR, is_padding
from SliceInterpLib.volume import Volume

Progress = Callable[[int, int], None]
"""Called with the number of synthetic slices done and the number there will be."""


def upsample(
    volume: Volume,
    interpolator: Interpolator,
    *,
    factor: Factor = 2,
    spacing_mm: float | None = None,
    allow_thin: bool = False,
    widest_gap_mm: float | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Volume:
    """Put predicted slices between the slices of `volume`, at even steps in each gap.

    n slices become N(n − 1) + 1; the first slice's place, orientation, data type and the order of
    the axes stay. The acquired slices come out bit for bit. The evenly spaced stretches of an
    uneven volume are filled one by one; gaps no wider than the pixels stay as they are, with a
    warning, as long as there are wider ones. Beyond the two volumes, memory is what the
    interpolator needs for a few pairs of slices.

    Args:
        volume: what `require_doublable` accepts.
        interpolator: what predicts the slices.
        factor: N, or ISOTROPIC, as `times_each` takes it.
        spacing_mm: how far apart the slices should be, instead of a factor; the nearest that whole
            numbers of steps allow, in each stretch of an uneven volume.
        allow_thin: fill gaps no wider than the pixels too (with a warning).
        widest_gap_mm: gaps up to this are bridged, even if slices seem to be missing there.
        progress: told after every gap.
        cancelled: asked before every gap.

    Returns:
        A volume with `synthetic` and `provenance`: software, version, method, model,
        model_sha256, device, precision ("cuda, cpu" where the CPU took over midway), factor (the
        largest N), and of an uneven volume `parts`: of each stretch the first and last acquired
        slice (from 1), the gap in mm and how many times as many slices it has now.

    Raises:
        VolumeError: if the volume cannot be doubled honestly, or needs no slices between.
        Cancelled: as soon as `cancelled()` is true.
        MethodError: if the interpolator fails.
    """
    require_doublable(volume, allow_thin=allow_thin, widest_gap_mm=widest_gap_mm)
    stretches = volume.stretches
    times = times_each(volume, factor, spacing_mm, allow_thin=allow_thin)
    total = sum((n - 1) * (len(part) - 1) for part, n in zip(stretches, times, strict=True))
    done = 0
    made_by: list[dict[str, object]] = []

    def count(slices: int) -> None:
        nonlocal done
        done += slices
        # After each gap, since a learned method may fall back to another device.
        if (method := dict(interpolator.provenance)) not in made_by:
            made_by.append(method)
        if progress:
            progress(done, total)

    # Where the acquired slices are in the result.
    apart = np.concatenate([np.full(len(p) - 1, n) for p, n in zip(stretches, times, strict=True)])
    acquired = np.concatenate([[0], np.cumsum(apart)])
    slices = _filled(volume, times, acquired, interpolator, count, cancelled)
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
        provenance=_provenance(interpolator.name, made_by, max(times)) | _parts(volume, times),
        files=(),
    )


def _filled(
    volume: Volume,
    times: Sequence[int],
    acquired: np.ndarray,
    interpolator: Interpolator,
    count: Callable[[int], None],
    cancelled: Callable[[], bool] | None,
) -> np.ndarray:
    """(n, h, w): the acquired slices at the places `acquired`, and what is put between them.

    It is laid out in memory with the slices along the volume's axis.
    """
    slices = volume.slices
    shape = list(slices.shape[1:])
    shape.insert(volume.slice_axis, int(acquired[-1]) + 1)
    filled = np.moveaxis(np.empty(shape, slices.dtype), volume.slice_axis, 0)
    filled[acquired] = slices
    for part, n in zip(volume.stretches, times, strict=True):
        if n == 1:
            continue
        start = acquired[part.start]
        for first, between in predict_between(
            slices[part.start : part.stop],
            range(len(part) - 1),
            interpolator,
            cancelled,
            times=n,
            padding=volume.padding,
        ):
            behind = start + n * first + 1
            filled[behind : behind + n - 1] = as_type(between, slices.dtype)
            count(n - 1)
    return filled


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


def predict_between(
    slices: np.ndarray,
    firsts: Sequence[int],
    interpolator: Interpolator,
    cancelled: Callable[[], bool] | None = None,
    *,
    times: int = 2,
    step: int = 1,
    padding: Ranges = (),
) -> Iterator[tuple[int, np.ndarray]]:
    """Predict slices at even steps between slices[i] and slices[i + step] for every i in `firsts`.

    Args:
        slices: (n, h, w) HU, evenly spaced.
        firsts: indices of the first slice of each pair.
        interpolator: what predicts. Its context slices lie `step` apart as well; beyond the ends
            of the stack the last slice there repeats.
        cancelled: asked before every pair.
        times: N, for the slices at the places k/N; 2 for the one midway.
        step: with 2, the slice between is an acquired one that was hidden.
        padding: as `Volume.padding` has it.

    Yields:
        Each of `firsts`, and the (N − 1, h, w) float32 HU predicted there.

    Raises:
        Cancelled: as soon as `cancelled()` is true.
        MethodError: if a prediction is not finite.
    """
    offsets = step * np.arange(-interpolator.context, interpolator.context + 2)
    # Plane by plane, so that memory does not grow; most scans have none.
    padded = any(is_padding(plane, padding).any() for plane in slices)
    predict = partial(_beside_padding, interpolator, padding) if padded else interpolator

    def pairs() -> Iterator[np.ndarray]:
        last = len(slices) - 1
        for first in firsts:
            if cancelled and cancelled():
                raise Cancelled("The run was cancelled; nothing was kept.")
            around = first + offsets
            # Beyond an end, the last slice that whole steps lead to.
            around = np.clip(around, around % step, last - (last - around) % step)
            yield slices[around].astype(np.float32)

    for first, between in zip(firsts, predict(pairs(), times), strict=True):
        if not np.isfinite(between).all():
            raise MethodError(
                f"The method '{interpolator.name}' gave values that are not finite; "
                "the result was thrown away. Please report this with the model's name."
            )
        yield first, between


def _beside_padding(
    interpolator: Interpolator, declared: Ranges, pairs: Iterable[np.ndarray], times: int
) -> Iterator[np.ndarray]:
    """What the interpolator predicts where it sees air for padding, (times − 1, h, w) HU each.

    What is padding in both slices around stays padding in those between them.
    """
    central = slice(interpolator.context, interpolator.context + 2)
    under_way: deque[tuple[np.ndarray, np.ndarray]] = deque()

    def in_air() -> Iterator[np.ndarray]:
        for slices in pairs:
            padding = is_padding(slices, declared)
            stays = np.logical_and.reduce(padding[central])
            under_way.append((stays, slices[central].min(axis=0)))
            slices[padding] = AIR
            yield slices

    for between in interpolator(in_air(), times):
        stays, lowest = under_way.popleft()
        yield np.where(stays, lowest, between)


def as_type(hu: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float HU in the volume's own type: rounded and limited to its range if that is integer."""
    if dtype.kind == "f":
        return hu.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(hu), limits.min, limits.max).astype(dtype)
