"""A filled volume together with how far each of its synthetic voxels may be off."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from SliceInterpLib.errors import MethodError
from SliceInterpLib.fineness import Factor
from SliceInterpLib.interpolators import Interpolator, tells_error
from SliceInterpLib.upsampling import Progress, upsample
from SliceInterpLib.volume import Volume

BRAIN_BELOW_HU = 95.0
"""Errors in brain are those of voxels below this: at its border lies bone, whose errors are far
larger, and scans may be saturated at 100 HU."""


class Watched:
    """A method as an interpolator that keeps what else is said of each slice.

    `besides` has an entry a slice, in the order in which slices were predicted; whoever watches
    takes them out.

    Args:
        method: the method.
        predict: one of the method's `with_…`.
    """

    def __init__(
        self,
        method: Interpolator,
        predict: Callable[[Iterable[np.ndarray], int], Iterator[tuple[np.ndarray, np.ndarray]]],
    ) -> None:
        self.name, self.context = method.name, method.context
        self._method, self._predict = method, predict
        self.besides: deque[np.ndarray] = deque()

    @property
    def provenance(self) -> Mapping[str, object]:
        """The method's own."""
        return self._method.provenance

    def __call__(self, pairs: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """As the method itself."""
        for between, besides in self._predict(pairs, times):
            self.besides.extend(besides)
            yield between


def upsample_with_expected_error(
    volume: Volume,
    method: Interpolator,
    *,
    factor: Factor = 2,
    spacing_mm: float | None = None,
    allow_thin: bool = False,
    widest_gap_mm: float | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[Volume, Volume]:
    """What `upsample` gives, and how far each of its voxels may be off.

    The error is against what the scanner would have shown there, noise included.

    Args:
        volume: as `upsample` takes it.
        method: what predicts the slices and their errors.
        factor: as `upsample` takes it.
        spacing_mm: as `upsample` takes it.
        allow_thin: as `upsample` takes it.
        widest_gap_mm: as `upsample` takes it.
        progress: as `upsample` takes it.
        cancelled: as `upsample` takes it.

    Returns:
        The filled volume, and one of the same geometry: expected absolute error in HU, float32,
        0 in acquired slices.

    Raises:
        VolumeError: as `upsample` does.
        Cancelled: as `upsample` does.
        MethodError: as `upsample` does, and if the error of the method's model was never measured,
            or it is no method that tells one.
    """
    if not tells_error(method):
        raise MethodError(f"The method '{method.name}' does not tell its expected error.")
    watched = Watched(method, method.with_expected_error)
    filled = upsample(
        volume,
        watched,
        factor=factor,
        spacing_mm=spacing_mm,
        allow_thin=allow_thin,
        widest_gap_mm=widest_gap_mm,
        progress=progress,
        cancelled=cancelled,
    )
    error = np.zeros(filled.slices.shape, np.float32)
    for index in np.flatnonzero(filled.synthetic):
        error[index] = watched.besides.popleft()
    return filled, replace(filled, slices=error)
