"""What a run's folder says of how it was trained: what from, and how, stretch by stretch.

A training may go on for longer, with other settings or on another computer: each stretch is put
down. It may not go on with other scans, another network or another model to start from, for then
nobody could say what its weights come from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from SliceInterpLib.errors import TrainingError
from SliceInterpLib.lab.training.checkpoints import replace_text
from SliceInterpLib.volume import Volume

FILE = "run.json"
"""In the folder of the run."""

_UNKNOWN = "begun by a version that did not put down on what"


def digests_of(volumes: Sequence[Volume]) -> list[str]:
    """SHA-256 of each volume's voxels and places, sorted: whatever its file is called."""
    return sorted(_digest(volume) for volume in volumes)


def together(digests: Sequence[str]) -> str:
    """One SHA-256 for all."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def begin_stretch(
    folder: Path,
    checkpoint: Mapping[str, Any] | None,
    source: Mapping[str, Any],
    how: Mapping[str, Any],
    *,
    write: bool,
) -> list[dict[str, Any]]:
    """Put down that a training begins, or goes on.

    Args:
        folder: of the run.
        checkpoint: as `checkpoints.read_state` returns it.
        source: what stays the same as long as the run goes on: "volumes" (as of `digests_of`),
            "architecture", "configuration" and "start" (SHA-256 of a model, or None).
        how: what may be different in each stretch.
        write: whether this process is the one that writes.

    Returns:
        The stretches so far, each with what is in its `how`, "from_step" and "from_minutes". The
        last one is the one that begins, or one that was interrupted and goes on just as before.

    Raises:
        TrainingError: if the run was begun from another source.
    """
    source, how = json.loads(json.dumps([source, how]))
    step, minutes, stretches = 0, 0.0, []
    if checkpoint:
        step, minutes = checkpoint["step"], checkpoint["seconds"] / 60.0
        known = _read(folder, checkpoint)
        _refuse_other(folder, known["source"], source)
        # One that left no checkpoint behind counts for nothing.
        stretches = [one for one in known["stretches"] if one["from_step"] < step]
    if not stretches or how != {key: stretches[-1].get(key) for key in how}:
        stretches.append({"from_step": step, "from_minutes": minutes, **how})
    if write:
        folder.mkdir(parents=True, exist_ok=True)
        known = {"source": source, "stretches": stretches}
        replace_text(folder / FILE, json.dumps(known, indent=2) + "\n")
    return stretches


def stretches_for_card(
    stretches: Sequence[Mapping[str, Any]], steps: int, minutes: float
) -> list[dict[str, Any]]:
    """Each stretch with its first and last step and how long it took.

    Args:
        stretches: as of `begin_stretch`.
        steps: of the whole training.
        minutes: of the whole training.
    """
    ends = [(one["from_step"], one["from_minutes"]) for one in stretches[1:]] + [(steps, minutes)]
    return [
        {
            "steps": [one["from_step"], last],
            "minutes": round(until - one["from_minutes"], 1),
            **{key: value for key, value in one.items() if not key.startswith("from_")},
        }
        for one, (last, until) in zip(stretches, ends, strict=True)
        if last > one["from_step"]
    ]


def _digest(volume: Volume) -> str:
    digest = hashlib.sha256(f"{volume.slices.dtype.str} {volume.slices.shape}".encode())
    for part in (volume.slice_origins, volume.in_plane_axes, np.array(volume.pixel_spacing)):
        digest.update((np.round(part, 4) + 0.0).tobytes())
    for hu in volume.slices:
        digest.update(hu.tobytes())
    return digest.hexdigest()


def _read(folder: Path, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        first = {"from_step": 0, "from_minutes": 0.0, "settings": checkpoint["settings"]}
        return {"source": {}, "stretches": [first | {"note": _UNKNOWN}]}


def _refuse_other(folder: Path, known: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    """Raise TrainingError, saying what differs, unless what is known of the source is the same."""
    differs = [name for name in known if known[name] != source[name]]
    found = []
    if "volumes" in differs:
        before, now = known["volumes"], source["volumes"]
        gone, new = len(set(before) - set(now)), len(set(now) - set(before))
        found.append(
            f"on other scans: {gone} of its {len(before)} are not among these, and {new} of these "
            "are not among its own"
        )
    if "architecture" in differs or "configuration" in differs:
        found.append("of another network (--design)")
    if "start" in differs:
        model = known["start"]
        begun = f"the model with SHA-256 {model[:12]}…" if model else "random weights"
        found.append(f"from another start (--start): {begun}")
    if found:
        raise TrainingError(
            f"{folder} holds a training {'; and '.join(found)}. Go on with the same scans, network "
            "and start, or train in another folder (-o)."
        )
