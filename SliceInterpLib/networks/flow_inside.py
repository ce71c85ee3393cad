"""Flow inside: a network that finds the motion between two slices and predicts the middle one.

Between two slices anatomy moves sideways (the skull tapers, a ventricle opens), and the mean
of the two blurs whatever moves. So a first U-Net estimates how far each slice must be moved
towards the middle, both slices are moved there in full-range HU and blended, and a second
U-Net corrects the blend. The flow is measured in pixels and not in HU, which is why one
flow, found where the contrast is, carries bone and air as well.

The networks see every slice twice: in the brain window, where most training data ends, and
compressed over the whole range. The correction is made on the compressed scale: a step that
is one HU in brain is some twenty in bone and air.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from SliceInterpLib.hounsfield import BRAIN

SIZE_MULTIPLE = 32
"""Height and width inside the network are padded to a multiple of this."""


class Prediction(NamedTuple):
    """What the network says of the middle slice: float32, (n, 1, h, w) unless said otherwise."""

    hu: Tensor
    """The middle slice in HU, before any limit."""
    wide: Tensor
    """The same as a wide view."""
    blend: Tensor
    """The two moved slices, blended, in HU; `hu` is this, corrected."""
    half_flow: Tensor
    """(n, 2, h, w): pixels (x, y); the first slice is sampled at x + flow, the second at −flow."""
    lowest: Tensor
    """The lowest HU at each place among the two slices and the two moved slices."""
    highest: Tensor
    """The highest."""


def brain_view(hu: Tensor) -> Tensor:
    """HU to the brain window, clipped to [0, 1]."""
    return ((hu - BRAIN.low) / BRAIN.width).clamp(0.0, 1.0)


def wide_view(hu: Tensor) -> Tensor:
    """HU compressed by asinh: nearly linear, with the brain window's slope, in soft tissue.

    Air lies at −1.7, dense bone at 2.2.
    """
    return torch.asinh((hu - 35.0) / 60.0) * (60.0 / BRAIN.width)


def from_wide_view(view: Tensor) -> Tensor:
    """The HU of a wide view, up to about ±7000."""
    return torch.sinh(view.clamp(-2.6, 2.6) * (BRAIN.width / 60.0)) * 60.0 + 35.0


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), without normalisation: nothing depends on the batch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) to the same."""
        return x + self.second(F.relu(self.first(x)))


class UNet(nn.Module):
    """A residual U-Net: `blocks` residual blocks a level, skips added rather than concatenated.

    The last layer starts at zero, so that an untrained network predicts nothing.
    """

    def __init__(
        self, channels_in: int, channels_out: int, widths: tuple[int, ...], blocks: int
    ) -> None:
        super().__init__()

        def level(width: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))

        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.head = nn.Conv2d(channels_in, widths[0], 3, padding=1)
        self.down_levels = nn.ModuleList(level(fine) for fine, _ in steps)
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.bottom = level(widths[-1])
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.up_levels = nn.ModuleList(level(fine) for fine, _ in steps)
        self.tail = nn.Conv2d(widths[0], channels_out, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, h, w) to (n, channels_out, h, w); h and w divide by 2 at each level."""
        x = self.head(x)
        skips = []
        for level, down in zip(self.down_levels, self.down, strict=True):
            x = level(x)
            skips.append(x)
            x = down(x)
        x = self.bottom(x)
        for level, up, skip in reversed(list(zip(self.up_levels, self.up, skips, strict=True))):
            x = level(skip + F.interpolate(up(x), scale_factor=2.0, mode="nearest"))
        return self.tail(x)


class FlowInside(nn.Module):
    """Two slices in HU in, the slice midway between them in HU out.

    Swapping the two slices gives the same middle slice: the flow and the blend are made from
    the difference of the two orders, and the correction only sees what does not change.
    """

    def __init__(
        self,
        flow_widths: tuple[int, ...] = (48, 64, 96, 128),
        flow_blocks: int = 1,
        residual_widths: tuple[int, ...] = (48, 80, 128),
        residual_blocks: int = 2,
    ) -> None:
        super().__init__()
        # A quarter of the resolution for the flow (16 pixels of two views of two slices become
        # channels), half of it for the correction (4 pixels of two views of four features).
        self.flow = UNet(2 * 2 * 16, 3, tuple(flow_widths), flow_blocks)
        self.residual = UNet(2 * 4 * 4, 4, tuple(residual_widths), residual_blocks)

    def forward(self, pair: Tensor) -> Prediction:
        """(n, 2, h, w) HU float32, h and w multiples of SIZE_MULTIPLE."""
        a, b = pair[:, :1], pair[:, 1:]
        half_flow, towards_a = self.motion(a, b)
        moved_a, moved_b = warp(a, half_flow), warp(b, -half_flow)
        # sigmoid(l) and sigmoid(−l) rather than 1 − sigmoid(l): exactly the same when swapped.
        blend = torch.sigmoid(towards_a) * moved_a + torch.sigmoid(-towards_a) * moved_b
        wide = wide_view(blend) + self.correction(a, b, moved_a, moved_b, blend)
        return Prediction(
            hu=from_wide_view(wide),
            wide=wide,
            blend=blend,
            half_flow=half_flow,
            lowest=torch.minimum(torch.minimum(a, b), torch.minimum(moved_a, moved_b)),
            highest=torch.maximum(torch.maximum(a, b), torch.maximum(moved_a, moved_b)),
        )

    def motion(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Half-flow in pixels (n, 2, h, w) and blend logit (n, 1, h, w), both odd under a swap."""
        views = (torch.cat([brain_view(hu), wide_view(hu)], 1) for hu in (a, b))
        view_a, view_b = (F.pixel_unshuffle(view, 4) for view in views)
        both_orders = torch.cat([torch.cat([view_a, view_b], 1), torch.cat([view_b, view_a], 1)])
        forth, back = self.flow(both_orders).float().chunk(2)
        motion = F.interpolate(forth - back, scale_factor=4.0, mode="bilinear", align_corners=False)
        # Contiguous, since a strided sigmoid may round differently from a contiguous one.
        return 4.0 * motion[:, :2], motion[:, 2:].contiguous()

    def correction(
        self, a: Tensor, b: Tensor, moved_a: Tensor, moved_b: Tensor, blend: Tensor
    ) -> Tensor:
        """What to add to the blend's wide view, (n, 1, h, w)."""
        features = []
        for view in (brain_view, wide_view):
            one, other, moved_one, moved_other = map(view, (a, b, moved_a, moved_b))
            features += [
                view(blend),
                (moved_one - moved_other).abs(),
                0.5 * (one + other),
                (one - other).abs(),
            ]
        folded = F.pixel_unshuffle(torch.cat(features, dim=1), 2)
        return F.pixel_shuffle(self.residual(folded).float(), 2)


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Sample `image` (n, c, h, w) at x + flow, flow (n, 2, h, w) in pixels (x, y); edges repeat."""
    _, _, height, width = image.shape
    y, x = torch.meshgrid(
        torch.arange(height, dtype=flow.dtype, device=flow.device),
        torch.arange(width, dtype=flow.dtype, device=flow.device),
        indexing="ij",
    )
    grid = torch.stack(
        [
            (x + flow[:, 0] + 0.5) * (2.0 / width) - 1.0,
            (y + flow[:, 1] + 0.5) * (2.0 / height) - 1.0,
        ],
        dim=-1,
    )
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
