"""The reference's network: its size and work, shapes, crops, training; and its timing."""

import copy
import json
from functools import partial

import numpy as np
import pytest
import torch
from predicting import between
from tiny_models import write_model, write_tiny_model
from torch.utils.flop_counter import FlopCounterMode

from SliceInterpLib.errors import MethodError
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.lab import network_speed as speed
from SliceInterpLib.lab.contenders import make_contender
from SliceInterpLib.lab.peers.reference_unet import SMALL, ReferenceUNet, tiled
from SliceInterpLib.networks.prediction import Prediction, brain_view
from SliceInterpLib.networks.registry import load_network, read_card

pytestmark = pytest.mark.networks


@pytest.fixture(scope="module")
def reference():
    torch.manual_seed(0)
    return ReferenceUNet().eval()


@pytest.fixture(scope="module")
def slices():
    """A smooth pair over the whole range of HU, with noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(-1.0, 1.0, 96)
    disc = 1000.0 - 2500.0 * (x[:, None] ** 2 + x[None, :64] ** 2)
    return (disc + 20.0 * torch.randn(1, 2, 96, 64, generator=generator)).clamp_min(-1024.0)


def pointwise(pair):
    """Stands in for a network: what it says of a pixel depends on that pixel alone."""
    hu = 0.25 * pair[:, :1] + 0.75 * pair[:, 1:]
    return Prediction(hu=hu, view=brain_view(hu), scale=brain_view, lowest=hu, highest=hu)


def gflop(predict, size):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        predict(torch.empty(1, 2, size, size, device="meta"))
    return counter.get_total_flops() / 1e9


def test_it_has_exactly_the_reference_s_parameters(reference):
    assert sum(p.numel() for p in reference.parameters()) == 22_093_257


def test_it_does_the_reference_s_work(reference):
    shadow = copy.deepcopy(reference).to("meta")
    assert gflop(shadow, 512) == pytest.approx(49.7, abs=0.05)
    assert gflop(partial(tiled, shadow), 512) == pytest.approx(13 * gflop(shadow, 256))


def test_the_encoder_s_features_are_those_of_efficientnetv2_s(reference):
    found = []
    hooks = [
        stage.register_forward_hook(lambda _module, _given, made: found.append(made.shape[1:]))
        for stage in reference.stages
    ]
    with torch.no_grad():
        reference(torch.zeros(1, 2, 64, 64))
    for hook in hooks:
        hook.remove()
    assert [tuple(shape) for shape in found] == [
        (24, 32, 32),
        (48, 16, 16),
        (64, 8, 8),
        (128, 4, 4),
        (160, 4, 4),
        (256, 2, 2),
    ]


@torch.no_grad()
def test_it_predicts_a_slice_in_hu_of_any_multiple_of_32(reference, slices):
    found = reference(slices)
    for image in (found.hu, found.view, found.lowest, found.highest):
        assert image.shape == (1, 1, 96, 64)
        assert image.dtype == torch.float32
        assert image.isfinite().all()
    assert found.hu.std() > 0.1
    torch.testing.assert_close(brain_view(found.hu), found.view.clamp(0.0, 1.0))
    torch.testing.assert_close(found.lowest, slices.min(1, keepdim=True).values)
    torch.testing.assert_close(found.highest, slices.max(1, keepdim=True).values)
    assert found.blend is None
    assert found.half_flow is None


@torch.no_grad()
def test_it_sees_the_brain_window_and_nothing_else(reference, slices):
    plain = reference(slices).hu
    assert torch.equal(reference(slices.clamp(-20.0, 107.0)).hu, plain)
    assert not torch.equal(reference(slices.clamp(0.0, 107.0)).hu, plain)
    assert not torch.equal(reference(slices.flip(1)).hu, plain)


@torch.no_grad()
def test_half_precision_gives_nearly_the_same(reference, slices):
    with torch.autocast("cpu", torch.bfloat16):
        half = reference(slices)
    assert half.hu.dtype == torch.float32
    full = reference(slices).hu
    assert (half.hu - full).abs().mean() < 0.1 * full.std()


def test_another_number_of_stages_is_refused():
    with pytest.raises(ValueError, match="six stages"):
        ReferenceUNet(encoder_depths=(1, 1, 1))
    with pytest.raises(ValueError, match="at least one"):
        ReferenceUNet(encoder_depths=(0, 1, 1, 1, 1, 1))


def test_crops_cover_every_pixel_and_change_nothing_of_a_pointwise_network():
    pairs = 1000.0 * torch.randn(2, 2, 512, 512, generator=torch.Generator().manual_seed(1))
    found = tiled(pointwise, pairs)
    torch.testing.assert_close(found.hu, pointwise(pairs).hu)
    torch.testing.assert_close(found.highest, pairs.amax(1, keepdim=True))


def test_crops_are_thirteen_and_averaged_where_they_overlap():
    def counting(crops):
        assert crops.shape == (13, 2, 256, 256)
        return pointwise(torch.arange(13.0)[:, None, None, None].expand(13, 2, 256, 256))

    hu = tiled(counting, torch.zeros(1, 2, 512, 512)).hu[0, 0]
    assert hu[0, 0] == 9.0  # a corner: the first quadrant alone
    assert hu[511, 511] == 12.0
    assert hu[64, 64] == 4.5  # where the first of the grid's crops begins
    assert hu[255, 255] == pytest.approx((sum(range(9)) + 9) / 10)  # all nine and a quadrant


def test_crops_of_another_size_are_refused():
    with pytest.raises(ValueError, match="512×512"):
        tiled(pointwise, torch.zeros(1, 2, 256, 512))


def test_the_small_variant_learns_and_then_predicts():
    torch.manual_seed(0)
    network = ReferenceUNet(**SMALL)
    assert 0.25e6 < sum(p.numel() for p in network.parameters()) < 0.35e6
    pairs = 20.0 + 40.0 * torch.rand(4, 2, 64, 64)
    target = brain_view(pairs.mean(1, keepdim=True))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = (network(pairs).view - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    with torch.no_grad():
        assert network.eval()(pairs).hu.isfinite().all()


def test_a_model_of_it_is_for_the_laboratory_alone(tmp_path):
    card = str(write_model(tmp_path, "reference-unet", ReferenceUNet(**SMALL), SMALL))
    pair = np.full((1, 2, 50, 40), 35.0, np.float32)
    peer = make_contender("learned", model=card, device="cpu")
    found = between(peer, pair)
    assert found.shape == (1, 1, 50, 40) and np.isfinite(found).all()
    with pytest.raises(MethodError, match="midway between two alone, not 3 slices"):
        between(peer, pair, 4)
    with pytest.raises(MethodError, match="'reference-unet' .* only sliceinterp lab knows"):
        make_interpolator("learned", model=card, device="cpu")


@pytest.fixture
def tiny_model(tmp_path):
    """The card's path of a network of our own, and its parameters."""
    path = write_tiny_model(tmp_path)
    network = load_network(read_card(path))
    return str(path), sum(p.numel() for p in network.parameters())


