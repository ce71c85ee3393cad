"""How long a run will take, said beforehand, and better after each run."""

from __future__ import annotations

import time
from collections.abc import Sequence

from SliceInterpLib.fineness import times_each
from SliceInterpLib.scene.dependencies import has_nvidia_gpu, torch_cuda
from SliceInterpLib.tasks import MethodSettings
from SliceInterpLib.volume import Volume

_STARTING = {"learned": 4.0}
"""Seconds before the first slice, most of them torch's import."""
_PER_MEGAPIXEL = {("learned", "CPU"): 0.43, ("learned", "CUDA"): 0.02, ("sinc", "CPU"): 0.1}
_CLASSICAL = 0.03
_WITH_ERROR = 1.4
"""Times as long where the expected error is told as well."""
_GAP = {"learned": 0.6}
"""The part of a doubling's time that is spent once a gap, however many slices go into it."""


class Estimate:
    """Seconds by method and device, from a guess and then from what was measured here."""

    def __init__(self) -> None:
        self._measured: dict[tuple[str, str], float] = {}

    def device(self, device: str) -> str:
        """'CUDA' or 'CPU': what `device` will turn out to be."""
        if device != "cpu" and has_nvidia_gpu() and torch_cuda():
            return "CUDA"
        return "CUDA" if device == "cuda" else "CPU"

    def seconds(self, volume: Volume, times: Sequence[int], settings: MethodSettings) -> float:
        """Seconds for all methods, with so many times as many slices in each stretch."""
        total = 1.0
        for method in settings.methods:
            where = self.device(settings.device) if method == "learned" else "CPU"
            rate = self._measured.get((method, where))
            rate = rate or _PER_MEGAPIXEL.get((method, where), _CLASSICAL)
            total += _STARTING.get(method, 0.0) + rate * _work(volume, times, method, settings)
        return total

    def learn(self, volume: Volume, settings: MethodSettings, began: dict[str, tuple]) -> None:
        """Take the rate of the last method of a run that has just ended.

        Args:
            volume: what was doubled.
            settings: what was asked for.
            began: by method, slices done and `time.monotonic` when the first of it was heard.
        """
        method = settings.methods[-1]
        times = times_each(
            volume, settings.factor, settings.spacing_mm, allow_thin=settings.allow_thin
        )
        work = _work(volume, times, method, settings)
        if method in began and work > 1:
            where = self.device(settings.device) if method == "learned" else "CPU"
            seconds = time.monotonic() - began[method][1]
            self._measured[method, where] = seconds / work


def in_words(seconds: float) -> str:
    """'6 s', '4 min'."""
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"


def _work(volume: Volume, times: Sequence[int], method: str, settings: MethodSettings) -> float:
    """Megapixels that take as long to predict when a scan is doubled, without expected error."""
    once = _GAP.get(method, 0.0)
    told = settings.expected_error and method == "learned"
    slices = sum(
        (len(part) - 1) * (once + (1.0 - once) * (n - 1))
        for part, n in zip(volume.stretches, times, strict=True)
        if n > 1
    )
    return slices * volume.slices[0].size / 1e6 * (_WITH_ERROR if told else 1.0)
