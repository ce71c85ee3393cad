"""The job folder: through it a child process is told what to do, and gives back what it found."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np

from SliceInterpLib.errors import MethodError, SliceInterpError
from SliceInterpLib.volume import Volume

_JOB, _INPUT, _RESULTS, _PAGE = "job.json", "input.npy", "results.json", "report.html"


@dataclass(frozen=True)
class JobSettings:
    """What is asked of the child. The fields are those of `upsample` and `make_interpolator`."""

    methods: tuple[str, ...]
    task: str = "upsample"
    """'upsample'; 'check': hide each slice in turn and predict it; or 'report': tell, as a page,
    how far to trust the second method, beside the first."""
    factor: int = 2
    model: str | None = None
    device: str = "auto"
    allow_thin: bool = False
    expected_error: bool = False
    """Of 'upsample': also how far voxels may be off, where the method can tell it."""
    seeds: Sequence[Sequence[float]] = ()
    """Of 'report': as `make_report` takes them."""


@dataclass(frozen=True)
class Doubled:
    """What the task 'upsample' gives, by method."""

    volumes: dict[str, Volume]
    """In the order asked for."""
    expected_errors: dict[str, Volume]
    """HU, 0 in acquired slices; of the methods that tell it, if it was asked for."""


def write_job(folder: Path, volume: Volume, settings: JobSettings) -> None:
    """Put a job into an empty folder of one's own."""
    np.save(folder / _INPUT, volume.slices, allow_pickle=False)
    job = {
        "settings": asdict(settings),
        "pixel_spacing": volume.pixel_spacing,
        "in_plane_axes": volume.in_plane_axes.tolist(),
        "slice_axis": volume.slice_axis,
        "provenance": dict(volume.provenance),
        **_by_slice(volume),
    }
    (folder / _JOB).write_text(json.dumps(job), encoding="utf-8")


def read_job(folder: Path, mmap_mode: Literal["r"] | None = None) -> tuple[Volume, JobSettings]:
    """What `write_job` put there.

    Args:
        folder: of the job.
        mmap_mode: as `numpy.load` takes it.
    """
    job = _read_json(folder / _JOB)
    settings = JobSettings(**job["settings"] | {"methods": tuple(job["settings"]["methods"])})
    volume = Volume(
        slices=np.load(folder / _INPUT, mmap_mode=mmap_mode, allow_pickle=False),
        pixel_spacing=job["pixel_spacing"],
        in_plane_axes=np.array(job["in_plane_axes"]),
        slice_axis=job["slice_axis"],
        provenance=job["provenance"],
        **_from_json(job),
    )
    return volume, settings


def save_upsampled(
    folder: Path, number: int, result: Volume, error: Volume | None
) -> dict[str, object]:
    """Leave a doubled volume and its expected error.

    Args:
        folder: of the job.
        number: of the method among those of the job; it names the files.
        result: the doubled volume.
        error: its expected error; None where none is told.

    Returns:
        What `save_results` is to say of them.
    """
    name, error_name = f"result-{number}.npy", None
    np.save(folder / name, result.slices, allow_pickle=False)
    if error is not None:
        error_name = f"result-{number}-error.npy"
        np.save(folder / error_name, error.slices, allow_pickle=False)
    return {
        "file": name,
        "expected_error": error_name,
        "provenance": dict(result.provenance),
        **_by_slice(result),
    }


def save_results(folder: Path, results: dict[str, object]) -> None:
    """Leave what was found by each method."""
    (folder / _RESULTS).write_text(json.dumps(results), encoding="utf-8")


def save_report(folder: Path, page: str) -> None:
    """Leave a report's page."""
    (folder / _PAGE).write_text(page, encoding="utf-8")


def read_outcome(folder: Path, task: str) -> object:
    """What a task gave.

    Args:
        folder: of the job.
        task: as of `Settings`.

    Returns:
        Doubled, the rows of a check, or a report's page.

    Raises:
        MethodError: if that is not whole.
    """
    readers = {"upsample": read_results, "check": read_check, "report": read_report}
    return readers[task](folder)


