"""Every method that can be measured: the product's own, peers, and networks of any design."""

from __future__ import annotations

from pathlib import Path

from SliceInterpLib.errors import MethodError
from SliceInterpLib.interpolators import METHODS, Interpolator, make_interpolator

PEERS = ("registration", "denoised-linear", "torchscript")
"""Methods of others to measure against."""


def make_contender(method: str, *, model: str | None = None, device: str = "auto") -> Interpolator:
    """The method called `method`.

    Args:
        method: one of METHODS or PEERS.
        model: for 'learned', name of a trained model or path of its card (JSON), None takes the
            default; for 'torchscript', path of the TorchScript file.
        device: 'auto' (CUDA if there is one, else CPU), 'cuda' or 'cpu', for the two.

    Raises:
        MethodError: for an unknown method, a missing library, model or device.
    """
    if method == "learned":
        from SliceInterpLib.interpolators.learned import Learned
        from SliceInterpLib.lab.designs import ARCHITECTURES
        from SliceInterpLib.networks.registry import find_model

        return Learned(find_model(model), device, known=ARCHITECTURES)
    if method in METHODS:
        return make_interpolator(method)
    if method == "registration":
        from SliceInterpLib.lab.peers.registration import Registration

        return Registration()
    if method == "denoised-linear":
        from SliceInterpLib.lab.peers.denoised import DenoisedLinear

        return DenoisedLinear()
    if method != "torchscript":
        raise MethodError(
            f"There is no method '{method}'. Choose one of: {', '.join(METHODS + PEERS)}."
        )
    if model is None:
        raise MethodError(
            "The method 'torchscript' needs the path of a TorchScript file (--torchscript)."
        )
    from SliceInterpLib.lab.peers.torchscript import TorchScript

    return TorchScript(Path(model), device=device)
