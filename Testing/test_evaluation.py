"""Metrics, hold-out and statistics against what they should give."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage, stats

from SliceInterpLib.errors import MethodError, VolumeError
from SliceInterpLib.evidence.heads import head_mask
from SliceInterpLib.evidence.holdout import hold_out, to_hide
from SliceInterpLib.evidence.metrics import slice_metrics
from SliceInterpLib.files import read_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.lab.averaging import thick_slices
from SliceInterpLib.lab.benchmark import (
    benchmark,
    comparison_table,
    patient_table,
    quality_table,
)
from SliceInterpLib.lab.patient_statistics import adjusted, mean_with_interval, paired_p
from SliceInterpLib.volume import Volume

LINEAR = make_interpolator("linear")


def brain(seed=0, size=192):
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - size / 2
    head = x**2 + y**2 < (0.4 * size) ** 2
    hu = 35 + 10 * ndimage.gaussian_filter(rng.standard_normal((size, size)), 2) / 0.14
    return np.where(head, hu, -1000).astype(np.float32), head


def stack(values, spacing=2.0, size=8):
    """Slices that rise from left to right by 12 HU around a value each."""
    rise = np.linspace(-6, 6, size, dtype=np.float32)
    hu = np.asarray(values, np.float32)[:, None, None] + np.broadcast_to(rise, (1, size, size))
    return Volume.from_grid(
        hu=hu, origin=(0, 0, 0), spacing=(0.5, 0.5, spacing), direction=np.eye(3)
    )


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
    assert metrics["mae"] == metrics["mae_hu"] == metrics["gradient_mae"] == 0.0
    assert metrics["ncc"] == pytest.approx(1.0)


def test_the_gradient_sees_an_edge_and_no_offset():
    truth = np.full((20, 30), 30.0, np.float32)
    assert slice_metrics(truth + 12.7, truth)["gradient_mae"] == pytest.approx(0.0, abs=1e-6)
    edge = truth.copy()
    edge[:, 10:] += 12.7  # one of the 29 steps along each row is off by 0.1
    assert slice_metrics(edge, truth)["gradient_mae"] == pytest.approx(0.5 * 0.1 / 29)


def test_cross_correlation_ignores_gain_and_offset_and_needs_contrast():
    truth = np.random.default_rng(0).uniform(10, 40, (32, 32)).astype(np.float32)
    assert slice_metrics(2 * truth - 5, truth)["ncc"] == pytest.approx(1.0)
    assert slice_metrics(50 - truth, truth)["ncc"] == pytest.approx(-1.0)
    assert slice_metrics(np.full_like(truth, 30), truth)["ncc"] is None


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


def test_hold_out_compares_each_inner_slice_with_its_own_place():
    seen = {i: (found, truth) for i, found, truth in hold_out(stack([0, 1, 4, 9, 16]), LINEAR)}
    assert set(seen) == {1, 2, 3}
    for i, (found, truth) in seen.items():
        assert truth.mean() == pytest.approx(i**2)
        assert found.mean() == pytest.approx(((i - 1) ** 2 + (i + 1) ** 2) / 2)


def test_hold_out_never_shows_the_hidden_slice():
    """Context slices of a hidden odd slice are even ones, also at the ends."""
    values = [0.0 if i % 2 == 0 else 90.0 for i in range(9)]
    for i, found, _ in hold_out(stack(values), make_interpolator("sinc")):
        assert found.mean() == pytest.approx(0 if i % 2 else 90, abs=1e-4)


def test_thick_slices_are_compared_with_averages_of_other_slices():
    """Thick slices (0+1)/2, (2+3)/2; between them lies (1+2)/2, made of thin slices."""
    thin = [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    thick = thick_slices(stack(thin), 2)
    assert thick.slice_spacing == pytest.approx(2.0)
    assert thick.origin == pytest.approx((0, 0, 1))
    assert thick.thickness == pytest.approx(4.0)
    rows = list(hold_out(thick, LINEAR))
    assert [truth.mean() for _, _, truth in rows] == pytest.approx([15.0, 25.0, 35.0])
    assert [found.mean() for _, found, _ in rows] == pytest.approx([15.0, 25.0, 35.0])


def test_thick_slices_at_quarters_are_compared_with_averages_of_other_slices():
    thin = np.arange(12.0)
    thick = thick_slices(stack(thin), 4, places=4)
    np.testing.assert_array_equal(np.diff(thick.slices[:, 0, 0]), 1.0)
    rows = list(hold_out(thick, LINEAR, places=4))
    # Between the slices 0 and 4, which touch, then between 1 and 5, and so on.
    assert [index for index, _, _ in rows] == [i + k for i in range(5) for k in (1, 2, 3)]
    for index, found, truth in rows:
        np.testing.assert_array_equal(truth, thick.slices[index])
        np.testing.assert_allclose(found, truth, atol=1e-5)


def test_slices_in_a_row_are_hidden_together_and_all_must_show_a_head():
    values = [40.0, 41, 42, -1000, 44, 45, 46, 47]
    hidden = to_hide(stack(values), places=3)
    assert (hidden.firsts, hidden.without_head) == ([0, 3, 4], 2)
    assert hidden.indices == [1, 2, 4, 5, 5, 6]
    with pytest.raises(VolumeError, match="Holding 4 slices out needs at least 6 slices"):
        list(hold_out(stack(range(5)), LINEAR, places=5))


def test_thick_slices_need_a_thickness_that_the_places_divide_and_enough_slices():
    with pytest.raises(ValueError, match="multiple of 2"):
        thick_slices(stack(range(9)), 3)
    with pytest.raises(ValueError, match="multiple of 4"):
        thick_slices(stack(range(9)), 2, places=4)
    with pytest.raises(VolumeError, match="at least 8"):
        thick_slices(stack(range(7)), 4)


def test_the_interval_covers_the_mean_and_is_seeded():
    values = np.random.default_rng(0).normal(5, 1, 40)
    first, again = mean_with_interval(values), mean_with_interval(values)
    assert first == again
    low, high = first["ci95"]
    assert low < first["mean"] < high
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(40), rel=0.35)
    assert mean_with_interval([1.0, 2.0])["ci95"] is None


def test_the_signed_rank_test_needs_six_patients():
    """Six that agree: two of the 2⁶ ways to give out the signs are as far from even."""
    assert paired_p([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == pytest.approx(2 / 2**6)
    assert paired_p([0.1, 0.2, 0.3, 0.4, 0.5]) is None
    assert paired_p([0.0] * 8) == 1.0


def test_false_discoveries_are_controlled_over_the_known_p_values():
    # Three p values: 3 · 0.01, and for the others min(3/2 · 0.03, 3/3 · 0.04).
    assert adjusted([0.01, 0.04, None, 0.03]) == pytest.approx([0.03, 0.04, None, 0.04])
    assert adjusted([None, None]) == [None, None]


class Brighter:
    """Stands for a learned method: a tenth more than linear."""

    name = "learned"
    context = 0
    provenance = {}

    def __call__(self, pairs, times):
        for pair in pairs:
            yield 1.1 * pair.mean(0, keepdims=True)


VALUES = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]


@pytest.fixture(scope="module")
def compared():
    """Six patients; the hidden slice is 10 HU above its neighbours, which are as in VALUES."""
    patients = {
        f"p{value:.0f}": lambda value=value: stack([value, value + 10, value], size=24)
        for value in VALUES
    }
    return benchmark(patients, [LINEAR, make_interpolator("nearest"), Brighter()])


def test_learned_methods_are_compared_with_linear_patient_by_patient(compared):
    assert set(compared["comparisons"]) == {"learned"}
    assert set(compared["comparisons"]["learned"]) == {"linear"}
    row = compared["comparisons"]["learned"]["linear"]
    differences = [-0.1 * value / 127 for value in VALUES]
    assert row["mae"]["difference"] == pytest.approx(np.mean(differences), rel=1e-4)
    low, high = row["mae"]["ci95"]
    assert min(differences) < low < row["mae"]["difference"] < high < max(differences)
    assert row["mae"]["p"] == pytest.approx(2 / 2**6)
    assert row["mae_hu"] is row["ms_ssim"] is None
    cells = [cell for cell in row.values() if cell]
    wanted = stats.false_discovery_control([cell["p"] for cell in cells])
    assert [cell["q"] for cell in cells] == pytest.approx(list(wanted))
    assert row["mae"]["q"] > row["mae"]["p"]


def test_the_comparisons_as_a_table(compared):
    header, _, row = comparison_table(compared).markdown().splitlines()[2:]
    assert header.startswith("| method − against | PSNR dB |")
    assert row.startswith("| learned − linear | +")
    assert "-0.0098 (-0.01" in row and ", q 0.0" in row and "| – |" in row


def test_patients_as_csv(compared):
    lines = patient_table(compared).csv().splitlines()
    metrics = "psnr,ssim,ms_ssim,mae,mae_hu,gradient_mae,ncc"
    assert lines[0] == f"patient,method,slices,without_head,{metrics}"
    assert len(lines) == 1 + 6 * 3
    cells = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert (cells["patient"], cells["method"], cells["ms_ssim"]) == ("p10", "linear", "")
    assert (cells["slices"], cells["without_head"]) == ("1", "0")
    assert float(cells["mae"]) == pytest.approx(10 / 127, rel=1e-4)


def test_with_few_patients_there_is_a_difference_but_no_p():
    few = benchmark({"one": lambda: stack([10, 20, 10], size=24)}, [LINEAR, Brighter()])
    cell = few["comparisons"]["learned"]["linear"]["mae"]
    assert cell["difference"] < 0
    assert cell["ci95"] is cell["p"] is cell["q"] is None
    assert ", q" not in comparison_table(few).markdown().splitlines()[-1]


def test_reference_models_are_compared_with_by_default():
    reference = Brighter()
    reference.name = "learned:field"
    reference.model = SimpleNamespace(card={"architecture": "reference-unet"})
    rows = benchmark({"one": lambda: stack([10, 20, 10], size=24)}, [LINEAR, Brighter(), reference])
    assert set(rows["comparisons"]["learned"]) == {"linear", "learned:field"}
    assert set(rows["comparisons"]["learned:field"]) == {"linear"}


def test_whom_to_compare_with_can_be_chosen_among_those_that_run():
    patients = {"one": lambda: stack([10, 20, 10], size=24)}
    methods = [LINEAR, make_interpolator("nearest"), Brighter()]
    chosen = benchmark(patients, methods, against=["nearest"])
    assert set(chosen["comparisons"]["learned"]) == {"nearest"}
    assert benchmark(patients, methods[:2])["comparisons"] == {}
    with pytest.raises(MethodError, match="cubic: not among the methods of this run"):
        benchmark(patients, methods, against=["cubic"])


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
    assert f"| {method} |" in quality_table(result).markdown()
