"""One run of the loss study: how it is set up, trained, and judged.

With the guard off a run is as the field reference's were (Cortés Ferre et al. 2026, arXiv
2606.09953): fp16 with a loss scale, SSIM as its library computes it, in fp16 too, and nothing
that catches a bad step. On CUDA that is plain autocast. On a CPU, whose fp16 convolutions take
seven times as long as fp32, it is autocast with the sums inside the network's convolutions, and
them alone, taken in fp32; see `quick_half`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from SliceInterpLib.evidence.heads import shows_head
from SliceInterpLib.evidence.metrics import slice_metrics
from SliceInterpLib.lab.peers.reference_unet import SMALL, ReferenceUNet
from SliceInterpLib.lab.training.guard import UNGUARDED, Guard
from SliceInterpLib.lab.training.losses import LOSSES, Loss
from SliceInterpLib.lab.training.trainer import Trainer, TrainingSettings
from SliceInterpLib.networks.devices import choose_device
from SliceInterpLib.networks.prediction import SIZE_MULTIPLE
from SliceInterpLib.volume import Volume

METRICS = ("psnr", "ssim", "ms_ssim", "mae")
"""What is measured of a trained network, as in `evidence.metrics`."""

MARGIN_DB = 6.0
"""A run whose PSNR is lower than that of the mean of the two slices by more than this failed."""

DEAD = 0.99
"""1 − similarity from which on a run is said to have not started."""

CHECKED_VOLUMES = 4


class Run(NamedTuple):
    """What distinguishes one run from the others of a study."""

    loss: str
    batch: int
    guarded: bool
    seed: int
    remedy: str = ""
    """One of REMEDIES, the only one that is on; empty: none."""


@dataclass(frozen=True)
class Plan:
    """What all runs of a study share, and which runs there are."""

    steps: int
    """Of every run."""
    losses: tuple[str, ...] = LOSSES
    batches: tuple[int, ...] = (2, 4, 8)
    seeds: int = 2
    """Runs of every setting, with seeds 1, 2, …"""
    default_seeds: int = 10
    """Runs of ms-ssim+l1 with the guard on, at every batch."""
    crop: int = 192
    """Pixels; a multiple of 32, and over 160 for MS-SSIM."""
    learning_rate: float = 1e-3
    full: bool = False
    """The reference's network rather than the small one."""
    device: str = "cpu"
    """'cpu' or 'cuda'."""

    def network(self) -> ReferenceUNet:
        """A new network with random weights."""
        return ReferenceUNet() if self.full else ReferenceUNet(**SMALL)


REMEDIES: dict[str, dict[str, Any]] = {
    "bf16 rather than fp16": {"precision": "bfloat16"},
    "fp32 rather than fp16": {"precision": "float32"},
    "similarity in fp32": {"loss": {"full_precision": True}},
    "K₂ = 0.4": {"loss": {"k": (0.01, 0.4)}},
    "SSIM not below 0": {"loss": {"nonnegative": True}},
    "prediction clipped": {"loss": {"clamp": True}},
    "learning rate ÷ 4": {"rate": 0.25},
    "similarity weight 0.1": {"loss": {"similarity_weight": 0.1}},
    "warm-up": {"guard": ("warm_up_steps",)},
    "gradients clipped": {"guard": ("clip_norm",)},
    "bad steps left out": {"guard": ("skip",)},
    "similarity ramped in": {"guard": ("ramp_from_step", "ramp_steps")},
    "start from trained L1": {"start": True},
    "control: no loss scale": {"scale": False},
}
"""By name, what each changes of a run with the guard off; "guard": what it takes of the guard.

The control is no remedy. It shows what the loss scale prevents, which leaves out every step whose
gradient is not finite and so is a guard itself, until enough of them have brought it down to 0.
"""


