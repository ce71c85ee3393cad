"""What holds for any volume: where its slices lie, and what doubling leaves as it was."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

QUICK = settings(max_examples=40, deadline=None)


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Small volumes of any type and orientation: turned, mirrored, tilted, along any axis."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    axis = draw(st.integers(0, 2))
    shape = draw(st.tuples(*[st.integers(2, 7)] * 3))
    direction = Rotation.random(random_state=rng.integers(2**31)).as_matrix()
    if draw(st.booleans()):
        direction[:, 0] *= -1
    through, beside = 2 - axis, (3 - axis) % 3
    tilt = np.radians(draw(st.floats(-30, 30)))
    direction[:, through] = (
        np.cos(tilt) * direction[:, through] + np.sin(tilt) * direction[:, beside]
    )
    spacing = np.full(3, draw(st.floats(0.2, 1)))
    spacing[through] = draw(st.floats(1.5, 8))
    hu = rng.integers(-1024, 3072, shape).astype(draw(st.sampled_from(["i2", "i4", "f4", "f8"])))
    hu.flat[0] = -1000  # some air
    return Volume.from_grid(
        hu, origin=rng.uniform(-500, 500, 3), spacing=spacing, direction=direction
    )


def places(volume: Volume) -> np.ndarray:
    """(slice, row, column, 3) mm, LPS: of every voxel, from the affine alone."""
    index = np.stack(np.indices(volume.hu.shape)[::-1], -1)
    found = (index * volume.spacing) @ volume.direction.T + volume.origin
    return np.moveaxis(found, volume.slice_axis, 0)


@QUICK
@given(volume=volumes())
def test_slices_lie_where_the_affine_says(volume: Volume) -> None:
    of_voxels = places(volume)
    np.testing.assert_allclose(volume.slice_origins, of_voxels[:, 0, 0], atol=1e-9)
    columns, rows = volume.in_plane_axes.T
    np.testing.assert_allclose(
        of_voxels[0, 1, 1] - of_voxels[0, 0, 0],
        rows * volume.pixel_spacing[0] + columns * volume.pixel_spacing[1],
        atol=1e-9,
    )
    step = of_voxels[1, 0, 0] - of_voxels[0, 0, 0]
    assert volume.slice_spacing == pytest.approx(abs(step @ np.cross(columns, rows)), rel=1e-5)


@QUICK
@given(volume=volumes(), factor=st.sampled_from([2, 4]))
def test_doubling_keeps_every_acquired_voxel_and_its_place(volume: Volume, factor: int) -> None:
    result = upsample(volume, make_interpolator("linear"), factor=factor)
    assert result.hu.dtype == volume.hu.dtype
    np.testing.assert_array_equal(result.slices[::factor], volume.slices)
    np.testing.assert_array_equal(np.flatnonzero(~result.synthetic) % factor, 0)
    was, now = places(volume), places(result)
    np.testing.assert_allclose(now[::factor], was, atol=1e-9)
    between = now[factor // 2 :: factor]
    np.testing.assert_allclose(between, (was[:-1] + was[1:]) / 2, atol=1e-9)


@QUICK
@given(volume=volumes(), method=st.sampled_from(["linear", "cubic", "sinc"]))
def test_a_stack_seen_from_its_other_end_is_doubled_alike(volume: Volume, method: str) -> None:
    interpolator = make_interpolator(method)
    exact = dataclasses.replace(volume, slices=volume.slices.astype(np.float32))
    turned = dataclasses.replace(exact, slices=exact.slices[::-1])
    np.testing.assert_allclose(
        upsample(turned, interpolator).slices[::-1],
        upsample(exact, interpolator).slices,
        rtol=1e-5,
        atol=1e-2,
    )
