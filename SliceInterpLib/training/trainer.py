"""The trainer: one loop, resumable, the same result for the same seed and number of steps.

A run's folder holds `checkpoint.safetensors` (all that is needed to go on), `model.safetensors`
(the averaged weights so far) and `log.jsonl`. Nothing is pickled.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.networks.devices import has_bf16
from SliceInterpLib.training.losses import flow_guidance, prediction_loss
from SliceInterpLib.training.triplets import Triplets
from SliceInterpLib.volume import Volume

RAMP_STEPS = 500
"""Steps over which the similarity term comes in."""


@dataclass(frozen=True)
class Settings:
    """How to train. The schedule runs over `steps`, or over `minutes` of training where given."""

    steps: int = 5000
    minutes: float | None = None
    batch: int = 6
    crop: int = 192
    learning_rate: float = 4e-4
    warm_up_steps: int = 200
    similarity: float = 0.3
    similarity_from_step: int = 300
    guided_steps: int = 2000
    ema_decay: float = 0.999
    clip_norm: float = 1.0
    seed: int = 1
    checkpoint_every: int = 500


class Trainer:
    """Trains `network` (a module that returns a Prediction) on triplets from `volumes`."""

    def __init__(
        self,
        network: nn.Module,
        volumes: Sequence[Volume],
        validation: Sequence[Volume],
        folder: Path,
        settings: Settings,
        *,
        device: torch.device | None = None,
        log: Callable[[dict], None] = lambda record: None,
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.device = device or torch.device("cpu")
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.average = AveragedModel(
            self.network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay)
        )
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=1e-4
        )
        self.triplets = Triplets(volumes, settings.crop)
        self.validation = validation
        self.rng = np.random.default_rng(settings.seed)
        self.step = 0
        self.seconds = 0.0
        self.log = log

    def run(self) -> None:
        """Train to the end of the schedule, going on from the folder's checkpoint, if any."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / "checkpoint.safetensors").exists():
            self.restore()
        while self.progress < 1.0:
            started = time.monotonic()
            terms = self.train_step()
            self.step += 1
            self.seconds += time.monotonic() - started
            if self.step % 50 == 0:
                self.record(**{name: float(term.detach()) for name, term in terms.items()})
            if self.step % self.settings.checkpoint_every == 0:
                self.save()
        self.save()

    @property
    def progress(self) -> float:
        """How much of the schedule is done, 0…1."""
        if self.settings.minutes is not None:
            return self.seconds / 60.0 / self.settings.minutes
        return self.step / self.settings.steps

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to a hundredth."""
        warm_up = min(1.0, (self.step + 1) / self.settings.warm_up_steps)
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, self.progress)))
        return self.settings.learning_rate * warm_up * (0.01 + 0.99 * cosine)

    def autocast(self) -> AbstractContextManager:
        """Convolutions in bf16, which needs no loss scale; losses and warp stay in fp32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=has_bf16(self.device))

    def train_step(self) -> dict[str, Tensor]:
        """One optimiser step on one random batch; the terms of its loss."""
        hu = self.triplets.batch(self.rng, self.settings.batch)
        pair, target = hu[:, [0, 2]], torch.from_numpy(hu[:, [1]]).to(self.device)
        with self.autocast():
            prediction = self.network(torch.from_numpy(pair).to(self.device))
        terms = prediction_loss(prediction, target, self.similarity_weight())
        if self.step < self.settings.guided_steps:
            guidance = 1.0 - self.step / self.settings.guided_steps
            terms["guide"] = 0.02 * guidance * flow_guidance(prediction.half_flow, pair)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
            self.average.update_parameters(self.network)
        else:
            self.record(skipped="gradient is not finite")
        return terms

    def similarity_weight(self) -> float:
        """Zero at first, then ramped in."""
        ramp = (self.step - self.settings.similarity_from_step) / RAMP_STEPS
        return self.settings.similarity * min(1.0, max(0.0, ramp))

    @torch.inference_mode()
    def validate(self, slices_per_volume: int = 4) -> float | None:
        """PSNR (dB, brain window) of held-out slices predicted by the averaged network."""
        errors = []
        for volume in self.validation:
            stack = volume.slices
            for middle in np.linspace(1, len(stack) - 2, slices_per_volume).round().astype(int):
                hu = np.stack([stack[i] for i in (middle - 1, middle, middle + 1)])
                height, width = (side // 32 * 32 for side in hu.shape[1:])
                hu = hu[None, :, :height, :width].astype(np.float32)
                with self.autocast():
                    found = self.average.module(torch.from_numpy(hu[:, [0, 2]]).to(self.device))
                error = BRAIN.scale(found.hu.float().cpu().numpy()) - BRAIN.scale(hu[:, [1]])
                errors.append(float(np.mean(error**2)))
        return float(np.mean(-10.0 * np.log10(errors))) if errors else None

    def record(self, **values: object) -> None:
        """One line of the log, to the folder and to the caller."""
        line = {
            "step": self.step,
            "minutes": round(self.seconds / 60.0, 2),
            "lr": self.learning_rate(),
        } | values
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        self.log(line)

    def save(self) -> None:
        """Write the checkpoint and the averaged weights, each complete or not at all."""
        self.record(valid_psnr=self.validate())
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "settings": asdict(self.settings),
            "rng": self.rng.bit_generator.state,
        }
        _replace(
            self.folder / "checkpoint.safetensors",
            lambda path: save_file(self._tensors(), path, metadata={"state": json.dumps(state)}),
        )
        weights = {
            name: tensor.contiguous() for name, tensor in self.average.module.state_dict().items()
        }
        _replace(self.folder / "model.safetensors", lambda path: save_file(weights, path))

    def restore(self) -> None:
        """Go on exactly where the folder's checkpoint was written."""
        path = self.folder / "checkpoint.safetensors"
        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
        tensors = load_file(path, device=str(self.device))
        self.step, self.seconds = state["step"], state["seconds"]
        self.rng.bit_generator.state = state["rng"]
        self.network.load_state_dict(_part(tensors, "network."))
        self.average.load_state_dict(_part(tensors, "average."))
        adam = self.optimizer.state_dict()
        moments = _part(tensors, "adam.")
        adam["state"] = {
            index: {name: moments[f"{index}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
            for index in range(len(list(self.network.parameters())))
            if f"{index}.step" in moments
        }
        self.optimizer.load_state_dict(adam)

    def _tensors(self) -> dict[str, Tensor]:
        moments = self.optimizer.state_dict()["state"]
        named = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        named |= {f"average.{name}": t for name, t in self.average.state_dict().items()}
        named |= {
            f"adam.{index}.{name}": tensor
            for index, values in moments.items()
            for name, tensor in values.items()
        }
        return {name: tensor.contiguous() for name, tensor in named.items()}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file under a temporary name, then put it in its place."""
    temporary = path.with_name(path.name + ".part")
    write(temporary)
    os.replace(temporary, path)
