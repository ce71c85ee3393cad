"""What the training minimises.

Similarity is computed in fp32: bf16 would turn an SSIM of 0.92 into 0.51.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_msssim import ms_ssim, ssim
from torch import Tensor

from SliceInterpLib.networks.prediction import Prediction, brain_view

LOSSES = ("mse", "l1", "ssim", "ms-ssim", "ssim+l1", "ms-ssim+l1")
"""The losses compared by Cortés Ferre et al. 2026 (arXiv 2606.09953)."""

_BLEND_SHARE = 0.3
"""Weight of the pixel term on the moved and blended slices alone, which teaches the flow."""

_ROUGH_SHARE = 0.15
"""The same after the first look at the motion, which would leave all to the second."""

_BONE_HU = 150.0
"""Beyond the brain window, so that only scans of the full range have bone."""


@dataclass(frozen=True)
class Loss:
    """A pixel term, 1 − similarity, or a weighted sum of both.

    The pixel term is taken on the scale that the network works on (on the wide scale, a step of
    one HU in brain counts like some twenty in bone), similarity in the brain window.
    """

    name: str = "ms-ssim+l1"
    """One of LOSSES."""
    similarity_weight: float = 0.5
    """Where there are both: this for 1 − similarity, the rest for the pixel term."""
    k: tuple[float, float] = (0.01, 0.03)
    """SSIM's K₁ and K₂ (Wang et al. 2004). A large K₂ hides noise from the loss."""
    nonnegative: bool = True
    """SSIM below zero counts as zero. MS-SSIM needs it to be defined and always has it."""
    clamp: bool = True
    """Clip the prediction to [0, 1] before similarity is taken."""
    full_precision: bool = True
    """Take similarity in fp32 whatever the network runs in."""
    bone_weight: float = 0.0
    """Of the mean error in 1000 HU near bone, besides the pixel term, which compresses bone."""
    gaussian_l1: bool = False
    """Weight the pixel term by MS-SSIM's widest Gaussian (σ = 8), as Zhao et al. 2017 (IEEE
    Transactions on Computational Imaging 3(1)) do in their mix of L1 and MS-SSIM."""

    def __post_init__(self) -> None:
        """Refuse a name that is not known."""
        if self.name not in LOSSES:
            raise ValueError(f"There is no loss '{self.name}'. Choose one of {', '.join(LOSSES)}.")

    def terms(
        self,
        prediction: Prediction,
        target: Tensor,
        ramp: float = 1.0,
        bone_only: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The terms, to be summed.

        Args:
            prediction: of the network.
            target: (n, 1, h, w) HU.
            ramp: 0…1, how far similarity has come in; what it lacks is made up by the pixel term.
                (MS-SSIM's gradient is exactly zero where a scale's contrast term is negative, so
                that it cannot start on its own.)
            bone_only: (n,) bool, the examples that only count near bone, and not in similarity.
        """
        parts = self.name.split("+")
        similarity = next((part for part in parts if "ssim" in part), "")
        pixel = next((part for part in parts if "ssim" not in part), "")
        weight = ramp * (self.similarity_weight if pixel else 1.0) if similarity else 0.0
        terms = {}
        if bone_only is None:
            bone_only = torch.zeros(len(target), dtype=torch.bool, device=target.device)
        bone = _near_bone(target)
        if weight < 1.0:
            pixel = pixel or "l1"
            truth = prediction.scale(target)
            counts = bone | ~bone_only[:, None, None, None]
            terms[pixel] = (1.0 - weight) * self._pixel(pixel, prediction.view, truth, counts)
            if prediction.blend is not None:
                blend = self._pixel(pixel, prediction.scale(prediction.blend), truth, counts)
                terms["blend"] = _BLEND_SHARE * (1.0 - weight) * blend
            if prediction.rough is not None:
                smaller = prediction.scale(F.avg_pool2d(target, 2))
                counts = F.max_pool2d(counts.float(), 2)
                rough = self._pixel(pixel, prediction.scale(prediction.rough), smaller, counts)
                terms["rough"] = _ROUGH_SHARE * (1.0 - weight) * rough
        if self.bone_weight:
            error = (prediction.hu.float() - target).abs() / 1000.0
            terms["bone"] = self.bone_weight * (error * bone).mean()
        brain = ~bone_only
        if weight > 0.0 and brain.any():
            missing = 1.0 - self._similarity(similarity, prediction, target, brain)
            terms[similarity] = weight * brain.float().mean() * missing
        return terms

    def _pixel(self, name: str, found: Tensor, truth: Tensor, counts: Tensor) -> Tensor:
        error = (found.float() - truth) ** 2 if name == "mse" else (found.float() - truth).abs()
        error = error * counts
        if self.gaussian_l1 and name == "l1":
            error = _blurred(error, sigma=8.0)
        return error.mean()

    def _similarity(
        self, name: str, prediction: Prediction, target: Tensor, which: Tensor
    ) -> Tensor:
        if self.clamp or prediction.scale is not brain_view:
            shown = brain_view(prediction.hu[which])
        else:
            shown = prediction.view[which]
        wanted = brain_view(target[which])
        if not self.full_precision:
            return _measure(name, shown, wanted, self.k, self.nonnegative)
        with torch.autocast(shown.device.type, enabled=False):
            return _measure(name, shown.float(), wanted.float(), self.k, self.nonnegative)


def _near_bone(hu: Tensor) -> Tensor:
    """Where bone is within four pixels, (n, 1, h, w) bool; noise makes none."""
    bone = F.avg_pool2d(hu, 5, stride=1, padding=2) > _BONE_HU
    return F.max_pool2d(bone.float(), 9, stride=1, padding=4) > 0.0


def _measure(
    name: str, shown: Tensor, wanted: Tensor, k: tuple[float, float], nonnegative: bool
) -> Tensor:
    if name == "ms-ssim":
        return ms_ssim(shown, wanted, data_range=1.0, K=k)
    return ssim(shown, wanted, data_range=1.0, K=k, nonnegative_ssim=nonnegative)


def _blurred(images: Tensor, sigma: float) -> Tensor:
    """(n, 1, h, w) under a Gaussian that is cut at three σ, where it lies wholly inside."""
    reach = round(3.0 * sigma)
    x = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.softmax(-(x**2) / (2.0 * sigma**2), 0)
    return F.conv2d(F.conv2d(images, kernel[None, None, None]), kernel[None, None, :, None])


def flow_guidance(half_flow: Tensor, pair: np.ndarray) -> Tensor:
    """Mean distance in pixels between the network's half-flow and that of OpenCV's DIS.

    A start for the flow, to be faded out early.

    Args:
        half_flow: (n, 2, h, w), pixels.
        pair: (n, 2, h, w) HU.
    """
    from SliceInterpLib.lab.half_flows import half_flows

    return F.l1_loss(half_flow, torch.from_numpy(half_flows(pair)).to(half_flow.device))
