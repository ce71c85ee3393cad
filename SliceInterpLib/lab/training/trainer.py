"""The trainer: one loop, resumable, the same result for the same seed and number of steps.

A run's folder holds a checkpoint (all that is needed to go on, see `checkpoints`),
`model.safetensors` (the averaged weights so far) and `log.jsonl`. Nothing is pickled.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from SliceInterpLib.errors import TrainingError
from SliceInterpLib.evidence.holdout import to_hide
from SliceInterpLib.evidence.metrics import psnr
from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.lab.training import checkpoints
from SliceInterpLib.lab.training.guard import Guard, Watch
from SliceInterpLib.lab.training.losses import Loss, flow_guidance
from SliceInterpLib.lab.training.parallel import ALONE, Processes
from SliceInterpLib.lab.training.triplets import Augmentation, Example, Triplets
from SliceInterpLib.networks.devices import has_bf16, on_device
from SliceInterpLib.networks.prediction import Network, padded
from SliceInterpLib.upsampling import predict_between
from SliceInterpLib.volume import Volume


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. The schedule runs over `steps`, or over `minutes` of training where given."""

    steps: int = 5000
    minutes: float | None = None
    batch: int = 6
    """Examples a step, over all processes."""
    crop: int = 192
    learning_rate: float = 4e-4
    guided_steps: int = 2000
    """Over so many steps the flow is drawn towards OpenCV's, less and less."""
    ema_decay: float = 0.999
    precision: str = "bfloat16"
    """Of convolutions: 'bfloat16' where the hardware has it (it needs no loss scale), 'float16'
    (with a loss scale; slow on most CPUs and prone to overflow) or 'float32'."""
    seed: int = 1
    workers: int = 0
    """Processes that prepare examples."""
    checkpoint_every: int = 500
    """Steps."""
    checkpoint_minutes: float | None = None
    """Of training, where that comes sooner."""
    loss: Loss = field(default_factory=Loss)
    guard: Guard = field(default_factory=Guard)
    augmentation: Augmentation = field(default_factory=Augmentation)


