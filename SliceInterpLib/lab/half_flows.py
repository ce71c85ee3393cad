"""The half-flow between two slices by OpenCV, for networks that learn from it or are given it."""

from __future__ import annotations

import numpy as np

from SliceInterpLib.dense_flow import both_flows
from SliceInterpLib.hounsfield import BRAIN


def half_flows(pairs: np.ndarray) -> np.ndarray:
    """Half of the mean of both flows in the brain window, for (n, 2, h, w) HU.

    Returns:
        (n, 2, h, w) float32, pixels (x, y): the middle slice at x looks like the first at x + flow
        and like the second at x − flow.
    """
    flows = np.stack([both_flows(first, second, BRAIN) for first, second in pairs])
    return (0.25 * (flows[:, 1] - flows[:, 0])).transpose(0, 3, 1, 2)
