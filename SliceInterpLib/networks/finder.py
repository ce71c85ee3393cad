"""The network that marks where a hematoma may be: a U-Net that sees a slab with its two neighbours.

It works on slabs of about 5 mm with pixels of about 0.94 mm, in a brain window that scans saved
with a full range and scans saturated in that window share. After Ronneberger et al. 2015
(arXiv 1505.04597), with the neighbouring slabs as further channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from SliceInterpLib.hounsfield import Window
from SliceInterpLib.networks.registry import TrainedModel, load_network

PIXEL_MM = 0.94
"""Of a pixel that the network sees."""

SLAB_MM = 5.0
"""Thinner slices are averaged into slabs of about this."""

MARGIN = 8
"""Pixels around the head that are looked at."""

SEEN = Window(-20.0, 100.0)
"""HU beyond it are clipped, in training and in use: many scans were saved so."""


class FinderUNet(nn.Module):
    """(n, 3, h, w) slabs (before, itself, behind) in [0, 1] to (n, 1, h, w) logits of hematoma.

    h and w may be any; they are padded on the way. In evaluation mode what it says of a pixel
    depends on its surroundings alone.

    Args:
        widths: channels at full resolution, at half of it, and so on.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 96, 128)) -> None:
        super().__init__()
        self.down = nn.ModuleList([_convolution(3, widths[0])])
        for upper, lower in zip(widths, widths[1:], strict=False):
            self.down.append(
                nn.Sequential(
                    nn.AvgPool2d(2), _convolution(upper, lower), _convolution(lower, lower)
                )
            )
        self.up = nn.ModuleList()
        for index in range(len(widths) - 2, -1, -1):
            here = widths[index]
            layers = [_convolution(widths[index + 1] + here, here)]
            if index:  # at full resolution, where most of the time goes, one will do
                layers.append(_convolution(here, here))
            self.up.append(nn.Sequential(*layers))
        self.last = nn.Conv2d(widths[0], 1, 1)

    def forward(self, slabs: Tensor) -> Tensor:
        """The logits."""
        height, width = slabs.shape[2:]
        multiple = 2 ** (len(self.down) - 1)
        x = F.pad(slabs, (0, -width % multiple, 0, -height % multiple))
        seen = []
        for block in self.down:
            x = block(x)
            seen.append(x)
        for block, beside in zip(self.up, seen[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, beside], 1))
        return self.last(x)[..., :height, :width]


def _convolution(given: int, made: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(given, made, 3, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU()
    )


FINDERS: Mapping[str, Any] = {"finder-unet-1": FinderUNet}
"""The architectures that the card of a finder may name."""


def load_finder(model: TrainedModel) -> FinderUNet:
    """The finder with its weights; raises MethodError as `load_network` does."""
    return cast(FinderUNet, load_network(model, FINDERS))


@torch.inference_mode()
def probabilities(network: FinderUNet, slabs: Tensor) -> Tensor:
    """How likely each pixel of a stack of slabs is to be hematoma.

    Slab by slab, in float32 on the CPU: the same slabs give the same, whatever is beside them.

    Args:
        network: in evaluation mode.
        slabs: (n, h, w) in [0, 1], one after the other.

    Returns:
        (n, h, w).
    """
    found = torch.zeros_like(slabs)
    lit = (slabs > 0.0).any(0)
    if not lit.any():
        return found
    rows, columns = (_extent(lit.any(axis)) for axis in (1, 0))
    head = slabs[:, rows, columns]
    before, behind = torch.cat([head[:1], head[:-1]]), torch.cat([head[1:], head[-1:]])
    around = torch.stack([before, head, behind], 1)
    marked = torch.cat([network(one).sigmoid() for one in around.split(1)])
    found[:, rows, columns] = marked[:, 0]
    return found


def _extent(lit: Tensor) -> slice:
    """From the first to the last that is set, and MARGIN more on each side."""
    where = lit.nonzero()
    return slice(max(0, int(where[0]) - MARGIN), int(where[-1]) + 1 + MARGIN)
