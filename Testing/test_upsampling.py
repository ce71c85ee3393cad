"""The engine: geometry, acquired slices, factor, progress, cancel, provenance."""

from dataclasses import replace

import numpy as np
import pytest

from SliceInterpLib.errors import Cancelled, MethodError, VolumeError
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

LINEAR = make_interpolator("linear")


def head_like(slices=5, rows=12, columns=10, dtype=np.int16, seed=0):
    rng = np.random.default_rng(seed)
    hu = rng.integers(-1000, 1500, (slices, rows, columns)).astype(dtype)
    return Volume.from_grid(
        hu=hu, origin=(1.0, -2.0, 3.0), spacing=(0.5, 0.5, 5.0), direction=np.eye(3)
    )


@pytest.mark.parametrize("factor", [2, 3, 4, 7, 12])
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_acquired_slices_stay_bit_for_bit_and_geometry_is_exact(factor, dtype):
    volume = head_like(dtype=dtype)
    result = upsample(volume, LINEAR, factor=factor)

    assert result.slice_count == factor * (volume.slice_count - 1) + 1
    assert result.hu.dtype == dtype
    np.testing.assert_array_equal(result.slices[::factor], volume.slices)
    np.testing.assert_array_equal(result.synthetic, np.arange(result.slice_count) % factor != 0)
    assert result.spacing == pytest.approx((0.5, 0.5, 5.0 / factor), abs=1e-9)
    assert result.origin == volume.origin
    np.testing.assert_array_equal(result.direction, volume.direction)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_whichever_axis_runs_through_plane_is_doubled(axis):
    upright = head_like()
    spacing = [0.5, 0.5, 0.5]
    spacing[2 - axis] = 5.0
    turned = Volume.from_grid(
        hu=np.moveaxis(upright.hu, 0, axis),
        origin=upright.origin,
        spacing=spacing,
        direction=upright.direction,
    )
    result = upsample(turned, LINEAR, factor=4)
    assert result.slice_axis == axis
    assert result.spacing[2 - axis] == 1.25
    np.testing.assert_array_equal(
        np.moveaxis(result.hu, axis, 0), upsample(upright, LINEAR, factor=4).hu
    )


def test_the_axis_stays_when_doubling_makes_the_voxels_cubes():
    hu = np.moveaxis(head_like().hu, 0, 2)
    sagittal = Volume.from_grid(
        hu=hu, origin=(0, 0, 0), spacing=(1.0, 0.5, 0.5), direction=np.eye(3)
    )
    result = upsample(sagittal, LINEAR, factor=4)
    assert result.slice_axis == 2
    assert result.hu.shape == (12, 10, 17)
    np.testing.assert_array_equal(result.slices[::4], sagittal.slices)


def test_integers_are_rounded_and_kept_in_range():
    class Wild:
        name, context, provenance = "wild", 0, {}

        def __call__(self, pairs, times):
            for pair in pairs:
                yield np.where(pair[:1] > 0, 1e6, -0.6).astype(np.float32)

    volume = head_like()
    middles = upsample(volume, Wild()).slices[1::2]
    positive = volume.slices[:-1] > 0
    assert set(np.unique(middles[positive])) == {32767}
    assert set(np.unique(middles[~positive])) == {-1}


def test_provenance_says_how_it_was_made():
    provenance = upsample(head_like(), LINEAR).provenance
    assert provenance["method"] == "linear"
    assert provenance["factor"] == 2
    assert set(provenance) >= {
        "software",
        "version",
        "method",
        "model",
        "model_sha256",
        "device",
        "precision",
    }


@pytest.mark.parametrize("factor", [2, 4])
def test_progress_counts_every_synthetic_slice_to_the_end(factor):
    seen = []
    volume = head_like(slices=9)
    upsample(volume, LINEAR, factor=factor, progress=lambda done, total: seen.append((done, total)))
    total = 8 * (factor - 1)
    assert seen[-1] == (total, total)
    assert all(later[0] > earlier[0] for earlier, later in zip(seen, seen[1:], strict=False))


