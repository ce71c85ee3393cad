"""The learned method: shipped models, symmetry, sizes, limits, precision, memory."""

import hashlib
import math
import threading
import time

import numpy as np
import pytest
import torch
from predicting import between
from tiny_models import TINY, write_tiny_model

from SliceInterpLib.errors import MethodError
from SliceInterpLib.interpolators import learned as learned_module
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.interpolators.learned import MARGIN_HU, Learned
from SliceInterpLib.lab.peers.reference_unet import SMALL, ReferenceUNet
from SliceInterpLib.networks import devices
from SliceInterpLib.networks.devices import has_bf16
from SliceInterpLib.networks.flow_inside import FlowInside
from SliceInterpLib.networks.prediction import Network, Prediction, from_wide_view, wide_view
from SliceInterpLib.networks.registry import INTERPOLATOR, available_models, find_model, read_card
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.upsampling import predict_between, upsample

pytestmark = pytest.mark.networks


@pytest.fixture(scope="module")
def thin_head():
    """Noise-free 2.5 mm slices of the phantom: every other one is the truth between its pair."""
    return head_phantom(
        slice_spacing=2.5, slice_thickness=5.0, matrix=192, pixel_spacing=1.2, noise_hu=0.0
    ).volume


@pytest.fixture(scope="module")
def fours(thin_head):
    """(4, 4, h, w): a pair of noisy slices with one more on each side."""
    noise = np.random.default_rng(0).normal(0, 4, thin_head.hu.shape)
    slices = (thin_head.hu + noise).astype(np.float32)
    return np.stack([slices[k : k + 7 : 2] for k in range(12, 48, 9)])


@pytest.fixture(scope="module", params=[model.name for model in available_models(INTERPOLATOR)])
def model_name(request):
    """Each of the shipped models in turn."""
    return request.param


@pytest.fixture
def learned(model_name):
    return make_interpolator("learned", model=model_name, device="cpu")


@pytest.fixture
def pairs(fours, learned):
    """What `learned` wants to see of them."""
    return seen_by(learned, fours)


def seen_by(learned, fours):
    return np.ascontiguousarray(fours[:, 1 - learned.context : 3 + learned.context])


def test_every_shipped_model_is_whole_and_says_what_it_is(model_name):
    model = find_model(model_name)
    digest = hashlib.sha256(model.weights.read_bytes()).hexdigest()
    assert digest == model.sha256
    assert model.weights.stat().st_size < 16e6
    for key in ("summary", "licence", "training", "metrics", "limits", "parameters"):
        assert model.card[key], key
    network = make_interpolator("learned", model=model_name, device="cpu").network
    assert sum(p.numel() for p in network.parameters()) == model.card["parameters"]


@pytest.mark.parametrize("half", [False, True])
def test_swapped_slices_give_exactly_the_same_middle(model_name, pairs, half):
    learned = Learned(find_model(model_name), "cpu", half=half)
    if half and not has_bf16(learned.device):
        pytest.skip("half precision is not used here")
    swapped = np.ascontiguousarray(pairs[:, ::-1])
    for times in (2, 3, 8):
        np.testing.assert_array_equal(
            between(learned, pairs, times), between(learned, swapped, times)[:, ::-1]
        )


