"""The learned method: a trained network behind the interpolators' protocol."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cached_property
from itertools import chain

import numpy as np
import torch

from SliceInterpLib.errors import MethodError, is_out_of_memory
from SliceInterpLib.head_box import Box, head_box
from SliceInterpLib.interpolators.beside import faded_in, linear
from SliceInterpLib.networks.architectures import Architectures
from SliceInterpLib.networks.devices import (
    choose_device,
    half_precision_fits,
    on_device,
    round_weights,
)
from SliceInterpLib.networks.expected_error import ExpectedError, clues, load_expected_error
from SliceInterpLib.networks.prediction import Prediction, padded, place
from SliceInterpLib.networks.registry import TrainedModel, load_network

MARGIN_HU = 30.0
"""How far the result may leave the range of the two slices, as they are and as the network moved
them, at each place. Nothing is invented far outside what was acquired."""

AT_ONCE = 4
"""On a CPU so many pairs, at most, are predicted at the same time, each on its share of the cores:
a small network keeps one core busy, but not two. Each takes memory of its own."""


class Learned:
    """Predicts slices between two with a trained network.

    The same slices give the same result each time, in reversed order too, whatever was predicted
    before or beside them: the precision (bf16 or float32) follows from the weights and the device
    (`half_precision_fits`), and each pair is predicted by itself. What other computers make of
    them may differ (Docs/architecture.md). Where the CPU's memory does not hold several pairs at
    the same time, it does one after the other.

    Beside the head, in air and where a headrest does not change, slices are interpolated linearly
    (`interpolators.beside`).

    When a GPU has too little memory for a pair, the CPU takes over for good; `provenance` tells of
    the latest pair.

    Args:
        model: the network's card and weights.
        device: 'auto', 'cuda' or 'cpu'.
        known: as `load_network` takes it.
        half: compute in bf16, or in float32; None for bf16 where it fits.

    Raises:
        MethodError: for a device that is not there or weights that cannot be trusted.
    """

    name = "learned"

    def __init__(
        self,
        model: TrainedModel,
        device: str = "auto",
        *,
        known: Architectures | None = None,
        half: bool | None = None,
    ) -> None:
        chosen = choose_device(device)
        self.model = model
        self._known = known
        self._wanted_half = half
        self._side_by_side = True
        self._use(chosen)
        self.context = self.network.context

    @property
    def provenance(self) -> dict[str, object]:
        """Model, sha256, and the device and precision of the latest slices."""
        return {
            "model": self.model.name,
            "model_sha256": self.model.sha256,
            "device": self.device.type,
            "precision": "bfloat16" if self._half else "float32",
            "margin_hu": MARGIN_HU,
        }

    def __call__(self, pairs: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """(2 + 2·context, h, w) float32 HU each, any h and w, to (times − 1, h, w) float32 HU.

        The motion between two slices is found once for all places. Raises MethodError for a
        network that knows the middle alone and more than one place.
        """
        for found in self._in_order(self._slice, pairs, times):
            yield found[:, 0]

    def with_expected_error(
        self, pairs: Iterable[np.ndarray], times: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same slices, and how far they may be off.

        The error is against what the scanner would have shown there, noise included.

        Args:
            pairs: (2 + 2·context, h, w) float32 HU each, any h and w.
            times: as when called.

        Yields:
            For each pair the slices and their expected absolute error in HU; both
            (times − 1, h, w) float32.

        Raises:
            MethodError: if it was not measured for this model.
        """
        for found in self._in_order(self._slice_and_error, pairs, times):
            yield found[:, 0], found[:, 1]

    def with_clues(
        self, pairs: Iterable[np.ndarray], times: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same slices, and what their expected error is read from.

        Args:
            pairs: (2 + 2·context, h, w) float32 HU each, any h and w.
            times: as when called.

        Yields:
            For each pair the slices, (times − 1, h, w), and the clues, (times − 1, CLUES, h, w)
            float32, see `networks.expected_error.clues`.
        """
        for found in self._in_order(self._slice_and_clues, pairs, times):
            yield found[:, 0], found[:, 1:]

    @cached_property
    def expected_error(self) -> ExpectedError:
        """What tells the error of this model's slices; raises MethodError if there is none."""
        return load_expected_error(self.model)

    def _in_order(
        self,
        tell: Callable[[torch.Tensor, Prediction], torch.Tensor],
        pairs: Iterable[np.ndarray],
        times: int,
    ) -> Iterator[np.ndarray]:
        """What `tell` makes of each pair and place, where there is the memory.

        It takes a pair, (1, 2 + 2·context, h, w), and what the network says of a place; the result
        is (times − 1, …, h, w) for each pair, in the pairs' own size.
        """
        if times > 2 and not self.network.any_place:
            raise MethodError(
                f"The model '{self.model.name}' predicts the slice midway between two alone, not "
                f"{times - 1} slices. Ask for factor 2, or choose another model."
            )

        def predict(pair: np.ndarray) -> np.ndarray:
            height, width = pair.shape[1:]
            return self._between(padded(pair[None]), times, tell)[..., :height, :width].numpy()

        pairs = iter(pairs)
        while self.device.type != "cpu":
            if (pair := next(pairs, None)) is None:
                return
            try:
                found = predict(pair)
            except (RuntimeError, MemoryError) as problem:
                self._leave_gpu(problem)
                pairs = chain([pair], pairs)
            else:
                yield found
        yield from self._on_cores(predict, pairs)

    def _on_cores(
        self, predict: Callable[[np.ndarray], np.ndarray], pairs: Iterable[np.ndarray]
    ) -> Iterator[np.ndarray]:
        """What is predicted of each pair on a CPU, of several at the same time.

        A pair's cores are as many whether it is alone or not, since rounding may depend on them.
        """
        cores = torch.get_num_threads()
        workers = min(AT_ONCE, cores)
        under_way: deque[tuple[np.ndarray, Future[np.ndarray]]] = deque()

        def first() -> np.ndarray:
            pair, found = under_way.popleft()
            try:
                return found.result()
            except (RuntimeError, MemoryError) as problem:
                if not is_out_of_memory(problem):
                    raise
            # From now on one after the other, once the others have given back their memory.
            self._side_by_side = False
            del found
            wait(other for _, other in under_way)
            try:
                return pool.submit(predict, pair).result()
            except (RuntimeError, MemoryError) as problem:
                self._leave_gpu(problem)
                raise

        try:
            own_cores = max(1, cores // AT_ONCE)
            with ThreadPoolExecutor(workers, "", torch.set_num_threads, (own_cores,)) as pool:
                for pair in pairs:
                    under_way.append((pair, pool.submit(predict, pair)))
                    # One more than are computed, so that no core waits.
                    while len(under_way) > (workers + 1 if self._side_by_side else 0):
                        yield first()
                while under_way:
                    yield first()
        finally:
            # What a thread sets becomes the default of later ones.
            torch.set_num_threads(cores)

    def _use(self, device: torch.device) -> None:
        """Compute there from now on, if it has the memory, in the precision that fits."""
        self.device = device
        try:
            self.network = on_device(load_network(self.model, self._known), device)
            wanted = self._wanted_half
            self._half = half_precision_fits(self.network, device) if wanted is None else wanted
            if self._half:
                round_weights(self.network)
        except (RuntimeError, MemoryError) as problem:
            self._leave_gpu(problem)

    def _leave_gpu(self, problem: Exception) -> None:
        """Go on with the CPU if it was a GPU whose memory ran out.

        Raises:
            MethodError: if it was the CPU's own memory; else `problem`, unless it is about memory.
        """
        if not is_out_of_memory(problem):
            raise problem
        if self.device.type == "cpu":
            raise MethodError(
                "There is not enough memory for one pair of slices of this size on the CPU. Close "
                "other programs, crop the scan, or choose another method."
            ) from problem
        warnings.warn(
            "The GPU has too little free memory for one pair of slices; going on with the CPU.",
            stacklevel=2,
        )
        self._use(torch.device("cpu"))
        torch.cuda.empty_cache()

    @torch.inference_mode()
    def _between(
        self,
        pair: torch.Tensor,
        times: int,
        tell: Callable[[torch.Tensor, Prediction], torch.Tensor],
    ) -> torch.Tensor:
        """(times − 1, …, h, w) on the CPU: what `tell` makes of each place."""
        box = self._box(pair)
        pair = pair.to(self.device)
        shown = pair if box is None else pair[..., box.rows, box.columns]
        predictions = self.network.between(pair, times, box)
        told = []
        for k in range(1, times):
            with self._precision():
                found = next(predictions)
            what = tell(shown, found)
            if box is not None:
                beside = tell(pair, linear(*self._central(pair), place(k, times)))
                what = faded_in(beside, what, box)
            told.append(what.cpu())
        return torch.cat(told)

    def _box(self, pair: torch.Tensor) -> Box | None:
        """Where there is something to see in a pair, if the network can do with that alone."""
        if self.network.margin is None:
            return None
        box = head_box(torch.cat(self._central(pair), 1)[0].numpy(), self.network.margin)
        return box if (box.height, box.width) != pair.shape[2:] else None

    def _central(self, pair: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The two slices between which others are predicted, (1, 1, h, w) each."""
        a, b = pair[:, self.context : self.context + 2].split(1, 1)
        return a, b

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._half)

    def _slice(self, pair: torch.Tensor, found: Prediction) -> torch.Tensor:
        """(1, 1, h, w) HU: the slice within its limits."""
        return found.hu.clamp(found.lowest - MARGIN_HU, found.highest + MARGIN_HU)

    def _slice_and_clues(self, pair: torch.Tensor, found: Prediction) -> torch.Tensor:
        """(1, 1 + CLUES, h, w): HU, and the clues of their error."""
        hu = self._slice(pair, found)
        return torch.cat([hu, clues(*self._central(pair), hu, found)], 1)

    def _slice_and_error(self, pair: torch.Tensor, found: Prediction) -> torch.Tensor:
        """(1, 2, h, w) HU: the slice and its expected error."""
        hu, seen = self._slice_and_clues(pair, found).tensor_split([1], 1)
        with self._precision():
            return torch.stack([hu[:, 0], self.expected_error.to(self.device)(seen)], 1)
