"""Flow inside: a network that finds the motion between two slices and predicts one between them.

Between two slices anatomy moves sideways (the skull tapers, a ventricle opens), and the mean
of the two blurs whatever moves. So two U-Nets estimate how far each slice must be moved towards the
middle, at half the resolution: the coarse one looks over a wide surrounding, and the fine one, with
the slices moved by what was found, at what is left. Both slices are moved there, or to any other
place on the way, in full-range HU and blended, and a third U-Net corrects the blend. The flow is
measured in pixels and not in HU, which is why one flow, found where the contrast is, carries bone
and air as well.

The networks see every slice twice: in the brain window, where most training data ends, and
compressed over the whole range. The correction is made on the compressed scale: a step that
is one HU in brain is some twenty in bone and air.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

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
from SliceInterpLib.networks.unet import UNet


class Motion(NamedTuple):
    """How the slices must move to the middle, on a grid as fine as the slices' or coarser.

    Flows are (n, 2, h, w), in pixels of the slices (x, y).
    """

    half_flow: Tensor
    """Of the first slice, and with a minus of the second."""
    towards_a: Tensor
    """(n, 1, h, w): the logit of the first slice's part in the blend."""
    bend: Tensor | float = 0.0
    """Of both slices alike."""
    outer_flows: tuple[Tensor, Tensor] | None = None
    """With context: of the slices before and after the pair, beyond ± three half-flows."""


class Gap(NamedTuple):
    """The slices around a gap and how they move: all that slices at any place in it are made of."""

    images: list[Tensor]
    """The slices, (n, 1, h, w) HU each."""
    motion: Motion
    box: Box
    """The part of the slices that is wanted. They stay whole, since what moves may come from beside
    it."""
    first_look: Gap | None = None
    """The same at half the resolution after the coarse look alone; in training."""


