"""One series of an archive, from its files to its result: what a Dask worker does."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pydicom

import SliceInterpLib
from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.archive.finding import Series
from SliceInterpLib.archive.manifest import Result, size_of
from SliceInterpLib.doublable import require_doublable
from SliceInterpLib.errors import (
    Cancelled,
    MethodError,
    SliceInterpError,
    ThinSlicesError,
    VolumeError,
)
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.files.dicom_frames import frames_of
from SliceInterpLib.files.dicom_writing import check_sources, write_dicom
from SliceInterpLib.fineness import Factor
from SliceInterpLib.interpolators import Interpolator, make_interpolator
from SliceInterpLib.networks.registry import find_model
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

_PACKAGE = Path(SliceInterpLib.__file__).parent

FIELD_MM = (100.0, 330.0)
"""Side of the image of a head. Heads are scanned with 180 to 300 mm, bodies with 350 to 500."""

LENGTH_MM = (30.0, 350.0)
"""First to last slice of a head, with or without the neck; bodies go on for longer."""

HEAD_WORDS = ("HEAD", "BRAIN", "SKULL")
"""One of these is in DICOM's Body Part Examined of a head (PS3.16, Annex L)."""


@dataclass(frozen=True)
class Recipe:
    """How the series are doubled: whatever a result depends on, besides its input."""

    method: str
    model: str | None
    """Name of a shipped model, or the absolute path of a card."""
    model_sha256: str | None
    factor: Factor
    spacing_mm: float | None = None
    dicom: bool = False
    """Results are derived series, each in a folder of its own, and no volume files."""
    keep_identity: bool = False
    """Of derived series, as `write_dicom` takes it."""
    version: str = SliceInterpLib.__version__

    def fingerprint(self, series: Series) -> str:
        """Digest that changes with the series' files, the weights, the settings and the version."""
        made_from = [asdict(self) | {"model": None}, series.uid, series.files]
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()

    def interpolator(self, device: str) -> Interpolator:
        """The method; raises MethodError where this computer has another version or model."""
        made = make_interpolator(self.method, model=self.model, device=device)
        here = (SliceInterpLib.__version__, made.provenance.get("model_sha256"))
        if here != (self.version, self.model_sha256):
            raise MethodError(
                f"The worker differs from the batch in version ({here[0]} here, {self.version} "
                f"there) or weights. Install the same SliceInterp on all computers."
            )
        return made


def make_recipe(
    method: str,
    *,
    model: str | None,
    factor: Factor = 2,
    spacing_mm: float | None = None,
    dicom: bool = False,
    keep_identity: bool = False,
) -> Recipe:
    """The recipe for a method.

    Args:
        method: as `make_interpolator` takes it.
        model: as `make_interpolator` takes it.
        factor: as `upsample` takes it.
        spacing_mm: likewise.
        dicom: results are derived series.
        keep_identity: of these, as `write_dicom` takes it.

    Raises:
        MethodError: if there is no such model.
    """
    if method != "learned":
        return Recipe(method, None, None, factor, spacing_mm, dicom, keep_identity)
    if model and model.endswith(".json"):
        model = str(Path(model).resolve())
    return Recipe(method, model, find_model(model).sha256, factor, spacing_mm, dicom, keep_identity)


@dataclass(frozen=True)
class Task:
    """A series that is to be doubled. Paths are absolute and hold for every worker."""

    source: Path
    uid: str | None
    target: Path
    pending: Result
    recipe: Recipe
    device: str
    ticket: Path
    """A folder that is there for as long as the result is wanted."""


def double(task: Task) -> Result:
    """Read, double and write one series; whatever goes wrong becomes part of the result.

    No value of a header gets into it: errors of other libraries, which may quote some, are told by
    their type alone.
    """
    started = time.monotonic()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            found = _double(task)
        except Cancelled:
            return task.pending
        except SliceInterpError as problem:
            reason = str(problem)
            for place in (task.target, task.source):
                reason = reason.removeprefix(f"{place}: ")
            found = {"state": "failed", "reason": reason}
        except MemoryError:
            found = {"state": "failed", "reason": "There is not enough memory for this series."}
        except Exception as problem:
            name = type(problem).__name__
            reason = (
                f"Unexpected {name}: 'sliceinterp upsample --debug' on this series shows where."
            )
            found = {"state": "failed", "reason": reason}
    seconds = round(time.monotonic() - started, 3)
    return replace(task.pending, **found, remarks=_remarks(warned), seconds=seconds)


