"""A scan as the finder sees it: slabs of about 5 mm, in a brain window, on coarser pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from SliceInterpLib.volume import Volume

if TYPE_CHECKING:
    from torch import Tensor


def slices_in_slab(volume: Volume) -> int:
    """How many of its slices make a slab, at least 1."""
    from SliceInterpLib.networks.finder import SLAB_MM

    typical = float(np.median(volume.slab_mm))
    return min(max(1, round(SLAB_MM / typical)), volume.slice_count)


def slab_starts(volume: Volume) -> np.ndarray:
    """(slabs + 1,) the first slice of each slab, and the number of slices.

    Slices that are left over are shared out, so that every slice is in one slab.
    """
    slabs = max(1, volume.slice_count // slices_in_slab(volume))
    return np.rint(np.linspace(0, volume.slice_count, slabs + 1)).astype(int)


def seen_slices(volume: Volume) -> Tensor:
    """Each slice in the finder's window and on its pixels: (n, h, w) float32 in [0, 1]."""
    from SliceInterpLib.networks.finder import SEEN

    return on_finder_pixels(volume, SEEN.scale(volume.slices))


def seen_slabs(volume: Volume) -> Tensor:
    """The slabs that begin at `slab_starts`, each the mean of its slices: (slabs, h, w)."""
    import torch

    starts, slices = slab_starts(volume), seen_slices(volume)
    ends = zip(starts[:-1], starts[1:], strict=True)
    return torch.stack([slices[start:end].mean(0) for start, end in ends])


def on_finder_pixels(volume: Volume, image: np.ndarray) -> Tensor:
    """A picture of each slice on the finder's pixels, averaged where these are larger.

    The middles of the outermost pixels move; the picture's outline stays.

    Args:
        volume: for its pixel spacing.
        image: (n, rows, columns) float32.

    Returns:
        (n, h, w).
    """
    import torch
    import torch.nn.functional as F

    from SliceInterpLib.networks.finder import PIXEL_MM

    size = [
        max(1, round(pixels * mm / PIXEL_MM))
        for pixels, mm in zip(image.shape[1:], volume.pixel_spacing, strict=True)
    ]
    pictures = torch.from_numpy(np.ascontiguousarray(image))[:, None]
    # A few at a time, so that no copy of a whole scan is made.
    parts = [
        F.interpolate(part, size, mode="bilinear", antialias=True) for part in pictures.split(8)
    ]
    return torch.cat(parts)[:, 0]
