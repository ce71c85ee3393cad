"""Residual U-Nets without normalisation, of which the networks are made."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from SliceInterpLib.networks.winograd import Conv3x3


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), without normalisation: nothing depends on the batch.

    Args:
        width: channels of x.
        waist: channels between the two convolutions.
    """

    def __init__(self, width: int, waist: int) -> None:
        super().__init__()
        self.first = Conv3x3(width, waist)
        self.second = Conv3x3(waist, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) to the same."""
        return self.second(F.relu(self.first(x), inplace=True)).add_(x)


class UNet(nn.Module):
    """A residual U-Net: residual blocks at each level, skips added rather than concatenated.

    The last layer starts at zero, so that an untrained network predicts nothing.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        widths: channels of each level, the finest first.
        blocks: how many residual blocks a level has, on the way down and on the way up.
        bottom_blocks: how many the coarsest level has; by default as many as a way.
        waists: channels inside the residual blocks of each level; by default its width.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        widths: tuple[int, ...],
        blocks: int,
        bottom_blocks: int | None = None,
        waists: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        *finer, coarsest = zip(widths, waists or widths, strict=True)

        def level(width: int, waist: int, count: int = blocks) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(width, waist) for _ in range(count)))

        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.head = nn.Conv2d(channels_in, widths[0], 3, padding=1)
        self.down_levels = nn.ModuleList(level(*sizes) for sizes in finer)
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.bottom = level(*coarsest, bottom_blocks or blocks)
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.up_levels = nn.ModuleList(level(*sizes) for sizes in finer)
        self.tail = nn.Conv2d(widths[0], channels_out, 3, padding=1)
        for parameter in self.tail.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, h, w) to (n, channels_out, h, w); h and w divide by 2 at each level."""
        x = self.head(x)
        skips = []
        for level, down in zip(self.down_levels, self.down, strict=True):
            x = level(x)
            skips.append(x)
            x = down(x)
        x = self.bottom(x)
        for level, up in reversed(list(zip(self.up_levels, self.up, strict=True))):
            x = F.interpolate(up(x), scale_factor=2.0, mode="nearest").add_(skips.pop())
            x = level(x)
        return self.tail(x)
