"""Whether the expected error of predicted slices is right: against the errors that were made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy import stats

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.evidence.expected_error import BRAIN_BELOW_HU, Watched
from SliceInterpLib.evidence.heads import head_mask
from SliceInterpLib.evidence.holdout import hold_out
from SliceInterpLib.interpolators.learned import Learned
from SliceInterpLib.lab.averaging import thick_slices
from SliceInterpLib.table import Column, Table
from SliceInterpLib.volume import Volume

_PART = 1 / 16
"""Voxels judged: a random part, since neighbours share their noise and memory is finite."""


def judge_expected_error(
    patients: Mapping[str, Callable[[], Volume]],
    learned: Learned,
    *,
    every: int = 1,
    thickness: int | None = None,
    places: int = 2,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compare the expected absolute error with the real one, voxel by voxel inside the head.

    Args:
        patients: by name, what loads a patient's volume.
        learned: the method whose expected error is judged.
        every: as `hold_out` takes it.
        thickness: where it is given, scans are taken as `thick_slices` makes them.
        places: as `hold_out` and `thick_slices` take it.
        seed: of the voxels that are taken, and of the normal distribution.
        progress: called with the number of patients done and their number.

    Returns:
        {"patients": n, "voxels": n, "head" and "brain" (below BRAIN_BELOW_HU in truth):
        {"spearman" over all voxels, "spearman_if_normal": what it would be if each error were drawn
        from a normal distribution with just the expected absolute error, "expected" and "real":
        mean HU},
        "deciles" of the expected error in the head: [{"expected", "real"}, …], "per_patient":
        {patient: {"head", "brain": Spearman}}}.

    Raises:
        VolumeError: with the patient's name, as `thick_slices` and `hold_out` do.
    """
    rng = np.random.default_rng(seed)
    voxels = []
    for number, (patient, load) in enumerate(patients.items()):
        volume = load()
        try:
            rows = list(_voxels(volume, learned, every, thickness, places, rng))
        except VolumeError as problem:
            raise VolumeError(f"{patient}: {problem}") from problem
        voxels.append((patient, *np.concatenate(rows, 1)))
        if progress:
            progress(number + 1, len(patients))
    expected, real, truth = (np.concatenate([row[k] for row in voxels]) for k in (1, 2, 3))
    order = np.array_split(np.argsort(expected), 10)
    brain = truth < BRAIN_BELOW_HU
    return {
        "patients": len(voxels),
        "voxels": len(truth),
        "head": _agreement(expected, real, rng),
        "brain": _agreement(expected[brain], real[brain], rng),
        "deciles": [_means(expected[part], real[part]) for part in order],
        "per_patient": {
            patient: {
                "head": _spearman(e, r),
                "brain": _spearman(e[t < BRAIN_BELOW_HU], r[t < BRAIN_BELOW_HU]),
            }
            for patient, e, r, t in voxels
        },
    }


def _voxels(
    volume: Volume,
    learned: Learned,
    every: int,
    thickness: int | None,
    places: int,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Expected error, real error and truth in HU, (3, k), slice by slice."""
    watched = Watched(learned, learned.with_expected_error)
    scan = thick_slices(volume, thickness, places) if thickness else volume
    for _, found, truth in hold_out(scan, watched, every=every, places=places):
        expected = watched.besides.popleft()
        real = np.abs(found - truth.astype(np.float32))
        chosen = head_mask(truth) & (rng.random(truth.shape) < _PART)
        yield np.stack([values[chosen] for values in (expected, real, truth)])


def _agreement(
    expected: np.ndarray, real: np.ndarray, rng: np.random.Generator
) -> dict[str, float]:
    # The mean of |x| is √(2/π) standard deviations.
    normal = np.sqrt(0.5 * np.pi) * expected * np.abs(rng.standard_normal(len(expected)))
    return {
        "spearman": _spearman(expected, real),
        "spearman_if_normal": _spearman(expected, normal),
        **_means(expected, real),
    }


def _means(expected: np.ndarray, real: np.ndarray) -> dict[str, float]:
    return {"expected": float(expected.mean()), "real": float(real.mean())}


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    return float(stats.spearmanr(one, other).statistic)


def calibration_text(result: Mapping) -> str:
    """What `judge_expected_error` found: a table of the head and the brain, one of the deciles."""
    means = (Column("expected", unit="HU", style=".2f"), Column("real", unit="HU", style=".2f"))
    regions = Table(
        (
            Column("voxels"),
            Column("spearman", "Spearman", style=".3f"),
            Column("spearman_if_normal", "if errors were normal", style=".3f"),
            *means,
        ),
        [{"voxels": where, **result[where]} for where in ("head", "brain")],
    )
    deciles = Table(
        (Column("decile"), *means, Column("ratio", "real / expected", style=".2f")),
        [
            {"decile": number, "ratio": row["real"] / row["expected"], **row}
            for number, row in enumerate(result["deciles"], 1)
        ],
    )
    return f"{regions.markdown()}\n\n{deciles.markdown()}"
