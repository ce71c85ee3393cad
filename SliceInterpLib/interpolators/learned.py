"""The learned method: a trained network behind the interpolators' protocol."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch

from SliceInterpLib.errors import MethodError, is_out_of_memory
from SliceInterpLib.networks.architectures import Architectures
from SliceInterpLib.networks.devices import choose_device, half_precision_fits, on_device
from SliceInterpLib.networks.expected_error import ExpectedError, clues, load_expected_error
from SliceInterpLib.networks.prediction import Prediction, padded
from SliceInterpLib.networks.registry import TrainedModel, load_network

MARGIN_HU = 30.0
"""How far the result may leave the range of the two slices, as they are and as the network moved
them, at each place. Nothing is invented far outside what was acquired."""


class Learned:
    """Predicts middle slices with a trained network.

    The same slices give the same result each time, in reversed order too, whatever was predicted
    before or beside them: the precision (bf16 or float32) follows from the weights and the device
    (`half_precision_fits`), and each pair is predicted by itself. What other computers make of
    them may differ (Docs/architecture.md).

    When a GPU has too little memory for a pair, the CPU takes over for good; the slices of one call
    are all of one device, which `provenance` then tells.

    Args:
        model: the network's card and weights.
        device: 'auto', 'cuda' or 'cpu'.
        known: as `load_network` takes it.

    Raises:
        MethodError: for a device that is not there or weights that cannot be trusted.
    """

    name = "learned"
    batch = 1
    """On a GPU, too, what else is in a batch may change how a slice is rounded; and on a CPU a
    second pair only crowds the caches."""

    def __init__(
        self, model: TrainedModel, device: str = "auto", *, known: Architectures | None = None
    ) -> None:
        chosen = choose_device(device)
        self.model = model
        self.network = load_network(model, known)
        self.context = self.network.context
        self._use(chosen)

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
        """`predict` of each pair, in their own size, all on one device that has the memory."""
        height, width = slices.shape[2:]
        pairs = padded(slices)
        while True:
            try:
                found = [predict(pair, self._half) for pair in pairs.split(1)]
                return torch.cat(found)[..., :height, :width].numpy()
            except (RuntimeError, MemoryError) as problem:
                self._leave_gpu(problem)

    def _use(self, device: torch.device) -> None:
        """Compute there from now on, if it has the memory, in the precision that fits."""
        self.device = device
        try:
            self.network = on_device(self.network, device)
            self._half = half_precision_fits(self.network, device)
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
