"""Metrics, hold-out and statistics against what they should give."""

import numpy as np
import pytest
from scipy import ndimage

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.evaluation.benchmark import benchmark, quality_table
from SliceInterpLib.evaluation.holdout import hold_one_out, true_middles
from SliceInterpLib.evaluation.metrics import head_mask, slice_metrics
from SliceInterpLib.evaluation.statistics import mean_with_interval
from SliceInterpLib.files import read_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.volume import Volume

LINEAR = make_interpolator("linear")


def brain(seed=0, size=192):
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - size / 2
    head = x**2 + y**2 < (0.4 * size) ** 2
    hu = 35 + 10 * ndimage.gaussian_filter(rng.standard_normal((size, size)), 2) / 0.14
    return np.where(head, hu, -1000).astype(np.float32), head


def stack(values, spacing=2.0, size=8):
    hu = np.asarray(values, np.float32)[:, None, None] * np.ones((1, size, size), np.float32)
    return Volume(hu=hu, origin=(0, 0, 0), spacing=(0.5, 0.5, spacing), direction=np.eye(3))


def test_metrics_of_a_known_error():
    truth, head = brain()
    off = truth + np.where(head, 12.7, 0).astype(np.float32)  # a tenth of the window
    metrics = slice_metrics(off, truth)
    share = head.mean()
    assert metrics["mae"] == pytest.approx(0.1 * share, rel=0.01)
    assert metrics["psnr"] == pytest.approx(-10 * np.log10(0.01 * share), abs=0.1)
    assert metrics["mae_hu"] == pytest.approx(12.7, rel=0.01)


def test_a_perfect_prediction_scores_full_marks():
    truth, _ = brain()
    metrics = slice_metrics(truth, truth)
    assert metrics["ssim"] == pytest.approx(1.0, abs=1e-6)
    assert metrics["ms_ssim"] == pytest.approx(1.0, abs=1e-6)
    assert metrics["mae"] == metrics["mae_hu"] == 0.0


def test_what_lies_outside_the_window_counts_in_hu_only():
    truth, head = brain()
    bone = truth.copy()
    bone[90:100, 90:100] = 900
    wrong = bone + np.where(bone == 900, 200, 0).astype(np.float32)
    metrics = slice_metrics(wrong, bone)
    assert metrics["mae"] == 0.0
    assert metrics["mae_hu"] == pytest.approx(200 * 100 / head.sum(), rel=0.01)


def test_small_slices_have_no_ms_ssim():
    truth, _ = brain(size=128)
    assert slice_metrics(truth, truth)["ms_ssim"] is None


def test_the_head_is_the_largest_thing_with_its_sinuses_but_no_table():
    hu = np.full((100, 100), -1000.0)
    hu[20:80, 20:80] = 40.0
    hu[40:50, 40:50] = -900.0  # a sinus
    hu[95:97, 10:90] = 100.0  # the table
    mask = head_mask(hu)
    assert mask[45, 45] and mask[30, 30]
    assert not mask[96, 50] and not mask[5, 5]
    assert not head_mask(np.full((20, 20), -1000.0)).any()


def test_hold_one_out_compares_each_inner_slice_with_its_own_place():
    seen = {i: (found, truth) for i, found, truth in hold_one_out(stack([0, 1, 4, 9, 16]), LINEAR)}
    assert set(seen) == {1, 2, 3}
    for i, (found, truth) in seen.items():
        assert truth.flat[0] == i**2
        assert found.flat[0] == ((i - 1) ** 2 + (i + 1) ** 2) / 2


def test_hold_one_out_never_shows_the_hidden_slice():
    """Context slices of a hidden odd slice are even ones, also at the ends."""
    values = [0.0 if i % 2 == 0 else 1e6 for i in range(9)]
    for i, found, _ in hold_one_out(stack(values), make_interpolator("sinc")):
        assert (found.max() == 0) == (i % 2 == 1)


def test_true_middles_compare_averages_of_other_slices():
    """Thick slices (0+1)/2, (2+3)/2; between them lies (1+2)/2, made of thin slices."""
    thin = [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    rows = list(true_middles(stack(thin), LINEAR, thickness=2))
    assert [truth.flat[0] for _, _, truth in rows] == [15.0, 25.0, 35.0]
    assert [found.flat[0] for _, found, _ in rows] == [15.0, 25.0, 35.0]


def test_true_middles_need_an_even_thickness_and_enough_slices():
    with pytest.raises(ValueError, match="even"):
        list(true_middles(stack(range(9)), LINEAR, thickness=3))
    with pytest.raises(VolumeError, match="at least 8"):
        list(true_middles(stack(range(7)), LINEAR, thickness=4))


def test_the_interval_covers_the_mean_and_is_seeded():
    values = np.random.default_rng(0).normal(5, 1, 40)
    first, again = mean_with_interval(values), mean_with_interval(values)
    assert first == again
    low, high = first["ci95"]
    assert low < first["mean"] < high
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(40), rel=0.35)
    assert mean_with_interval([1.0, 2.0])["ci95"] is None


@pytest.mark.parametrize("method, least_gain", [("optical-flow", 2.0), ("learned", 3.0)])
def test_on_real_patients_motion_beats_the_mean(data_dir, method, least_gain):
    paths = sorted((data_dir / "phe-sich" / "valid").glob("*.nii.gz"))[:2]
    result = benchmark(
        {path.name: lambda path=path: read_volume(path) for path in paths},
        [LINEAR, make_interpolator(method)],
        every=9,
    )
    rows = result["methods"]
    assert rows[method]["psnr"]["mean"] > rows["linear"]["psnr"]["mean"] + least_gain
    assert rows["linear"]["mae_hu"] is None  # saturated data
    assert f"| {method} |" in quality_table(result)
