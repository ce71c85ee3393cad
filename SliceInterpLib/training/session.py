"""A whole training: the network is made, trained and written with its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import SliceInterpLib
from SliceInterpLib.networks.devices import choose_device
from SliceInterpLib.networks.flow_inside import FlowInside
from SliceInterpLib.training.trainer import Settings, Trainer
from SliceInterpLib.volume import Volume


def train_model(
    *,
    name: str,
    volumes: Sequence[Volume],
    validation: Sequence[Volume],
    folder: Path,
    steps: int,
    minutes: float | None,
    seed: int,
    device: str,
    command: str,
    log: Callable[[dict], None],
) -> Path:
    """Train the default network and return the path of its card, in `folder`.

    The card holds what loading needs and what is known here; the terms of the training data,
    the licence and the figures of a benchmark are for whoever publishes the model to add.
    """
    torch.manual_seed(seed)
    configuration = {
        "flow_widths": [48, 64, 96, 128],
        "flow_blocks": 1,
        "residual_widths": [64, 96, 160],
        "residual_blocks": 2,
    }
    network = FlowInside(**configuration)
    settings = Settings(steps=steps, minutes=minutes, seed=seed)
    chosen = choose_device(device)
    trainer = Trainer(network, volumes, validation, folder, settings, device=chosen, log=log)
    trainer.run()
    card = {
        "name": name,
        "architecture": "flow-inside",
        "configuration": configuration,
        "weights": "model.safetensors",
        "sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "parameters": sum(p.numel() for p in network.parameters()),
        "training": {
            "command": command,
            "volumes": len(volumes),
            "steps": trainer.step,
            "minutes": round(trainer.seconds / 60.0, 1),
            "device": chosen.type,
            "version": SliceInterpLib.__version__,
        },
        "valid_psnr": trainer.validate(),
    }
    path = folder / "model.json"
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return path
