"""The expected error: symmetric, calibrated on other patients, right about which voxels are off."""

import json
import shutil

import numpy as np
import pytest
import torch
from predicting import between

from SliceInterpLib.cli import main
from SliceInterpLib.errors import MethodError
from SliceInterpLib.evidence.expected_error import upsample_with_expected_error
from SliceInterpLib.evidence.heads import head_mask
from SliceInterpLib.files.reading import read_volume
from SliceInterpLib.files.writing import write_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.interpolators.learned import Learned
from SliceInterpLib.lab.calibration import calibration_text, judge_expected_error
from SliceInterpLib.lab.peers.reference_unet import SMALL, ReferenceUNet
from SliceInterpLib.networks.expected_error import (
    CLUES,
    ErrorScore,
    ExpectedError,
    card_path,
    clues,
    load_expected_error,
)
from SliceInterpLib.networks.prediction import padded
from SliceInterpLib.networks.registry import find_model, read_card
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.upsampling import upsample

pytestmark = pytest.mark.networks


@pytest.fixture(scope="module")
def head():
    return head_phantom(matrix=96, pixel_spacing=2.4, slice_spacing=5.0, noise_hu=4.0).volume


@pytest.fixture(scope="module")
def fours(head):
    """(5, 4, h, w): a pair of slices with one more on each side."""
    slices = head.slices.astype(np.float32)
    return np.stack([slices[k : k + 4] for k in range(4, 24, 4)])


@pytest.fixture(scope="module")
def learned():
    return Learned(find_model(), device="cpu")


@pytest.fixture
def own_model(tmp_path):
    """A copy of the shipped model with its expected error, to be changed."""
    model = find_model()
    folder = card_path(model).parent
    shutil.copy(model.weights.with_suffix(".json"), tmp_path)
    shutil.copy(model.weights, tmp_path)
    shutil.copytree(folder, tmp_path / "expected-error")
    return tmp_path / f"{model.name}.json"


def test_the_slices_are_those_of_a_run_without_it(learned, fours):
    told = learned.with_expected_error(fours, 4)
    found, error = (np.stack(part) for part in zip(*told, strict=True))
    np.testing.assert_array_equal(found, between(learned, fours, 4))
    assert error.shape == found.shape and error.dtype == np.float32
    assert np.isfinite(error).all() and (error > 0).all()


def test_swapping_the_slices_changes_no_expected_error(learned, fours):
    swapped = np.ascontiguousarray(fours[:, ::-1])
    for (_, error), (_, mirrored) in zip(
        learned.with_expected_error(fours, 3),
        learned.with_expected_error(swapped, 3),
        strict=True,
    ):
        np.testing.assert_array_equal(error, mirrored[::-1])


@pytest.mark.parametrize("factor", [2, 3])
def test_a_filled_volume_comes_with_its_expected_error(learned, head, factor):
    few = head.part(range(4, 9))
    filled, error = upsample_with_expected_error(few, learned, factor=factor)
    np.testing.assert_array_equal(filled.hu, upsample(few, learned, factor=factor).hu)
    assert error.hu.shape == filled.hu.shape and error.spacing == filled.spacing
    np.testing.assert_array_equal((error.hu > 0).all((1, 2)), filled.synthetic)
    np.testing.assert_array_equal((error.hu == 0).all((1, 2)), ~filled.synthetic)
    around = few.hu[None, [0, 1, 2, 3]].astype(np.float32)
    [(_, wanted)] = learned.with_expected_error(around, factor)
    np.testing.assert_array_equal(error.hu[factor + 1 : 2 * factor], wanted)


@pytest.mark.parametrize("rows, columns", [(33, 95), (64, 81)])
def test_any_size_in_plane(learned, fours, rows, columns):
    [(_, error)] = learned.with_expected_error(fours[:1, :, :rows, :columns], 2)
    assert error.shape == (1, rows, columns)


def test_more_error_is_expected_where_the_two_slices_disagree(learned, fours):
    """A lesion in one of the two alone: nobody can know how far it reaches."""
    slices = fours[2:3].copy()
    [(_, before)] = learned.with_expected_error(slices, 2)
    slices[0, 1, 40:52, 40:52] += 40.0
    [(_, after)] = learned.with_expected_error(slices, 2)
    assert after[0, 42:50, 42:50].mean() > 1.5 * before[0, 42:50, 42:50].mean()


