"""The field reference's network: a plain U-Net with an EfficientNetV2-S encoder.

M. Cortés Ferre et al., Deep Slice Interpolation for Reducing Through-Plane Anisotropy and Noise
in Head CT (arXiv 2606.09953, 2026), predict the middle slice straight from the two, on the brain
window. This is that network as their text describes it, the peer of our own networks: same size
(22,093,257 parameters), same work (49.7 GFLOP a 512×512 pair), none of their code or weights.

The encoder is that of M. Tan and Q. V. Le, EfficientNetV2: Smaller Models and Faster Training
(ICML 2021), without its classifier; the decoder is that of O. Ronneberger et al., U-Net (MICCAI
2015), with nearest upsampling and batch normalisation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.networks.prediction import Network, Prediction, brain_view

SMALL = {
    "encoder_widths": (8, 16, 24, 32, 48, 64),
    "encoder_depths": (1, 1, 1, 2, 2, 2),
    "decoder_widths": (48, 32, 16, 16, 8),
}
"""A configuration of some 0.3 million parameters, small enough to train on a CPU."""

_STAGES = (
    # Fused convolution or not, expansion, stride; the stem before them has stride 2 as well.
    (True, 1, 1),
    (True, 4, 2),
    (True, 4, 2),
    (False, 4, 2),
    (False, 6, 1),
    (False, 6, 2),
)

_KEPT = (0, 1, 2, 4)
"""The stages whose features are handed across, at strides 2, 4, 8 and 16."""

_CROP = 256
_SLICE = 512


class ReferenceUNet(Network):
    """Two slices in HU in, the slice midway between them in HU out, seen in the brain window.

    The defaults are the reference. Weights start at random. Outside the brain window nothing is
    known of the slices, and swapping them may change the result.

    Args:
        encoder_widths: channels of the encoder's six stages.
        encoder_depths: blocks of these stages.
        decoder_widths: channels of the decoder's five stages, the coarsest first.

    Raises:
        ValueError: for another number of stages or an empty one.
    """

    context = 0

    def __init__(
        self,
        encoder_widths: Sequence[int] = (24, 48, 64, 128, 160, 256),
        encoder_depths: Sequence[int] = (2, 4, 4, 6, 9, 15),
        decoder_widths: Sequence[int] = (256, 128, 64, 32, 16),
    ) -> None:
        super().__init__()
        if (len(encoder_widths), len(encoder_depths), len(decoder_widths)) != (6, 6, 5):
            raise ValueError("the encoder has six stages and the decoder five")
        if min(*encoder_widths, *encoder_depths, *decoder_widths) < 1:
            raise ValueError("every stage has at least one channel and one block")
        self.stem = _convolution(2, encoder_widths[0], 3, nn.SiLU, stride=2)
        self.stages = nn.ModuleList()
        width = encoder_widths[0]
        for plan, widened, depth in zip(_STAGES, encoder_widths, encoder_depths, strict=True):
            self.stages.append(_stage(width, widened, depth, *plan))
            width = widened
        skips = [encoder_widths[stage] for stage in reversed(_KEPT)] + [0]
        self.decoder = nn.ModuleList()
        for skip, narrowed in zip(skips, decoder_widths, strict=True):
            self.decoder.append(
                nn.Sequential(
                    _convolution(width + skip, narrowed, 3, nn.ReLU),
                    _convolution(narrowed, narrowed, 3, nn.ReLU),
                )
            )
            width = narrowed
        self.tail = nn.Conv2d(width, 1, 3, padding=1)
        self.apply(_initialise)

    def forward(self, slices: Tensor) -> Prediction:
        """(n, 2, h, w) HU float32, h and w multiples of SIZE_MULTIPLE."""
        x = self.stem(brain_view(slices))
        skips: list[Tensor | None] = [None]
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _KEPT:
                skips.append(x)
        for convolutions in self.decoder:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            skip = skips.pop()
            x = convolutions(x if skip is None else torch.cat([x, skip], dim=1))
        picture = self.tail(x).float()
        return _prediction(BRAIN.low + BRAIN.width * picture, slices)


def tiled(network: Callable[[Tensor], Prediction], slices: Tensor) -> Prediction:
    """Predict 512×512 slices from thirteen 256×256 crops, averaged in HU where they overlap.

    This is how the reference is deployed, here only for timing and comparison. Where the crops lie
    is our reading of "nine 256×256 crops of the central 384×384": a 3×3 grid at steps of 64 pixels,
    and the four quadrants of the slice, which reach the corners. All crops of a pair make one
    batch. The limits are those of the two slices.

    Args:
        network: what predicts a crop.
        slices: (n, 2, 512, 512) HU float32.

    Raises:
        ValueError: for another size.
    """
    if slices.shape[2:] != (_SLICE, _SLICE):
        raise ValueError(f"the crops are laid out on 512×512, not {tuple(slices.shape[2:])}")
    corners = [(y, x) for y in (64, 128, 192) for x in (64, 128, 192)]
    corners += [(y, x) for y in (0, _CROP) for x in (0, _CROP)]
    windows = [(..., slice(y, y + _CROP), slice(x, x + _CROP)) for y, x in corners]
    crops = network(torch.cat([slices[window] for window in windows])).hu
    total = torch.zeros_like(slices[:, :1])
    count = torch.zeros_like(total)
    for window, crop in zip(windows, crops.split(len(slices)), strict=True):
        total[window] += crop
        count[window] += 1.0
    return _prediction(total / count, slices)


def _prediction(hu: Tensor, slices: Tensor) -> Prediction:
    return Prediction(
        hu=hu,
        view=(hu - BRAIN.low) / BRAIN.width,  # not clipped: a loss must see what lies outside
        scale=brain_view,
        lowest=slices.amin(1, keepdim=True),
        highest=slices.amax(1, keepdim=True),
    )


class _Block(nn.Module):
    """`body`, added to its input where the two have the same shape."""

    def __init__(self, body: nn.Module, *, added: bool) -> None:
        super().__init__()
        self.body = body
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.added else self.body(x)


class _SqueezeExcitation(nn.Module):
    """Channels weighed by what their means say of each other."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(F.silu(self.squeeze(means))))


