"""The colours in which differences and errors are drawn, in reports and in the scene."""

from __future__ import annotations

import numpy as np

ERROR_HU = 30.0
"""Expected errors of that many HU, and more, have the full colour."""


def difference_colours() -> np.ndarray:
    """(256, 3) red, green and blue, 0…1, from the most negative difference to the most positive.

    Black where there is none; blue where it is negative, red where positive.
    """
    value = np.linspace(-1.0, 1.0, 256)
    strong, weak = np.minimum(1.0, 1.6 * abs(value)), np.maximum(0.0, 1.6 * abs(value) - 0.6)
    red, blue = np.where(value > 0, strong, 0.2 * weak), np.where(value > 0, 0.2 * weak, strong)
    return np.stack([red, 0.8 * weak, blue], axis=1)


def error_colours() -> np.ndarray:
    """(256, 3) red, green and blue, 0…1: black at no error, by way of red and yellow, to white."""
    value = np.linspace(0.0, 1.0, 256)[:, None]
    return np.clip(3.0 * value - np.arange(3), 0.0, 1.0)
