"""Whether an honest slice can be put between the slices of a volume, and into which gaps."""

from __future__ import annotations

import math
import warnings

import numpy as np

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.errors import ThinSlicesError, VolumeError
from SliceInterpLib.gaps import GAP_TOLERANCE, SAME_SPACING
from SliceInterpLib.volume import Volume


def require_doublable(
    volume: Volume, *, allow_thin: bool = False, widest_gap_mm: float | None = None
) -> None:
    """Raise VolumeError, with cause and way out, if no honest slice can be put between the slices.

    Refused: what SliceInterp made, as `require_acquired` does; fewer than 2 slices; values that
    are not those of a CT in HU; gaps in an uneven scan where slices seem to be missing; slices that
    are all as close as the pixels, or closer. Where some are, a warning says that these gaps stay
    as they are. Looks at one plane of the array at a time, so that memory does not grow by a copy
    of the volume.

    Args:
        volume: a scan.
        allow_thin: turns the refusal of close slices into a warning.
        widest_gap_mm: gaps up to this may be bridged, whatever seems to be missing there.
    """
    require_acquired(volume)
    if volume.slice_count < 2:
        raise VolumeError(
            "The volume has fewer than 2 slices through-plane, so there is nothing to put a slice "
            "between. Give the whole series, not a single image of it."
        )
    _check_ct_values(volume.hu)
    _refuse_wide_gaps(volume, widest_gap_mm)
    _judge_thin_gaps(volume, allow_thin)


def stretch_gaps(volume: Volume) -> list[float]:
    """The gap in mm of each evenly spaced stretch."""
    return [float(volume.gaps[part.start : part.stop - 1].mean()) for part in volume.stretches]


def wide_stretches(volume: Volume) -> np.ndarray:
    """For each evenly spaced stretch, whether its slices lie further apart than pixels, bool."""
    return np.array(stretch_gaps(volume)) > (1 + SAME_SPACING) * max(volume.pixel_spacing)


def _judge_thin_gaps(volume: Volume, allow_thin: bool) -> None:
    wide, gaps, pixel = wide_stretches(volume), stretch_gaps(volume), max(volume.pixel_spacing)
    if wide.all():
        return
    thin = [part for part, is_wide in zip(volume.stretches, wide, strict=True) if not is_wide]
    closest = min(gaps)
    if wide.any() and not allow_thin:
        warnings.warn(
            f"{sum(len(part) - 1 for part in thin)} of {volume.slice_count - 1} gaps are no wider "
            f"({closest:.4g} mm) than the pixels ({pixel:.4g} mm) and stay as they are.",
            stacklevel=3,
        )
        return
    message = (
        f"The slices are {closest:.4g} mm apart and the pixels {pixel:.4g} mm: the through-plane "
        "resolution is already at or above the in-plane one"
    )
    if not allow_thin:
        raise ThinSlicesError(f"{message}, so doubling adds no detail.")
    warnings.warn(f"{message}: doubling adds no detail.", stacklevel=3)


def _refuse_wide_gaps(volume: Volume, widest_gap_mm: float | None) -> None:
    gaps, wide = volume.gaps, volume.missing
    if widest_gap_mm is not None:
        wide = gaps > widest_gap_mm + GAP_TOLERANCE
    if wide.any():
        places = ", ".join(
            f"{i + 1} and {i + 2} ({gaps[i]:.1f} mm)" for i in np.flatnonzero(wide)[:6]
        )
        enough = math.ceil((gaps.max() - GAP_TOLERANCE) * 10) / 10
        raise VolumeError(
            f"Slices are missing: between slices {places}, where a slice put there would be "
            "invented. Load the complete series, take its longest evenly spaced stretch "
            "(sliceinterp upsample --gaps longest), "
            f"or say that gaps up to {enough:.1f} mm are to be bridged (--widest-gap)."
        )


def _check_ct_values(hu: np.ndarray) -> None:
    """Raise VolumeError unless the values look like HU; one plane at a time."""
    # -10 and not less: in a CT that was saved in a brain window, all that is darker has -20.
    low, high, dark = math.inf, -math.inf, 0
    for plane in hu:
        low, high = min(low, plane.min()), max(high, plane.max())
        dark += int(np.count_nonzero(plane < -10))
    if low >= 0 and high <= 255:
        raise VolumeError(
            "The values are not HU: all lie within 0…255, as in an 8-bit picture or a rescaled "
            "image. Give the CT itself, as the scanner's DICOM or a conversion that keeps HU."
        )
    if low >= 0:
        raise VolumeError(
            "The values are not HU: none is below 0, though air is -1000 HU. This may be an MR, or "
            "a CT as stored values without its rescale intercept. Give a CT converted to HU."
        )
    if dark < 0.01 * hu.size:
        raise VolumeError(
            f"The values are not HU: only {dark / hu.size:.1%} of the voxels are below -10, though "
            "a CT of a head is surrounded by air. This may be an MR. Give a CT in HU."
        )
