"""What the product does on a GPU: speed, memory, precision, and what happens when memory runs out.

Every doubling is a process of its own (`python Testing/gpu/product.py '{…}'`), so that none finds
the memory or the settings of another. Without a GPU the same runs on the CPU.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from SliceInterpLib.interpolators.learned import Learned
from SliceInterpLib.lab.network_speed import network_speed
from SliceInterpLib.networks.registry import find_model
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.upsampling import upsample


@dataclass(frozen=True)
class Run:
    """A built-in head that is doubled twice, the second time on the clock."""

    device: str
    slices: int
    matrix: int
    half: bool | None = None
    """In bf16 or not; None: as the product chooses."""
    memory_mib: int | None = None
    """So much of the GPU's memory may the process have."""
    keep: str | None = None
    """Where to keep the result (.npy)."""

    def start(self) -> subprocess.Popen:
        """In a process of its own."""
        return subprocess.Popen(
            [sys.executable, __file__, json.dumps(asdict(self))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def __call__(self) -> dict[str, object]:
        """Carry it out here.

        Returns:
            Seconds, synthetic slices a second, the GPU's peak memory in MiB, device and precision
            in the end, sha256 of the result and the warnings.
        """
        if self.memory_mib:
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(self.memory_mib * 2**20 / total)
        volume = head_phantom(
            slices=self.slices,
            slice_spacing=160.0 / self.slices,
            matrix=self.matrix,
            pixel_spacing=240.0 / self.matrix,
        ).volume
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            learned = Learned(find_model(), self.device, half=self.half)
            middle = self.slices // 2
            upsample(volume.part(range(middle - 1, middle + 2)), learned, allow_thin=True)
            started = time.perf_counter()
            result = upsample(volume, learned, allow_thin=True)
            seconds = time.perf_counter() - started
        if self.keep:
            np.save(self.keep, result.slices)
        return {
            "seconds": round(seconds, 3),
            "slices_per_second": round((self.slices - 1) / seconds, 2),
            "peak_mib": round(torch.cuda.max_memory_allocated() / 2**20),
            "device": learned.provenance["device"],
            "precision": learned.provenance["precision"],
            "sha256": hashlib.sha256(np.ascontiguousarray(result.slices)).hexdigest()[:16],
            "warnings": [str(one.message) for one in warned],
        }


def measure(
    device: str, folder: Path, *, matrix: int = 512, few: int = 40, many: int = 400
) -> Iterator[dict[str, object]]:
    """Everything, one finding after the other, as {"what": …, and the figures}.

    Args:
        device: 'cuda' or 'cpu'.
        folder: for the results that are compared.
        matrix: rows and columns of the slices.
        few: slices of a usual scan.
        many: slices of a large one.
    """
    half, full, cpu = (str(folder / f"{name}.npy") for name in ("half", "full", "cpu"))
    yield {"what": "ceilings"} | ceilings(torch.device(device))
    yield _alone(Run(device, few, matrix))
    yield _alone(Run(device, many, matrix))
    yield _alone(Run(device, few, matrix, half=True, keep=half))
    yield _alone(Run(device, few, matrix, half=False, keep=full))
    yield _alone(Run("cpu", few, matrix, half=False, keep=cpu))
    yield {"what": f"HU, {device}, bf16 and float32"} | _differences(half, full)
    yield {"what": f"HU, float32, {device} and cpu"} | _differences(full, cpu)
    both = [Run(device, few, matrix).start() for _ in range(2)]
    yield {"what": "two processes at once", "runs": [_finished(one) for one in both]}
    if device == "cuda":
        yield _alone(Run(device, few, matrix, memory_mib=100))
    yield {"what": "networks"} | network_speed(["small"], device=device)


def ceilings(device: torch.device) -> dict[str, object]:
    """What the device can do at best: copying, and products of matrices.

    Returns:
        Its name, GB/s read and written by a copy within its memory, and TFLOP/s in bf16 and fp32.
    """
    side = 8192 if device.type == "cuda" else 1024
    data = torch.empty(side * side, device=device)
    found: dict[str, object] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "copy_gb_per_second": round(2 * data.nbytes / _seconds(data.clone, device) / 1e9, 1),
    }
    for dtype in (torch.bfloat16, torch.float32):
        one, other = torch.randn(2, side, side, device=device).to(dtype)
        seconds = _seconds(lambda one=one, other=other: one @ other, device)
        found[f"{dtype}_tflops".removeprefix("torch.")] = round(2 * side**3 / seconds / 1e12, 2)
    return found


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """The median of some runs, after two that are not timed."""
    times = []
    for _ in range(12):
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return float(np.median(times[2:]))


def _alone(run: Run) -> dict[str, object]:
    given = {name: value for name, value in asdict(run).items() if value is not None}
    return {"what": f"doubling {given}"} | _finished(run.start())


def _finished(process: subprocess.Popen) -> dict[str, object]:
    """What it found, or how it failed: the other runs go on."""
    output, errors = process.communicate()
    if process.returncode:
        return {"failed": errors[-600:]}
    return json.loads(output.splitlines()[-1])


def _differences(one: str, other: str) -> dict[str, object]:
    """Of the synthetic slices of two results."""
    if not (Path(one).exists() and Path(other).exists()):
        return {"failed": "a result is missing"}
    off = np.abs(np.load(one)[1::2].astype(np.int32) - np.load(other)[1::2])
    return {
        "mean": round(float(off.mean()), 4),
        "p99_9": float(np.quantile(off, 0.999)),
        "largest": int(off.max()),
    }


if __name__ == "__main__":
    print(json.dumps(Run(**json.loads(sys.argv[1]))()))