def settings_of(run: Run, plan: Plan) -> TrainingSettings:
    """How a run is trained."""
    guard = _shortened_guard(plan.steps)
    common = TrainingSettings(
        steps=plan.steps,
        batch=run.batch,
        crop=plan.crop,
        learning_rate=plan.learning_rate,
        guided_steps=0,
        ema_decay=max(0.0, 1.0 - 0.001 * TrainingSettings().steps / plan.steps),
        seed=run.seed,
    )
    if run.guarded:
        return replace(common, guard=guard, loss=Loss(run.loss))
    change = REMEDIES[run.remedy] if run.remedy else {}
    taken = {name: getattr(guard, name) for name in change.get("guard", ())}
    bare = Loss(run.loss, nonnegative=False, clamp=False, full_precision=False)
    loss = replace(bare, **change.get("loss", {}))
    if loss.similarity_weight != bare.similarity_weight and "+" not in loss.name:
        loss = replace(loss, name=loss.name + "+l1")
    return replace(
        common,
        learning_rate=plan.learning_rate * change.get("rate", 1.0),
        precision=change.get("precision", "float16"),
        guard=replace(UNGUARDED, **taken),
        loss=loss,
    )


def _shortened_guard(steps: int) -> Guard:
    """The guard with its schedule in the same proportion to a short run as to a usual one."""
    guard, part = Guard(), steps / TrainingSettings().steps
    return replace(
        guard,
        warm_up_steps=max(1, round(part * guard.warm_up_steps)),
        ramp_from_step=round(part * guard.ramp_from_step),
        ramp_steps=max(1, round(part * guard.ramp_steps)),
    )


