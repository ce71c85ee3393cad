"""Flow inside: a network that finds the motion between two slices and predicts one between them.

Between two slices anatomy moves sideways (the skull tapers, a ventricle opens), and the mean
of the two blurs whatever moves. So a first U-Net estimates how far each slice must be moved
towards the middle, both slices are moved there, or to any other place on the way, in full-range
HU and blended, and a second U-Net corrects the blend. The flow is measured in pixels and not in
HU, which is why one flow, found where the contrast is, carries bone and air as well.

The networks see every slice twice: in the brain window, where most training data ends, and
compressed over the whole range. The correction is made on the compressed scale: a step that
is one HU in brain is some twenty in bone and air.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from SliceInterpLib.head_box import Box
from SliceInterpLib.networks.prediction import (
    MIDDLE,
    Moved,
    Network,
    Prediction,
    brain_view,
    from_wide_view,
    place,
    wide_view,
)
from SliceInterpLib.networks.winograd import Conv3x3


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), without normalisation: nothing depends on the batch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Conv3x3(width, width)
        self.second = Conv3x3(width, width)

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
        blocks: how many residual blocks a level has.
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
        for level, up, skip in reversed(list(zip(self.up_levels, self.up, skips, strict=True))):
            x = level(skip + F.interpolate(up(x), scale_factor=2.0, mode="nearest"))
        return self.tail(x)


class Motion(NamedTuple):
    """How the slices must move to the middle: flows are (n, 2, h, w), in pixels (x, y)."""

    half_flow: Tensor
    """Of the first slice, and with a minus of the second."""
    bend: Tensor | float
    """Of both alike; 0.0 without context."""
    towards_a: Tensor
    """(n, 1, h, w): the logit of the first slice's part in the blend."""
    outer_flows: tuple[Tensor, Tensor] | None
    """Of the slices before and after the pair, beyond ± three half-flows; None without context."""


class Gap(NamedTuple):
    """The slices around a gap and how they move: all that slices at any place in it are made of."""

    images: list[Tensor]
    """The slices, (n, 1, h, w) HU each."""
    views: list[Tensor]
    """The same in both views, (n, 2, h, w) each."""
    motion: Motion
    box: Box | None = None
    """To which part of the slices views and motion belong; None for all of them."""

    def within(self, box: Box) -> Gap:
        """A part of it. The slices stay whole, since what moves may come from beside it."""

        def part(image: Tensor) -> Tensor:
            # Contiguous, so that it is rounded as a whole slice is.
            return image[..., box.rows, box.columns].contiguous()

        half_flow, bend, towards_a, outer = self.motion
        motion = Motion(
            part(half_flow),
            part(bend) if isinstance(bend, Tensor) else bend,
            part(towards_a),
            (part(outer[0]), part(outer[1])) if outer else None,
        )
        return Gap(self.images, [part(view) for view in self.views], motion, box)