@pytest.mark.parametrize("context", [0, 1])
@pytest.mark.parametrize("threads", [1, 3, 8])
def test_so_they_do_however_many_threads_share_the_work(tmp_path, fours, context, threads):
    """Threads may share rows, pixels or slices: none may round unlike another."""
    card = write_tiny_model(tmp_path, context=context)
    learned = Learned(read_card(card), device="cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for rows, columns in ((32, 40), (96, 160)):
            some = seen_by(learned, fours[:3, :, :rows, :columns])
            swapped = np.ascontiguousarray(some[:, ::-1])
            np.testing.assert_array_equal(between(learned, some), between(learned, swapped))
    finally:
        torch.set_num_threads(before)


def test_the_same_slices_give_the_same_middle_whatever_came_before_or_beside(model_name, pairs):
    fresh = make_interpolator("learned", model=model_name, device="cpu")
    wanted = between(fresh, pairs)
    air = np.full_like(pairs[:1], -1000.0)
    noise = np.random.default_rng(1).normal(-1000.0, 500.0, air.shape).astype(np.float32)
    for before in (air, noise, np.concatenate([air, noise, pairs[2:]])):
        used = make_interpolator("learned", model=model_name, device="cpu")
        between(used, before)
        np.testing.assert_array_equal(between(used, pairs), wanted)
        np.testing.assert_array_equal(between(used, pairs[::-1]), wanted[::-1])
        np.testing.assert_array_equal(between(used, pairs[1:3]), wanted[1:3])
        assert used.provenance == fresh.provenance


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_a_cpu_predicts_the_same_with_however_many_cores(learned, pairs, threads):
    """Up to seven: a pair then has one of its own, whichever pairs are predicted meanwhile."""
    wanted = between(learned, pairs)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        np.testing.assert_array_equal(between(learned, pairs), wanted)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_pairs_that_memory_does_not_hold_together_are_predicted_one_after_the_other(
    learned, pairs, monkeypatch
):
    wanted, honest, busy, too_many = between(learned, pairs), learned._between, [], []

    def one_fits(*arguments):
        busy.append(1)
        try:
            time.sleep(0.05)
            if len(busy) > 1:
                too_many.append(1)
                allocate_too_much()
            return honest(*arguments)
        finally:
            busy.pop()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        monkeypatch.setattr(learned, "_between", one_fits)
        np.testing.assert_array_equal(between(learned, pairs), wanted)
        assert too_many
        too_many.clear()
        np.testing.assert_array_equal(between(learned, pairs), wanted)
        assert not too_many  # from then on
    finally:
        torch.set_num_threads(before)


def test_pairs_are_taken_when_their_turn_comes_and_an_end_before_the_last_leaves_nothing(
    learned, pairs
):
    before, running = torch.get_num_threads(), threading.active_count()
    torch.set_num_threads(2)
    try:
        taken = []
        found = learned((taken.append(pair) or pair for pair in 4 * list(pairs)), 2)
        for done in (1, 2, 3):
            next(found)
            assert len(taken) <= done + 3  # one for each core, and one that waits
        found.close()
        assert (torch.get_num_threads(), threading.active_count()) == (2, running)
    finally:
        torch.set_num_threads(before)


def test_two_runs_may_take_turns(learned, pairs):
    wanted, threads = between(learned, pairs), torch.get_num_threads()
    for one, other, slices in zip(learned(pairs, 2), learned(pairs, 2), wanted, strict=True):
        np.testing.assert_array_equal(one, slices)
        np.testing.assert_array_equal(other, slices)
    assert torch.get_num_threads() == threads


def test_it_comes_nearer_to_the_true_middle_slice_than_linear(thin_head, learned):
    """On a head that no network has seen: noise-free phantom, true middle at the real gap."""
    acquired, truth = thin_head.slices[0::2], thin_head.slices[1::2]
    firsts = range(len(acquired) - 1)
    error = {
        method.name: np.mean(
            [
                np.abs(middle - truth[first]).mean()
                for first, (middle,) in predict_between(acquired, firsts, method)
            ]
        )
        for method in (make_interpolator("linear"), learned)
    }
    assert error["learned"] < 0.7 * error["linear"]


@pytest.mark.parametrize("rows, columns", [(33, 95), (192, 161), (64, 64)])
def test_any_size_in_plane(learned, pairs, rows, columns):
    cut = pairs[:1, :, :rows, :columns]
    assert between(learned, cut).shape == (1, 1, rows, columns)
    assert between(learned, cut, 4).shape == (1, 3, rows, columns)


def test_air_stays_air_and_a_constant_stays_itself(learned):
    for hu in (-1024.0, 35.0, 1200.0):
        middle = between(learned, np.full((1, 2 + 2 * learned.context, 64, 64), hu, np.float32), 4)
        assert np.abs(middle - hu).max() <= MARGIN_HU + 0.01


def test_nothing_is_invented_far_outside_the_two_slices(tiny_model, fours):
    """Even random weights cannot leave the range of the pair by more than the margin."""
    learned = Learned(read_card(tiny_model), device="cpu")
    pairs = seen_by(learned, fours)
    middle = between(learned, pairs)
    assert middle.max() <= pairs.max() + MARGIN_HU + 0.01
    assert middle.min() >= pairs.min() - MARGIN_HU - 0.01


@pytest.mark.parametrize("context", [0, 1])
def test_an_untrained_network_says_the_mean_of_the_two_slices(fours, context):
    network = FlowInside(**TINY, context=context)
    slices = torch.from_numpy(fours[:1, 1 - context : 3 + context])
    with torch.inference_mode():
        found = network(slices).hu
    torch.testing.assert_close(
        found,
        slices.mean(1, keepdim=True) if context == 0 else slices[:, 1:3].mean(1, keepdim=True),
        atol=0.05,
        rtol=0,
    )


def test_nan_weights_give_nan_and_no_crash(fours):
    """As an unguarded training may leave them; the engine then refuses the result."""
    network = FlowInside(**TINY, context=1)
    for weight in network.parameters():
        torch.nn.init.constant_(weight, float("nan"))
    found = network(torch.from_numpy(fours[:1]))
    found.hu.sum().backward()
    assert found.hu.isnan().any()


def test_half_precision_changes_soft_tissue_by_less_than_half_a_hu(learned, model_name, pairs):
    half_or_not = between(learned, pairs)
    full = between(Learned(find_model(model_name), "cpu", half=False), pairs)
    tissue = (full > 0) & (full < 100)
    assert np.abs(half_or_not - full)[tissue].mean() < 0.5


@pytest.mark.parametrize(
    "network", [FlowInside(**TINY), ReferenceUNet(**SMALL)], ids=["ours", "with batch norm"]
)
def test_weights_rounded_once_say_what_autocast_says(network, fours):
    slices = torch.from_numpy(fours[:1, 1:3])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        wanted = network.eval()(slices).hu
        devices.round_weights(network)
        assert torch.equal(network(slices).hu, wanted)


class Rounding(Network):
    """The mean of the pair and, in half precision alone, so much more."""

    context = 0

    def __init__(self, more):
        super().__init__()
        self.more = more

    def forward(self, slices):
        hu = slices.mean(1, keepdim=True)
        if torch.is_autocast_enabled("cpu"):
            hu = hu + self.more
        return Prediction(hu, hu, wide_view, hu, hu)


@pytest.mark.parametrize("more, fits", [(0.1, True), (2.0, False), (math.nan, False)])
def test_half_precision_is_given_up_where_it_differs(more, fits, monkeypatch):
    monkeypatch.setattr(devices, "bf16_is_quick", lambda device: True)
    assert devices.half_precision_fits(Rounding(more), torch.device("cpu")) == fits


@pytest.mark.parametrize(
    ("intel", "amx", "quick"), [(True, False, False), (True, True, True), (False, False, True)]
)
def test_half_precision_is_left_alone_where_it_is_no_quicker(intel, amx, quick, monkeypatch):
    monkeypatch.setattr(devices, "has_bf16", lambda device: True)
    monkeypatch.setattr(devices, "_is_intel", lambda: intel)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert devices.bf16_is_quick(torch.device("cpu")) == quick


def test_the_wide_view_can_be_undone_over_the_whole_range():
    hu = torch.linspace(-3000.0, 4000.0, 7001)
    torch.testing.assert_close(from_wide_view(wide_view(hu)), hu, atol=0.01, rtol=1e-5)


def allocate_too_much():
    torch.empty(10**15)  # more than any computer has: the error is torch's own


def test_when_the_gpu_runs_out_of_memory_the_cpu_does_the_rest(learned, pairs, monkeypatch):
    wanted = between(learned, pairs)
    learned.device = torch.device("meta")  # stands in for a GPU
    honest = learned._between
    tried = []

    def too_small(*arguments):
        tried.append(learned.device.type)
        if tried == ["meta"] * 3:
            allocate_too_much()
        return honest(*arguments) if tried[-1] == "cpu" else torch.zeros(1, 1, 192, 192)

    monkeypatch.setattr(learned, "_between", too_small)
    with pytest.warns(UserWarning, match="going on with the CPU"):
        found = between(learned, pairs)
    assert tried == ["meta"] * 3 + ["cpu"] * 2
    np.testing.assert_array_equal(found[2:], wanted[2:])


def test_a_run_that_went_from_the_gpu_to_the_cpu_says_so(tiny_model, monkeypatch):
    learned = Learned(read_card(tiny_model), device="cpu")
    learned.device, honest, calls = torch.device("meta"), learned._between, []

    def full_at_the_third(pair, *more):
        calls.append(learned.device.type)
        if calls == ["meta"] * 3:
            allocate_too_much()
        return honest(pair, *more) if calls[-1] == "cpu" else torch.zeros(1, 1, *pair.shape[2:])

    monkeypatch.setattr(learned, "_between", full_at_the_third)
    head = head_phantom(slices=5, matrix=64, pixel_spacing=3.6).volume
    with pytest.warns(UserWarning, match="going on with the CPU"):
        assert upsample(head, learned).provenance["device"] == "meta, cpu"
    assert upsample(head, learned).provenance["device"] == "cpu"


def test_a_gpu_too_full_for_the_weights_leaves_the_work_to_the_cpu(tiny_model, fours, monkeypatch):
    def full(network, device):
        return network if device.type == "cpu" else allocate_too_much()

    monkeypatch.setattr(learned_module, "choose_device", lambda device: torch.device("meta"))
    monkeypatch.setattr(learned_module, "on_device", full)
    with pytest.warns(UserWarning, match="going on with the CPU"):
        learned = Learned(read_card(tiny_model))
    assert learned.provenance["device"] == "cpu"
    assert np.isfinite(between(learned, seen_by(learned, fours))).all()


def test_a_pair_too_large_for_the_cpu_is_a_clear_error(learned, pairs, monkeypatch):
    monkeypatch.setattr(learned, "_between", lambda *arguments: allocate_too_much())
    with pytest.raises(MethodError, match="not enough memory for one pair of slices"):
        between(learned, pairs)


def test_an_error_that_is_not_about_memory_stays_what_it_is(learned, pairs, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(learned, "_between", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        between(learned, pairs)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA GPU is here")
def test_cuda_asked_for_and_absent_is_a_clear_error():
    with pytest.raises(MethodError, match="no CUDA GPU"):
        make_interpolator("learned", device="cuda")


def test_an_unknown_device_or_model_is_a_clear_error():
    with pytest.raises(MethodError, match="auto, cuda or cpu"):
        make_interpolator("learned", device="tpu")
    with pytest.raises(MethodError, match="There is no model 'none-such'"):
        make_interpolator("learned", model="none-such")


def test_provenance_names_the_model_and_its_digest():
    head = head_phantom(slices=3, matrix=64, pixel_spacing=3.6).volume
    result = upsample(head, make_interpolator("learned", device="cpu"))
    model = find_model()
    assert result.provenance["model"] == model.name
    assert result.provenance["model_sha256"] == model.sha256
    assert result.provenance["device"] == "cpu"
    assert result.provenance["precision"] in ("bfloat16", "float32")
