"""Convolutions with fewer multiplications: the same sums within rounding, wherever pixels lie."""

import pytest
import torch
import torch.nn.functional as F

from SliceInterpLib.networks import winograd
from SliceInterpLib.networks.winograd import Conv3x3

pytestmark = pytest.mark.networks


@pytest.fixture(autouse=True)
def everywhere(monkeypatch):
    """Also where it does not pay."""
    monkeypatch.setattr(winograd, "_PAYS", True)


@pytest.mark.parametrize("channels", [(64, 64), (64, 96), (48, 96), (96, 48), (96, 32), (32, 32)])
@pytest.mark.parametrize("size", [(32, 64), (8, 4), (52, 20), (18, 30)])
def test_it_is_the_convolution_within_rounding(channels, size):
    torch.manual_seed(0)
    layer = Conv3x3(*channels)
    x = torch.randn(2, channels[0], *size).to(memory_format=torch.channels_last)
    wanted = F.conv2d(x.double(), layer.weight.double(), layer.bias.double(), padding=1)
    with torch.inference_mode():
        found = layer(x)
    torch.testing.assert_close(found.double(), wanted, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(layer(x).double(), wanted, atol=1e-4, rtol=0.0)  # for training


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_each_image_is_rounded_as_if_it_were_alone(threads):
    torch.manual_seed(0)
    layer, x = Conv3x3(64, 64), torch.randn(3, 64, 44, 60)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            found = layer(x)
            for alone, together in zip(x, found, strict=True):
                assert torch.equal(layer(alone[None])[0], together)
            assert torch.equal(layer(x.flip(0)), found.flip(0))
    finally:
        torch.set_num_threads(before)
