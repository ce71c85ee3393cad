"""Simpler designs, to measure what motion inside the network is worth.

Both correct a blend of the two slices as FlowInside does; one blends them where they are, the
other moves them along a flow that OpenCV found.
"""

from __future__ import annotations

import torch
from torch import Tensor

from SliceInterpLib.lab.half_flows import half_flows
from SliceInterpLib.networks.flow_inside import FlowInside, Motion


class Plain(FlowInside):
    """No motion: the correction of the mean of the two slices.

    Args:
        widths: channels of each level, the finest first.
        blocks: residual blocks a level.
    """

    def __init__(self, widths: tuple[int, ...], blocks: int) -> None:
        super().__init__(residual_widths=widths, residual_blocks=blocks)
        del self.flow

    def motion(self, images: list[Tensor], views: list[Tensor]) -> Motion:
        """No flow, and the two slices in equal parts."""
        still = torch.zeros_like(images[0])
        return Motion(torch.cat([still, still], 1), 0.0, still, None)


class FlowGiven(Plain):
    """The same over slices moved along the flow of OpenCV's DIS in the brain window."""

    def motion(self, images: list[Tensor], views: list[Tensor]) -> Motion:
        """Half of the mean of both flows, and the two slices in equal parts."""
        half_flow = torch.from_numpy(half_flows(torch.cat(images, 1).detach().cpu().numpy()))
        still = torch.zeros_like(images[0])
        return Motion(half_flow.to(still.device), 0.0, still, None)
