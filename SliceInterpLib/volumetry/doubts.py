"""What makes a segmentation doubtful, as sentences for the user."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.mask import voxel_ml

PLAUSIBLE_ML = 150.0
"""A larger hematoma is rare, and a leak is likelier."""

BRAIN_IN_RANGE = (
    "Much of the brain itself is within the threshold range. Raise its lower limit to midway "
    "between brain and clot."
)
TOUCHES_BONE = "The segmentation touches bone: look whether a rim of bone was taken for blood."


def two_densities(bright_ml: float, whole_ml: float, grey_hu: float) -> str:
    """Of a clot with a grey part beside a bright one."""
    return (
        f"The clot has two densities: its bright part alone has {bright_ml:.1f} ml, with the grey "
        f"part of about {grey_hu:.0f} HU beside it {whole_ml:.1f} ml. Look whether the grey part "
        "is blood; a lower limit of your own takes it or leaves it out."
    )


def dim(above_brain_hu: float, unsure_hu: float, higher_ml: float, lower_ml: float) -> str:
    """Of blood whose limit is not midway between brain and clot, which it would be lost in."""
    return (
        f"This blood is only {above_brain_hu:.0f} HU denser than the brain, and half of it may be "
        f"missing: a limit {unsure_hu:.0f} HU higher gives {higher_ml:.1f} ml, one as much lower "
        f"{lower_ml:.1f} ml. Look at its border, or draw it by hand."
    )


def depends_on_seed(least_ml: float, most_ml: float) -> str:
    """Of a clot that seeds in it find differently."""
    return (
        f"The volume depends on where the seed lies: {least_ml:.1f} to {most_ml:.1f} ml from seeds "
        "in the same clot. Look at its border; a threshold range of your own holds for every seed."
    )


def of_place_and_size(volume: Volume, mask: np.ndarray) -> Iterator[str]:
    """Of a mask that is too large, ends with the scan, or lies where slices are missing.

    Args:
        volume: the scan.
        mask: bool, shaped as `volume.slices`; not empty.
    """
    size = voxel_ml(volume, mask)
    if size > PLAUSIBLE_ML:
        yield (
            f"{size:.0f} ml is more than a hematoma usually has: the segmentation may have leaked "
            "into other tissue. Look at it; a narrower range or a reach helps."
        )
    shown = np.any(mask, axis=(1, 2))
    guessed = np.flatnonzero(volume.missing & shown[:-1] & shown[1:])
    if guessed.size:
        yield (
            f"Slices are missing behind slice {', '.join(str(i + 1) for i in guessed)}, inside "
            "the hematoma: its volume there is a guess."
        )
    if mask[0].any() or mask[-1].any():
        yield "The hematoma reaches the first or last slice: part of it may not be on the scan."
