"""A whole training: the network is made, trained and written with its card."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

import SliceInterpLib
from SliceInterpLib.lab.designs import ARCHITECTURES
from SliceInterpLib.lab.training import checkpoints
from SliceInterpLib.lab.training.history import (
    begin_stretch,
    digests_of,
    stretches_for_card,
    together,
)
from SliceInterpLib.lab.training.parallel import torchrun_processes
from SliceInterpLib.lab.training.trainer import Trainer, TrainingSettings
from SliceInterpLib.networks.architectures import Design
from SliceInterpLib.networks.devices import choose_device
from SliceInterpLib.networks.registry import TrainedModel, load_network
from SliceInterpLib.networks.unet import ResidualBlock
from SliceInterpLib.volume import Volume


def train_model(
    *,
    name: str,
    design: Design,
    volumes: Sequence[Volume],
    validation: Sequence[Volume],
    folder: Path,
    settings: TrainingSettings,
    device: str,
    start: TrainedModel | None = None,
    command: str,
    log: Callable[[dict], None],
    leave_after: float = math.inf,
) -> Path:
    """Train a network, or go on with what is in the folder.

    Under torchrun, its processes train one network together, and the first of them writes.
    The card holds what loading needs and what is known here; the terms of the training data,
    the licence and the figures of a benchmark are for whoever publishes the model to add.

    Args:
        name: of the model.
        design: of the network.
        volumes: to learn from.
        validation: volumes of other patients, to judge by.
        folder: for checkpoint, weights and card.
        settings: how to train.
        device: as `choose_device` takes it.
        start: a trained model whose weights are taken as far as they go, see `grow`.
        command: the command line, which the card tells.
        log: called with each record of the training.
        leave_after: as `Trainer.run` takes it.

    Returns:
        The path of the card, in `folder`.

    Raises:
        TrainingError: if the folder holds a training on other volumes, of another design or from
            another start; and as `Trainer.run` does.
    """
    torch.manual_seed(settings.seed)
    network = design.build(ARCHITECTURES)
    if start:
        grow(load_network(start, ARCHITECTURES), network)
    chosen = choose_device(device)
    digests = digests_of(volumes)
    source = {
        "volumes": digests,
        "architecture": design.architecture,
        "configuration": design.configuration,
        "start": start and start.sha256,
    }
    # All crops have one size: the quickest way to convolve them is worth looking for.
    torch.backends.cudnn.benchmark = chosen.type == "cuda"
    with torchrun_processes(chosen) as processes:
        how = {
            "command": command,
            "settings": asdict(settings),
            "validation": _told(digests_of(validation)),
            "device": chosen.type,
            "processes": processes.count,
            "threads": torch.get_num_threads(),
            "version": SliceInterpLib.__version__,
        }
        state = checkpoints.read_state(folder)
        stretches = begin_stretch(folder, state, source, how, write=not processes.rank)
        trainer = Trainer(
            network,
            volumes,
            validation,
            folder,
            settings,
            device=chosen,
            processes=processes,
            log=log,
        )
        trainer.run(leave_after)
    path = folder / "model.json"
    if processes.rank:
        return path
    card = {
        "name": name,
        "architecture": design.architecture,
        "configuration": design.configuration,
        "weights": "model.safetensors",
        "sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "parameters": sum(p.numel() for p in network.parameters()),
        "training": {
            "data": _told(digests),
            "steps": trainer.step,
            "minutes": round(trainer.seconds / 60.0, 1),
            "start": start and {"sha256": start.sha256, "training": start.card.get("training")},
            "stretches": stretches_for_card(stretches, trainer.step, trainer.seconds / 60.0),
        },
        "valid_psnr": trainer.validate(),
    }
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return path


def _told(digests: Sequence[str]) -> dict[str, object]:
    """What a card says of volumes: nothing of whose they are."""
    return {"volumes": len(digests), "sha256": together(digests)}


@torch.no_grad()
def grow(trained: nn.Module, network: nn.Module) -> None:
    """Give `network` the weights of `trained` as far as the two have layers of the same names.

    A network that is wider, deeper or sees more slices (a pair's that gets four) predicts at first
    exactly what the smaller one did: what is new counts for nothing yet, but its own weights are
    random, since channels that are zero on both sides would never learn. What `network` lacks is
    left out, which it has to make good by training.
    """
    old = trained.state_dict()
    for name, tensor in network.state_dict().items():
        if name not in old:
            continue
        both = tuple(slice(min(sides)) for sides in zip(tensor.shape, old[name].shape, strict=True))
        if tensor.ndim > 1:
            tensor[both[0], both[1].stop :] = 0.0
        tensor[both] = old[name][both]
    for name, block in network.named_modules():
        if isinstance(block, ResidualBlock) and f"{name}.second.weight" not in old:
            for parameter in block.second.parameters():
                nn.init.zeros_(parameter)