class Trainer:
    """Trains a network on triplets.

    Args:
        network: a module that returns a Prediction.
        volumes: what the triplets are of.
        validation: volumes of other patients, to judge by.
        folder: for the checkpoint, the averaged weights and the log.
        settings: how to train.
        device: by default the CPU.
        processes: those that train together.
        log: called with each record of the training.
    """

    def __init__(
        self,
        network: Network,
        volumes: Sequence[Volume],
        validation: Sequence[Volume],
        folder: Path,
        settings: TrainingSettings,
        *,
        device: torch.device | None = None,
        processes: Processes = ALONE,
        log: Callable[[dict], None] = lambda record: None,
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.device = device or torch.device("cpu")
        self.processes = processes
        self.network = on_device(network, self.device)
        self.average = AveragedModel(
            self.network, multi_avg_fn=partial(_move_average, settings.ema_decay)
        )
        # What is called in a step: with several processes, it also averages the gradients.
        self.parallel = (
            DistributedDataParallel(self.network) if processes.count > 1 else self.network
        )
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=1e-4
        )
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=settings.precision == "float16"
        )
        self.triplets = Triplets(
            volumes,
            settings.crop,
            context=network.context,
            seed=settings.seed,
            augmentation=settings.augmentation,
            any_place=network.any_place,
        )
        self.validation = validation
        self.watch = Watch(settings.guard)
        self.step = 0
        self.seconds = 0.0
        self._saved_at = 0.0
        self.log = log

    def run(self, leave_after: float = math.inf) -> None:
        """Train to the end of the schedule, going on from the folder's checkpoint, if any.

        Args:
            leave_after: minutes of training after which to write a checkpoint and leave off, for
                another call to go on.

        Raises:
            TrainingError: when the weights are no longer finite, which cannot happen under the
                guard; the files then are those of the last checkpoint before.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if state := checkpoints.read_state(self.folder):
            self.restore(state)
        began_at, began = self.step, self.seconds
        self._saved_at, leave_at = began, began + 60.0 * leave_after
        batches = self.batches()
        while self.progress < 1.0 and self.seconds < leave_at:
            started = time.monotonic()
            terms = self.train_step(next(batches))
            self.step += 1
            # The slowest process sets the clock, so that all leave the loop together.
            self.seconds += self.processes.largest(time.monotonic() - started)
            if self.step % 50 == 0:
                speed = (self.step - began_at) / (self.seconds - began)
                self.record(
                    **{name: term.item() for name, term in terms.items()},
                    steps_per_second=round(speed, 3),
                    examples_per_second=round(speed * self.settings.batch, 2),
                )
            if self.step % self.settings.checkpoint_every == 0 or self._overdue:
                self.save()
        self.save()

    @property
    def _overdue(self) -> bool:
        """Whether the latest checkpoint is too old."""
        minutes = self.settings.checkpoint_minutes
        return minutes is not None and self.seconds - self._saved_at >= 60.0 * minutes

    @property
    def progress(self) -> float:
        """How much of the schedule is done, 0…1."""
        if self.settings.minutes is not None:
            return self.seconds / 60.0 / self.settings.minutes
        return self.step / self.settings.steps

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to a hundredth; less after a rollback."""
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, self.progress)))
        warm_up = self.settings.guard.warm_up(self.step)
        return self.settings.learning_rate * self.watch.rate * warm_up * (0.01 + 0.99 * cosine)

    def autocast(self) -> AbstractContextManager:
        """Convolutions in half precision; losses and warp stay in fp32."""
        kind = getattr(torch, self.settings.precision)
        enabled = has_bf16(self.device) if kind == torch.bfloat16 else kind == torch.float16
        return torch.autocast(self.device.type, kind if enabled else None, enabled=enabled)

    def batches(self) -> Iterator[Example]:
        """This process's share of each step's batch, from now on."""
        shares = _Shares(self.step, self.settings.batch, self.processes)
        yield from DataLoader(
            self.triplets,
            batch_sampler=shares,
            num_workers=self.settings.workers,
            pin_memory=self.device.type == "cuda",
        )

    def train_step(self, batch: Example) -> dict[str, Tensor]:
        """One optimiser step on one batch; the terms of its loss."""
        # From pinned memory a GPU takes them while it computes.
        hu = batch.hu.to(self.device, non_blocking=True)
        middle = hu.shape[1] // 2
        slices = torch.cat([hu[:, :middle], hu[:, middle + 1 :]], 1)
        target = hu[:, middle : middle + 1]
        self.network.train()
        where = [batch.place] if self.network.any_place else []
        with self.autocast():
            prediction = self.parallel(slices, *where)
            terms = self.settings.loss.terms(
                prediction,
                target,
                self.settings.guard.ramp(self.step),
                batch.bone_only.to(self.device),
            )
        if self.step < self.settings.guided_steps and prediction.half_flow is not None:
            guidance = 1.0 - self.step / self.settings.guided_steps
            pair = batch.hu[:, [middle - 1, middle + 1]].numpy()
            terms["guide"] = 0.02 * guidance * flow_guidance(prediction.half_flow, pair)
        loss = torch.stack(list(terms.values())).sum()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        clip = self.settings.guard.clip_norm
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), clip or math.inf)
        self._follow(self.watch.judge(self.processes.largest(loss.item()), norm.item()))
        return terms

    def _follow(self, verdict: str) -> None:
        """Do what the guard says of the gradient that was just found."""
        if verdict == "step":
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.average.update_parameters(self.network)
            return
        self.scaler.update()
        # The forward pass has already put what it saw into the statistics of a batch norm.
        for buffer, last_good in zip(
            self.network.buffers(), self.average.module.buffers(), strict=True
        ):
            buffer.copy_(last_good)
        self.record(alarm="the loss or its gradient is not finite or far too large: step left out")
        if verdict == "rollback":
            self.network.load_state_dict(self.average.module.state_dict())
            self.optimizer.state.clear()
            self.record(
                alarm=f"{self.settings.guard.rollback_after} bad steps in a row: back to the "
                f"averaged weights, learning rate × {self.watch.rate:g}"
            )

    @torch.inference_mode()
    def validate(self, slices_per_volume: int = 4) -> float | None:
        """PSNR (dB, brain window) of held-out slices predicted by the averaged network."""
        errors = []
        network = self.average.module.eval()
        predictor = _Predictor(network, self.network.context, self.device, self.autocast)
        for volume in self.validation:
            stack, shown = volume.slices, to_hide(volume).indices
            if not shown:
                continue
            # Not the outermost: where the head ends, a little error is many decibels.
            places = np.linspace(1, len(shown), slices_per_volume + 2)[1:-1].round().astype(int)
            middles = np.take(shown, places - 1)
            for first, (found,) in predict_between(
                stack, (middles - 1).tolist(), predictor, step=2
            ):
                error = BRAIN.scale(found) - BRAIN.scale(stack[first + 1])
                errors.append(np.mean(error.astype(np.float64) ** 2))
        return float(np.mean([psnr(error) for error in errors])) if errors else None

    def record(self, **values: object) -> None:
        """One line of the log, to the folder and to the caller."""
        if self.processes.rank:
            return
        line = {
            "step": self.step,
            "minutes": round(self.seconds / 60.0, 2),
            "lr": self.learning_rate(),
        } | values
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        self.log(line)

    def save(self) -> None:
        """Write the checkpoint and the averaged weights, each complete or not at all.

        Raises:
            TrainingError: if a weight is not finite; nothing is written.
        """
        tensors = self._tensors()
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            self.record(alarm="the weights are not finite: the run ends, nothing was written")
            raise TrainingError(
                f"The training diverged before step {self.step}: its weights are not finite. "
                f"{self.folder} keeps the last good ones, if any. Train with the guard on."
            )
        if self.processes.rank:
            return
        self.record(
            valid_psnr=self.validate(),
            not_finite=self.watch.not_finite,
            rollbacks=self.watch.rollbacks,
        )
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "settings": asdict(self.settings),
            "watch": self.watch.state(),
        }
        checkpoints.write(self.folder, tensors, state)
        weights = {
            name: tensor.contiguous() for name, tensor in self.average.module.state_dict().items()
        }
        checkpoints.replace_file(self.folder / "model.safetensors", partial(save_file, weights))
        self._saved_at = self.seconds

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where the folder's checkpoint, with this state, was written."""
        tensors = checkpoints.read_tensors(self.folder, self.device)
        self.step, self.seconds = state["step"], state["seconds"]
        self.watch.restore(state["watch"])
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