def _stage(
    width: int, widened: int, depth: int, fused: bool, expansion: int, stride: int
) -> nn.Sequential:
    """`depth` blocks from `width` to `widened` channels; the first one has the stride."""
    make = _fused if fused else _separable
    first = _Block(make(width, widened, expansion, stride), added=stride == 1 and width == widened)
    others = (_Block(make(widened, widened, expansion, 1), added=True) for _ in range(depth - 1))
    return nn.Sequential(first, *others)


def _fused(width: int, widened: int, expansion: int, stride: int) -> nn.Module:
    """FusedMBConv: one dense convolution and, where it expanded, a projection."""
    if expansion == 1:
        return _convolution(width, widened, 3, nn.SiLU, stride=stride)
    inner = expansion * width
    return nn.Sequential(
        _convolution(width, inner, 3, nn.SiLU, stride=stride),
        _convolution(inner, widened, 1),
    )


def _separable(width: int, widened: int, expansion: int, stride: int) -> nn.Module:
    """MBConv: expansion, depthwise convolution, squeeze and excitation, projection."""
    inner = expansion * width
    return nn.Sequential(
        _convolution(width, inner, 1, nn.SiLU),
        _convolution(inner, inner, 3, nn.SiLU, stride=stride, groups=inner),
        _SqueezeExcitation(inner, max(1, width // 4)),
        _convolution(inner, widened, 1),
    )


def _convolution(
    channels_in: int,
    channels_out: int,
    kernel: int,
    activation: type[nn.Module] | None = None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Convolution without bias, batch normalisation and, if there is one, the activation."""
    return nn.Sequential(
        nn.Conv2d(
            channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False
        ),
        nn.BatchNorm2d(channels_out),
        *([activation(inplace=True)] if activation else []),
    )


def _initialise(module: nn.Module) -> None:
    """Variance one over the fan-in (Y. LeCun et al., Efficient BackProp, 1998).

    Twice that, as for ReLU, makes sums of residuals explode while batch normalisation has not
    yet seen any data.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
