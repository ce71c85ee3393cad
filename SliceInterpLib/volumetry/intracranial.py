"""The intracranial space: what the skull surrounds."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.padding import without_padding
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry import morphology
from SliceInterpLib.volumetry.open_skull import within_open_ring

SKULL_HU = 150.0
"""What is denser is bone. No clot and little of the brain, calcified or not, is."""

INNER_TABLE_HU = 500.0
"""The blurred edge between blood or brain and the inner table lies midway, up to here."""

_LOWEST_TOP_HU = 80.0
"""Brain windows end at 80 HU or more; a scan without anything denser shows no bone."""

_SATURATED_SHARE = 1e-3
"""Where more voxels than this have the largest value of all, what was larger was cut off."""

_PIXEL_MM = 1.3
"""The space is looked for on pixels of about this size."""

_GAP_MM = 4.0
"""Gaps in the skull of twice this width are closed: sutures, burr holes, canals."""

_NECK_MM = 5.0
"""What hangs on the space by a neck narrower than twice this is cut off: orbits, sinuses."""

AIR_HU = -15.0
"""Air and fat are darker; scans saved in a brain window may have nothing below −20."""


def bone_hu(volume: Volume) -> float:
    """HU from which on a voxel is bone: SKULL_HU, or the top of a scan saturated below it."""
    top = float(volume.slices.max())
    saturated = np.count_nonzero(volume.slices == top) > _SATURATED_SHARE * volume.slices.size
    return top if saturated and _LOWEST_TOP_HU <= top < SKULL_HU else SKULL_HU


def intracranial_mask(volume: Volume) -> np.ndarray:
    """The space inside the skull: brain, CSF and blood; bool, shaped as `volume.slices`.

    Slice by slice, bone is closed over gaps and filled; where it is open more widely, by a
    craniectomy, a fracture or the edge of the picture, its ring is drawn on. What it surrounds,
    without bone, air and fat, and without what is joined to it by narrow necks, is taken, and of
    that the largest piece in space. The skull's base does not close around it: from the slice
    where it is widest it goes on, outwards only, into the tissue right beside it in the next
    slice. A scan of a part of the head will do, if some slices show the whole skull around the
    brain, or all of it but a window of eight centimetres. Raises VolumeError where
    no skull surrounds anything.
    """
    volume = without_padding(volume)
    slices = volume.slices
    steps = [max(1, round(_PIXEL_MM / size)) for size in volume.pixel_spacing]
    down, across = volume.pixel_spacing
    pixel = (down * steps[0], across * steps[1])
    hu = slices[:, :: steps[0], :: steps[1]].astype(np.float32)
    bone = hu >= bone_hu(volume)
    tissue = (ndimage.gaussian_filter(hu, (0, 1, 1)) > AIR_HU) & ~bone
    enclosed = morphology.filled(morphology.closed(bone, pixel, _GAP_MM))
    ring = np.stack([within_open_ring(plane, pixel) for plane in bone])
    drawn_on = (ring & ~enclosed).any((1, 2))
    surrounded = (enclosed | ring) & tissue
    core = morphology.largest_piece(morphology.opened(surrounded, pixel, _NECK_MM))
    if not core.any():
        raise VolumeError(
            "No intracranial space was found: no skull surrounds anything in these slices. Give a "
            "CT of the head in HU, with the whole skull in its slices, or a segmentation of your "
            "own."
        )
    wide = morphology.opened(tissue, pixel, _NECK_MM)
    wide[drawn_on] &= ring[drawn_on]  # beside a window the tissue goes on into the scalp
    widest = int(core.sum((1, 2)).argmax())
    for away in (range(widest + 1, len(core)), range(widest - 1, -1, -1)):
        for index in away:
            beside = core[index - away.step] & wide[index]
            # Towards the vertex the skull closes, and what lies outside is scalp.
            core[index] |= beside & surrounded[index] if _upwards(volume, away) else beside
    space = core | (morphology.dilated(core, pixel, _NECK_MM) & surrounded)
    space = morphology.dilated(space, pixel, max(pixel))  # what the coarse grid has left out
    fine = space.repeat(steps[0], axis=1).repeat(steps[1], axis=2)
    edge = INNER_TABLE_HU if bone_hu(volume) == SKULL_HU else bone_hu(volume)
    fine = fine[:, : slices.shape[1], : slices.shape[2]] & (slices < edge)
    # Calcifications, and clots in a saturated scan, are holes.
    return morphology.filled(fine)


def _upwards(volume: Volume, indices: range) -> bool:
    """Whether slices are counted from the feet to the head."""
    return bool(volume.slice_origins[indices[-1], 2] > volume.slice_origins[indices[0], 2])
