"""Optical-flow midpoint: both slices are moved halfway along OpenCV's DIS flow and averaged.

No learning, and far stronger than the mean of the two slices; every claim of the networks is
made against it too. DIS: Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from SliceInterpLib.errors import MethodError
from SliceInterpLib.hounsfield import BRAIN, WIDE, Window

_FLAT_GREY_LEVELS = 2.0
"""A neighbourhood whose grey values spread less than this carries no motion that can be seen."""

_NEIGHBOURHOOD = (15, 15)
"""Pixels over which flatness is judged and over which the two flows are faded into each other."""


def opencv(method: str = "optical-flow") -> ModuleType:
    """OpenCV, imported when first needed. Raises MethodError, naming `method`, without it."""
    try:
        import cv2
    except ImportError as missing:
        raise MethodError(
            f"The method '{method}' needs OpenCV, which is not installed. "
            "Install it with: pip install opencv-python-headless"
        ) from missing
    return cv2


def both_flows(first: np.ndarray, second: np.ndarray, window: Window) -> np.ndarray:
    """DIS flow (preset MEDIUM) both ways between two slices.

    first, second: (h, w) HU. Returns (2, h, w, 2) float32, pixels (x, y): [0] leads from the
    first slice to the second, [1] back.
    """
    cv2 = opencv()
    grey = [window.to_8bit(hu) for hu in (first, second)]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.stack([dis.calc(*grey, None), dis.calc(*grey[::-1], None)])


def _brain_flatness(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(h, w) in [0, 1]: 1 where neither slice has contrast in the brain window."""
    cv2 = opencv()
    spread = np.zeros(first.shape, np.float32)
    for hu in (first, second):
        grey = BRAIN.to_8bit(hu).astype(np.float32)
        mean = cv2.blur(grey, _NEIGHBOURHOOD)
        variance = cv2.blur(grey * grey, _NEIGHBOURHOOD) - mean * mean
        spread = np.maximum(spread, np.sqrt(np.maximum(variance, 0.0)))
    return cv2.blur((spread < _FLAT_GREY_LEVELS).astype(np.float32), _NEIGHBOURHOOD)


def _midpoint(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(h, w) HU midway between two (h, w) float32 HU slices."""
    flows = both_flows(first, second, BRAIN)
    flat = _brain_flatness(first, second)
    if flat.any():
        flows += flat[..., None] * (both_flows(first, second, WIDE) - flows)
    return halfway(first, second, flows)


def halfway(first: np.ndarray, second: np.ndarray, flows: np.ndarray) -> np.ndarray:
    """The mean of two slices, each moved halfway to the other.

    first, second: (h, w) float32 HU. flows: (2, h, w, 2) float32 as of `both_flows`. Returns
    (h, w) HU. Where the middle slice looks for a point of the first, half the way back from the
    second is taken at that same place, which saves inverting a flow.
    """
    cv2 = opencv()
    forth, back = 0.5 * flows
    y, x = np.indices(first.shape, dtype=np.float32)

    def sample(hu: np.ndarray, flow: np.ndarray) -> np.ndarray:
        return cv2.remap(
            hu, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
        )

    return 0.5 * (sample(first, back) + sample(second, forth))


class OpticalFlow:
    """The optical-flow midpoint as an interpolator of slice pairs.

    Raises MethodError at construction when OpenCV is missing.
    """

    name = "optical-flow"
    context = 0
    batch = 1

    def __init__(self) -> None:
        self.provenance = {"library": f"opencv {opencv().__version__}"}

    def __call__(self, slices: np.ndarray) -> np.ndarray:
        """(n, 2, h, w) float32 HU to (n, h, w) float32 HU."""
        return np.stack([_midpoint(first, second) for first, second in slices])
