"""Beside the head: linear interpolation, where a network is not asked, and no seam to the rest."""

from __future__ import annotations

import torch
from torch import Tensor

from SliceInterpLib.head_box import Box
from SliceInterpLib.networks.prediction import Moved, Prediction

SEAM = 12
"""Pixels over which one passes into the other: less than a network's margin, so none of the head's.
"""


def linear(a: Tensor, b: Tensor, place: Tensor) -> Prediction:
    """What a network would say that sees no motion and corrects nothing.

    Args:
        a: (1, 1, h, w) HU.
        b: (1, 1, h, w) HU.
        place: (2,), as `prediction.place` gives it.
    """
    part_a, part_b = place.tolist()
    hu = part_a * a + part_b * b
    return Prediction(
        hu=hu,
        view=hu,
        scale=lambda hu: hu,
        blend=hu,
        half_flow=torch.zeros_like(hu).expand(-1, 2, -1, -1),
        moved=Moved(a, b, place),
        lowest=torch.minimum(a, b),
        highest=torch.maximum(a, b),
    )


def faded_in(beside: Tensor, inside: Tensor, box: Box) -> Tensor:
    """What is in a box put into what lies beside it, more and more over SEAM pixels.

    Where the box ends with the slice there is nothing to fade into.

    Args:
        beside: (…, h, w), changed.
        inside: (…, box.height, box.width).
        box: its place.
    """
    within = beside[..., box.rows, box.columns]
    down = _weights(box.top, box.height, beside.shape[-2])
    across = _weights(box.left, box.width, beside.shape[-1])
    weights = torch.minimum(down[:, None], across).to(inside)
    within.lerp_(inside, weights)
    return beside


def _weights(first: int, length: int, whole: int) -> Tensor:
    """Of what is in the box: 1 from SEAM on, and less towards an end that is no edge."""
    place = torch.arange(length) + 0.5
    weights = torch.ones(length)
    if first > 0:
        weights = torch.minimum(weights, place / SEAM)
    if first + length < whole:
        weights = torch.minimum(weights, place.flip(0) / SEAM)
    return weights
