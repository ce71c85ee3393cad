"""What every network takes and returns, and the two scales on which networks see HU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from SliceInterpLib.head_box import Box
from SliceInterpLib.hounsfield import BRAIN

SIZE_MULTIPLE = 32
"""Height and width that a network is given are padded to a multiple of this."""


def place(k: int, n: int) -> Tensor:
    """Where the k-th of n − 1 even steps between two slices lies: (1 − t, t) at t = k/n, (2,).

    These are the parts of the two slices in a linear interpolation. Both are rounded from whole
    numbers, so that seen from the other side, `place(n − k, n)`, they are exactly the same two;
    1 − t of a rounded t would be another number.
    """
    return torch.tensor([(n - k) / n, k / n])


MIDDLE = place(1, 2)
"""Midway between the two."""


class Moved(NamedTuple):
    """Two slices at a place between them."""

    first: Tensor
    """(n, 1, h, w) HU."""
    second: Tensor
    """(n, 1, h, w) HU."""
    place: Tensor
    """(2,) or (n, 2), as `place` gives it."""


class Prediction(NamedTuple):
    """What a network says of a slice: float32, (n, 1, h, w) unless said otherwise."""

    hu: Tensor
    """The slice in HU, before any limit."""
    view: Tensor
    """The same on the scale that the network works on."""
    scale: Callable[[Tensor], Tensor]
    """From HU to that scale: `brain_view` or `wide_view`."""
    lowest: Tensor
    """The lowest HU at each place among the two slices and, where there is motion, as moved."""
    highest: Tensor
    """The highest."""
    blend: Tensor | None = None
    """The two moved slices, blended, in HU, where the network has motion inside."""
    rough: Tensor | None = None
    """(n, 1, h/2, w/2): a blend at half the resolution, of a first look at the motion; in training,
    where the network has one."""
    half_flow: Tensor | None = None
    """(n, 2, h, w): pixels (x, y); for the middle, the first slice is sampled at x + flow, the
    second at x − flow."""
    moved: Moved | None = None
    """The two slices moved to where the predicted one lies, likewise."""


class Network(nn.Module):
    """What takes (n, 2 + 2·context, h, w) float32 HU in order, and returns a Prediction.

    h and w are multiples of SIZE_MULTIPLE. The slice lies midway between the two central ones or,
    with `any_place`, at the place that is given besides: (2,), or (n, 2), as `place` gives it.
    """

    context: int
    """How many slices beyond the pair it sees on each side."""
    any_place = False
    """Whether it takes a place."""
    margin: int | None = None
    """How many pixels around a box it must see to predict there what it would in the whole slice;
    None if it predicts whole slices alone."""

    def between(self, slices: Tensor, times: int, box: Box | None = None) -> Iterator[Prediction]:
        """The slices at the places k/times, one after the other; without `any_place`, the middle.

        Args:
            slices: as when called.
            times: from 2.
            box: what is predicted of them, and all that the predictions then hold; None for whole
                slices. For networks with a `margin`. It begins at multiples of 8, as its sides are.
        """
        for k in range(1, times):
            yield self(slices, place(k, times)) if self.any_place else self(slices)


def padded(slices: np.ndarray, multiple: int = SIZE_MULTIPLE) -> Tensor:
    """(n, m, h, w) with h and w filled up to multiples by repeating the last row and column.

    Where nothing is to be filled, they may be the same in memory.
    """
    height, width = slices.shape[2:]
    fill = [(0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple)]
    whole = np.pad(slices, fill, mode="edge") if np.any(fill) else np.ascontiguousarray(slices)
    return torch.from_numpy(whole)


def brain_view(hu: Tensor) -> Tensor:
    """HU to the brain window, clipped to [0, 1]."""
    return ((hu - BRAIN.low) / BRAIN.width).clamp(0.0, 1.0)


def wide_view(hu: Tensor) -> Tensor:
    """HU compressed by asinh: nearly linear, with the brain window's slope, in soft tissue.

    Air lies at −1.7, dense bone at 2.2.
    """
    x = (hu - 35.0) / 60.0
    # asinh(x) by its definition: torch.asinh takes 1.7 times as long on a CPU.
    asinh = torch.log(x.abs() + torch.sqrt(x * x + 1.0)).copysign(x)
    return asinh * (60.0 / BRAIN.width)


def from_wide_view(view: Tensor) -> Tensor:
    """The HU of a wide view, up to about ±7000."""
    return torch.sinh(view.clamp(-2.6, 2.6) * (BRAIN.width / 60.0)) * 60.0 + 35.0