class FlowInside(Network):
    """Slices in HU in, a slice between the two central ones in HU out, midway or anywhere else.

    Reversing the order of the slices, and of the two parts of the place, gives exactly the same
    slice: motion and blend are made from both orders, and the correction only sees what does not
    change. So it is on every computer, though the slice itself may differ between two (see
    Docs/architecture.md).

    Args:
        coarse_widths: channels of each level of the network that first looks for the motion, at an
            eighth of the resolution.
        flow_widths: of the network that looks for what is left of it, at a quarter.
        flow_blocks: residual blocks a level of both.
        residual_widths: channels of each level of the network that corrects the blend, at half the
            resolution.
        residual_blocks: its residual blocks a level, on the way down and on the way up; its
            coarsest level has those of both.
        context: 0 for a pair, 1 for a slice more on each side, equally far apart. The outer slices
            tell how the motion bends and what is noise.
        coarse_waists: channels inside the residual blocks of each level of the first of the three;
            by default as many as outside.
        flow_waists: of the second.
        residual_waists: of the third.

    Raises:
        ValueError: for another context.
    """

    any_place = True
    margin = 16
    """Measured: see Docs/evidence.md."""

    def __init__(
        self,
        coarse_widths: tuple[int, ...] = (64, 96),
        flow_widths: tuple[int, ...] = (48, 64, 96),
        flow_blocks: int = 1,
        residual_widths: tuple[int, ...] = (32, 96),
        residual_blocks: int = 1,
        context: int = 0,
        coarse_waists: tuple[int, ...] | None = None,
        flow_waists: tuple[int, ...] | None = None,
        residual_waists: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        if context not in (0, 1):
            raise ValueError(f"context must be 0 or 1, not {context}")
        self.context = context
        seen = 2 * (2 + 2 * context)  # two views of every slice
        outputs = 7 if context else 3
        # Blocks of so many by so many pixels become channels.
        self.coarse = UNet(seen * 4**2, outputs, coarse_widths, flow_blocks, waists=coarse_waists)
        self.flow = UNet(seen * 2**2, outputs, flow_widths, flow_blocks, waists=flow_waists)
        features = 2 * (6 if context else 4)
        self.residual = UNet(
            features * 2**2,
            4,
            residual_widths,
            residual_blocks,
            2 * residual_blocks,
            residual_waists,
        )

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
            gap = gap._replace(box=box)
        for k in range(1, times):
            yield self.at(gap, place(k, times))

    def gap(self, slices: Tensor) -> Gap:
        """What slices at all places between two have in common."""
        images = list(slices.split(1, dim=1))
        # Means of 2 × 2 pixels, in a quarter of avg_pool2d's time.
        halves = [F.interpolate(image, scale_factor=0.5, mode="bilinear") for image in images]
        eighth = self._look(self.coarse, halves, 4)
        first_look = gap_of(halves, _motion(eighth, 4))
        quarter = self._look(self.flow, _moved(first_look, MIDDLE).slices, 2)
        # Flows are in pixels of each look's grid, logits are not.
        pixels = quarter.new_full((quarter.shape[1], 1, 1), 2.0)
        pixels[6 if self.context else 2] = 1.0
        motion = _motion(quarter + pixels * _enlarged(eighth, 2), 4)
        return gap_of(images, motion, first_look if torch.is_grad_enabled() else None)

    def at(self, gap: Gap, place: Tensor) -> Prediction:
        """The slice at a place (2,), or (n, 2), in a gap."""
        pair = slice(self.context, self.context + 2)
        a, b = (image[..., gap.box.rows, gap.box.columns] for image in gap.images[pair])
        moved = _moved(gap, place)
        moved_a, moved_b = moved.slices[pair]
        blend = moved.blend()
        seen = _views(blend)
        view = seen[:, 1:] + self.correction(self._features(seen, moved, (a, b), place))
        first_look = gap.first_look
        return Prediction(
            hu=from_wide_view(view),
            view=view,
            scale=wide_view,
            blend=blend,
            rough=first_look and _moved(first_look, place).blend(),
            half_flow=moved.half_flow,
            moved=Moved(moved_a, moved_b, place),
            lowest=torch.minimum(torch.minimum(a, b), torch.minimum(moved_a, moved_b)),
            highest=torch.maximum(torch.maximum(a, b), torch.maximum(moved_a, moved_b)),
        )

    def _look(self, network: UNet, images: list[Tensor], fold: int) -> Tensor:
        """What a network sees of the motion, in both orders of the slices, as `_motion` takes it.

        In motion at a constant speed the two slices move by opposite amounts, ± the half-flow,
        and the outer ones by three times that; the bend is what both have in common where the
        motion is curved.

        Args:
            network: that looks.
            images: slices, (n, 1, h, w) HU each.
            fold: it works at one over this of their resolution.

        Returns:
            (n, 3 or, with context, 9, h/fold, w/fold): with context the outer flows; the
            half-flow and the logit; with context the bend. Flows are in pixels of that grid.
        """
        folded = _folded([_views(image) for image in images], fold).chunk(len(images), 1)
        order = (1, 2, 0, 3) if self.context else (0, 1)
        forth = torch.cat([folded[i] for i in order], 1)
        back = torch.cat([folded[-1 - i] for i in order], 1)
        forth, back = network(torch.cat([forth, back])).float().chunk(2)
        # Odd and even under a reversal of the slices: differences and sums of the two orders.
        odd = forth[:, :3] - back[:, :3]
        if not self.context:
            return odd
        # The outer flows, which change places, come first: see `_enlarged`.
        return torch.cat([forth[:, 5:], back[:, 5:], odd, forth[:, 3:5] + back[:, 3:5]], 1)

    def _features(
        self, blend: Tensor, moved: _AtPlace, pair: tuple[Tensor, Tensor], place: Tensor
    ) -> list[Tensor]:
        """All that the correction sees, (n, 2, h, w) each: two views.

        Args:
            blend: its views.
            moved: the slices that it was made of.
            pair: the central ones as they are, HU.
            place: as `at` takes it.
        """
        views = [_views(one) for one in moved.slices]
        view_a, view_b = views[self.context : self.context + 2]
        a, b = (_views(one) for one in pair)
        part_a, part_b = _parts(place, a)
        features = [blend, (view_a - view_b).abs(), *_compared(a, b, part_a, part_b)]
        if self.context:
            # The two lie three gaps apart.
            features += _compared(views[0], views[-1], (1.0 + part_a) / 3.0, (1.0 + part_b) / 3.0)
        return features

    def correction(self, features: list[Tensor]) -> Tensor:
        """What to add to the blend's wide view, (n, 1, h, w), seeing features of two views each."""
        folded = _folded(features, 2)
        del features  # which may be all of them that is left
        return F.pixel_shuffle(self.residual(folded).float(), 2)


def _compared(one: Tensor, other: Tensor, part_one: Tensor, part_other: Tensor) -> list[Tensor]:
    """Two slices as what does not change when both and their parts are swapped."""
    return [part_one * one + part_other * other, (one - other).abs()]


def gap_of(images: list[Tensor], motion: Motion, first_look: Gap | None = None) -> Gap:
    """The whole of some slices, (n, 1, h, w) HU each, and their motion."""
    return Gap(images, motion, Box(0, 0, *images[0].shape[2:]), first_look)


def _motion(found: Tensor, scale: int) -> Motion:
    """What a look found on a grid, in pixels of slices that are so many times as fine."""
    if found.shape[1] == 3:
        return Motion(scale * found[:, :2], found[:, 2:])
    first, last, half_flow, bend = (scale * found[:, k : k + 2] for k in (0, 2, 4, 7))
    return Motion(half_flow, found[:, 6:7], bend, (first, last))


def _parts(place: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """1 − t and t, to multiply images with."""
    part_a, part_b = place.to(like.device).view(-1, 2, 1, 1, 1).unbind(1)
    return part_a, part_b


class _AtPlace(NamedTuple):
    """The slices around a gap, moved to a place in it."""

    slices: list[Tensor]
    """(n, 1, h, w) HU each, in order."""
    towards_a: Tensor
    """(n, 1, h, w): the logit of the first's part in the blend of the two central ones."""
    half_flow: Tensor
    """(n, 2, h, w) pixels, as of `Motion`."""

    def blend(self) -> Tensor:
        """The two central ones, weighed, (n, 1, h, w) HU."""
        outer = len(self.slices) // 2 - 1
        a, b = self.slices[outer : outer + 2]
        # sigmoid(l) and sigmoid(−l) rather than 1 − sigmoid(l): exactly the same when swapped.
        return torch.sigmoid(self.towards_a) * a + torch.sigmoid(-self.towards_a) * b


def _moved(gap: Gap, place: Tensor) -> _AtPlace:
    """The slices of a gap moved to a place in it.

    Along a path that bends evenly, one slice moves by t of the whole motion and the other by
    1 − t, and the bend counts 4t(1 − t) of what it is in the middle.
    """
    images, (half_flow, towards_a, bend_there, outer_flows), box, _ = gap
    # Nothing below tells the two apart by more than which part is whose.
    part_a, part_b = _parts(place, half_flow)
    bend = 4.0 * part_a * part_b * bend_there
    flows = [bend + 2.0 * part_b * half_flow, bend - 2.0 * part_a * half_flow]
    if outer_flows is not None:
        first, last = outer_flows
        # Two half-flows for each gap that they lie away, and where the path bends from there.
        further = bend - bend_there
        flows = [
            first + (2.0 + 2.0 * part_b) * half_flow + further,
            *flows,
            last - (2.0 + 2.0 * part_a) * half_flow + further,
        ]
    # A difference of logarithms, since that of t/(1 − t) may round unlike that of its inverse.
    towards_a = towards_a + (torch.log(part_a) - torch.log(part_b))
    # The flows, which change places, come first: see `_enlarged`.
    grid = torch.cat([*flows, towards_a, half_flow], 1)
    times = images[0].shape[2] // grid.shape[2]
    rows, columns = (slice(s.start // times, s.stop // times) for s in (box.rows, box.columns))
    fine = _enlarged(grid[..., rows, columns], times)
    moved = [warp(image, fine[:, 2 * i : 2 * i + 2], box) for i, image in enumerate(images)]
    rest = 2 * len(images)
    # Copies, so that the flows need not be kept; a strided sigmoid may round differently, too.
    towards_a, half_flow = (one.contiguous() for one in fine[:, rest:].split([1, 2], 1))
    return _AtPlace(moved, towards_a, half_flow)


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


def _enlarged(grid: Tensor, times: int) -> Tensor:
    """So many times as high and wide; the first channels, a multiple of four, are rounded alike.

    In this layout a CPU computes four channels at once, or more, and those that are left over may
    be rounded otherwise. The usual layout is slower, and there rounding depends on how threads
    share the pixels.
    """
    if times == 1:
        return grid
    grid = grid.contiguous(memory_format=torch.channels_last)
    return F.interpolate(grid, scale_factor=float(times), mode="bilinear", align_corners=False)


def warp(image: Tensor, flow: Tensor, box: Box) -> Tensor:
    """Sample an image where a flow leads to; its edges repeat.

    Args:
        image: (n, c, h, w).
        flow: (n, 2, h, w) pixels (x, y), of the box; what is NaN leads to the image's middle.
        box: the part of the image that is wanted.

    Returns:
        (n, c, h, w) of the box: `image` at x + flow.
    """
    height, width = image.shape[2:]
    y, x = (
        (torch.arange(first, first + part, dtype=flow.dtype, device=flow.device) + 0.5)
        * (2.0 / side)
        - 1.0
        for first, part, side in ((box.top, box.height, height), (box.left, box.width, width))
    )
    here = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    grid = torch.addcmul(here, flow.permute(0, 2, 3, 1), flow.new_tensor([2 / width, 2 / height]))
    # grid_sample reads anywhere in memory where a coordinate is NaN, as after a diverged training.
    return F.grid_sample(
        image, grid.nan_to_num_(), mode="bilinear", padding_mode="border", align_corners=False
    )
