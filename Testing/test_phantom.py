"""The phantom is ground truth for other tests, so its own truth is checked here."""

from __future__ import annotations

import numpy as np
import pytest

from SliceInterpLib.phantom import EXTENT, Phantom, head_phantom

COARSE = {"matrix": 128, "pixel_spacing": 1.9}


def sample(phantom: Phantom, x: float, y: float, z: float, radius: float = 2.0) -> float:
    """Mean HU in a ball of `radius` mm around a place (x, y, z) in mm."""
    volume = phantom.volume
    axes = [
        origin + spacing * np.arange(count)
        for origin, spacing, count in zip(
            volume.origin, volume.spacing, volume.hu.shape[::-1], strict=True
        )
    ]
    zs, ys, xs = np.meshgrid(axes[2] - z, axes[1] - y, axes[0] - x, indexing="ij", sparse=True)
    return float(volume.hu[xs**2 + ys**2 + zs**2 <= radius**2].mean())


@pytest.fixture(scope="module")
def fine() -> Phantom:
    """A noise-free head with pixels and slices of 1 mm."""
    return head_phantom(slice_spacing=1.0, pixel_spacing=1.0, matrix=220, noise_hu=0.0)


@pytest.mark.parametrize(("millilitres", "tolerance"), [(1.0, 0.01), (30.0, 0.001), (80.0, 0.001)])
@pytest.mark.parametrize("seed", [0, 1])
def test_hematoma_has_the_volume_asked_for(millilitres: float, tolerance: float, seed: int) -> None:
    phantom = head_phantom(
        slice_spacing=1.0,
        slices=90,
        pixel_spacing=1.0,
        matrix=140,
        noise_hu=0.0,
        seed=seed,
        hematoma_ml=millilitres,
    )
    fraction = phantom.hematoma_fraction
    assert fraction.dtype == np.float32
    assert fraction.min() >= 0 and fraction.max() <= 1 + 1e-5
    assert fraction.sum() / 1000 == pytest.approx(millilitres, rel=tolerance)
    assert phantom.hematoma_ml == millilitres


def test_hematoma_keeps_its_volume_in_thick_slices() -> None:
    phantom = head_phantom(**COARSE, noise_hu=0.0)
    voxel = np.prod(phantom.volume.spacing)
    assert phantom.hematoma_fraction.sum() * voxel / 1000 == pytest.approx(30, rel=0.002)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_largest_hematoma_stays_inside_the_brain(seed: int) -> None:
    phantom = head_phantom(**COARSE, noise_hu=0.0, seed=seed, hematoma_ml=80.0)
    inside = phantom.volume.hu[phantom.hematoma_fraction > 0.999]
    assert inside.min() > 60 and inside.max() < 80


def test_without_a_hematoma_nothing_bleeds() -> None:
    phantom = head_phantom(**COARSE, noise_hu=0.0, hematoma_ml=0.0, slices=8)
    assert not phantom.hematoma_fraction.any()
    assert sample(phantom, 27, 4, 2.5) < 50


def test_thin_slices_average_to_the_thick_slice() -> None:
    thin = head_phantom(**COARSE, slice_spacing=1.0, noise_hu=0.0)
    thick = head_phantom(**COARSE, slice_spacing=5.0, noise_hu=0.0)
    mean = thin.volume.hu.reshape(32, 5, 128, 128).mean(axis=1)
    assert np.abs(mean - thick.volume.hu).max() <= 1.0
    fraction = thin.hematoma_fraction.reshape(32, 5, 128, 128).mean(axis=1)
    np.testing.assert_allclose(fraction, thick.hematoma_fraction, atol=1e-4)


def test_an_offset_moves_the_slices_through_the_same_head() -> None:
    plain = head_phantom(**COARSE, noise_hu=0.0, slices=9)
    moved = head_phantom(**COARSE, noise_hu=0.0, slices=9, z_offset_mm=10.0)
    np.testing.assert_array_equal(plain.volume.hu[2:], moved.volume.hu[:-2])
    assert moved.volume.origin[2] - plain.volume.origin[2] == pytest.approx(10.0)


