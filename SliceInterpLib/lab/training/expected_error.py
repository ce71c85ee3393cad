"""Fits the expected error of a trained model: a score on some patients, its curve on others.

The model stays as it is. A small network learns the logarithm of the error that the model makes
on slices that were hidden from it, which ranks voxels better than the mean error would, since a
few large errors do not outweigh the many small ones. A curve on patients that the network has
not seen then gives the mean error at each score in HU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

from SliceInterpLib.errors import TrainingError
from SliceInterpLib.evidence.expected_error import Watched
from SliceInterpLib.evidence.heads import head_mask
from SliceInterpLib.evidence.holdout import hold_out, to_hide
from SliceInterpLib.head_box import has_full_range
from SliceInterpLib.interpolators.learned import Learned
from SliceInterpLib.lab.averaging import thick_slices
from SliceInterpLib.networks.expected_error import ErrorScore, ExpectedError, log_size
from SliceInterpLib.volume import Volume

_THICKEST_MM = 6.0
"""Thin slices are averaged into thick ones up to this."""

_PLACES = (2, 3)
"""Slices are hidden one at a time, and two."""

_VOXELS = 3000
"""Voxels that are taken from a slice, at random inside the head."""

_SATURATED_WEIGHT = 0.5
"""Where a scan is saturated its errors are cut off, and mean less. Of weights from 0.15 to 1 the
one that ranks errors best in the brain (on validation patients)."""

_BATCH, _LEARNING_RATE = 4096, 5e-3

_KNOTS = 24

_LEAST_EXPECTED_HU = 0.01
"""So that there is a logarithm where a scan has no errors at all."""


def fit_expected_error(
    learned: Learned,
    volumes: Sequence[Volume],
    calibration: Sequence[Volume],
    *,
    every: int = 6,
    steps: int = 4000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ExpectedError:
    """The expected error of what `learned` predicts, on the CPU.

    Args:
        learned: the method.
        volumes: learned from, at twice the real gap and, where slices are thin, also at the gap of
            thick slices made of them.
        calibration: other patients, for the curve.
        every: N, where every N-th slice is hidden.
        steps: of the training.
        seed: of the training, and of the voxels that are taken.
        progress: called with volumes done and their number.

    Raises:
        TrainingError: if either shows no head.
    """
    rng = np.random.default_rng(seed)
    done = 0

    def gather(scans: Sequence[Volume], *, averaged: bool) -> tuple[Tensor, Tensor, Tensor]:
        nonlocal done
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for volume in scans:
            parts += _voxels(volume, learned, every, rng, averaged=averaged)
            done += 1
            if progress:
                progress(done, len(volumes) + len(calibration))
        if not parts:
            raise TrainingError("These scans show no head with 3 slices or more to learn from.")
        seen, error, weight = (
            torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)
        )
        return seen, error, weight

    score = _trained(*gather(volumes, averaged=True), steps=steps, seed=seed)
    seen, error, _ = gather(calibration, averaged=False)
    return ExpectedError(score, _curve(score, seen, error)).eval()


def _voxels(
    volume: Volume, learned: Learned, every: int, rng: np.random.Generator, *, averaged: bool
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Clues (k, CLUES), absolute error in HU (k,) and weight (k,) of voxels of each slice."""
    watched = Watched(learned, learned.with_clues)
    scans = [(volume, places) for places in _PLACES]
    for thickness in (2, 4) if averaged else ():
        enough = volume.slice_count >= 2 * thickness
        if enough and thickness * volume.slice_spacing <= _THICKEST_MM:
            # As many places as thin slices allow: the middle, and the quarters.
            scans.append((thick_slices(volume, thickness, thickness), thickness))
    # Voxels of a scan with the full range all count the same.
    low, high = -np.inf, np.inf
    if not has_full_range(volume.hu):
        low, high = volume.hu.min(), volume.hu.max()
    compared = (
        hold_out(scan, watched, every=every, places=places)
        for scan, places in scans
        if to_hide(scan, every=every, places=places).firsts
    )
    for _, found, truth in chain.from_iterable(compared):
        seen = watched.besides.popleft()
        inside = np.flatnonzero(head_mask(truth))
        chosen = rng.choice(inside, min(_VOXELS, len(inside)), replace=False)
        wanted = truth.ravel()[chosen].astype(np.float32)
        error = np.abs(found.ravel()[chosen] - wanted)
        saturated = (wanted <= low) | (wanted >= high)
        weight = np.where(saturated, _SATURATED_WEIGHT, 1.0).astype(np.float32)
        yield seen.reshape(len(seen), -1)[:, chosen].T, error, weight


def _trained(seen: Tensor, error: Tensor, weight: Tensor, *, steps: int, seed: int) -> ErrorScore:
    """Weighted least squares on the logarithm of the error, by AdamW."""
    torch.manual_seed(seed)
    score = ErrorScore()
    score.mean.copy_(seen.mean(0))
    score.deviation.copy_(seen.std(0).clamp(min=1e-3))
    wanted = log_size(error)
    optimizer = torch.optim.AdamW(score.parameters(), _LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps)
    for _ in range(steps):
        batch = torch.randint(len(seen), (_BATCH,))
        loss = (weight[batch] * (score(seen[batch]) - wanted[batch]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return score


@torch.inference_mode()
def _curve(score: ErrorScore, seen: Tensor, error: Tensor) -> np.ndarray:
    """(2, _KNOTS): scores, and the logarithm of the mean error there less the score.

    A knot at the mean score of each of as many parts with equally many voxels; where the mean
    error falls from one to the next, the two are averaged (isotonic regression).
    """
    scores, errors = score(seen).numpy(), error.numpy()
    parts = np.array_split(np.argsort(scores), _KNOTS)
    knots = np.array([scores[part].mean() for part in parts])
    means = np.array([errors[part].mean() for part in parts])
    rising = isotonic_regression(means).x
    return np.stack([knots, np.log(np.maximum(rising, _LEAST_EXPECTED_HU)) - knots])
