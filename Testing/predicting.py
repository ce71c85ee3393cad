"""What a method puts between pairs of slices, all at once, and in which precision."""

import numpy as np

from SliceInterpLib.interpolators import learned as learned_module
from SliceInterpLib.interpolators import make_interpolator


def between(method, pairs, times=2):
    """(n, 2 + 2·context, h, w) HU to (n, times − 1, h, w) HU."""
    return np.stack(list(method(pairs, times)))


def learned_in(half, monkeypatch, model=None):
    """The learned method on the CPU in half precision or in float32, whichever fits."""
    monkeypatch.setattr(learned_module, "half_precision_fits", lambda *_: half)
    return make_interpolator("learned", model=model, device="cpu")