def _remarks(warned: Sequence[warnings.WarningMessage]) -> str:
    """Our own warnings, each once: those of other libraries may quote a header."""
    ours = [
        str(one.message)
        for one in warned
        if one.category is UserWarning and _PACKAGE in Path(one.filename).parents
    ]
    return " ".join(dict.fromkeys(ours))


def _double(task: Task) -> dict[str, Any]:
    """The fields of the result."""
    if task.uid and _other_part_of_body(task.source, task.uid):
        return {"state": "skipped", "reason": "Its header names another part than the head."}
    volume = read_volume(task.source, series=task.uid)
    try:
        require_acquired(volume, option="sliceinterp upsample --acquired-only")
    except VolumeError as made_here:
        return {"state": "skipped", "reason": str(made_here)}
    if not task.recipe.dicom:
        volume.require_even()  # for the files that results are written to
    found = {"slices_before": volume.slice_count, "spacing_before_mm": _spacing(volume)}
    obstacle = why_no_head_ct(volume)
    if obstacle:
        return found | {"state": "skipped", "reason": obstacle}
    if task.recipe.dicom:
        check_sources(volume)
    result = upsample(
        volume,
        task.recipe.interpolator(task.device),
        factor=task.recipe.factor,
        spacing_mm=task.recipe.spacing_mm,
        cancelled=lambda: not task.ticket.is_dir(),
    )
    return found | _written(result, volume.files, task)


def _written(result: Volume, sources: Sequence[Path], task: Task) -> dict[str, Any]:
    if not task.ticket.is_dir():
        raise Cancelled("The batch has ended; nothing was kept.")
    task.target.parent.mkdir(parents=True, exist_ok=True)
    if task.recipe.dicom:
        keep = task.recipe.keep_identity
        write_dicom(result, sources, task.target, keep_identity=keep, overwrite=True)
    else:
        write_volume(result, task.target, overwrite=True)
    return {
        "state": "done",
        "slices_after": result.slice_count,
        "spacing_after_mm": _spacing(result),
        "method": result.provenance["method"],
        "device": result.provenance["device"],
        "output_bytes": size_of(task.target),
    }


def _spacing(volume: Volume) -> float | None:
    """mm between the slices; None if they are unevenly spaced."""
    return volume.slice_spacing if volume.is_even else None


def why_no_head_ct(volume: Volume) -> str:
    """Why the volume is not the CT of a head that can be doubled; empty if it may be one.

    Besides what `require_doublable` asks for, only the size is judged, FIELD_MM and LENGTH_MM: a
    body scanned with a field as narrow as a head's is not found out.
    """
    try:
        require_doublable(volume)
    except ThinSlicesError as problem:
        way = "let 'sliceinterp upsample --allow-thin' double it"
        return str(ThinSlicesError(problem.cause, way))
    except VolumeError as problem:
        return str(problem)
    rows, columns = (
        count * spacing
        for count, spacing in zip(volume.slices.shape[1:], volume.pixel_spacing, strict=True)
    )
    length = float(volume.positions[-1])
    sides_fit = all(FIELD_MM[0] <= side <= FIELD_MM[1] for side in (rows, columns))
    if sides_fit and LENGTH_MM[0] <= length <= LENGTH_MM[1]:
        return ""
    return (
        f"It has not the size of a head: {columns:.0f} × {rows:.0f} mm and {length:.0f} mm from "
        "the first slice to the last. 'sliceinterp upsample' takes it all the same."
    )


def _other_part_of_body(folder: Path, uid: str) -> bool:
    """Whether the header of the first slice of the series names a part that is not the head."""
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        frames = frames_of(path)
        if frames and not frames[0].unusable and frames[0].series == uid.split("/")[0]:
            tag = "BodyPartExamined"
            header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=[tag])
            part = str(header.get(tag) or "").upper()
            return bool(part) and not any(word in part for word in HEAD_WORDS)
    return False
