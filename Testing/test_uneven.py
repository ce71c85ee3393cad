"""Stacks with gaps that differ, and tilted ones: filled where they are, and made regular."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.gaps import missing_slices
from SliceInterpLib.grids import evenly_spaced, longest_stretch, upright
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

LINEAR = make_interpolator("linear")


def stack(heights: list[float], *, tilt: float = 0.0, thickness: float = np.nan) -> Volume:
    """Slices around air whose brain has 10 HU for each mm of height, in an oblique position."""
    axes = Rotation.from_euler("xyz", (3, 5, 7), degrees=True).as_matrix()
    heights = np.array(heights, float)
    hu = np.full((len(heights), 8, 9), -1000, np.float32)
    hu[:, 2:-2, 2:-2] = 10 * heights[:, None, None]
    slant = axes[:, 2] + np.tan(np.radians(tilt)) * axes[:, 1]
    return Volume(
        slices=hu,
        slice_origins=np.array([1.0, 2.0, 3.0]) + heights[:, None] * slant,
        pixel_spacing=(0.5, 0.4),
        in_plane_axes=axes[:, :2],
        thickness=np.full(len(heights), thickness),
    )


def test_even_stack_is_one_stretch() -> None:
    even = stack([0, 5, 10.01, 15, 20])
    assert even.is_even
    assert even.stretches == [range(5)]
    assert even.slice_spacing == pytest.approx(5)


def test_stretches_share_their_border_slice() -> None:
    uneven = stack([0, 4, 8, 12, 13, 20, 27])
    assert uneven.stretches == [range(4), range(3, 5), range(4, 7)]
    assert longest_stretch(uneven) == range(4)
    np.testing.assert_array_equal(uneven.part(range(4, 7)).slices, uneven.slices[4:7])


@settings(max_examples=30, deadline=None)
@given(
    gaps=st.lists(st.floats(1, 7).map(lambda gap: round(gap, 2)), min_size=1, max_size=12),
    tilt=st.floats(-30, 30),
    factor=st.integers(2, 12),
)
def test_every_gap_is_filled_at_its_own_middle(gaps: list[float], tilt: float, factor: int) -> None:
    acquired = stack([0, *np.cumsum(gaps)], tilt=tilt)
    result = upsample(acquired, LINEAR, factor=factor, widest_gap_mm=7)
    assert len(result.slices) == factor * len(gaps) + 1
    np.testing.assert_array_equal(np.flatnonzero(~result.synthetic) % factor, 0)
    np.testing.assert_array_equal(result.slices[::factor], acquired.slices)
    np.testing.assert_array_equal(result.slice_origins[::factor], acquired.slice_origins)
    np.testing.assert_allclose(result.gaps, np.repeat(gaps, factor) / factor, atol=1e-9)
    # Linear interpolation of values that are linear in the height gives the height's own value.
    np.testing.assert_allclose(result.slices[:, 3, 3], 10 * result.positions, rtol=1e-5, atol=1e-2)


def test_parts_are_reported() -> None:
    done = []
    with pytest.warns(UserWarning, match=r"1 of 6 gaps are no wider \(0.3 mm\) than the pixels"):
        result = upsample(
            stack([0, 4, 8, 12, 12.3, 19, 25.7]), LINEAR, progress=lambda *now: done.append(now)
        )
    assert result.provenance["parts"] == [
        {"slices": [1, 4], "gap_mm": 4.0, "times": 2},
        {"slices": [4, 5], "gap_mm": 0.3, "times": 1},
        {"slices": [5, 7], "gap_mm": 6.7, "times": 2},
    ]
    assert len(result.slices) == 12
    assert done[-1] == (5, 5)


def test_slices_as_close_as_pixels_leave_nothing_to_fill() -> None:
    with pytest.raises(VolumeError, match="doubling adds no detail"):
        upsample(stack([0, 0.3, 0.7]), LINEAR)


@pytest.mark.parametrize(
    ("gaps", "thickness", "missing"),
    [
        ([5, 5, 10, 5], 5.0, [2]),
        ([2.5, 2.5, 5, 2.5], 2.5, [2]),
        ([4, 4, 1, 7, 7], [4, 4, 7, 7, 7], []),
        ([5, 5, 10, 5], np.nan, [2]),
        ([2.5, 2.5, 5, 2.5], np.nan, []),
        ([10, 10, 10], np.nan, []),
    ],
)
def test_missing_slices(gaps: list[float], thickness: object, missing: list[int]) -> None:
    assert np.flatnonzero(missing_slices(np.array(gaps), np.array(thickness))).tolist() == missing


def test_a_spacing_gives_each_gap_the_factor_that_makes_the_result_as_even_as_can_be() -> None:
    acquired = stack([0, 2.5, 5, 10, 15, 20], thickness=5.0)
    result = upsample(acquired, LINEAR, spacing_mm=1.25)
    np.testing.assert_allclose(result.gaps, 1.25, atol=1e-9)
    assert result.is_even
    kept = np.flatnonzero(~result.synthetic)
    assert kept.tolist() == [0, 2, 4, 8, 12, 16]
    np.testing.assert_array_equal(result.slices[kept], acquired.slices)
    np.testing.assert_array_equal(result.slice_origins[kept], acquired.slice_origins)
    assert result.provenance["factor"] == 4
    assert [part["times"] for part in result.provenance["parts"]] == [2, 4]


def test_a_gap_that_is_narrow_enough_already_stays() -> None:
    acquired = stack([0, 1, 2, 7, 12], thickness=5.0)
    result = upsample(acquired, LINEAR, spacing_mm=1.1)
    np.testing.assert_allclose(result.gaps, 1.0, atol=1e-9)
    assert [part["times"] for part in result.provenance["parts"]] == [1, 5]


def test_missing_slices_are_not_bridged_unasked() -> None:
    gappy = stack([0, 5, 10, 20, 25], thickness=5.0)
    with pytest.raises(VolumeError, match=r"between slices 3 and 4 \(10.0 mm\).*--widest-gap"):
        upsample(gappy, LINEAR)
    assert len(upsample(gappy, LINEAR, widest_gap_mm=10).slices) == 9
    with pytest.raises(VolumeError, match="Slices are missing"):
        upsample(gappy, LINEAR, widest_gap_mm=9)


@pytest.mark.parametrize("gap", [10, 10.01, 10.04, 10.05])
def test_the_width_that_is_told_suffices(gap: float) -> None:
    gappy = stack([0, 5, 10, 10 + gap, 15 + gap], thickness=5.0)
    with pytest.raises(VolumeError, match="gaps up to") as refused:
        upsample(gappy, LINEAR)
    told = re.search(r"gaps up to ([\d.]+) mm", str(refused.value))
    assert float(told[1]) <= 10.1
    assert len(upsample(gappy, LINEAR, widest_gap_mm=float(told[1])).slices) == 9


@pytest.mark.parametrize("tilt", [0, 18.5])
def test_even_spacing(tilt: float) -> None:
    filled = upsample(stack([0, 4, 8, 12, 13, 20, 27], tilt=tilt), LINEAR)
    even = evenly_spaced(filled)
    assert even.slice_spacing == pytest.approx(2)
    assert even.tilt_degrees == pytest.approx(tilt, abs=1e-6)
    assert even.slice_count == 15
    np.testing.assert_allclose(even.slice_origins[0], filled.slice_origins[0])
    np.testing.assert_array_equal(even.hu[:7], filled.slices[:7])
    np.testing.assert_allclose(even.hu[:14, 3, 3], 20 * np.arange(14), rtol=1e-5, atol=1e-2)
    # The last slice, at 27 mm, stands for what lies up to 28.75 mm, and so for the place at 28.
    np.testing.assert_array_equal(even.hu[14], filled.slices[-1])
    assert even.synthetic.tolist() == [i not in (0, 2, 4, 6, 10) for i in range(15)]
    assert even.provenance["mixed_slices"] == 7
    # Thirteen and a half steps lead from the first acquired slice to the last.
    step = even.slice_origins[1] - even.slice_origins[0]
    np.testing.assert_allclose(13.5 * step, filled.slice_origins[-1] - filled.slice_origins[0])


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"slice_origins": np.zeros((3, 3))}, "2 of the series' 3 slices lie where"),
        ({"slice_origins": np.eye(3)}, "do not lie along one line|lie where another one"),
    ],
)
def test_what_is_no_stack_is_refused(changes: dict, cause: str) -> None:
    with pytest.raises(VolumeError, match=cause):
        dataclasses.replace(stack([0, 5, 10]), **changes)


# ---- Gantry tilt


def ball(tilt: float) -> Volume:
    """A soft ball of 1000 HU, as a gantry tilted by so many degrees shows it."""
    direction = np.eye(3)
    direction[:, 2] = 0, np.sin(np.radians(tilt)), np.cos(np.radians(tilt))
    empty = Volume.from_grid(
        np.zeros((21, 60, 50), np.float32), origin=(3, 4, 5), spacing=(1, 1, 2), direction=direction
    )
    return dataclasses.replace(empty, slices=_drawn(empty))


def _drawn(volume: Volume) -> np.ndarray:
    k, j, i = np.indices(volume.hu.shape).reshape(3, -1)
    places = volume.slice_origins[k] + np.column_stack([i, j]) @ volume.in_plane_axes.T
    centre = volume.slice_origins[10] + volume.in_plane_axes @ (25, 30)
    distance = np.linalg.norm(places - centre, axis=1).reshape(volume.hu.shape)
    return (2000 / (1 + np.exp((distance - 12) / 2)) - 1000).astype(np.float32)


@pytest.mark.parametrize("tilt", [10.5, -18.5])
def test_upright_volume_shows_the_same_body_in_the_same_place(tilt: float) -> None:
    volume = upsample(ball(tilt), LINEAR)
    straight = upright(volume)
    assert straight.tilt_degrees == 0
    assert straight.slice_spacing == pytest.approx(volume.slice_spacing)
    np.testing.assert_array_equal(straight.synthetic, volume.synthetic)
    assert straight.provenance["upright"] is True
    assert straight.hu.shape[1] > volume.hu.shape[1]
    for one in (volume, straight):
        weights = (one.hu + 1000.0).astype(np.float64)
        centre = [np.sum(weights * axis) / weights.sum() for axis in np.indices(one.hu.shape)]
        place = one.origin + one.direction @ (np.array(centre[::-1]) * one.spacing)
        np.testing.assert_allclose(
            place, ball(tilt).slice_origins[10] + ball(tilt).in_plane_axes @ (25, 30), atol=0.05
        )
    # The slices keep their planes: those of the upright volume lie in those of the tilted one.
    normal = straight.direction[:, 2]
    np.testing.assert_allclose(
        (straight.slice_origins - volume.slice_origins) @ normal, 0, atol=1e-9
    )


def test_straight_volume_stays_as_it_is() -> None:
    volume = ball(0)
    assert upright(volume) is volume
