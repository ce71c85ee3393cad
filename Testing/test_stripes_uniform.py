"""Uniform mode: what it changes, what it keeps, how it is marked; and the stripes it takes away."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.evidence.stripes import stripe_index
from SliceInterpLib.lab.uniform_check import uniform_check, uniform_text
from SliceInterpLib.uniform import uniform
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

SIZE, PIXEL_MM = 160, 0.5
ROWS, COLUMNS = np.indices((SIZE, SIZE)) - SIZE // 2
RADIUS_MM = np.hypot(ROWS, COLUMNS) * PIXEL_MM


class Quiet:
    """Stands in for the network: it leaves about a third of the noise, as that does."""

    name = "quiet"
    context = 0
    provenance = {"model": "none"}

    def __call__(self, pairs, times):
        for a, b in pairs:
            between = [((times - k) * a + k * b) / times for k in range(1, times)]
            yield ndimage.gaussian_filter(np.stack(between), (0, 1.2, 1.2))


def head(slices=7, noise=4.0, lesion=0.0, dtype=np.int16):
    """Brain of 35 HU in bone with noise; a disc of 4 mm shows on slice 3 alone."""
    rng = np.random.default_rng(0)
    hu = np.full((slices, SIZE, SIZE), -1000.0)
    hu[:, RADIUS_MM < 37] = 900.0
    hu[:, RADIUS_MM < 32] = 35.0
    hu[3, RADIUS_MM < 4] += lesion
    hu += ndimage.gaussian_filter(rng.normal(0, noise / 0.42, hu.shape), (0, 0.7, 0.7))
    hu = hu.astype(dtype) if dtype != np.int16 else np.rint(hu).astype(dtype)
    return Volume.from_grid(
        hu=hu, origin=(1, 2, 3), spacing=(PIXEL_MM,) * 2 + (5.0,), direction=np.eye(3)
    )


def doubled(**options):
    return upsample(head(**options), Quiet())


def noise(hu):
    hu = hu.astype(float)
    return (hu - ndimage.gaussian_filter(hu, 2.0))[RADIUS_MM < 25].std()


def test_acquired_slices_become_as_quiet_as_the_others_and_synthetic_ones_stay():
    result = doubled()
    found = uniform(result)
    np.testing.assert_array_equal(found.hu[1::2], result.hu[1::2])
    for before, after in zip(result.hu[2:-2:2], found.hu[2:-2:2], strict=True):
        assert noise(after) < 0.45 * noise(before)
    assert found.hu.dtype == result.hu.dtype
    assert (found.origin, found.spacing) == (result.origin, result.spacing)
    assert found.slice_axis == result.slice_axis


def test_the_given_volume_is_not_touched():
    result = doubled()
    before = result.hu.copy()
    uniform(result)
    np.testing.assert_array_equal(result.hu, before)


def test_bone_and_its_border_stay():
    result = doubled(noise=0.0)
    found = uniform(result)
    np.testing.assert_allclose(found.hu[6], result.hu[6], atol=1)


def test_no_acquired_slice_leaves_its_own_range():
    """Neighbours may show what lies far above and below all that was acquired on the slice."""

    class Wild(Quiet):
        def __call__(self, pairs, times):
            for between in super().__call__(pairs, times):
                yield between + np.where(ROWS % 2, 3000.0, -3000.0)

    result = upsample(head(), Wild())
    for strength in (0.5, 1.0):
        found = uniform(result, strength)
        for before, after in zip(result.hu[::2], found.hu[::2], strict=True):
            assert before.min() <= after.min() and after.max() <= before.max()


def test_what_shows_on_one_slice_alone_is_kept():
    """The network's stand-in shows half of the disc on either side."""
    with_disc, without = (uniform(doubled(lesion=hu)).hu.astype(float)[6] for hu in (6.0, 0.0))
    kept = (with_disc - without)[RADIUS_MM < 4].mean() / 6.0
    assert kept > 0.85


def test_strength_is_part_of_the_way():
    result = doubled(dtype=np.float32)
    half, full = uniform(result, 0.5), uniform(result, 1.0)
    middle = 0.5 * (result.hu + full.hu)
    np.testing.assert_allclose(half.hu, middle, atol=1e-3)


def test_changed_slices_are_marked():
    result = doubled()
    found = uniform(result, 0.7)
    np.testing.assert_array_equal(found.synthetic, result.synthetic)
    assert found.provenance == result.provenance | {
        "uniform": {"strength": 0.7, "denoised_slices": [0, 2, 4, 6, 8, 10, 12]}
    }


def test_at_strength_zero_nothing_changes_and_nothing_is_marked():
    result = doubled()
    found = uniform(result, 0.0)
    np.testing.assert_array_equal(found.hu, result.hu)
    assert found.provenance["uniform"]["denoised_slices"] == []


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(ValueError, match="from 0 to 1"):
        uniform(doubled(), strength)


@pytest.mark.parametrize("factor", [2, 4])
def test_stripes_are_seen_and_go_by_four_fifths(factor):
    result = upsample(head(), Quiet(), factor=factor)
    before, after = stripe_index(result), stripe_index(uniform(result))
    for view in ("coronal", "sagittal"):
        assert before[view] > 0.4
        assert after[view] < 0.2 * before[view]


def test_the_index_is_michelsons_contrast_of_the_noise():
    """Noise of 6 HU on acquired and of 2 HU on synthetic slices: (6 − 2) / (6 + 2)."""
    rng = np.random.default_rng(0)
    synthetic = np.arange(9) % 2 == 1
    hu = 35 + rng.normal(0, 1, (9, 96, 96)) * np.where(synthetic, 2, 6)[:, None, None]
    volume = Volume.from_grid(hu.astype(np.float32), (0, 0, 0), (1.0, 1.0, 2.5), np.eye(3))
    volume = dataclasses.replace(volume, synthetic=synthetic)
    assert stripe_index(volume) == pytest.approx({"coronal": 0.5, "sagittal": 0.5}, abs=0.02)


def test_without_soft_tissue_there_are_no_stripes_to_measure():
    result = doubled(slices=4)
    result.hu[:] = -1000
    with pytest.raises(VolumeError, match="homogeneous"):
        stripe_index(result)


@pytest.mark.parametrize("factor", [2, 3])
def test_the_check_measures_stripes_and_what_is_kept(factor):
    found = uniform_check(head(), Quiet(), factor=factor, radii_mm=(3.0, 6.0), places=2)
    assert min(found["reduced"].values()) > 0.8
    for values in found["kept"].values():
        assert len(values) == 2 and 0.8 < min(values) <= max(values) < 1.05
    text = uniform_text({"head": found})
    assert "| head | 0." in text and "disc of 3 mm on one slice: 0." in text
