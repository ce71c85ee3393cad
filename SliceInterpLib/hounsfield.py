"""Windows and ranges of Hounsfield units (HU)."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

Ranges: TypeAlias = "tuple[tuple[float, float], ...]"
"""The lowest and the highest HU of each, both included."""


class Window(NamedTuple):
    """An interval of HU shown from black (`low`) to white (`high`)."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """Width of the window in HU."""
        return self.high - self.low

    def scale(self, hu: np.ndarray) -> np.ndarray:
        """HU of any shape, clipped to the window and scaled to [0, 1], as float32."""
        scaled = np.asarray(hu, dtype=np.float32)
        scaled = (scaled - np.float32(self.low)) * np.float32(1.0 / self.width)
        return np.clip(scaled, 0.0, 1.0, out=scaled)

    def to_8bit(self, hu: np.ndarray) -> np.ndarray:
        """HU of any shape as uint8 grey values, 0 at `low` and 255 at `high`."""
        return (self.scale(hu) * 255.0 + 0.5).astype(np.uint8)


BRAIN = Window(-20.0, 107.0)
"""The window of Cortés Ferre et al. 2026 (arXiv 2606.09953): quality figures are given in it."""

WIDE = Window(-1000.0, 1500.0)
"""Air to dense bone: what moves where the brain window is black or white."""