class FlowInside(Network):
    """Slices in HU in, a slice between the two central ones in HU out, midway or anywhere else.

    Reversing the order of the slices, and of the two parts of the place, gives exactly the same
    slice: motion and blend are made from both orders, and the correction only sees what does not
    change. So it is on every computer, though the slice itself may differ between two (see
    Docs/architecture.md).

    Args:
        flow_widths: channels of each level of the network that finds the motion.
        flow_blocks: its residual blocks a level.
        residual_widths: channels of each level of the network that corrects the blend.
        residual_blocks: its residual blocks a level.
        context: 0 for a pair, 1 for a slice more on each side, equally far apart. The outer slices
            tell how the motion bends and what is noise.

    Raises:
        ValueError: for another context.
    """

    any_place = True
    margin = 16
    """Measured: see Docs/evidence.md."""

    def __init__(
        self,
        flow_widths: tuple[int, ...] = (48, 64, 96, 128),
        flow_blocks: int = 1,
        residual_widths: tuple[int, ...] = (48, 80, 128),
        residual_blocks: int = 2,
        context: int = 0,
    ) -> None:
        super().__init__()
        if context not in (0, 1):
            raise ValueError(f"context must be 0 or 1, not {context}")
        self.context = context
        slices = 2 + 2 * context
        # A quarter of the resolution for the flow (16 pixels of two views of every slice become
        # channels), half of it for the correction (4 pixels of two views of four features, six
        # with context).
        self.flow = UNet(2 * slices * 16, 7 if context else 3, tuple(flow_widths), flow_blocks)
        features = 6 if context else 4
        self.residual = UNet(2 * features * 4, 4, tuple(residual_widths), residual_blocks)

    def forward(self, slices: Tensor, place: Tensor = MIDDLE) -> Prediction:
        """The slice at a place.

        Args:
            slices: (n, 2 + 2·context, h, w) HU float32, in order; h and w multiples of
                SIZE_MULTIPLE.
            place: (2,), or (n, 2), as `prediction.place` gives it.
        """
        return self.at(self.gap(slices), place)

    def between(self, slices: Tensor, times: int, box: Box | None = None) -> Iterator[Prediction]:
        """As of any network; the motion is found once, and in whole slices.

        It is made of so wide a surrounding that within a box it would be another.
        """
        gap = self.gap(slices)
        if box is not None:
            gap = gap.within(box)
        for k in range(1, times):
            yield self.at(gap, place(k, times))

    def gap(self, slices: Tensor) -> Gap:
        """What slices at all places between two have in common; it takes most of the time."""
        images = list(slices.split(1, dim=1))
        views = [_views(hu) for hu in images]
        return Gap(images, views, self.motion(images, views))

    def at(self, gap: Gap, place: Tensor) -> Prediction:
        """The slice at a place (2,), or (n, 2), in a gap.

        Along a path that bends evenly, one slice moves by t of the whole motion and the other by
        1 − t, and the bend counts 4t(1 − t) of what it is in the middle.
        """
        images, views, (half_flow, bend_there, towards_a, outer_flows), box = gap
        pair = slice(self.context, self.context + 2)
        (whole_a, whole_b), (view_a, view_b) = images[pair], views[pair]
        box = box or Box(0, 0, *whole_a.shape[2:])
        a, b = (image[..., box.rows, box.columns] for image in (whole_a, whole_b))
        # Nothing below tells the two apart by more than which part is whose.
        part_a, part_b = place.to(a.device).view(-1, 2, 1, 1, 1).unbind(1)
        bend = 4.0 * part_a * part_b * bend_there
        moved_a = warp(whole_a, bend + 2.0 * part_b * half_flow, box)
        moved_b = warp(whole_b, bend - 2.0 * part_a * half_flow, box)
        # A difference of logarithms, since that of t/(1 − t) may round unlike that of its inverse.
        towards_a = towards_a + (torch.log(part_a) - torch.log(part_b))
        # sigmoid(l) and sigmoid(−l) rather than 1 − sigmoid(l): exactly the same when swapped.
        blend = torch.sigmoid(towards_a) * moved_a + torch.sigmoid(-towards_a) * moved_b
        blend_views = _views(blend)
        features = [
            blend_views,
            (_views(moved_a) - _views(moved_b)).abs(),
            *_compared(view_a, view_b, part_a, part_b),
        ]
        if outer_flows is not None:
            first, last = outer_flows
            # Two half-flows for each gap that they lie away, and where the path bends from there.
            further = bend - bend_there
            first = warp(images[0], first + (2.0 + 2.0 * part_b) * half_flow + further, box)
            last = warp(images[-1], last - (2.0 + 2.0 * part_a) * half_flow + further, box)
            part_first, part_last = (1.0 + part_a) / 3.0, (1.0 + part_b) / 3.0
            features += _compared(_views(first), _views(last), part_first, part_last)
        view = blend_views[:, 1:] + self.correction(features)
        return Prediction(
            hu=from_wide_view(view),
            view=view,
            scale=wide_view,
            blend=blend,
            half_flow=half_flow,
            moved=Moved(moved_a, moved_b, place),
            lowest=torch.minimum(torch.minimum(a, b), torch.minimum(moved_a, moved_b)),
            highest=torch.maximum(torch.maximum(a, b), torch.maximum(moved_a, moved_b)),
        )

    def motion(self, images: list[Tensor], views: list[Tensor]) -> Motion:
        """How the slices must move to the middle.

        In motion at a constant speed the two slices move by opposite amounts, ± the half-flow,
        and the outer ones by three times that; the bend is what both have in common where the
        motion is curved.

        Args:
            images: slices, (n, 1, h, w) HU each.
            views: the same in both views, (n, 2, h, w) each.
        """
        folded = _folded(views, 4).chunk(len(views), 1)
        order = (1, 2, 0, 3) if self.context else (0, 1)
        forth = torch.cat([folded[i] for i in order], 1)
        back = torch.cat([folded[-1 - i] for i in order], 1)
        forth, back = self.flow(torch.cat([forth, back])).float().chunk(2)
        # Odd and even under a reversal of the slices: differences and sums of the two orders.
        odd = forth[:, :3] - back[:, :3]
        # Contiguous logits, since a strided sigmoid may round differently from a contiguous one.
        if not self.context:
            fine = _enlarged(odd)
            return Motion(4.0 * fine[:, :2], 0.0, fine[:, 2:].contiguous(), None)
        # The outer flows, which change places, are the first four channels: rounded alike.
        even = forth[:, 3:5] + back[:, 3:5]
        fine = _enlarged(torch.cat([forth[:, 5:], back[:, 5:], odd, even], 1))
        first, last, half_flow, bend = (4.0 * fine[:, k : k + 2] for k in (0, 2, 4, 7))
        return Motion(half_flow, bend, fine[:, 6:7].contiguous(), (first, last))

    def correction(self, features: list[Tensor]) -> Tensor:
        """What to add to the blend's wide view, (n, 1, h, w), seeing features of two views each."""
        return F.pixel_shuffle(self.residual(_folded(features, 2)).float(), 2)