class Examples(NamedTuple):
    """The volumes of a study."""

    training: Sequence[Volume]
    validation: Sequence[Volume]

    def checked(self) -> np.ndarray:
        """(n, 3, h, w) float32 HU: the middle triplets of the first few validation volumes.

        All are cut to the size of the smallest, and to what a network takes.
        """
        stacks = [
            volume.slices
            for volume in self.validation
            if volume.slice_count >= 3 and shows_head(volume.slices[volume.slice_count // 2])
        ][:CHECKED_VOLUMES]
        if not stacks:
            raise ValueError("No volume with at least 3 slices and a head to validate on")
        height, width = (
            min(stack.shape[axis] for stack in stacks) // SIZE_MULTIPLE * SIZE_MULTIPLE
            for axis in (1, 2)
        )
        middles = [stack[len(stack) // 2 - 1 :][:3, :height, :width] for stack in stacks]
        return np.stack(middles).astype(np.float32)


def mean_of_two(triplets: np.ndarray) -> dict[str, Any]:
    """The metrics of the mean of the two outer slices, over `Examples.checked`."""
    return _mean_metrics(triplets[:, [0, 2]].mean(1), triplets[:, 1])


def trainer_of(run: Run, plan: Plan, examples: Examples, folder: Path) -> Trainer:
    """A run before its first step.

    Args:
        run: which.
        plan: of the study.
        examples: the volumes.
        folder: exists; it gets the log of bad steps.
    """
    torch.manual_seed(run.seed)
    network = plan.network()
    settings = settings_of(run, plan)
    device = choose_device(plan.device)
    if settings.precision == "float16" and device.type == "cpu":
        quick_half(network)
    trainer = Trainer(network, examples.training, [], folder, settings, device=device)
    if run.remedy and "scale" in REMEDIES[run.remedy]:
        trainer.scaler = torch.amp.GradScaler(device.type, enabled=False)
    return trainer


def carry_out(
    run: Run,
    plan: Plan,
    examples: Examples,
    start: Path | None = None,
    *,
    save: Path | None = None,
) -> dict[str, Any]:
    """Train and judge: a record of numbers, strings and None, for a line of JSON.

    Args:
        run: which.
        plan: of the study.
        examples: the volumes.
        start: weights for the runs whose remedy wants trained ones.
        save: where to write the weights.
    """
    began = time.monotonic()
    with TemporaryDirectory(prefix="sliceinterp-study-") as folder:
        trainer = trainer_of(run, plan, examples, Path(folder))
        if run.remedy and "start" in REMEDIES[run.remedy]:
            if start is None:
                raise ValueError(f"'{run.remedy}' needs the weights to start from")
            trainer.network.load_state_dict(load_file(start, device=str(trainer.device)))
        steps = _train(trainer, plan.steps)
    if save:
        part = save.with_name(save.name + ".part")
        weights = trainer.network.state_dict()
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, part)
        part.replace(save)
    verdict = _judge(trainer, examples.checked())
    return run._asdict() | steps | verdict | {"seconds": time.monotonic() - began}


def _train(trainer: Trainer, steps: int) -> dict[str, object]:
    """What the steps themselves showed."""
    bad_losses, bad_gradients, dissimilar = [], [], []
    batches = trainer.batches()
    similarity = trainer.settings.loss.name
    for step in range(steps):
        already = trainer.watch.not_finite
        terms = trainer.train_step(next(batches))
        loss = sum(term.item() for term in terms.values())
        if not math.isfinite(loss):
            bad_losses.append(step)
        elif trainer.watch.not_finite > already:
            bad_gradients.append(step)
        if similarity in ("ssim", "ms-ssim") and similarity in terms:
            dissimilar.append(terms[similarity].item() / trainer.settings.guard.ramp(step))
        trainer.step += 1
    return {
        "steps": steps,
        "bad_losses": len(bad_losses),
        "first_bad_loss": min(bad_losses, default=None),
        "bad_gradients": len(bad_gradients),
        "first_bad_gradient": min(bad_gradients, default=None),
        "skipped": trainer.watch.skipped,
        "rollbacks": trainer.watch.rollbacks,
        "loss_scale": trainer.scaler.get_scale(),
        "last_loss": loss if math.isfinite(loss) else None,
        "stuck": bool(dissimilar) and all(value >= DEAD for value in dissimilar),
    }


def _judge(trainer: Trainer, triplets: np.ndarray) -> dict[str, object]:
    """Whether weights, statistics and validation are finite, and how good the validation is.

    The network itself is judged; its running average lags too far behind in a short run.
    """
    network = trainer.network.eval()
    found = {}
    for name, context in (
        ("own", trainer.autocast()),
        ("fp32", torch.autocast(trainer.device.type, enabled=False)),
    ):
        with torch.inference_mode(), context:
            pairs = torch.from_numpy(triplets[:, [0, 2]]).to(trainer.device)
            slices = [network(pair[None]).hu[0, 0].float().cpu().numpy() for pair in pairs]
        found[name] = np.stack(slices)
    own_finite, finite = (bool(np.isfinite(found[name]).all()) for name in ("own", "fp32"))
    truth = triplets[:, 1]
    metrics = _mean_metrics(found["fp32"], truth) if finite else dict.fromkeys(METRICS)
    return {
        "weights_finite": _finite(network.parameters()),
        "statistics_finite": _finite(network.buffers()),
        "validation_finite": own_finite and finite,
        "own_psnr": _mean_metrics(found["own"], truth)["psnr"] if own_finite else None,
        **metrics,
    }


def _finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def _mean_metrics(found: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    rows = [slice_metrics(one, other) for one, other in zip(found, truth, strict=True)]
    means: dict[str, float | None] = {}
    for name in METRICS:
        values = [value for row in rows if (value := row[name]) is not None]
        means[name] = float(np.mean(values)) if values else None
    return means


class _TensorCoreConvolution(nn.Conv2d):
    """Under autocast: input, weights, output and their gradients fp16, the sums within fp32."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            image, weight = (t.half().float() for t in (x, self.weight))
            bias = None if self.bias is None else self.bias.half().float()
            return self._conv_forward(image, weight, bias).half()


def quick_half(network: nn.Module) -> None:
    """Let the network's convolutions take their sums in fp32 under fp16 autocast on a CPU.

    So a GPU's tensor cores do: what is stored between two operations is fp16, forth and back, and
    overflows at 65504. All other operations remain autocast's.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = _TensorCoreConvolution
