"""The classical methods and the optical flow against what is known of them."""

import sys

import numpy as np
import pytest
import SimpleITK as sitk
from predicting import between
from scipy import ndimage

from SliceInterpLib.errors import MethodError
from SliceInterpLib.interpolators import METHODS, make_interpolator
from SliceInterpLib.upsampling import predict_between

pytestmark = pytest.mark.networks

UNLEARNED = [method for method in METHODS if method != "learned"]


def stack_from(profile, shape=(3, 4)):
    """Slices of one value each."""
    return np.asarray(profile, np.float32)[:, None, None] * np.ones(shape, np.float32)


def middles(stack, method):
    interpolator = make_interpolator(method)
    firsts = range(len(stack) - 1)
    return np.stack([middle for _, (middle,) in predict_between(stack, firsts, interpolator)])


def textured_slice(seed=0, size=128):
    """Something like a brain: soft texture of ±20 HU about 35 in a disc, air outside."""
    rng = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(rng.standard_normal((size, size)), 3)
    y, x = np.indices((size, size)) - size / 2
    inside = x**2 + y**2 < (0.42 * size) ** 2
    return np.where(inside, 35 + 20 * texture / texture.std(), -1000).astype(np.float32)


@pytest.mark.parametrize("method", UNLEARNED)
def test_a_volume_without_change_stays_as_it_is(method):
    constant = np.repeat(textured_slice()[None], 4, axis=0)
    for middle in middles(constant, method):
        np.testing.assert_allclose(middle, constant[0], atol=0.02)


def test_linear_agrees_with_simpleitk():
    stack = np.random.default_rng(0).normal(30, 20, (6, 5, 4)).astype(np.float32)
    grid = sitk.GetImageFromArray(stack)
    wanted = sitk.Resample(
        grid, (4, 5, 5), sitk.Transform(), sitk.sitkLinear, (0, 0, 0.5), (1, 1, 1)
    )
    np.testing.assert_allclose(middles(stack, "linear"), sitk.GetArrayFromImage(wanted), atol=1e-4)


def test_cubic_passes_a_parabola_and_linear_does_not():
    profile = np.arange(8.0) ** 2
    inner = slice(1, -1)  # at the ends the outermost slice repeats
    wanted = (np.arange(7) + 0.5) ** 2
    np.testing.assert_allclose(middles(stack_from(profile), "cubic")[inner, 0, 0], wanted[inner])
    assert np.abs(middles(stack_from(profile), "linear")[:, 0, 0] - wanted).min() > 0.2


def test_sinc_keeps_a_fine_wave_better_than_cubic_and_linear():
    z = np.arange(40)
    profile, wanted = np.sin(2.0 * z), np.sin(2.0 * (z[:-1] + 0.5))
    inner = slice(4, -4)
    errors = [
        np.abs(middles(stack_from(profile), method)[inner, 0, 0] - wanted[inner]).mean()
        for method in ("sinc", "cubic", "linear")
    ]
    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("method", [m for m in UNLEARNED if m != "nearest"])
def test_the_order_of_the_slices_does_not_matter(method):
    rng = np.random.default_rng(1)
    interpolator = make_interpolator(method)
    slices = np.stack([textured_slice(seed) for seed in range(2 + 2 * interpolator.context)])
    slices = (slices + rng.normal(0, 3, slices.shape)).astype(np.float32)[None]
    for times in (2, 3, 4, 7):
        there, back = (between(interpolator, one, times) for one in (slices, slices[:, ::-1]))
        np.testing.assert_array_equal(there, back[:, ::-1])


def test_optical_flow_follows_what_moves_and_carries_bone_along():
    """A disc of bone in textured brain moves by 6 pixels: the middle one has moved by 3."""
    brain = textured_slice(size=160)
    y, x = np.indices(brain.shape)

    def shifted(pixels):
        hu = ndimage.shift(brain, (0, pixels), order=1, mode="nearest")
        hu[(x - 70 - pixels) ** 2 + (y - 80) ** 2 < 100] = 900.0
        return hu.astype(np.float32)

    pair = np.stack([shifted(0), shifted(6)])[None]
    wanted = shifted(3)
    error = {
        method: np.abs(between(make_interpolator(method), pair)[0, 0] - wanted).mean()
        for method in ("linear", "optical-flow")
    }
    assert error["optical-flow"] < 0.3 * error["linear"]


def test_optical_flow_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MethodError, match="pip install opencv-python-headless"):
        make_interpolator("optical-flow")


def test_an_unknown_method_lists_the_known_ones():
    with pytest.raises(MethodError, match="linear, cubic, sinc"):
        make_interpolator("magic")
