"""How far a predicted slice may be off: a small network that reads it from the prediction.

Where the two slices still differ once they are moved to one place, where the correction is
large and where there are edges, the prediction errs more; near one of the two it errs less. The
network sees these clues of each voxel and scores the logarithm of its error; a curve measured on
other patients turns the score into the expected absolute error in HU.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from SliceInterpLib.errors import MethodError
from SliceInterpLib.networks.prediction import Prediction, brain_view, wide_view
from SliceInterpLib.networks.registry import TrainedModel, read_card, read_weights

CLUES = 25
"""Channels of `clues`."""

ARCHITECTURE = "expected-error-2"

_LEAST_HU = 0.5
"""Added to a clue in HU before its logarithm is taken, as to the errors that are learned."""


def clues(a: Tensor, b: Tensor, hu: Tensor, found: Prediction) -> Tensor:
    """What tells of the error of a slice.

    Swapping the two slices changes nothing. What is noise at a pixel is a measure of the noise over
    its surroundings, so each clue is seen as it is and averaged more and more.

    Args:
        a: (n, 1, h, w) HU, one of the two slices; h and w multiples of 4.
        b: the other one, likewise.
        hu: (n, 1, h, w), the slice that was predicted between them, after any limit.
        found: what the network said of it, with its motion.

    Returns:
        (n, CLUES, h, w).

    Raises:
        MethodError: for a network without motion inside, which lacks what the clues are.
    """
    if found.half_flow is None or found.blend is None or found.moved is None:
        raise MethodError(
            "The expected error is read from the motion between the slices, which this model does "
            "not find. Choose a model of the architecture 'flow-inside-3'."
        )
    moved_a, moved_b, place = found.moved
    fine = torch.cat(
        [
            (moved_a - moved_b).abs(),
            (moved_a - hu).abs() + (moved_b - hu).abs(),
            (a - b).abs(),
            (hu - found.blend).abs(),
            _gradient(hu),
        ],
        1,
    )
    levels = [fine, _averaged(fine, 1), _averaged(fine, 2), _averaged(fine, 4)]
    view = brain_view(hu)
    part_a, part_b = place.to(hu.device).view(-1, 2, 1, 1, 1).unbind(1)
    return torch.cat(
        [
            *(log_size(level) for level in levels),
            log_size(torch.hypot(*found.half_flow.split(1, 1))),
            wide_view(hu),
            _averaged(view, 2),
            _averaged(view, 4),
            4.0 * part_a * part_b * torch.ones_like(view),
        ],
        1,
    )


def log_size(hu: Tensor) -> Tensor:
    """The logarithm of a difference or an error in HU; those below half a HU are much alike."""
    return torch.log(hu + _LEAST_HU)


def _averaged(image: Tensor, factor: int) -> Tensor:
    """Over some 3·factor pixels, at a fraction of the resolution on the way."""
    coarse = F.avg_pool2d(image, factor) if factor > 1 else image
    # Edges repeat, as where slices are padded.
    coarse = F.avg_pool2d(F.pad(coarse, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    if factor == 1:
        return coarse
    return F.interpolate(coarse, scale_factor=factor, mode="bilinear", align_corners=False)


def _gradient(hu: Tensor) -> Tensor:
    """Magnitude of the central differences, in HU a pixel."""
    framed = F.pad(hu, (1, 1, 1, 1), mode="replicate")
    across = framed[..., 1:-1, 2:] - framed[..., 1:-1, :-2]
    down = framed[..., 2:, 1:-1] - framed[..., :-2, 1:-1]
    return 0.5 * torch.hypot(across, down)


class ErrorScore(nn.Module):
    """The clues of voxels, (…, CLUES), to a score of their error, (…): about its `log_size`."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.zeros(CLUES))
        self.register_buffer("deviation", torch.ones(CLUES))
        self.layers = nn.Sequential(
            nn.Linear(CLUES, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 1),
        )

    def forward(self, seen: Tensor) -> Tensor:
        """The scores."""
        # Centring and scaling are done by the first layer, which saves a pass over all clues.
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        weight = first.weight / self.deviation
        hidden = F.linear(seen, weight, first.bias - weight @ self.mean)
        return self.layers[1:](hidden).squeeze(-1).float()


class ExpectedError(nn.Module):
    """Clues (n, CLUES, h, w) to the expected absolute error in HU, (n, h, w).

    Args:
        score: an `ErrorScore`.
        curve: (2, k): scores in ascending order, and what to add to a score there to have the
            logarithm of the expected error. Linear in between; beyond the ends as at the ends, so
            that errors larger than any that were measured still go on growing.
    """

    curve: Tensor

    def __init__(self, score: ErrorScore, curve: np.ndarray) -> None:
        super().__init__()
        self.score = score
        self.register_buffer("curve", torch.as_tensor(curve, dtype=torch.float32))

    def forward(self, seen: Tensor) -> Tensor:
        """The expected absolute error of a slice whose clues these are."""
        # Voxels as rows; the convolutions' layout is the quick way to get them.
        score = self.score(seen.contiguous(memory_format=torch.channels_last).movedim(1, -1))
        knots, offsets = self.curve
        inside = score.clamp(knots[0], knots[-1])
        right = torch.searchsorted(knots, inside.contiguous()).clamp(min=1)
        left = right - 1
        part = (inside - knots[left]) / (knots[right] - knots[left])
        return torch.exp(score + torch.lerp(offsets[left], offsets[right], part))


def card_path(model: TrainedModel) -> Path:
    """Where the card of the model's expected error is, if there is one."""
    return model.weights.parent / "expected-error" / f"{model.name}.json"


def load_expected_error(model: TrainedModel) -> ExpectedError:
    """The expected error of what `model` predicts, on the CPU.

    Raises:
        MethodError: if there is none for the model, or one for other weights than the model's, or
            if its file is not the one that its card describes.
    """
    path = card_path(model)
    remedy = "Fit it with: sliceinterp lab train-expected-error"
    if not path.exists():
        raise MethodError(f"The expected error of '{model.name}' was never measured. {remedy}")
    head = read_card(path)
    if head.card["architecture"] != ARCHITECTURE or head.card.get("model_sha256") != model.sha256:
        raise MethodError(
            f"The expected error in {path} is that of another version of '{model.name}'. {remedy}"
        )
    from safetensors.torch import load

    tensors = load(read_weights(head))
    expected = ExpectedError(ErrorScore(**head.card["configuration"]), tensors["curve"].numpy())
    expected.load_state_dict(tensors)
    return expected.eval()


def save_expected_error(
    expected: ExpectedError, model: TrainedModel, facts: dict[str, object]
) -> Path:
    """Write weights and card beside the model.

    Args:
        expected: what is written.
        model: the model whose error it tells.
        facts: what the card should say besides what loading needs.

    Returns:
        The card's path.
    """
    from safetensors.torch import save

    path = card_path(model)
    path.parent.mkdir(exist_ok=True)
    data = save({name: t.contiguous() for name, t in expected.state_dict().items()})
    weights = f"{model.name}.safetensors"
    card = {
        "name": model.name,
        "architecture": ARCHITECTURE,
        "configuration": {"width": expected.score.width},
        "weights": weights,
        "sha256": hashlib.sha256(data).hexdigest(),
        "parameters": sum(p.numel() for p in expected.parameters()),
        "model": model.name,
        "model_sha256": model.sha256,
    }
    path.with_name(weights).write_bytes(data)
    path.write_text(json.dumps(card | facts, indent=2) + "\n", encoding="utf-8")
    return path
