"""Slices at any place between two: where things are there, the mirror image, what is shared."""

import numpy as np
import pytest
import torch
from tiny_models import TINY, write_tiny_model

from SliceInterpLib.networks.devices import has_bf16
from SliceInterpLib.networks.flow_inside import FlowInside, Motion, gap_of
from SliceInterpLib.networks.prediction import MIDDLE, place
from SliceInterpLib.networks.registry import find_model, load_network, read_card
from SliceInterpLib.phantom import head_phantom

pytestmark = pytest.mark.networks

PLACES = [(1, 2), (1, 3), (2, 3), (1, 4), (1, 7), (3, 7), (5, 12), (1, 12)]


@pytest.fixture(scope="module")
def four():
    """(1, 4, h, w) HU: noisy slices of the phantom."""
    head = head_phantom(slices=20, matrix=96, pixel_spacing=2.0).volume
    return torch.from_numpy(head.slices[9:13].astype(np.float32))[None]


@pytest.fixture(params=["small", 0, 1], ids=str)
def network(request, tmp_path):
    """The shipped one, and tiny ones by their context."""
    if request.param == "small":
        return load_network(find_model("small"))
    return load_network(read_card(write_tiny_model(tmp_path, context=request.param)))


def seen_by(network, slices):
    return slices[:, 1 - network.context : 3 + network.context]


def predict(network, slices, where, half=False):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        return network(slices, where)


def test_a_place_seen_from_the_other_side_is_exactly_the_same_two_numbers():
    for n in range(2, 13):
        for k in range(1, n):
            assert torch.equal(place(k, n).flip(0), place(n - k, n))
            assert place(k, n)[1].item() == pytest.approx(k / n)
            assert place(k, n).sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("k", "n"), PLACES)
def test_reversed_slices_give_exactly_the_same_slice_at_the_mirrored_place(
    network, four, k, n, half
):
    if half and not has_bf16(torch.device("cpu")):
        pytest.skip("half precision is not used here")
    slices = seen_by(network, four)
    there = predict(network, slices, place(k, n), half)
    mirrored = predict(network, slices.flip(1), place(n - k, n), half)
    assert torch.equal(there.hu, mirrored.hu)
    assert torch.equal(there.blend, mirrored.blend)
    assert torch.equal(there.lowest, mirrored.lowest)


@pytest.mark.parametrize("threads", [2, 3])
def test_so_it_is_for_several_pairs_with_a_place_each_however_many_threads(network, four, threads):
    slices = seen_by(network, torch.cat([four, four.flip(2), four.flip(3)]))
    places = torch.stack([place(1, 3), place(3, 7), place(5, 12)])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        there = predict(network, slices, places).hu
        mirrored = predict(network, slices.flip(1), places.flip(1)).hu
    finally:
        torch.set_num_threads(before)
    assert torch.equal(there, mirrored)
    for pair, where, hu in zip(slices, places, there, strict=True):
        torch.testing.assert_close(predict(network, pair[None], where).hu[0], hu, atol=0.5, rtol=0)


def test_motion_is_found_once_for_all_places(network, four):
    slices = seen_by(network, four)
    looked = []
    network.flow.register_forward_hook(lambda *_: looked.append(1))
    with torch.inference_mode():
        gap = network.gap(slices)
        found = [network.at(gap, place(k, n)).hu for k, n in PLACES]
    assert len(looked) == 1
    for (k, n), hu in zip(PLACES, found, strict=True):
        assert torch.equal(predict(network, slices, place(k, n)).hu, hu)
    assert torch.equal(predict(network, slices, MIDDLE).hu, found[0])


@pytest.mark.parametrize("context", [0, 1])
@pytest.mark.parametrize(("k", "n"), PLACES)
def test_an_untrained_network_says_what_linear_interpolation_does(four, context, k, n):
    network = FlowInside(**TINY, context=context)
    expected = ((n - k) * four[:, 1:2] + k * four[:, 2:3]) / n
    found = predict(network, seen_by(network, four), place(k, n)).hu
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.0)


def hill(x, y):
    """(1, 1, 64, 96) HU, highest there; smooth enough to be sampled between pixels."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    return 80.0 * torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 200.0)[None, None]


class Gliding(FlowInside):
    """Knows how things move: along a path that bends evenly, in pixels."""

    half_flow = torch.tensor([-3.0, 1.0])[None, :, None, None].expand(1, 2, 64, 96)
    bend = torch.tensor([0.5, 1.0])[None, :, None, None].expand(1, 2, 64, 96)

    def gap(self, slices):
        images = list(slices.split(1, dim=1))
        level = torch.zeros_like(images[0])
        # Where the outer slices are on that path, beyond three half-flows from its middle.
        outer = (9.0 * self.bend, 9.0 * self.bend) if self.context else None
        return gap_of(images, Motion(self.half_flow, level, self.bend, outer))

    def at_time(self, t):
        """The hill at time t; it is in the first slice at 0 and in the second at 1."""
        across, down = (
            (1.0 - 2.0 * t) * self.half_flow[0, :, 0, 0]
            + (1.0 - 2.0 * t) ** 2 * self.bend[0, :, 0, 0]
        ).tolist()
        return hill(48.0 + across, 32.0 + down)


@pytest.mark.parametrize(("k", "n"), PLACES)
def test_what_moves_along_a_bent_path_is_where_the_path_leads(k, n):
    network = Gliding(**TINY, context=1)
    features = []
    network.correction = lambda seen: features.extend(seen) or torch.zeros(1, 1, 64, 96)
    slices = torch.cat([network.at_time(t) for t in (-1.0, 0.0, 1.0, 2.0)], 1)
    found = predict(network, slices, place(k, n))
    torch.testing.assert_close(found.hu, network.at_time(k / n), atol=1.0, rtol=0.0)
    # All four slices lie upon each other there, the outer ones too.
    assert features[1].abs().max() < 0.02
    assert features[5][..., 16:48, 24:72].abs().max() < 0.02
    assert (found.hu - slices[:, 1:3].mean(1, keepdim=True)).abs().max() > 2.0
