"""A whole training: the network is made, trained and written with its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

import SliceInterpLib
from SliceInterpLib.networks.devices import choose_device
from SliceInterpLib.networks.flow_inside import FlowInside
from SliceInterpLib.networks.registry import TrainedModel, load_network
from SliceInterpLib.training.trainer import RAMP_STEPS, Settings, Trainer
from SliceInterpLib.volume import Volume

CONFIGURATION = {
    "flow_widths": [48, 64, 96, 128],
    "flow_blocks": 1,
    "residual_widths": [64, 96, 160],
    "residual_blocks": 2,
}
"""The network that is made where none is given."""


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
    start: TrainedModel | None = None,
    command: str,
    log: Callable[[dict], None],
) -> Path:
    """Train a network and return the path of its card, in `folder`.

    start: a trained model to go on from, with half the learning rate and without the aids of a
    first training; by default a new network is made.

    The card holds what loading needs and what is known here; the terms of the training data,
    the licence and the figures of a benchmark are for whoever publishes the model to add.
    """
    torch.manual_seed(seed)
    configuration = start.card["configuration"] if start else CONFIGURATION
    network = load_network(start).train() if start else FlowInside(**configuration)
    settings = Settings(steps=steps, minutes=minutes, seed=seed)
    if start:
        settings = replace(
            settings,
            learning_rate=settings.learning_rate / 2,
            guided_steps=0,
            similarity_from_step=-RAMP_STEPS,
        )
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
            "start": start and {"sha256": start.sha256, "training": start.card.get("training")},
        },
        "valid_psnr": trainer.validate(),
    }
    path = folder / "model.json"
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return path
