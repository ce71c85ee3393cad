"""Which slices of a volume were acquired: asked by what predicts or judges by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.marks import UNKNOWN_SLICES
from SliceInterpLib.volume import Volume

_CHANGES = {"uniform": "denoised", "upright": "resampled to undo the tilt"}
"""What may have been done to acquired slices, by its name in the provenance."""

_WAY_OUT = "Give the scan that it was made from"


def require_acquired(volume: Volume, *, way_out: str = "", option: str = "--acquired-only") -> None:
    """Raise VolumeError, with cause and way out, for a volume that SliceInterp made.

    Args:
        volume: as it was read.
        way_out: what to do instead, a sentence; by default what the command line can do.
        option: of that, what takes the acquired slices alone.
    """
    if not volume.is_derived:
        return
    if not way_out:
        count = np.count_nonzero(~volume.synthetic)
        alone = f", or take its {count} acquired slices alone ({option})"
        way_out = f"{_WAY_OUT}{'' if _why_none(volume) else alone}."
    raise VolumeError(
        f"{_in_words(volume)} What was predicted is no ground to predict from or to judge "
        f"by. {way_out}"
    )


def acquired_only(volume: Volume) -> Volume:
    """The acquired slices of a result, bit for bit, each where it was acquired.

    Args:
        volume: an acquired one is returned as it is.

    Raises:
        VolumeError: where no slice is as it was acquired, where it is not known which are, and
            where even spacing has left some of them out.
    """
    if not volume.is_derived:
        return volume
    obstacle = _why_none(volume)
    if obstacle:
        raise VolumeError(
            f"The acquired slices cannot be taken out of this result of SliceInterp: {obstacle}. "
            f"{_WAY_OUT}."
        )
    kept = ~volume.synthetic
    files = np.array(volume.files, object)
    return replace(
        volume,
        slices=volume.slices[kept],
        slice_origins=volume.slice_origins[kept],
        thickness=volume.thickness[kept],
        synthetic=np.zeros(np.count_nonzero(kept), bool),
        provenance={},
        files=tuple(files[kept]) if len(files) else (),
    )


def _in_words(volume: Volume) -> str:
    """A sentence: that SliceInterp made the volume, how, and which slices are synthetic."""
    made = volume.provenance
    how = " ".join(str(made[name])[:60] for name in ("method", "model") if made.get(name))
    if made.get("factor"):
        how = f"{how} ×{made['factor']!s:.9}".strip()
    by = f" ({how})" if how else ""
    if made.get(UNKNOWN_SLICES):
        return f"SliceInterp made this{by}; which slices are synthetic is no longer known."
    count = np.count_nonzero(volume.synthetic)
    done = [what for name, what in _CHANGES.items() if made.get(name)]
    rest = f", and the others were {' and '.join(done)}" if done else ""
    return f"SliceInterp made this{by}: {count} of {volume.slice_count} slices are synthetic{rest}."


def _why_none(volume: Volume) -> str:
    """Why the acquired slices cannot be taken out; empty if they can."""
    made = volume.provenance
    if made.get(UNKNOWN_SLICES):
        return "which of its slices are synthetic is no longer known"
    done = [what for name, what in _CHANGES.items() if made.get(name)]
    if done:
        return f"none of its slices is as it was acquired, for they were {' and '.join(done)}"
    count = np.count_nonzero(~volume.synthetic)
    if "spaced_evenly_mm" in made and count != _count_before(volume):
        return "its slices were spaced evenly, and not all acquired ones are among them"
    return "" if count else "all of its slices are synthetic"


def _count_before(volume: Volume) -> int | None:
    """How many slices an uneven scan had, from 1 as `upsample` notes it; None if not noted."""
    try:
        return int(volume.provenance["parts"][-1]["slices"][-1])  # type: ignore[index]
    except (KeyError, IndexError, TypeError, ValueError):
        return None
