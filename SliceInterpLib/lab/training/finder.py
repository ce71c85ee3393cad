"""A training of the finder, from scans and masks of their hematomas to weights and card."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

import SliceInterpLib
from SliceInterpLib.errors import TrainingError
from SliceInterpLib.lab.training.checkpoints import replace_file, replace_text
from SliceInterpLib.lab.training.finder_examples import FinderExamples, Stack, stack_of
from SliceInterpLib.networks.devices import has_bf16
from SliceInterpLib.networks.finder import FinderUNet
from SliceInterpLib.phantom import head_phantom

ARCHITECTURE = "finder-unet-1"

WIDTHS = (16, 32, 64, 96, 128)

_PARTS = (0.68, 0.22, 0.1)
"""Of the examples that are of patients with a hematoma, of heads without, and of the phantom."""

_PHANTOM_ML = (0.0, 0.0, 5.0, 30.0)
"""Of the hematomas in the built-in heads."""

_WARM_UP_STEPS = 50

_STATISTICS_BATCHES = 40
"""Over so many the statistics of the batch norms are taken anew for the averaged weights."""


@dataclass(frozen=True)
class FinderTraining:
    """How the finder is trained."""

    minutes: float = 30.0
    batch: int = 12
    crop: int = 160
    learning_rate: float = 1.5e-3
    ema_decay: float = 0.995
    clip_norm: float = 1.0
    save_every_minutes: float = 3.0
    seed: int = 1


def phantoms() -> list[Stack]:
    """The built-in heads, with and without a hematoma."""
    found = []
    for seed, ml in enumerate(_PHANTOM_ML):
        head = head_phantom(
            slice_spacing=5.0,
            matrix=200,
            pixel_spacing=1.0,
            noise_hu=3.0,
            seed=seed,
            hematoma_ml=ml,
        )
        found.append(stack_of(head.volume, head.hematoma_fraction))
    return found


def train_finder(
    *,
    name: str,
    patients: Sequence[Stack],
    without: Sequence[Stack],
    built_in: Sequence[Stack],
    validation: Sequence[Stack],
    folder: Path,
    settings: FinderTraining,
    command: str,
    log: Callable[[dict], None],
) -> Path:
    """Train a finder on the CPU for so many minutes; weights and card are renewed on the way.

    Args:
        name: of the model.
        patients: scans with a hematoma that is known.
        without: scans without any.
        built_in: drawn ones, as `phantoms` gives them.
        validation: other patients, for the log's Dice.
        folder: for weights and card; made if it is not there.
        settings: how.
        command: the command line, which the card tells.
        log: called with each record.

    Returns:
        The card's path.

    Raises:
        TrainingError: without a patient, and where the loss is not finite; what was last written
            stays.
    """
    if not patients:
        raise TrainingError("There is no scan with a hematoma to learn from.")
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    network = FinderUNet(WIDTHS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay))
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=1e-3)
    groups = list(zip(_PARTS, (patients, without, built_in), strict=True))
    examples = FinderExamples(groups, crop=settings.crop, seed=settings.seed)
    began = saved = time.monotonic()
    step, progress = 0, 0.0
    losses: list[float] = []

    def save() -> Path:
        # Averages of weights have no averages of statistics: those of the way here are of others.
        batches = (examples.batch(settings.batch)[0] for _ in range(_STATISTICS_BATCHES))
        update_bn(batches, average)
        weights = {key: t.contiguous() for key, t in average.module.state_dict().items()}
        replace_file(folder / "model.safetensors", partial(save_file, weights))
        dice = validate(average.module, validation)
        minutes = round((time.monotonic() - began) / 60.0, 1)
        recent = float(np.mean(losses[-100:]))
        log({"step": step, "minutes": minutes, "loss": round(recent, 4), "valid_dice": dice})
        card = {
            "name": name,
            "kind": "finder",
            "architecture": ARCHITECTURE,
            "configuration": {"widths": list(WIDTHS)},
            "weights": "model.safetensors",
            "sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
            "parameters": sum(p.numel() for p in network.parameters()),
            "training": {
                "command": command,
                "settings": asdict(settings),
                "patients": len(patients),
                "without": len(without),
                "steps": step,
                "minutes": minutes,
                "threads": torch.get_num_threads(),
                "version": SliceInterpLib.__version__,
            },
            "valid_dice": dice,
        }
        replace_text(folder / "model.json", json.dumps(card, indent=2) + "\n")
        return folder / "model.json"

    while progress < 1.0:
        progress = (time.monotonic() - began) / 60.0 / settings.minutes
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
        warm_up = min(1.0, (step + 1) / _WARM_UP_STEPS)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * warm_up * (0.01 + 0.99 * cosine)
        network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16(torch.device("cpu"))):
            slabs, blood = examples.batch(settings.batch)
            logits = network(slabs.contiguous(memory_format=torch.channels_last))
        loss = finder_loss(logits.float(), blood)
        if not loss.isfinite():
            raise TrainingError(
                f"The training diverged at step {step}: its loss is not finite. {folder} keeps "
                "what was last written, if anything."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
        optimizer.step()
        average.update_parameters(network)
        losses.append(loss.item())
        step += 1
        if time.monotonic() - saved >= 60.0 * settings.save_every_minutes:
            save()
            saved = time.monotonic()
    return save()


def finder_loss(logits: Tensor, blood: Tensor) -> Tensor:
    """Cross-entropy, and one minus the Dice coefficient over the whole batch."""
    found = logits.sigmoid()
    overlap = 2.0 * (found * blood).sum() + 1.0
    dice = overlap / (found.sum() + blood.sum() + 1.0)
    return 4.0 * F.binary_cross_entropy_with_logits(logits, blood) + (1.0 - dice)


@torch.inference_mode()
def validate(network: torch.nn.Module, stacks: Sequence[Stack]) -> list[float]:
    """Dice of the slabs of each scan at a probability of a half, voxel by voxel."""
    network.eval()
    found = []
    for stack in stacks:
        indices = np.arange(0, len(stack.seen), stack.step)
        around = np.clip(indices[:, None] + np.array([-1, 0, 1]) * stack.step, 0, indices[-1])
        slabs = torch.from_numpy(stack.seen[around].astype(np.float32) / 240.0)
        marked = torch.cat([network(part) for part in slabs.split(8)])[:, 0].numpy() > 0.0
        known = stack.blood[indices] > 127
        total = np.count_nonzero(marked) + np.count_nonzero(known)
        both = np.count_nonzero(marked & known)
        found.append(round(2.0 * both / total, 3) if total else 1.0)
    return found