def read_results(folder: Path) -> Doubled:
    """The doubled volumes and their expected errors.

    Raises:
        MethodError: if they are not whole, or an acquired slice is not as it was given.
    """
    try:
        volume, _ = read_job(folder, mmap_mode="r")
        results = _read_json(folder / _RESULTS)
        volumes, errors = {}, {}
        for method, about in results.items():
            volumes[method] = _result(folder, volume, about)
            if about["expected_error"]:
                errors[method] = _expected_error(folder, volumes[method], about)
        return Doubled(volumes, errors)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        SliceInterpError,
    ) as problem:
        raise _damaged(problem) from problem


def read_check(folder: Path) -> dict[str, list[dict[str, float | None]]]:
    """Metrics of every hidden slice by method: {"slice": index, "psnr": …, …}."""
    try:
        return {method: list(rows) for method, rows in _read_json(folder / _RESULTS).items()}
    except (OSError, ValueError, TypeError, AttributeError) as problem:
        raise _damaged(problem) from problem


def read_report(folder: Path) -> str:
    """The page of a report."""
    try:
        return (folder / _PAGE).read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise _damaged(problem) from problem


def remove_job(folder: Path) -> None:
    """Delete a job's files and its folder; anything else that lies there stays."""
    with contextlib.suppress(OSError):
        for name in (_JOB, _INPUT, _RESULTS, _PAGE, "result-*.npy"):
            for path in folder.glob(name):
                path.unlink(missing_ok=True)
        folder.rmdir()


def _result(folder: Path, volume: Volume, about: dict) -> Volume:
    """One doubled volume, checked against what was given: the acquired slices bit for bit."""
    slices = np.load(folder / Path(about["file"]).name, allow_pickle=False)
    result = replace(
        volume, slices=slices, provenance=about["provenance"], files=(), **_from_json(about)
    )
    if slices.dtype != volume.slices.dtype:
        raise ValueError("its type does not fit")
    if not np.array_equal(result.slices[~result.synthetic], volume.slices):
        raise ValueError("its acquired slices are not those of the input")
    if not np.allclose(result.slice_origins[~result.synthetic], volume.slice_origins, atol=1e-6):
        raise ValueError("its acquired slices do not lie where those of the input do")
    return result


def _expected_error(folder: Path, result: Volume, about: dict) -> Volume:
    """The error of each voxel of a doubled volume, checked: none in acquired slices."""
    hu = np.load(folder / Path(about["expected_error"]).name, allow_pickle=False)
    error = replace(result, slices=hu)
    if hu.dtype != np.float32 or hu.shape != result.slices.shape:
        raise ValueError("the size or type of its expected error does not fit")
    if error.slices[~result.synthetic].any() or not (np.isfinite(hu) & (hu >= 0)).all():
        raise ValueError("its expected error has impossible values")
    return error


def _by_slice(volume: Volume) -> dict[str, object]:
    """What is known of each slice, as JSON takes it."""
    return {
        "slice_origins": volume.slice_origins.tolist(),
        "thickness": [None if np.isnan(mm) else mm for mm in volume.thickness.tolist()],
        "synthetic": volume.synthetic.tolist(),
    }


class _BySlice(TypedDict):
    """Fields of a Volume."""

    slice_origins: np.ndarray
    thickness: np.ndarray
    synthetic: np.ndarray


def _from_json(about: dict) -> _BySlice:
    return _BySlice(
        slice_origins=np.array(about["slice_origins"]),
        thickness=np.array(about["thickness"], dtype=float),
        synthetic=np.array(about["synthetic"], dtype=bool),
    )


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _damaged(problem: Exception) -> MethodError:
    return MethodError(
        f"The result of the run is damaged and was thrown away ({problem}). Run it again."
    )
