"""Which device and precision a network runs with."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from SliceInterpLib.errors import MethodError
from SliceInterpLib.networks.prediction import Network

TOLERANCE_HU = 0.5
"""Half precision is used where it changes soft tissue by less than this on average."""

_SOFT_TISSUE_HU = (0.0, 100.0)

_NOISE_HU = 40.0
"""Of the round head on which the two precisions are compared. They differ the more, the more noise
there is; so much is in slices of 1 mm from a bone kernel."""


def choose_device(device: str) -> torch.device:
    """The device called 'auto' (CUDA if there is a GPU, else the CPU), 'cuda' or 'cpu'.

    Raises:
        MethodError: for another name, or if CUDA is asked for and not there.
    """
    if device not in ("auto", "cuda", "cpu"):
        raise MethodError(f"There is no device '{device}'. Choose auto, cuda or cpu.")
    if device == "cuda" and not torch.cuda.is_available():
        raise MethodError(
            "CUDA was asked for, but PyTorch finds no CUDA GPU here. Use the device 'auto' or "
            "'cpu', or install a CUDA build of PyTorch and the GPU's driver."
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def on_device(network: Network, device: torch.device) -> Network:
    """The network itself, moved there, with its weights laid out as convolutions want them."""
    # torch's own types leave out the memory format, which its documentation has.
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def round_weights(network: Network) -> None:
    """Round to bf16 once what autocast would round again and again: the same comes of it."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            layer.bfloat16()


def has_bf16(device: torch.device) -> bool:
    """Whether the device itself computes in bf16; a CPU that emulates it is slow."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def bf16_is_quick(device: torch.device) -> bool:
    """Whether bf16 is quicker there than float32.

    It is not on Intel's CPUs without AMX, virtual ones that hide it among them: their AVX-512
    multiplies as many pairs of bf16 in a cycle as float32 numbers, and converting comes on top
    (measured: 1.4 times as long).
    """
    if not has_bf16(device):
        return False
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    return device.type == "cuda" or has_amx() or not _is_intel()


@torch.inference_mode()
def half_precision_fits(network: Network, device: torch.device) -> bool:
    """Whether to compute in bf16 there: where it is quick, and changes soft tissue little.

    That is asked of the network, on slices of a round head, and not of a scan: so it is the
    same for every scan, whichever came before.

    Args:
        network: on the device.
        device: where it runs.
    """
    if not bf16_is_quick(device):
        return False
    slices = _noisy_head(2 + 2 * network.context).to(device)
    full = network(slices).hu
    with torch.autocast(device.type, torch.bfloat16):
        half = network(slices).hu
    low, high = _SOFT_TISSUE_HU
    tissue = (full > low) & (full < high)
    return bool((half - full).abs()[tissue].mean() < TOLERANCE_HU)


def _is_intel() -> bool:
    """Whether the CPU is one of Intel's."""
    described = Path("/proc/cpuinfo")
    text = described.read_text() if described.exists() else platform.processor()
    return "GenuineIntel" in text


@cache
def _noisy_head(slices: int) -> Tensor:
    """(1, slices, 64, 64) float32 HU: brain in a skull that tapers from slice to slice."""
    rows, columns = np.ogrid[-31.5:32.0, -31.5:32.0]
    radius = np.hypot(rows, columns) + 1.5 * np.arange(slices)[:, None, None]
    head = np.select([radius < 25.0, radius < 28.0], [35.0 + 0.4 * rows, 1000.0], -1000.0)
    noise = np.random.default_rng(0).normal(0.0, _NOISE_HU, head.shape)
    return torch.from_numpy((head + noise)[None].astype(np.float32))
