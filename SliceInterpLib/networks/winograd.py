"""3×3 convolutions in float32 on a CPU with less than half the multiplications.

Winograd's F(4×4, 3×3): Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
oneDNN runs near the peak of an AVX2 core, so that only less arithmetic helps there; it has no
Winograd of its own. The sums are rounded otherwise than those of a plain convolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PAYS = torch.backends.cpu.get_cpu_capability() == "AVX2"
"""With AVX-512 a plain convolution takes no longer (measured)."""

_FEWEST_CHANNELS = 48
"""With less, in or out, the transforms take more time than the multiplications save (measured)."""

_TILE = 4
"""Pixels of a tile of the result, on a side."""

_TILES_AT_ONCE = 64
"""An image is done in bands of so many tiles at most, each of which stays in the cache."""

_INPUT = torch.tensor(
    [
        [4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
        [0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
        [0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
        [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
        [0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
        [0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
    ]
)
_KERNEL = torch.tensor(
    [
        [1 / 4, 0.0, 0.0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0.0, 0.0, 1.0],
    ]
)
_OUTPUT = torch.tensor(
    [
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        [0.0, 1.0, -1.0, 2.0, -2.0, 0.0],
        [0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
        [0.0, 1.0, -1.0, 8.0, -8.0, 1.0],
    ]
)
# Rows and columns at once, as one matrix product over all pixels and channels.
_INPUT_2D, _KERNEL_2D, _OUTPUT_2D = (
    torch.kron(one, one).contiguous() for one in (_INPUT, _KERNEL, _OUTPUT)
)


class Conv3x3(nn.Conv2d):
    """A 3×3 convolution, padded with zeros, with the weights and names of nn.Conv2d."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, h, w) to (n, channels_out, h, w)."""
        return self._by_winograd(x) if self._is_worth_it(x) else super().forward(x)

    def _is_worth_it(self, x: Tensor) -> bool:
        return (
            _PAYS
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and min(self.in_channels, self.out_channels) >= _FEWEST_CHANNELS
            and x.shape[2] % _TILE == x.shape[3] % _TILE == 0
        )

    def _by_winograd(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        last = self.weight.permute(2, 3, 1, 0)  # pixels, in, out
        weights = (_KERNEL_2D @ last.reshape(9, -1)).view(36, self.in_channels, self.out_channels)
        framed = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        height, width = x.shape[2:]
        found = x.new_empty(len(x), height, width, self.out_channels)
        band = _TILE * max(1, _TILES_AT_ONCE // (width // _TILE))
        # One image after the other: each is rounded as if it were alone.
        for image, to in zip(framed, found, strict=True):
            for top in range(0, height, band):
                part = to[top : top + band]
                tiles = image[top : top + len(part) + 2].unfold(0, 6, _TILE).unfold(1, 6, _TILE)
                seen = _INPUT_2D @ tiles.permute(3, 4, 0, 1, 2).reshape(36, -1)
                products = torch.bmm(seen.view(36, -1, self.in_channels), weights)
                blocks = (_OUTPUT_2D @ products.view(36, -1)).view(
                    _TILE, _TILE, -1, width // _TILE, self.out_channels
                )
                torch.add(
                    blocks.permute(2, 0, 3, 1, 4),
                    self.bias,
                    out=part.view(-1, _TILE, width // _TILE, _TILE, self.out_channels),
                )
        return found.permute(0, 3, 1, 2)