def test_thickness_sets_the_slice_profile() -> None:
    gapped = head_phantom(**COARSE, noise_hu=0.0, slice_thickness=1.0)
    touching = head_phantom(**COARSE, noise_hu=0.0)
    thin = head_phantom(**COARSE, noise_hu=0.0, slice_spacing=1.0)
    assert gapped.volume.spacing == touching.volume.spacing
    np.testing.assert_allclose(gapped.volume.hu, thin.volume.hu[2::5], atol=1)
    assert np.abs(gapped.volume.hu - touching.volume.hu).max() > 100


def test_the_seed_decides_the_head_and_its_noise() -> None:
    first, again, other = (head_phantom(**COARSE, slices=4, seed=s) for s in (5, 5, 6))
    np.testing.assert_array_equal(first.volume.hu, again.volume.hu)
    assert (first.volume.hu != other.volume.hu).any()


@pytest.mark.parametrize("noise_hu", [2.0, 6.0])
def test_noise_is_as_asked_and_independent_between_slices(noise_hu: float) -> None:
    quiet = head_phantom(**COARSE, slices=6, noise_hu=0.0).volume.hu
    noisy = head_phantom(**COARSE, slices=6, noise_hu=noise_hu).volume.hu
    brain = ((quiet > 0) & (quiet < 80)).all(axis=0)
    noise = (noisy - quiet)[:, brain].astype(float)
    assert brain.sum() > 2000
    # Rounding to whole HU, twice, adds variances of 1/12.
    assert noise.std() == pytest.approx(np.hypot(noise_hu, np.sqrt(1 / 6)), rel=0.05)
    between = np.corrcoef(noise)[np.triu_indices(6, 1)]
    assert np.abs(between).max() < 0.15
    assert (noisy[quiet == -1000] == -1000).all()


def test_geometry_is_centred_lps() -> None:
    volume = head_phantom(**COARSE, slice_spacing=4.0).volume
    assert volume.hu.shape == (round(EXTENT / 4.0), 128, 128)
    assert volume.hu.dtype == np.int16
    assert volume.spacing == pytest.approx((1.9, 1.9, 4.0))
    np.testing.assert_array_equal(volume.direction, np.eye(3))
    extent = (np.array(volume.hu.shape[::-1]) - 1) * volume.spacing
    np.testing.assert_allclose(np.array(volume.origin) + extent / 2, 0, atol=1e-3)


def test_tissues_have_their_hu(fine: Phantom) -> None:
    hu = fine.volume.hu
    assert hu[0, 0, 0] == -1000 and hu[-1].max() == -1000  # beside and above the head
    assert sample(fine, 27, 4, 2) == pytest.approx(70, abs=3)  # blood
    assert sample(fine, -16, -4, 30) == pytest.approx(29, abs=3)  # deep white matter
    assert sample(fine, -14, 8, 0) == pytest.approx(38, abs=3)  # thalamus
    assert sample(fine, -22, 26, 11) == pytest.approx(8, abs=3)  # lateral ventricle
    assert sample(fine, -26, -52, -34) == pytest.approx(-80, abs=5)  # fat of the orbit
    assert sample(fine, 0, -30, -44) == pytest.approx(-1000, abs=5)  # sphenoid sinus
    assert sample(fine, -31, -67, -42) == pytest.approx(12, abs=5)  # eye
    assert 1200 < hu.max() < 1700


def test_head_has_the_size_and_the_layers_of_a_head(fine: Phantom) -> None:
    volume = fine.volume
    level = volume.hu[round((5 - volume.origin[2]) / volume.spacing[2])]
    rows, columns = np.nonzero(level > -500)
    assert 140 < np.ptp(columns) < 165 and 175 < np.ptp(rows) < 200
    # From the right side inwards at y = 0: air, skin and fat, bone, brain.
    line = level[round((0 - volume.origin[1]) / volume.spacing[1])]
    skin = int(np.argmax(line > -500))
    bone = int(np.argmax(line > 400))
    brain = bone + int(np.argmax(line[bone:] < 100))
    assert line[skin:bone].min() < -20
    assert 3 <= brain - bone <= 9
    # The head tapers towards the vertex.
    areas = (volume.hu[90:] > -500).sum(axis=(1, 2))
    assert (np.diff(areas) <= 0).all()


@pytest.mark.parametrize(
    "wrong", [{"hematoma_ml": -1.0}, {"hematoma_ml": 200.0}, {"slice_spacing": 0.0}]
)
def test_impossible_requests_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        head_phantom(**COARSE, **wrong)
