"""Video-frame interpolation networks of others, as TorchScript files.

A peer for benchmarks: FILM (Reda et al., ECCV 2022) as its film_net_fp32.pt is published, and
others exported alike, such as RIFE. A TorchScript file is a program: loading it unpickles no
Python, but running it runs what its author wrote, so take it from someone you trust.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from SliceInterpLib.errors import MethodError
from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.networks.devices import choose_device
from SliceInterpLib.networks.prediction import padded

SIZE_MULTIPLE = 64
"""Rows and columns are padded to a multiple of this, for pyramids of up to seven levels."""


class TorchScript:
    """A frame interpolation network as an interpolator of slice pairs, in the brain window only.

    It sees the window as grey, and HU beyond the window come out as the window's bounds.

    Args:
        path: a TorchScript file whose model is called as model(x0, x1, dt), with x0 and x1
            (n, 3, h, w) RGB in [0, 1] and dt (n, 1) the time between them, and gives (n, 3, h, w).
        device: 'auto', 'cuda' or 'cpu'.

    Raises:
        MethodError: if the file is missing or is no TorchScript, and, when called, if the model
            fails or gives another shape.
    """

    name = "torchscript"
    context = 0

    def __init__(self, path: Path, device: str = "auto") -> None:
        self.path = path
        self.device = choose_device(device)
        if not path.is_file():
            raise MethodError(f"There is no TorchScript file {path}. Give the path of a .pt file.")
        try:
            # Deprecated for torch.export, but this is the form in which such models are published.
            self.network = torch.jit.load(path, map_location=self.device).eval()
        except (RuntimeError, ValueError) as problem:
            raise MethodError(
                f"{path} is not a TorchScript file. Give one made by torch.jit.script or trace."
            ) from problem

    @property
    def provenance(self) -> dict[str, object]:
        """File name, sha256 and device."""
        return {
            "model": self.path.name,
            "model_sha256": hashlib.sha256(self.path.read_bytes()).hexdigest(),
            "device": self.device.type,
        }

    def __call__(self, pairs: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """(2, h, w) float32 HU each, any h and w, to (times − 1, h, w) in the brain window."""
        for pair in pairs:
            yield self._between(pair, times)

    @torch.inference_mode()
    def _between(self, pair: np.ndarray, times: int) -> np.ndarray:
        height, width = pair.shape[1:]
        grey = padded(BRAIN.scale(pair[None]), SIZE_MULTIPLE).to(self.device)
        first, second = (grey[:, [i]].expand(-1, 3, -1, -1) for i in (0, 1))
        grey = torch.cat([self._at(k / times, first, second).mean(1) for k in range(1, times)])
        scaled = grey[..., :height, :width].float().clamp(0.0, 1.0).cpu().numpy()
        return scaled * np.float32(BRAIN.width) + np.float32(BRAIN.low)

    def _at(self, place: float, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        time = torch.full((len(first), 1), place, device=self.device)
        try:
            middle = self.network(first, second, time)
        except RuntimeError as problem:
            raise MethodError(
                f"The model {self.path.name} cannot be called as model(x0, x1, dt) with RGB "
                f"frames: {str(problem).strip().splitlines()[-1]}"
            ) from problem
        shape = tuple(middle.shape) if isinstance(middle, torch.Tensor) else type(middle).__name__
        if shape != tuple(first.shape):
            raise MethodError(
                f"The model {self.path.name} gave {shape} and not one frame of the shape of its "
                f"input, {tuple(first.shape)}. It is not a model of the form model(x0, x1, dt)."
            )
        return middle
