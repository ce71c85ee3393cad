"""How near a predicted slice comes to the acquired one."""

from __future__ import annotations

import numpy as np
import torch
from pytorch_msssim import ms_ssim, ssim

from SliceInterpLib.evidence.heads import head_mask
from SliceInterpLib.hounsfield import BRAIN

METRICS = ("psnr", "ssim", "ms_ssim", "mae", "mae_hu", "gradient_mae", "ncc")
"""The keys of `slice_metrics`, in the order of the tables."""

_MS_SSIM_SMALLEST = 161
"""MS-SSIM halves a slice four times under an 11-pixel window."""


def slice_metrics(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Likeness of two slices.

    psnr (dB), ssim, ms_ssim and mae are taken on the brain window −20…107 HU scaled to [0, 1],
    over the whole slice, in float32; SSIM (Wang et al. 2004) and MS-SSIM (Wang et al. 2003)
    with pytorch-msssim's defaults. mae_hu is the mean absolute error in HU over the full range
    inside the head. gradient_mae is the mean absolute error of the gradient in the scaled window,
    ½(mean |∂x e| + mean |∂y e|) a pixel, where e is the error and ∂ a forward difference. ncc is
    the zero-mean normalised cross-correlation of the two in the window, in [−1, 1].

    Args:
        predicted: (h, w) HU.
        truth: (h, w) HU.

    Returns:
        The metrics by name. ms_ssim is None for slices under 161 pixels, mae_hu where there is no
        head, ncc where a slice is constant.
    """
    shown, wanted = BRAIN.scale(predicted), BRAIN.scale(truth)
    error = shown - wanted
    squared = float(np.mean(error.astype(np.float64) ** 2))
    images = [torch.from_numpy(image)[None, None] for image in (shown, wanted)]
    head = head_mask(truth)
    with torch.inference_mode():
        return {
            "psnr": psnr(squared),
            "ssim": float(ssim(*images, data_range=1.0)),
            "ms_ssim": float(ms_ssim(*images, data_range=1.0))
            if min(truth.shape) >= _MS_SSIM_SMALLEST
            else None,
            "mae": float(np.abs(error).mean()),
            "mae_hu": float(np.abs(predicted - truth.astype(np.float32))[head].mean())
            if head.any()
            else None,
            "gradient_mae": 0.5 * sum(float(np.abs(np.diff(error, axis=a)).mean()) for a in (0, 1)),
            "ncc": _cross_correlation(shown, wanted),
        }


def psnr(squared: float) -> float:
    """PSNR in dB of a mean squared error on [0, 1]; 120 where there is next to none."""
    return -10.0 * float(np.log10(max(squared, 1e-12)))


def _cross_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Pearson's coefficient over the pixels of two images; None where one of them is constant."""
    if np.ptp(one) == 0.0 or np.ptp(other) == 0.0:
        return None
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
