"""Simpler designs, to measure what motion inside the network is worth.

Both correct a blend of the two slices as FlowInside does; one blends them where they are, the
other moves them along a flow that OpenCV found.
"""

from __future__ import annotations

import torch
from torch import Tensor

from SliceInterpLib.lab.half_flows import half_flows
from SliceInterpLib.networks.flow_inside import FlowInside, Gap, Motion, gap_of


class Plain(FlowInside):
    """No motion: the correction of the mean of the two slices.

    Args:
        widths: channels of each level, the finest first.
        blocks: residual blocks a level.
    """

    def __init__(self, widths: tuple[int, ...], blocks: int) -> None:
        super().__init__(residual_widths=widths, residual_blocks=blocks)
        del self.coarse, self.flow

    def gap(self, slices: Tensor) -> Gap:
        """No flow, and the two slices in equal parts."""
        images = list(slices.split(1, dim=1))
        still = torch.zeros_like(images[0])
        return gap_of(images, Motion(self.half_flow(slices), still))

    def half_flow(self, slices: Tensor) -> Tensor:
        """(n, 2, h, w), none."""
        return torch.zeros_like(slices)


class FlowGiven(Plain):
    """The same over slices moved along the flow of OpenCV's DIS in the brain window."""

    def half_flow(self, slices: Tensor) -> Tensor:
        """(n, 2, h, w), half of the mean of both flows."""
        return torch.from_numpy(half_flows(slices.detach().cpu().numpy())).to(slices.device)
