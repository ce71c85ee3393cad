"""Methods of others, as far as their answer is known."""

import sys
import warnings

import numpy as np
import pytest
import torch
from predicting import between
from scipy import ndimage

from SliceInterpLib.errors import MethodError
from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.interpolators import METHODS
from SliceInterpLib.lab.contenders import PEERS, make_contender
from SliceInterpLib.lab.peers.denoised import noise_hu
from SliceInterpLib.lab.peers.doubled_twice import DoubledTwice


def disc_of_texture(seed=0, size=128):
    """Soft texture of ±20 HU about 35 in a disc with a rim of bone, air outside."""
    texture = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((size, size)), 3)
    y, x = np.indices((size, size)) - size / 2
    radius = np.hypot(x, y)
    hu = np.where(radius < 0.42 * size, 35 + 20 * texture / texture.std(), -1000)
    hu[(radius > 0.38 * size) & (radius < 0.42 * size)] = 900
    return hu.astype(np.float32)


def correlated_noise(sigma, shape, seed=0):
    """Noise as of a soft CT kernel: neighbouring pixels share it."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 0.8)
    return (sigma * noise / noise.std()).astype(np.float32)


class Mean(torch.nn.Module):
    """Frame interpolation at its simplest."""

    def forward(self, x0, x1, dt):
        weight = dt[:, :, None, None]
        return (1.0 - weight) * x0 + weight * x1


class OneChannel(torch.nn.Module):
    """Not a frame."""

    def forward(self, x0, x1, dt):
        return x0[:, :1]


class OtherArguments(torch.nn.Module):
    """Takes one frame."""

    def forward(self, x0):
        return x0


def scripted(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(model).save(str(path))
    return make_contender("torchscript", model=str(path))


def test_peers_are_not_among_the_methods_offered():
    assert not set(PEERS) & set(METHODS)


@pytest.mark.parametrize("method", ["registration", "denoised-linear"])
def test_the_order_of_the_slices_does_not_matter(method):
    pair = np.stack([disc_of_texture(0), disc_of_texture(1)])[None]
    peer = make_contender(method)
    there, back = between(peer, pair, 4), between(peer, pair[:, ::-1], 4)
    np.testing.assert_array_equal(there, back[:, ::-1])


@pytest.mark.parametrize("method", ["registration", "denoised-linear"])
def test_peers_that_need_opencv_say_so(monkeypatch, method):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MethodError, match=f"'{method}' needs OpenCV"):
        make_contender(method)


def test_registration_follows_what_moves():
    brain = disc_of_texture()
    first, wanted, second = (np.roll(brain, shift, axis=1) for shift in (0, 2, 4))
    pair = np.stack([first, second])[None]
    error = {
        method: np.abs(
            BRAIN.scale(between(make_contender(method), pair)[0, 0]) - BRAIN.scale(wanted)
        ).mean()
        for method in ("linear", "registration")
    }
    assert error["registration"] < 0.3 * error["linear"]


@pytest.mark.parametrize("size", [(16, 16), (37, 51)])
def test_registration_of_small_and_odd_slices(size):
    same = np.full((1, 2, *size), 35.0, np.float32)
    np.testing.assert_allclose(between(make_contender("registration"), same), same[:, :1])


@pytest.mark.parametrize("sigma", [2.0, 5.0])
def test_the_noise_is_estimated_though_pixels_share_it(sigma):
    hu = disc_of_texture(size=256) * 0 + 35 + correlated_noise(sigma, (256, 256))
    assert noise_hu(hu) == pytest.approx(sigma, rel=0.15)
    assert noise_hu(np.full((64, 64), -1000.0, np.float32)) == 0.0


def test_denoised_linear_is_quieter_than_linear_and_keeps_what_is_outside_the_window():
    y, x = np.indices((160, 160)) - 80
    clean = np.where(np.hypot(x, y) < 30, 45.0, 30.0).astype(np.float32)
    clean[np.hypot(x, y) > 65] = 900.0
    pair = np.stack([clean + correlated_noise(4, clean.shape, seed) for seed in (1, 2)])[None]
    linear, found = (between(make_contender(m), pair)[0, 0] for m in ("linear", "denoised-linear"))
    bone = np.hypot(x, y) > 65
    np.testing.assert_array_equal(found[bone], linear[bone])
    inside = np.hypot(x, y) < 60
    assert np.abs(found - clean)[inside].mean() < 0.7 * np.abs(linear - clean)[inside].mean()


class Middle:
    """Knows the middle alone; notes what it was shown."""

    name, provenance = "middle", {}

    def __init__(self, context):
        self.context, self.seen = context, []

    def __call__(self, pairs, times):
        assert times == 2
        for slices in pairs:
            self.seen.append(slices[:, 0, 0].tolist())
            yield slices[self.context : self.context + 2].mean(0, keepdims=True)


@pytest.mark.parametrize("context", [0, 1])
def test_doubling_twice_asks_for_middles_between_middles(context):
    method = Middle(context)
    twice = DoubledTwice(method)
    slices = np.arange(2.0 + 2 * twice.context)[None, :, None, None] * np.ones((8, 8), np.float32)
    found = between(twice, slices, 4)
    at = twice.context
    np.testing.assert_allclose(found[0, :, 0, 0], [at + 0.25, at + 0.5, at + 0.75])
    # The last two times it sees half the gap, with what it has put there itself.
    for seen in method.seen[-2:]:
        np.testing.assert_allclose(np.diff(seen), 0.5)
    with pytest.raises(MethodError, match="3 slices between two, not 1"):
        between(twice, slices)


def test_torchscript_sees_the_window_and_gives_hu_of_any_size(tmp_path):
    peer = scripted(Mean(), tmp_path / "mean.pt")
    first, second = disc_of_texture(0)[:100, :90], disc_of_texture(1)[:100, :90]
    wanted = 0.5 * (np.clip(first, *BRAIN) + np.clip(second, *BRAIN))
    found = between(peer, np.stack([first, second])[None])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0], wanted, atol=1e-3)
    assert peer.provenance["model"] == "mean.pt"


def test_torchscript_refuses_what_is_no_frame_interpolation(tmp_path):
    pair = np.zeros((1, 2, 64, 64), np.float32)
    with pytest.raises(MethodError, match=r"gave \(1, 1, 64, 64\)"):
        between(scripted(OneChannel(), tmp_path / "one.pt"), pair)
    with pytest.raises(MethodError, match=r"cannot be called as model\(x0, x1, dt\)"):
        between(scripted(OtherArguments(), tmp_path / "other.pt"), pair)


def test_torchscript_refuses_other_files(tmp_path):
    with pytest.raises(MethodError, match="There is no TorchScript file"):
        make_contender("torchscript", model=str(tmp_path / "none.pt"))
    (tmp_path / "text.pt").write_text("no model")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "weights.pt")
    for name in ("text.pt", "weights.pt"):
        with pytest.raises(MethodError, match="is not a TorchScript file"):
            make_contender("torchscript", model=str(tmp_path / name))
    with pytest.raises(MethodError, match="the path of a TorchScript file"):
        make_contender("torchscript")
