"""Interpolators: pairs of slices in HU in, slices at even steps between them out.

An interpolator knows nothing of geometry, files or Slicer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeGuard

import numpy as np

from SliceInterpLib.errors import MethodError
from SliceInterpLib.interpolators import classical
from SliceInterpLib.process import uncollected

METHODS = ("nearest", "linear", "cubic", "sinc", "optical-flow", "learned")
"""Every method by its name, the simplest first."""


class Interpolator(Protocol):
    """What the engine, the checks and the laboratory ask of a method."""

    name: str
    """One of METHODS, or a name of one's own."""

    @property
    def context(self) -> int:
        """How many slices beyond the pair the method wants to see on each side."""

    @property
    def provenance(self) -> Mapping[str, object]:
        """What a result should record of how it was made (model, sha256, device, precision)."""

    def __call__(self, pairs: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """The slices between one pair after the other.

        They lie at k/times of the way between the two central slices; for 2 there is one, midway.

        Args:
            pairs: (2 + 2·context, h, w) float32 HU each, in order of position; all of one shape.
                They are taken when their turn comes, so that few are in memory.
            times: from 2.

        Yields:
            For each pair, in their order, (times − 1, h, w) float32 HU.

        Raises:
            MethodError: of methods that know the middle alone, for more.
        """


class TellsError(Interpolator, Protocol):
    """A method that can also tell how far its slices may be off."""

    def with_expected_error(
        self, pairs: Iterable[np.ndarray], times: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The slices as when called, and their expected absolute error in HU, of the same shape.

        Raises MethodError if it was not measured for the model in use.
        """


def tells_error(method: Interpolator) -> TypeGuard[TellsError]:
    """Whether it is one that can."""
    return hasattr(method, "with_expected_error")


def make_interpolator(
    method: str, *, model: str | None = None, device: str = "auto"
) -> Interpolator:
    """The interpolator called `method`.

    Args:
        method: one of METHODS.
        model: for 'learned', name of a trained model or path of its card (JSON); None takes the
            default.
        device: for 'learned', 'auto' (CUDA if there is one, else CPU), 'cuda' or 'cpu'.

    Raises:
        MethodError: for an unknown method, a missing library, model or device.
    """
    if method in classical.METHODS:
        return classical.METHODS[method]
    if method == "optical-flow":
        from SliceInterpLib.interpolators.optical_flow import OpticalFlow

        return OpticalFlow()
    if method == "learned":
        with uncollected():  # torch comes with them
            from SliceInterpLib.interpolators.learned import Learned
            from SliceInterpLib.networks.registry import find_model

        return Learned(find_model(model), device=device)
    raise MethodError(f"There is no method '{method}'. Choose one of: {', '.join(METHODS)}.")


def usable_interpolators(
    methods: Sequence[str] = METHODS,
    make: Callable[..., Interpolator] = make_interpolator,
    *,
    model: str | None = None,
    device: str = "auto",
) -> list[Interpolator]:
    """The interpolators of those methods that can run here; warns of each that cannot.

    Args:
        methods: some that `make` knows.
        make: `make_interpolator`, or what takes its arguments and knows other methods.
        model: as `make` takes it.
        device: as `make` takes it.
    """
    usable: list[Interpolator] = []
    for method in methods:
        try:
            usable.append(make(method, model=model, device=device))
        except MethodError as problem:
            warnings.warn(f"Left out: {problem}", stacklevel=2)
    return usable
