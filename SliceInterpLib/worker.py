"""The child process that computes, and the job folder through which it is told what to do.

It is run by its path, `python …/SliceInterpLib/worker.py JOB_FOLDER`, since Slicer's Python finds
the package by its place only (`python -m SliceInterpLib.worker` does the same where it is
installed). Its standard input must stay open: when that ends, be it closed or its owner dead, the
job is cancelled and the folder's files are deleted, for they hold a patient's scan. It prints JSON
lines, {"event": "start" | "progress" | "log" | "error" | "done" | "cancelled", …}, and exits with
DONE, FAILED or CANCELLED.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

if __name__ == "__main__" and not __package__:
    # Run by its path: the package lies beside this file's folder, not in it.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from SliceInterpLib.errors import Cancelled, MethodError, SliceInterpError
from SliceInterpLib.interpolators import Interpolator, make_interpolator
from SliceInterpLib.upsampling import Progress, UpsampledVolume, upsample
from SliceInterpLib.volume import Volume

DONE, FAILED, CANCELLED = 0, 1, 3
"""Exit codes."""

PATIENCE = 0.5
"""Seconds after a cancel in which a run may end by itself; a library's import would not."""

_JOB, _INPUT, _RESULTS = "job.json", "input.npy", "results.json"

Emit = Callable[..., None]


@dataclass(frozen=True)
class Settings:
    """What is asked of the child. The fields are those of `upsample` and `make_interpolator`."""

    methods: tuple[str, ...]
    task: str = "upsample"
    """'upsample', or 'check': hide each slice in turn and predict it."""
    factor: int = 2
    model: str | None = None
    device: str = "auto"
    allow_thin: bool = False


def write_job(folder: Path, volume: Volume, settings: Settings) -> None:
    """Put a job into an empty folder of one's own."""
    np.save(folder / _INPUT, volume.hu, allow_pickle=False)
    job = {
        "settings": asdict(settings),
        "origin": volume.origin,
        "spacing": volume.spacing,
        "direction": volume.direction.ravel().tolist(),
    }
    (folder / _JOB).write_text(json.dumps(job), encoding="utf-8")


def read_results(folder: Path) -> dict[str, UpsampledVolume]:
    """The doubled volumes by method, in the order asked for.

    Raises MethodError if they are not whole, or an acquired slice is not as it was given.
    """
    try:
        volume, _ = _read_job(folder, mmap_mode="r")
        results = _read_json(folder / _RESULTS)
        return {method: _result(folder, volume, about) for method, about in results.items()}
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


def remove_job(folder: Path) -> None:
    """Delete a job's files and its folder; anything else that lies there stays."""
    with contextlib.suppress(OSError):
        for name in (_JOB, _INPUT, _RESULTS, *(path.name for path in folder.glob("result-*.npy"))):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def run_job(folder: Path, emit: Emit, cancelled: Callable[[], bool]) -> None:
    """Do what the folder asks for and leave the results in it."""
    volume, settings = _read_job(folder)
    results = {}
    for number, method in enumerate(settings.methods):
        if cancelled():
            raise Cancelled("The run was cancelled; nothing was kept.")

        def progress(done: int, total: int, method: str = method) -> None:
            emit("progress", method=method, done=done, total=total)

        interpolator = make_interpolator(method, model=settings.model, device=settings.device)
        match settings.task:
            case "upsample":
                path = folder / f"result-{number}.npy"
                results[method] = _upsample(
                    volume, interpolator, settings, path, progress, cancelled
                )
            case "check":
                results[method] = _check(volume, interpolator, progress, cancelled)
            case other:
                raise MethodError(f"There is no task '{other}'.")
    (folder / _RESULTS).write_text(json.dumps(results), encoding="utf-8")


