"""Losses: zero for the truth, and weighed where a scan shows what is learned from it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from tiny_models import TINY as SMALLEST

from SliceInterpLib.lab.training.losses import Loss
from SliceInterpLib.lab.training.triplets import Augmentation, Triplets
from SliceInterpLib.networks.flow_inside import FlowInside
from SliceInterpLib.networks.prediction import wide_view

TINY = SMALLEST | {"context": 1}
PLAIN = Augmentation(coarse=0.0, turned=0.0, lesions=0.0, contrast=0.0, offset_hu=0.0)


def test_a_scan_from_a_bone_kernel_teaches_bone_only(head):
    noise = np.random.default_rng(0).normal(0.0, 50.0, head.slices.shape).astype(np.int16)
    scans = (head, replace(head, slices=head.slices + noise))
    clear, noisy = (Triplets([v], 192, context=1, augmentation=PLAIN)[1] for v in scans)
    assert not clear.bone_only
    assert noisy.bone_only
    truth = noisy.hu[None, 2:3]
    found = FlowInside(**TINY)(noisy.hu[None][:, [0, 1, 3, 4]])
    hu = found.hu.detach().requires_grad_()
    prediction = found._replace(hu=hu, view=wide_view(hu), blend=hu, rough=F.avg_pool2d(hu, 2))
    loss = Loss("ms-ssim+l1", bone_weight=0.3)
    terms = loss.terms(prediction, truth, bone_only=noisy.bone_only[None])
    assert set(terms) == {"l1", "blend", "rough", "bone"}
    torch.stack(list(terms.values())).sum().backward()
    # The two scans show the same place, one without noise.
    away = torch.from_numpy(distance_transform_edt(clear.hu[2] < 150.0))
    counted = hu.grad[0, 0] != 0.0
    assert counted[clear.hu[2] > 400.0].all()
    assert (away > 10.0).sum() > 1000
    assert not counted[away > 10.0].any()
    assert set(loss.terms(prediction, truth)) == {"l1", "blend", "rough", "bone", "ms-ssim"}


@pytest.mark.parametrize("name", ["mse", "l1", "ssim", "ms-ssim", "ssim+l1", "ms-ssim+l1"])
def test_every_loss_is_zero_for_the_truth_and_weighs_its_terms(name, head):
    slices = torch.from_numpy(head.slices[4:9, :192, :192][None].astype(np.float32))
    truth = slices[:, 2:3]
    found = FlowInside(**TINY)(slices[:, [0, 1, 3, 4]])
    smaller = F.avg_pool2d(truth, 2)
    perfect = found._replace(hu=truth, view=found.scale(truth), blend=truth, rough=smaller)
    terms = Loss(name, similarity_weight=0.5).terms(perfect, truth)
    assert sum(term.item() for term in terms.values()) == pytest.approx(0.0, abs=1e-5)
    wrong = Loss(name).terms(found, truth)
    assert set(wrong) - {"blend", "rough"} == set(name.split("+"))
    assert all(term.item() > 0.0 for term in wrong.values())
    # Before similarity comes in, the pixel term has its place.
    assert set(Loss(name).terms(found, truth, ramp=0.0)) == {
        "mse" if name == "mse" else "l1",
        *("blend", "rough"),
    }


def test_gaussian_l1_is_the_mean_error_where_it_is_even(head):
    slices = torch.from_numpy(head.slices[4:8, :192, :192][None].astype(np.float32))
    found = FlowInside(**TINY)(slices)
    off = found._replace(view=found.scale(slices[:, 1:2]) + 0.1, blend=None)
    for gaussian in (False, True):
        terms = Loss("l1", gaussian_l1=gaussian).terms(off, slices[:, 1:2])
        assert terms["l1"].item() == pytest.approx(0.1, rel=1e-4)


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="ms-ssim"):
        Loss("psnr")
