"""The engine: an interpolator fills the gaps between the slices of a volume."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import SliceInterpLib
from SliceInterpLib.errors import Cancelled, MethodError
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.volume import Volume, require_doublable

FACTORS = (2, 4)
"""How many times as many slices can be asked for; 4 is doubling twice."""

Progress = Callable[[int, int], None]
"""Called with the number of synthetic slices done and the number there will be."""


@dataclass(frozen=True, eq=False)
class UpsampledVolume(Volume):
    """A volume with synthetic slices between its acquired ones."""

    synthetic: np.ndarray
    """(slice_count,) bool, True where the slice was predicted rather than acquired."""
    through_plane_axis: int
    """The array axis that was filled; slices may now be as close as pixels, or closer."""
    provenance: dict[str, object]
    """software, version, method, model, model_sha256, device, precision, factor."""

    @property
    def slice_axis(self) -> int:
        """Axis of the array that runs through-plane, as it was found before doubling."""
        return self.through_plane_axis


def upsample(
    volume: Volume,
    interpolator: Interpolator,
    *,
    factor: int = 2,
    allow_thin: bool = False,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> UpsampledVolume:
    """Put predicted slices midway between the slices of `volume`.

    N slices become 2N − 1 (factor 2) or 4N − 3 (factor 4), the slice spacing becomes a half or
    a quarter; origin, direction, data type and the order of the axes stay. The acquired slices
    come out bit for bit, at every factor-th index. Beyond the two volumes, memory grows with
    the interpolator's batch only (and, for factor 4, holds the ×2 volume).

    allow_thin: double even where slices are no further apart than pixels (with a warning).
    Raises VolumeError if the volume cannot be doubled honestly, Cancelled as soon as
    `cancelled()` is true, MethodError if the interpolator fails.
    """
    if factor not in FACTORS:
        raise ValueError(f"factor must be one of {FACTORS}, not {factor}")
    require_doublable(volume, allow_thin=allow_thin)
    total = (volume.slice_count - 1) * (factor - 1)
    done = 0

    def count(slices: int) -> None:
        nonlocal done
        done += slices
        if progress:
            progress(done, total)

    axis = volume.slice_axis
    slices = volume.slices
    for _ in range(int(math.log2(factor))):
        slices = _doubled(slices, axis, interpolator, count, cancelled)
    synthetic = np.arange(len(slices)) % factor != 0
    # Read after the run: a learned method may have fallen back to another device.
    provenance = {
        "software": "SliceInterp",
        "version": SliceInterpLib.__version__,
        "method": interpolator.name,
        "model": None,
        "model_sha256": None,
        "device": "cpu",
        "precision": "float32",
        "factor": factor,
    } | dict(interpolator.provenance)
    spacing = list(volume.spacing)
    spacing[2 - axis] /= factor  # spacing is (x, y, z), the array (z, y, x)
    return UpsampledVolume(
        hu=np.moveaxis(slices, 0, axis),
        origin=volume.origin,
        spacing=tuple(spacing),
        direction=volume.direction,
        synthetic=synthetic,
        through_plane_axis=axis,
        provenance=provenance,
    )


def _doubled(
    slices: np.ndarray,
    axis: int,
    interpolator: Interpolator,
    count: Callable[[int], None],
    cancelled: Callable[[], bool] | None,
) -> np.ndarray:
    """(n, h, w) to (2n − 1, h, w), laid out in memory with the slices along `axis`."""
    shape = list(slices.shape[1:])
    shape.insert(axis, 2 * len(slices) - 1)
    filled = np.moveaxis(np.empty(shape, slices.dtype), axis, 0)
    filled[0::2] = slices
    firsts = np.arange(len(slices) - 1)
    for indices, middles in predict_between(slices, firsts, interpolator, cancelled):
        filled[2 * indices + 1] = as_type(middles, slices.dtype)
        count(len(indices))
    return filled


def predict_between(
    slices: np.ndarray,
    firsts: np.ndarray,
    interpolator: Interpolator,
    cancelled: Callable[[], bool] | None = None,
    *,
    step: int = 1,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Predict the slices midway between slices[i] and slices[i + step] for every i in `firsts`.

    slices: (n, h, w) HU, equidistant. Context slices lie `step` apart as well; beyond the ends
    of the volume the last slice there is repeats. Yields (indices, (m, h, w) float32 HU) batch
    by batch. With step=2 the slice between is an acquired one that was hidden.
    """
    offsets = step * np.arange(-interpolator.context, interpolator.context + 2)
    for start in range(0, len(firsts), interpolator.batch):
        if cancelled and cancelled():
            raise Cancelled("The run was cancelled; nothing was kept.")
        indices = firsts[start : start + interpolator.batch]
        around = indices[:, None] + offsets
        # Beyond an end, the last slice that whole steps lead to.
        last = len(slices) - 1
        around = np.clip(around, around % step, last - (last - around) % step)
        middles = interpolator(slices[around].astype(np.float32))
        if not np.isfinite(middles).all():
            raise MethodError(
                f"The method '{interpolator.name}' gave values that are not finite; "
                "the result was thrown away. Please report this with the model's name."
            )
        yield indices, middles


def as_type(hu: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float HU in the volume's own type: rounded and limited to its range if that is integer."""
    if dtype.kind == "f":
        return hu.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(hu), limits.min, limits.max).astype(dtype)
