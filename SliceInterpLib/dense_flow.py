"""Flow between two slices by OpenCV, and slices moved along it. OpenCV is imported when needed.

DIS: Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from SliceInterpLib.errors import MethodError
from SliceInterpLib.hounsfield import Window


def opencv(method: str = "optical-flow") -> ModuleType:
    """OpenCV, imported when first needed.

    Args:
        method: what the error says that it is needed for.

    Raises:
        MethodError: without it.
    """
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

    Args:
        first: (h, w) HU.
        second: (h, w) HU.
        window: in which they are compared.

    Returns:
        (2, h, w, 2) float32, pixels (x, y): [0] leads from the first slice to the second, [1] back.
    """
    cv2 = opencv()
    grey = [window.to_8bit(hu) for hu in (first, second)]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.stack([dis.calc(*grey, None), dis.calc(*grey[::-1], None)])


def between(first: np.ndarray, second: np.ndarray, flows: np.ndarray, times: int) -> np.ndarray:
    """Slices at even steps between two: each is moved its part of the way, and both are weighed.

    Where the slice at t looks for a point of the first, t of the way back from the second is taken
    at that same place, which saves inverting a flow.

    Args:
        first: (h, w) float32 HU.
        second: (h, w) float32 HU.
        flows: (2, h, w, 2) float32 as of `both_flows`.
        times: N, for the slices at k/N.

    Returns:
        (times − 1, h, w) float32 HU.
    """
    cv2 = opencv()
    forth, back = flows
    y, x = np.indices(first.shape, dtype=np.float32)

    def sample(hu: np.ndarray, flow: np.ndarray, part: np.float32) -> np.ndarray:
        to = part * flow
        return cv2.remap(
            hu, x + to[..., 0], y + to[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
        )

    made = []
    for k in range(1, times):
        # Both from whole numbers, so that the two change places exactly when the slices do.
        to_second, to_first = np.float32((times - k) / times), np.float32(k / times)
        made.append(
            to_second * sample(first, back, to_first) + to_first * sample(second, forth, to_second)
        )
    return np.stack(made)
