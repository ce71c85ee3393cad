"""How much noisy and quiet slices alternate in reformatted views."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.stats import median_abs_deviation

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.evidence.noise import FEWEST_PIXELS, homogeneous
from SliceInterpLib.volume import Volume

VIEWS = {"coronal": 1, "sagittal": 0}
"""The axis of a slice (0 rows, 1 columns) that runs along the lines of each view."""

_HIGH_PASS_PIXELS = 2.0


def stripe_index(volume: Volume) -> dict[str, float]:
    """The contrast of noise between acquired slices and their neighbours, by view.

    Every slice is a line in a coronal or sagittal view; its noise is the scaled median absolute
    deviation of x − gaussian(x, 2 px) along that line, over homogeneous soft tissue that the
    slice shares with the slices beside it. The index is Michelson's contrast
    |a − s| / (a + s) of the noise a of the inner acquired slices with that of the two slices
    beside each, s, both averaged over the volume: 0 where nothing alternates.

    Returns:
        {"coronal": index, "sagittal": index}.

    Raises:
        VolumeError: where there is no homogeneous tissue.
    """
    slices = volume.slices
    everywhere = np.full(slices.shape[1:], np.inf)
    noise = []
    for index in np.flatnonzero(~volume.synthetic)[1:-1]:
        around = slices[index - 1 : index + 2].astype(np.float32)
        region = homogeneous(around, everywhere, volume.pixel_spacing)["tissue"]
        if region.sum() >= FEWEST_PIXELS:
            noise.append([_line_noise(around, region, axis) for axis in VIEWS.values()])
    if not noise:
        raise VolumeError("There is no homogeneous soft tissue in which stripes could be measured.")
    before, own, after = np.mean(noise, axis=0).T
    beside = 0.5 * (before + after)
    index = np.abs(own - beside) / (own + beside)
    return dict(zip(VIEWS, index.tolist(), strict=True))


def _line_noise(slices: np.ndarray, region: np.ndarray, axis: int) -> list[float]:
    """Noise along one axis of each of some (n, h, w) slices over a region (h, w)."""
    smooth = ndimage.gaussian_filter1d(slices, _HIGH_PASS_PIXELS, axis=1 + axis)
    return [median_abs_deviation(hu[region], scale="normal") for hu in slices - smooth]
