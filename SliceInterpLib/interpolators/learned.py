"""The learned method: a trained network behind the interpolators' protocol."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from SliceInterpLib.errors import MethodError
from SliceInterpLib.networks.devices import choose_device, has_bf16
from SliceInterpLib.networks.prediction import padded
from SliceInterpLib.networks.registry import TrainedModel, load_network

MARGIN_HU = 30.0
"""How far the result may leave the range of the two slices, as they are and as the network moved
them, at each place. Nothing is invented far outside what was acquired."""

TOLERANCE_HU = 0.5
"""Half precision is used where it changes soft tissue by less than this on average."""

_SOFT_TISSUE_HU = (0.0, 100.0)


class Learned:
    """Predicts middle slices with a trained network.

    device: 'auto', 'cuda' or 'cpu'. Half precision (bf16) is used where the hardware has it,
    after the first pair of slices with soft tissue was predicted both ways and compared. When
    the GPU runs out of memory, the batch is halved, and at a single pair the CPU takes over.
    Raises MethodError for a device that is not there or weights that cannot be trusted.
    """

    name = "learned"

    def __init__(self, model: TrainedModel, device: str = "auto") -> None:
        self.model = model
        self.device = choose_device(device)
        self.network = load_network(model).to(self.device, memory_format=torch.channels_last)
        self.context: int = self.network.context
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
        height, width = slices.shape[2:]
        pairs = padded(slices)
        if self._half is None:
            self._half = self._agrees_in_half(pairs[:1])
        return self._predict_within_memory(pairs)[:, :height, :width].numpy()

    def _predict_within_memory(self, pairs: torch.Tensor) -> torch.Tensor:
        start = 0
        parts = []
        while start < len(pairs):
            try:
                parts.append(self._predict(pairs[start : start + self.batch], bool(self._half)))
                start += len(parts[-1])
            except torch.OutOfMemoryError:
                self._use_less_memory()
        return torch.cat(parts)

    @torch.inference_mode()
    def _predict(self, pairs: torch.Tensor, half: bool) -> torch.Tensor:
        """(n, 2 + 2·context, h, w) HU on the CPU to (n, h, w) HU on the CPU."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            found = self.network(pairs.to(self.device))
        hu = found.hu.clamp(found.lowest - MARGIN_HU, found.highest + MARGIN_HU)
        return hu[:, 0].cpu()

    def _use_less_memory(self) -> None:
        if self.device.type == "cpu":
            raise MethodError(
                "There is not enough memory for one pair of slices of this size on the CPU."
            )
        torch.cuda.empty_cache()
        if self.batch > 1:
            self.batch //= 2
            return
        warnings.warn(
            "The GPU has too little free memory for one pair of slices; going on with the CPU.",
            stacklevel=2,
        )
        self.device = torch.device("cpu")
        self.network = self.network.to(self.device)
        self._half = self._half and has_bf16(self.device)

    def _agrees_in_half(self, pair: torch.Tensor) -> bool | None:
        """Whether half precision is good enough on this pair; None if there is nothing to see."""
        low, high = _SOFT_TISSUE_HU
        full = self._predict(pair, half=False)
        tissue = (full > low) & (full < high)
        if not tissue.any():
            return None
        difference = (self._predict(pair, half=True) - full).abs()[tissue].mean()
        return bool(difference < TOLERANCE_HU)