def _upsample(
    volume: Volume,
    interpolator: Interpolator,
    settings: Settings,
    path: Path,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> dict[str, object]:
    """Leave the doubled volume in `path`, and say what else belongs to it."""
    result = upsample(
        volume,
        interpolator,
        factor=settings.factor,
        allow_thin=settings.allow_thin,
        progress=progress,
        cancelled=cancelled,
    )
    np.save(path, result.hu, allow_pickle=False)
    return {
        "file": path.name,
        "spacing": result.spacing,
        "axis": result.through_plane_axis,
        "synthetic": result.synthetic.tolist(),
        "provenance": result.provenance,
    }


def _check(
    volume: Volume,
    interpolator: Interpolator,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> list[dict[str, float | None]]:
    from SliceInterpLib.evaluation.scan_check import hidden_slices

    def count(done: int) -> None:
        progress(done, volume.slice_count - 2)

    return hidden_slices(volume, interpolator, progress=count, cancelled=cancelled)


def _read_job(folder: Path, mmap_mode: str | None = None) -> tuple[Volume, Settings]:
    job = _read_json(folder / _JOB)
    settings = Settings(**job["settings"] | {"methods": tuple(job["settings"]["methods"])})
    volume = Volume(
        hu=np.load(folder / _INPUT, mmap_mode=mmap_mode, allow_pickle=False),
        **{name: job[name] for name in ("origin", "spacing", "direction")},
    )
    return volume, settings


def _result(folder: Path, volume: Volume, about: dict) -> UpsampledVolume:
    """One doubled volume, checked against what was given: the acquired slices bit for bit."""
    hu = np.load(folder / Path(about["file"]).name, allow_pickle=False)
    synthetic = np.array(about["synthetic"], dtype=bool)
    result = UpsampledVolume(
        hu=hu,
        origin=volume.origin,
        spacing=about["spacing"],
        direction=volume.direction,
        synthetic=synthetic,
        through_plane_axis=about["axis"],
        provenance=about["provenance"],
    )
    if hu.dtype != volume.hu.dtype or len(synthetic) != result.slice_count:
        raise ValueError("its size or type does not fit")
    if not np.array_equal(result.slices[~synthetic], np.moveaxis(volume.hu, about["axis"], 0)):
        raise ValueError("its acquired slices are not those of the input")
    return result


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _damaged(problem: Exception) -> MethodError:
    return MethodError(
        f"The result of the run is damaged and was thrown away ({problem}). Run it again."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job in the folder that is named; see the module's text."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: worker.py JOB_FOLDER", file=sys.stderr)
        return FAILED
    folder = Path(arguments[0])
    warnings.showwarning = lambda message, *_: _emit("log", text=str(message))
    _emit("start", pid=os.getpid())
    cancelled = threading.Event()
    threading.Thread(target=_watch, args=(folder, cancelled), daemon=True).start()
    try:
        run_job(folder, _emit, cancelled.is_set)
    except Cancelled:
        remove_job(folder)
        _emit("cancelled")
        return CANCELLED
    except Exception as problem:
        if not isinstance(problem, SliceInterpError):
            traceback.print_exc()
        _emit("error", text=_one_line(problem))
        return FAILED
    _emit("done")
    return DONE


def _watch(folder: Path, cancelled: threading.Event) -> None:
    """Wait for the end of standard input, then see to it that the process ends soon."""
    # os.read, since a thread that waits in sys.stdin's lock aborts Python when it shuts down.
    while os.read(0, 1024):
        pass
    cancelled.set()
    time.sleep(PATIENCE)
    remove_job(folder)
    os._exit(CANCELLED)


def _emit(event: str, **more: object) -> None:
    print(json.dumps({"event": event, **more}), flush=True)


def _one_line(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    if isinstance(problem, SliceInterpError):
        return text
    if isinstance(problem, MemoryError):
        return "There is not enough memory for this volume. Close other volumes, or crop this one."
    if isinstance(problem, ImportError) and problem.name:
        return f"The Python package '{problem.name}' is not installed."
    return f"{type(problem).__name__}: {text}"


if __name__ == "__main__":
    sys.exit(main())
