"""Where the time of `sliceinterp upsample` goes: seconds of each of its parts, in one process.

Run as a module it is that process: it does what the command does, one part after the other, and
prints a JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from SliceInterpLib.errors import MethodError
from SliceInterpLib.process import uncollected
from SliceInterpLib.table import Column, Table

MATRIX = 512
"""Rows and columns of the phantom's slices."""


def command_parts(
    model: str | None = None, *, device: str = "auto", slices: int = 10
) -> dict[str, object]:
    """Time the parts of doubling a phantom of 512×512 pixels, from the start to the written file.

    Args:
        model: as `make_interpolator` takes it.
        device: as `make_interpolator` takes it.
        slices: of the phantom.

    Returns:
        {"slices", "threads", "parts": {name: {"seconds", "cpu_seconds"}}}.

    Raises:
        MethodError: if the process fails.
    """
    from SliceInterpLib.files.writing import write_volume
    from SliceInterpLib.phantom import head_phantom

    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.nii.gz"
        write_volume(head_phantom(slices=slices, matrix=MATRIX).volume, scan)
        run = subprocess.run(
            [
                *(sys.executable, "-m", "SliceInterpLib.lab.command_parts"),
                *(str(scan), str(Path(folder) / "result"), model or "", device, str(time.time())),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    if run.returncode:
        raise MethodError(f"Timing the command failed: {run.stderr.strip()[-500:]}")
    return {"slices": slices, **json.loads(run.stdout.splitlines()[-1])}


def command_parts_table(result: Mapping) -> Table:
    """What `command_parts` found, below a line that says of what."""
    return Table(
        (
            Column("part"),
            Column("seconds", style=".2f"),
            Column("cpu_seconds", "CPU seconds", style=".2f"),
        ),
        [{"part": name, **row} for name, row in result["parts"].items()],
        caption=f"`sliceinterp upsample` of {MATRIX}×{MATRIX}×{result['slices']}, part by part, "
        f"threads: {result['threads']}:",
    )


def _measure(
    scan: Path, result: Path, model: str | None, device: str, started: float
) -> dict[str, object]:
    """The parts; what is imported is imported where the command would."""
    parts: dict[str, dict[str, float]] = {}

    @contextmanager
    def part(name: str) -> Iterator[None]:
        since, cpu = time.perf_counter(), time.process_time()
        yield
        parts[name] = {
            "seconds": time.perf_counter() - since,
            "cpu_seconds": time.process_time() - cpu,
        }

    import SliceInterpLib.cli  # noqa: F401

    parts["start"] = {"seconds": time.time() - started, "cpu_seconds": time.process_time()}
    with part("read"):
        from SliceInterpLib.files.reading import read_volume

        volume = read_volume(scan)
    with part("import torch"), uncollected():
        import torch
    with part("load and check weights, choose precision"):
        from SliceInterpLib.interpolators import make_interpolator

        interpolator = make_interpolator("learned", model=model, device=device)
    from SliceInterpLib.upsampling import upsample

    with part("predict the first slice"):
        upsample(volume.part(range(2)), interpolator)
    with part("predict all slices"):
        doubled = upsample(volume, interpolator)
    from SliceInterpLib.files.writing import write_volume

    for suffix in (".nii.gz", ".nrrd"):
        with part(f"write {suffix}"):
            write_volume(doubled, result.with_name(result.name + suffix))
    return {"threads": torch.get_num_threads(), "parts": parts}


if __name__ == "__main__":
    scan_path, result_path, model_name, device_name, start_time = sys.argv[1:]
    print(
        json.dumps(
            _measure(
                Path(scan_path),
                Path(result_path),
                model_name or None,
                device_name,
                float(start_time),
            )
        )
    )
