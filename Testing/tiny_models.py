"""Networks of a few channels with cards of their own, where no test asks how good they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from SliceInterpLib.networks.flow_inside import FlowInside

TINY = {"coarse_widths": [8, 8], "flow_widths": [8, 8], "residual_widths": [8, 8]}
"""A configuration of some thousand parameters."""


def write_tiny_model(folder: Path, *, context: int = 0) -> Path:
    """A network with random weights that moves and corrects; the path of its card.

    context: slices that it sees beyond the pair on each side, 0 or 1.
    """
    torch.manual_seed(0)
    configuration = TINY | {"context": context}
    network = FlowInside(**configuration)
    for part in (network.coarse, network.flow, network.residual):
        torch.nn.init.normal_(part.tail.weight, std=0.1)
    return write_model(folder, "flow-inside-3", network, configuration)


def write_model(
    folder: Path, architecture: str, network: torch.nn.Module, configuration: dict
) -> Path:
    """Its weights and a card for them; the path of the card."""
    weights = folder / "tiny.safetensors"
    save_file(network.state_dict(), weights)
    card = {
        "name": "tiny",
        "architecture": architecture,
        "configuration": configuration,
        "weights": weights.name,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    path = folder / "tiny.json"
    path.write_text(json.dumps(card))
    return path
