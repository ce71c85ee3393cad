"""What the training minimises, in fp32: bf16 would turn an SSIM of 0.92 into 0.51."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_msssim import ms_ssim
from torch import Tensor

from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.interpolators.optical_flow import both_flows
from SliceInterpLib.networks.flow_inside import Prediction, brain_view, wide_view


def prediction_loss(prediction: Prediction, target: Tensor, similarity: float) -> dict[str, Tensor]:
    """The terms of the loss, to be summed.

    target: (n, 1, h, w) HU. similarity: weight of 1 − MS-SSIM in the brain window (its gradient
    is exactly zero where a scale's contrast term is negative, so it is ramped in once L1 has
    found the images). L1 is taken on the wide view, where a step of one HU in brain counts like
    some twenty in bone; a part of it on the blend alone, which teaches the flow.
    """
    truth = wide_view(target)
    terms = {
        "l1": F.l1_loss(prediction.wide, truth),
        "blend": 0.3 * F.l1_loss(wide_view(prediction.blend), truth),
    }
    if similarity > 0.0:
        shown, wanted = brain_view(prediction.hu).float(), brain_view(target)
        terms["ms_ssim"] = similarity * (1.0 - ms_ssim(shown, wanted, data_range=1.0))
    return terms


def flow_guidance(half_flow: Tensor, pair: np.ndarray) -> Tensor:
    """Mean distance in pixels between the network's half-flow and that of OpenCV's DIS.

    A start for the flow, to be faded out early. half_flow: (n, 2, h, w); pair: (n, 2, h, w) HU.
    """
    forth_and_back = np.stack([both_flows(first, second, BRAIN) for first, second in pair])
    guide = 0.25 * (forth_and_back[:, 1] - forth_and_back[:, 0])
    guide = torch.from_numpy(guide).permute(0, 3, 1, 2).to(half_flow.device)
    return F.l1_loss(half_flow, guide)