def test_it_ranks_the_errors_of_a_head_that_it_never_saw(learned, head):
    """Far better than chance, on the phantom, though no network was trained on it."""
    result = judge_expected_error({"phantom": lambda: head}, learned, every=4)
    assert result["head"]["spearman"] > 0.4
    assert "| head |" in calibration_text(result)
    # The phantom's noise is normal, so that no more than this can be known of its brain.
    assert result["brain"]["spearman"] < result["brain"]["spearman_if_normal"] + 0.1


def test_calibrated_and_ranked_on_a_patient_it_never_saw(learned, data_dir):
    path = data_dir / "phe-sich" / "test" / "0059.nii.gz"
    result = judge_expected_error({"0059": lambda: read_volume(path)}, learned, every=9)
    assert result["head"]["spearman"] > 0.6
    assert result["head"]["expected"] == pytest.approx(result["head"]["real"], rel=0.35)


def test_the_curve_turns_scores_into_hu_and_goes_on_beyond_its_ends():
    class Given(torch.nn.Module):
        def forward(self, seen):
            return seen[..., 0]

    curve = np.array([[0.0, 1.0, 2.0], [0.5, -0.5, 0.0]])
    expected = ExpectedError(Given(), curve)
    scores = torch.tensor([-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 5.0])
    found = expected(scores[None, None, None])[0, 0].log() - scores
    torch.testing.assert_close(found, torch.tensor([0.5, 0.5, 0.0, -0.5, -0.25, 0.0, 0.0]))


def test_a_voxel_has_one_score():
    assert ErrorScore()(torch.rand(2, 32, 64, CLUES)).shape == (2, 32, 64)


def test_the_head_is_found_where_air_is_saturated_too(head):
    hu = head.slices[12]
    full = head_mask(hu)
    saturated = head_mask(np.clip(hu, -20, 100))
    assert 0.1 < full.mean() < 0.9
    assert (full & saturated).sum() > 0.9 * saturated.sum() > 0


def test_a_model_of_other_weights_gets_no_expected_error(own_model):
    path = own_model.parent / "expected-error" / own_model.name
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"model_sha256": "0" * 64}))
    with pytest.raises(MethodError, match="lab train-expected-error"):
        load_expected_error(read_card(own_model))


def test_none_at_all_is_a_clear_error(own_model):
    shutil.rmtree(own_model.parent / "expected-error")
    with pytest.raises(MethodError, match="never measured.*lab train-expected-error"):
        load_expected_error(read_card(own_model))


def test_a_method_that_cannot_tell_it_says_so(head):
    with pytest.raises(MethodError, match="'linear' does not tell"):
        upsample_with_expected_error(head, make_interpolator("linear"))


def test_a_network_without_motion_says_that_it_leaves_no_clues(fours):
    pairs = padded(fours[:1, 1:3])
    found = ReferenceUNet(**SMALL).eval()(pairs)
    with pytest.raises(MethodError, match="motion"):
        clues(pairs[:, :1], pairs[:, 1:], found.hu, found)


def test_a_damaged_file_is_not_loaded(own_model):
    weights = (own_model.parent / "expected-error" / own_model.name).with_suffix(".safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(MethodError, match="sha256 differs"):
        load_expected_error(read_card(own_model))


def test_the_commands_fit_and_judge(own_model, head, tmp_path, capsys):
    write_volume(head, tmp_path / "head.nii.gz")
    scan, model = str(tmp_path / "head.nii.gz"), ["--model", str(own_model)]
    before = load_expected_error(read_card(own_model)).state_dict()
    fit = ["lab", "train-expected-error", "--data", scan, "--valid", scan, "--report", scan, *model]
    assert main([*fit, "--every", "6", "--steps", "60"]) == 0
    after = load_expected_error(read_card(own_model)).state_dict()
    assert not torch.equal(before["curve"], after["curve"])
    card = json.loads((own_model.parent / "expected-error" / own_model.name).read_text())
    assert card["limits"] and f"sliceinterp lab expected-error {scan} --every 3" in card["metrics"]
    capsys.readouterr()
    assert main(["lab", "expected-error", scan, *model, "--every", "6", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    # The scan that it was calibrated on.
    assert result["head"]["expected"] == pytest.approx(result["head"]["real"], rel=0.25)
