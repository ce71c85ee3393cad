"""The learned method: a trained network behind the interpolators' protocol."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
import torch

from SliceInterpLib.errors import MethodError, is_out_of_memory
from SliceInterpLib.networks.architectures import Architectures
from SliceInterpLib.networks.devices import choose_device, has_bf16, on_device
from SliceInterpLib.networks.expected_error import ExpectedError, clues, load_expected_error
from SliceInterpLib.networks.prediction import Prediction, padded
from SliceInterpLib.networks.registry import TrainedModel, load_network

MARGIN_HU = 30.0
"""How far the result may leave the range of the two slices, as they are and as the network moved
them, at each place. Nothing is invented far outside what was acquired."""

TOLERANCE_HU = 0.5
"""Half precision is used where it changes soft tissue by less than this on average."""

_SOFT_TISSUE_HU = (0.0, 100.0)

_Result = TypeVar("_Result")


class Learned:
    """Predicts middle slices with a trained network.

    Half precision (bf16) is used where the hardware has it, after the first pair of slices with
    soft tissue was predicted both ways and compared. When memory runs out, the batch is halved, and
    at a single pair the CPU takes over from the GPU.

    The same slices give the same result each time, in reversed order too, unless device, precision
    or batch change in between. What other computers make of them may differ (Docs/architecture.md).

    Args:
        model: the network's card and weights.
        device: 'auto', 'cuda' or 'cpu'.
        known: as `load_network` takes it.

    Raises:
        MethodError: for a device that is not there or weights that cannot be trusted.
    """

    name = "learned"

    def __init__(
        self, model: TrainedModel, device: str = "auto", *, known: Architectures | None = None
    ) -> None:
        self.model = model
        self.device = choose_device(device)
        self.network = on_device(load_network(model, known), self.device)
        self.context = self.network.context
        # One pair at a time is quickest on a CPU, where a second only crowds the caches.
        self.batch = 8 if self.device.type == "cuda" else 1
        self._half: bool | None = None if has_bf16(self.device) else False

    @property
    def provenance(self) -> dict[str, object]:
        """Model, sha256, and the device and precision in use by now."""
        return {
            "model": self.model.name,
            "model_sha256": self.model.sha256,
            "device": self.device.type,
            "precision": "bfloat16" if self._half else "float32",
            "margin_hu": MARGIN_HU,
        }

    def __call__(self, slices: np.ndarray) -> np.ndarray:
        """(n, 2 + 2·context, h, w) float32 HU, any h and w, to (n, h, w) float32 HU."""
        return self._within_memory(self._predict, slices)

    def with_expected_error(self, slices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same slices, and how far they may be off.

        The error is against what the scanner would have shown there, noise included.

        Args:
            slices: (n, 2 + 2·context, h, w) float32 HU, any h and w.

        Returns:
            The slices and their expected absolute error in HU; both (n, h, w) float32.

        Raises:
            MethodError: if it was not measured for this model.
        """
        both = self._within_memory(self._predict_with_error, slices)
        return both[:, 0], both[:, 1]

    def with_clues(self, slices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same slices, and what their expected error is read from.

        Args:
            slices: (n, 2 + 2·context, h, w) float32 HU, any h and w.

        Returns:
            The slices, (n, h, w), and the clues, (n, CLUES, h, w) float32, see
            `networks.expected_error.clues`.
        """
        both = self._within_memory(self._predict_with_clues, slices)
        return both[:, 0], both[:, 1:]

    @cached_property
    def expected_error(self) -> ExpectedError:
        """What tells the error of this model's slices; raises MethodError if there is none."""
        return load_expected_error(self.model)

    def _within_memory(
        self, predict: Callable[[torch.Tensor, bool], torch.Tensor], slices: np.ndarray
    ) -> np.ndarray:
        """`predict` of all pairs, as many at a time as there is memory for, in their own size."""
        height, width = slices.shape[2:]
        pairs = padded(slices)
        if self._half is None:
            self._half = self._retried(lambda: self._agrees_in_half(pairs[:1]))

        def part(start: int) -> torch.Tensor:
            return predict(pairs[start : start + self.batch], bool(self._half))

        parts: list[torch.Tensor] = []
        start = 0
        while start < len(pairs):
            parts.append(self._retried(partial(part, start)))
            start += len(parts[-1])
        return torch.cat(parts)[..., :height, :width].numpy()

    def _retried(self, run: Callable[[], _Result]) -> _Result:
        """What `run` gives, called again with less at a time as long as memory runs out."""
        while True:
            try:
                return run()
            except (RuntimeError, MemoryError) as problem:
                if not is_out_of_memory(problem):
                    raise
                self._use_less_memory(problem)

    @torch.inference_mode()
    def _predict(self, pairs: torch.Tensor, half: bool) -> torch.Tensor:
        """(n, 2 + 2·context, h, w) HU on the CPU to (n, h, w) HU on the CPU."""
        return self._run(pairs.to(self.device), half)[0][:, 0].cpu()

    @torch.inference_mode()
    def _predict_with_clues(self, pairs: torch.Tensor, half: bool) -> torch.Tensor:
        """To (n, 1 + CLUES, h, w) on the CPU: HU, and the clues of their error."""
        return torch.cat(self._run_for_clues(pairs.to(self.device), half), 1).cpu()

    @torch.inference_mode()
    def _predict_with_error(self, pairs: torch.Tensor, half: bool) -> torch.Tensor:
        """To (n, 2, h, w) HU on the CPU: the slices and their expected errors."""
        expected = self.expected_error.to(self.device)
        hu, seen = self._run_for_clues(pairs.to(self.device), half)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            return torch.stack([hu[:, 0], expected(seen)], 1).cpu()

    def _run_for_clues(self, pairs: torch.Tensor, half: bool) -> tuple[torch.Tensor, torch.Tensor]:
        hu, found = self._run(pairs, half)
        a, b = pairs[:, self.context : self.context + 2].split(1, 1)
        return hu, clues(a, b, hu, found)

    def _run(self, pairs: torch.Tensor, half: bool) -> tuple[torch.Tensor, Prediction]:
        """The slices within their limits, (n, 1, h, w) HU, and all that the network says."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            found = self.network(pairs)
        return found.hu.clamp(found.lowest - MARGIN_HU, found.highest + MARGIN_HU), found

    def _use_less_memory(self, problem: Exception) -> None:
        """Halve the batch, or leave the GPU; raise MethodError where neither is left."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.batch > 1:
            self.batch //= 2
            return
        if self.device.type == "cpu":
            raise MethodError(
                "There is not enough memory for one pair of slices of this size on the CPU. Close "
                "other programs, crop the scan, or choose another method."
            ) from problem
        warnings.warn(
            "The GPU has too little free memory for one pair of slices; going on with the CPU.",
            stacklevel=2,
        )
        self.device = torch.device("cpu")
        self.network = self.network.to(self.device)
        if not has_bf16(self.device):
            self._half = False

    def _agrees_in_half(self, pair: torch.Tensor) -> bool | None:
        """Whether half precision is good enough on this pair; None if there is nothing to see."""
        low, high = _SOFT_TISSUE_HU
        full = self._predict(pair, half=False)
        tissue = (full > low) & (full < high)
        if not tissue.any():
            return None
        difference = (self._predict(pair, half=True) - full).abs()[tissue].mean()
        return bool(difference < TOLERANCE_HU)
