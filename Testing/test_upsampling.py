"""The engine: geometry, acquired slices, factor, progress, cancel, provenance."""

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


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_acquired_slices_stay_bit_for_bit_and_geometry_is_exact(factor, dtype):
    volume = head_like(dtype=dtype)
    result = upsample(volume, LINEAR, factor=factor)

    assert result.slice_count == factor * (volume.slice_count - 1) + 1
    assert result.hu.dtype == dtype
    np.testing.assert_array_equal(result.slices[::factor], volume.slices)
    np.testing.assert_array_equal(result.synthetic, np.arange(result.slice_count) % factor != 0)
    assert result.spacing == (0.5, 0.5, 5.0 / factor)
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
        name, context, batch, provenance = "wild", 0, 2, {}

        def __call__(self, slices):
            return np.where(slices[:, 0] > 0, 1e6, -0.6).astype(np.float32)

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


def test_cancelling_raises_before_the_next_batch():
    calls = []

    class Counting:
        name, context, batch, provenance = "counting", 0, 1, {}

        def __call__(self, slices):
            calls.append(len(slices))
            return slices[:, 0]

    with pytest.raises(Cancelled):
        upsample(head_like(slices=9), Counting(), cancelled=lambda: len(calls) >= 3)
    assert len(calls) == 3


def test_a_method_that_gives_nan_is_stopped():
    class Broken:
        name, context, batch, provenance = "broken", 0, 1, {}

        def __call__(self, slices):
            return np.full(slices[:, 0].shape, np.nan, np.float32)

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


def test_an_unknown_factor_is_refused():
    with pytest.raises(ValueError, match="factor"):
        upsample(head_like(), LINEAR, factor=3)
