"""Simpler designs, to measure what motion inside the network is worth.

Both correct a blend of the two slices as FlowInside does; one blends them where they are, the
other moves them along a flow that OpenCV found.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from SliceInterpLib.dense_flow import both_flows
from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.networks.flow_inside import FlowInside, Motion


class Plain(FlowInside):
    """No motion: the correction of the mean of the two slices."""

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
        first, second = (hu[:, 0].detach().cpu().float().numpy() for hu in images)
        flows = np.stack([both_flows(*pair, BRAIN) for pair in zip(first, second, strict=True)])
        half_flow = torch.from_numpy(0.25 * (flows[:, 1] - flows[:, 0])).permute(0, 3, 1, 2)
        still = torch.zeros_like(images[0])
        return Motion(half_flow.to(still.device), 0.0, still, None)