class _Shares:
    """Numbers of the examples of each step from `step` on, without end, for one process."""

    def __init__(self, step: int, batch: int, processes: Processes) -> None:
        self.step, self.batch, self.processes = step, batch, processes

    def __iter__(self) -> Iterator[list[int]]:
        step = self.step
        while True:
            numbers = range(step * self.batch, (step + 1) * self.batch)
            yield list(numbers[self.processes.rank :: self.processes.count])
            step += 1


class _Predictor:
    """A network in training as an interpolator."""

    name = "in training"
    provenance: Mapping[str, object] = MappingProxyType({})

    def __init__(
        self,
        network: nn.Module,
        context: int,
        device: torch.device,
        autocast: Callable[[], AbstractContextManager],
    ) -> None:
        self.network, self.context = network, context
        self.device, self.autocast = device, autocast

    def __call__(self, pairs: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
        for pair in pairs:
            height, width = pair.shape[1:]
            with self.autocast():
                found = self.network(padded(pair[None]).to(self.device))
            yield found.hu[0, :, :height, :width].float().cpu().numpy()


@torch.no_grad()
def _move_average(
    decay: float, average: list[Tensor], current: list[Tensor], steps: Tensor
) -> None:
    """Move the averaged weights towards the current ones; more at first, to forget the start."""
    keep = min(decay, (1.0 + steps.item()) / (10.0 + steps.item()))
    torch._foreach_lerp_(average, current, 1.0 - keep)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
