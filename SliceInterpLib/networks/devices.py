"""Which device and precision a network runs with."""

from __future__ import annotations

import torch

from SliceInterpLib.errors import MethodError
from SliceInterpLib.networks.prediction import Network


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


def has_bf16(device: torch.device) -> bool:
    """Whether bf16 is quick there; a CPU that emulates it is slower than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