@pytest.fixture
def quick(monkeypatch):
    """The small variant in the place of the reference."""
    monkeypatch.setattr(speed, "ReferenceUNet", partial(ReferenceUNet, **SMALL))


def test_networks_are_timed_side_by_side_with_the_reference(tiny_model, quick):
    path, parameters = tiny_model
    result = speed.network_speed([path], device="cpu", runs=2)
    rows = result["networks"]
    in_a_scan = speed.IN_A_SCAN.format(path)
    assert list(rows) == [path, speed.REFERENCE, speed.DEPLOYED, in_a_scan]
    assert all(row["seconds"] > 0 for row in rows.values())
    assert [row["gflop"] is None for row in rows.values()] == [False, False, False, True]
    assert rows[path]["parameters"] == parameters
    one_pass, deployed = rows[speed.REFERENCE], rows[speed.DEPLOYED]
    assert one_pass["parameters"] == deployed["parameters"]
    assert one_pass["to_reference"] == 1.0
    assert deployed["gflop"] == pytest.approx(13 / 4 * one_pass["gflop"], rel=0.01)
    assert json.loads(json.dumps(result)) == result
    lines = speed.network_speed_table(result).markdown().splitlines()
    assert "CPU" in lines[0]
    assert [line.split(" | ")[0] for line in lines[4:]] == [f"| {name}" for name in rows]
    assert f"{parameters:,}" in lines[4]


def test_networks_take_turns(tiny_model, quick, monkeypatch):
    turns = []
    clock = iter([9.0] * 4 + [1.0, 2.0, 4.0, 8.0] + [3.0, 2.0, 8.0, 4.0] + [8.0, 2.0, 6.0, 16.0])

    def seconds(name, *_):
        turns.append(name)
        return next(clock)

    monkeypatch.setattr(speed, "_seconds", seconds)
    rows = speed.network_speed([tiny_model[0]], device="cpu", runs=3)["networks"]
    assert turns == 4 * list(rows)
    assert [row["seconds"] for row in rows.values()] == [3.0, 2.0, 6.0, 8.0 / speed.PAIRS]
    assert [row["to_reference"] for row in rows.values()] == [1.5, 1.0, 3.0, 4.0 / speed.PAIRS]


def test_a_network_that_fails_is_not_timed(quick, monkeypatch):
    class Broken(ReferenceUNet):
        def forward(self, slices):
            return super().forward(slices)._replace(hu=slices[:, :1] / 0.0)

    monkeypatch.setattr(speed, "ReferenceUNet", partial(Broken, **SMALL))
    with pytest.raises(MethodError, match="not finite"):
        speed.network_speed([], device="cpu", runs=1)


def test_timing_an_unknown_model_or_nothing_is_a_clear_error():
    with pytest.raises(MethodError, match="no model 'none-such'"):
        speed.network_speed(["none-such"])
    with pytest.raises(ValueError, match="at least 1"):
        speed.network_speed([], runs=0)
