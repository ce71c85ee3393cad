"""Seconds and peak memory of every method, each measured in a process of its own.

Run as a module it is that process: it measures one method and prints a JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from SliceInterpLib.errors import MethodError
from SliceInterpLib.lab.contenders import make_contender
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

SHAPE = (40, 512, 512)
"""Slices, rows and columns of the volume that is doubled."""


def speed_table(
    methods: Sequence[str], *, model: str | None = None, device: str = "auto"
) -> dict[str, dict[str, float]]:
    """Time `methods` on a 512×512×40 phantom, the median of three runs after the model is loaded.

    Args:
        methods: names of methods, as `make_contender` takes them.
        model: as `make_contender` takes it.
        device: as `make_contender` takes it.

    Returns:
        {method: {"seconds", "working_mib", "to_linear"}}: working memory is the process's peak
        above the two volumes, with the method's libraries and network; to_linear is the seconds
        over those of linear.

    Raises:
        MethodError: if a method cannot run.
    """
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        head = Path(folder) / "head.npy"
        np.save(head, head_phantom(slices=SHAPE[0], matrix=SHAPE[1]).volume.hu)
        for method in dict.fromkeys(["linear", *methods]):
            rows[method] = _in_a_process([str(head), method, model or "", device])
    for row in rows.values():
        row["to_linear"] = row["seconds"] / rows["linear"]["seconds"]
    return rows


def _in_a_process(arguments: list[str]) -> dict[str, float]:
    run = subprocess.run(
        [sys.executable, "-m", "SliceInterpLib.lab.speed", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise MethodError(f"Timing '{arguments[1]}' failed: {run.stderr.strip()[-500:]}")
    return json.loads(run.stdout.splitlines()[-1])


def _measure(head: Path, method: str, model: str | None, device: str) -> dict[str, float]:
    volume = Volume.from_grid(
        hu=np.load(head), origin=(0, 0, 0), spacing=(0.47, 0.47, 5.0), direction=np.eye(3)
    )
    before = _peak_mib()
    interpolator = make_contender(method, model=model, device=device)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        result = upsample(volume, interpolator)
        seconds.append(time.perf_counter() - started)
    return {
        "seconds": float(np.median(seconds)),
        "working_mib": _peak_mib() - before - result.hu.nbytes / 2**20,
    }


def _peak_mib() -> float:
    """The largest resident set of this process so far."""
    # Linux's getrusage would count the parent's peak as well, from before this program ran.
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) / 2**10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


if __name__ == "__main__":
    path, name, model_name, device_name = sys.argv[1:]
    print(json.dumps(_measure(Path(path), name, model_name or None, device_name)))