def test_cancelling_raises_before_the_next_gap():
    calls = []

    class Counting:
        name, context, provenance = "counting", 0, {}

        def __call__(self, pairs, times):
            for pair in pairs:
                calls.append(pair)
                yield pair[:1]

    with pytest.raises(Cancelled):
        upsample(head_like(slices=9), Counting(), cancelled=lambda: len(calls) >= 3)
    assert len(calls) == 3


def test_a_method_that_gives_nan_is_stopped():
    class Broken:
        name, context, provenance = "broken", 0, {}

        def __call__(self, pairs, times):
            for pair in pairs:
                yield np.full_like(pair[:1], np.nan)

    with pytest.raises(MethodError, match="not finite"):
        upsample(head_like(), Broken())


def test_what_cannot_be_doubled_is_refused_before_any_work():
    volume = head_like(slices=1)
    with pytest.raises(VolumeError, match="fewer than 2 slices"):
        upsample(volume, LINEAR)


def test_thin_slices_need_a_flag_and_then_warn():
    volume = head_like()
    thin = Volume.from_grid(
        hu=volume.hu, origin=volume.origin, spacing=(0.5, 0.5, 0.4), direction=volume.direction
    )
    with pytest.raises(VolumeError, match="or pass allow_thin=True"):
        upsample(thin, LINEAR)
    with pytest.warns(UserWarning, match="adds no detail"):
        assert upsample(thin, LINEAR, allow_thin=True).slice_count == 9


def test_isotropic_brings_the_slices_nearest_to_the_pixels():
    result = upsample(head_like(), LINEAR, factor="isotropic")
    assert result.spacing == pytest.approx((0.5, 0.5, 0.5))
    assert result.provenance["factor"] == 10


@pytest.mark.parametrize(
    ("wanted", "spacing"),
    [(2.5, 2.5), (2.0, 5 / 3), (1.2, 1.25), (1.3, 1.25), (3.0, 5 / 2), (0.01, 5 / 12)],
)
def test_a_spacing_becomes_the_nearest_whole_step(wanted, spacing):
    result = upsample(head_like(), LINEAR, spacing_mm=wanted)
    assert result.slice_spacing == pytest.approx(spacing)


def test_slices_that_are_near_enough_are_left_alone_with_the_reason():
    with pytest.raises(VolumeError, match="5 mm apart, and no whole number"):
        upsample(head_like(), LINEAR, spacing_mm=6.0)
    for wanted in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="positive number of mm"):
            upsample(head_like(), LINEAR, spacing_mm=wanted)


def test_slices_lie_on_a_ramp_where_the_values_do():
    """What rises evenly through-plane is found again at every place, by every smooth method."""
    volume = head_like(slices=8)
    ramp = replace(volume, slices=np.arange(8.0)[:, None, None] * np.full((12, 10), 100.0) - 300)
    for method in ("linear", "cubic", "sinc"):
        for factor in (3, 5, 12):
            result = upsample(ramp, make_interpolator(method), factor=factor)
            inner = slice(2 * factor, -2 * factor)  # at the ends the outermost slice repeats
            wanted = np.arange(result.slice_count) * 100.0 / factor - 300
            # Sinc weights that sum to 1 leave a ramp nearly one.
            np.testing.assert_allclose(result.slices[inner, 5, 5], wanted[inner], atol=3.0)


def test_the_nearer_slice_is_copied_by_nearest():
    volume = head_like(slices=2)
    result = upsample(volume, make_interpolator("nearest"), factor=4)
    for index, source in enumerate([0, 0, 0, 1, 1]):
        np.testing.assert_array_equal(result.slices[index], volume.slices[source])


@pytest.mark.parametrize("factor", [1, 13, 2.5, "4", "even"])
def test_a_factor_that_cannot_be_is_refused(factor):
    with pytest.raises(ValueError, match="from 2 to 12"):
        upsample(head_like(), LINEAR, factor=factor)