def _compared(one: Tensor, other: Tensor, part_one: Tensor, part_other: Tensor) -> list[Tensor]:
    """Two slices as what does not change when both and their parts are swapped."""
    return [part_one * one + part_other * other, (one - other).abs()]


def _views(hu: Tensor) -> Tensor:
    """(n, 1, h, w) HU in both views, (n, 2, h, w)."""
    return torch.cat([brain_view(hu), wide_view(hu)], 1)


_WORDS = {4: torch.int32, 8: torch.int64, 16: torch.complex128}
"""Types by their size in bytes."""


def _folded(images: list[Tensor], factor: int) -> Tensor:
    """Blocks of factor × factor pixels become channels, in the precision of convolutions.

    As pixel_unshuffle, but straight into the channels-last layout that convolutions want.
    """
    kind, dtype = images[0].device.type, images[0].dtype
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
    if torch.is_grad_enabled():
        together = torch.cat([image.to(dtype) for image in images], 1)
        words = together.unflatten(3, (-1, factor))
    else:
        # Moving the pixels of a row of a block as one word makes the network 1.06 times as quick.
        shape = (images[0].shape[0], sum(i.shape[1] for i in images), *images[0].shape[2:])
        together = torch.cat(images, 1, out=images[0].new_empty(shape, dtype=dtype))
        words = together.view(_WORDS[factor * dtype.itemsize]).unsqueeze(4)
    blocks = words.unflatten(2, (-1, factor)).permute(0, 2, 4, 1, 3, 5)
    last = blocks.reshape(*blocks.shape[:3], -1)
    return last.view(dtype).permute(0, 3, 1, 2)


def _enlarged(flow: Tensor) -> Tensor:
    """Four times as high and wide, the first four channels rounded alike on any CPU.

    In this layout a CPU computes four channels at once, or more, and those that are left over may
    be rounded otherwise. The usual layout is slower, and there rounding depends on how threads
    share the pixels.
    """
    flow = flow.contiguous(memory_format=torch.channels_last)
    return F.interpolate(flow, scale_factor=4.0, mode="bilinear", align_corners=False)


def warp(image: Tensor, flow: Tensor, box: Box | None = None) -> Tensor:
    """Sample an image where a flow leads to; its edges repeat.

    Args:
        image: (n, c, h, w).
        flow: (n, 2, h, w) pixels (x, y), or of the box; NaN counts as 0.
        box: the part of the image that is wanted; None for all of it.

    Returns:
        (n, c, h, w), or of the box: `image` at x + flow.
    """
    height, width = image.shape[2:]
    box = box or Box(0, 0, height, width)
    y, x = (
        (torch.arange(first, first + part, dtype=flow.dtype, device=flow.device) + 0.5)
        * (2.0 / side)
        - 1.0
        for first, part, side in ((box.top, box.height, height), (box.left, box.width, width))
    )
    size = (box.height, box.width)
    here = torch.stack([x.expand(size), y[:, None].expand(size)], dim=-1)
    # grid_sample reads anywhere in memory where a coordinate is NaN, as after a diverged training.
    away = flow.nan_to_num().permute(0, 2, 3, 1) * flow.new_tensor([2.0 / width, 2.0 / height])
    return F.grid_sample(
        image, here + away, mode="bilinear", padding_mode="border", align_corners=False
    )
