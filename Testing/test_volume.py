"""Volume: what it is made from, which way its slices run, what it refuses."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest

from SliceInterpLib.doublable import require_doublable
from SliceInterpLib.errors import SliceInterpError, VolumeError
from SliceInterpLib.volume import Volume


def ct(
    shape: tuple[int, int, int] = (6, 8, 10),
    spacing: tuple[float, float, float] = (0.5, 0.5, 5.0),
    **changes: object,
) -> Volume:
    """A small volume with a head's values: air around a block of brain."""
    hu = np.full(shape, -1000, dtype=np.int16)
    hu[:, 2:-2, 2:-2] = 35
    fields = {"hu": hu, "origin": (0, 0, 0), "spacing": spacing, "direction": np.eye(3)}
    return Volume.from_grid(**(fields | changes))


def test_geometry_is_normalised() -> None:
    volume = ct(origin=np.array([1, 2, 3]), spacing=[1, 1, 2], direction=tuple(np.eye(3).ravel()))
    assert volume.origin == (1.0, 2.0, 3.0)
    assert volume.spacing == (1.0, 1.0, 2.0)
    assert volume.direction.shape == (3, 3)
    assert volume.direction.dtype == np.float64


def test_array_is_taken_without_a_copy() -> None:
    hu = np.zeros((3, 4, 5), dtype=np.int16)
    assert np.shares_memory(ct(hu=hu).slices, hu)


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [
        ((0.5, 0.5, 5.0), 0),
        ((0.5, 5.0, 0.5), 1),
        ((5.0, 0.5, 0.5), 2),
        ((1.0, 1.0, 0.5), 0),
        ((0.5, 1.0, 1.0), 2),
        ((1.0, 1.0, 1.0), 0),
        ((1.0, 1.004, 0.998), 0),
        ((0.5, 0.503, 3.0), 0),
        ((3.0, 0.5, 0.503), 2),
        ((0.4, 3.0, 0.6), 1),
    ],
)
def test_slice_axis_follows_the_spacing(spacing: tuple[float, float, float], axis: int) -> None:
    assert ct(spacing=spacing).slice_axis == axis


def test_slices_of_a_sagittally_stored_volume() -> None:
    volume = ct(shape=(6, 8, 10), spacing=(4.0, 0.5, 0.502))
    assert volume.slice_axis == 2
    assert volume.slice_count == 10
    assert volume.slice_spacing == 4.0
    assert volume.pixel_spacing == (0.502, 0.5)
    assert volume.slices.shape == (10, 6, 8)
    assert np.shares_memory(volume.slices, volume.hu)
    np.testing.assert_array_equal(volume.slices[3], volume.hu[:, :, 3])


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"hu": np.zeros((4, 5), np.int16)}, "2 dimensions"),
        ({"hu": np.zeros((2, 3, 4, 5), np.int16)}, "4 dimensions"),
        ({"hu": np.zeros((0, 4, 5), np.int16)}, "empty"),
        ({"hu": np.zeros((3, 4, 5), bool)}, "type bool"),
        ({"hu": np.zeros((3, 4, 5), np.complex64)}, "type complex64"),
        ({"hu": np.full((3, 4, 5), np.nan, np.float32)}, "not finite"),
        ({"hu": np.full((3, 4, 5), np.inf)}, "not finite"),
        ({"spacing": (0.5, 0.5, 0)}, "spacing is 0.5 × 0.5 × 0 mm"),
        ({"spacing": (0.5, 0.5, -5)}, "spacing"),
        ({"spacing": (0.5, 0.5)}, "spacing must be 3"),
        ({"origin": (0, np.nan, 0)}, "origin must be 3 finite"),
        ({"origin": ("a", "b", "c")}, "origin"),
        ({"direction": np.eye(2)}, "direction must be 9"),
        ({"direction": np.diag([1, 1, 0.5])}, "unit vectors"),
    ],
)
def test_what_is_no_volume_is_refused(changes: dict, cause: str) -> None:
    with pytest.raises(VolumeError, match=cause):
        ct(**changes)


def tilted(degrees: float) -> np.ndarray:
    direction = np.eye(3)
    direction[:, 2] = 0, np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return direction


def test_gantry_tilt_is_part_of_the_geometry() -> None:
    volume = ct(direction=tilted(10.5))
    step = volume.spacing[2 - volume.slice_axis]
    assert volume.tilt_degrees == pytest.approx(10.5)
    assert volume.slice_spacing == pytest.approx(step * np.cos(np.radians(10.5)))
    ends = volume.slice_origins[[0, -1]]
    np.testing.assert_allclose(ends[0], volume.origin)
    np.testing.assert_allclose(
        ends[1] - ends[0], (volume.slice_count - 1) * step * volume.direction[:, 2]
    )
    assert ct().tilt_degrees == 0.0
    assert ct().slice_spacing == ct().spacing[2]


@pytest.mark.parametrize("degrees", [50, -60])
def test_no_gantry_tilts_that_far(degrees: float) -> None:
    with pytest.raises(VolumeError, match="not at right angles.*no gantry tilt explains"):
        ct(direction=tilted(degrees))


def test_shear_within_the_slices_is_refused() -> None:
    direction = np.eye(3)
    direction[:, 1] = np.sin(0.1), np.cos(0.1), 0
    with pytest.raises(VolumeError, match="not at right angles"):
        ct(direction=direction)


def test_in_plane_axes_are_those_of_columns_and_rows() -> None:
    np.testing.assert_array_equal(ct().in_plane_axes, np.eye(3)[:, :2])
    sagittal = ct(hu=np.moveaxis(ct().hu, 0, 2), spacing=ct().spacing[::-1])
    assert sagittal.slice_axis == 2
    np.testing.assert_array_equal(sagittal.in_plane_axes, np.eye(3)[:, [1, 2]])


def test_left_handed_axes_are_allowed() -> None:
    flipped = ct(direction=np.diag([1, 1, -1]))
    assert np.linalg.det(flipped.direction) == -1
    require_doublable(flipped)


def test_ct_can_be_doubled() -> None:
    require_doublable(ct())
    require_doublable(ct(hu=ct().hu.astype(np.float32)))


def test_brain_windowed_ct_can_be_doubled() -> None:
    require_doublable(ct(hu=np.clip(ct().hu, -20, 100)))


@pytest.mark.parametrize(
    ("hu", "cause"),
    [
        (np.tile(np.arange(256, dtype=np.uint8), (3, 4, 1)), "8-bit picture"),
        (np.tile(np.linspace(0, 1, 50), (3, 4, 1)), "8-bit picture"),
        (np.tile(np.arange(0, 4000, 10, dtype=np.uint16), (3, 4, 1)), "rescale intercept"),
        (np.tile(np.linspace(-3, 900, 500, dtype=np.float32), (3, 4, 1)), "MR"),
    ],
)
def test_values_that_are_not_hu_are_refused(hu: np.ndarray, cause: str) -> None:
    with pytest.raises(VolumeError, match=f"not HU.*{cause}.*Give"):
        require_doublable(ct(hu=hu))


@pytest.mark.parametrize(
    ("shape", "spacing"), [((1, 8, 10), (0.5, 0.5, 5)), ((6, 8, 1), (5, 0.5, 0.5))]
)
def test_single_slice_is_refused(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    with pytest.raises(VolumeError, match="fewer than 2 slices.*whole series"):
        require_doublable(ct(hu=np.full(shape, -1000, np.int16), spacing=spacing))


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.4), (1, 1, 1), (1, 1, 1.005)])
def test_thin_slices_are_refused_unless_allowed(spacing: tuple[float, float, float]) -> None:
    thin = ct(spacing=spacing)
    with pytest.raises(VolumeError, match="through-plane.*allow"):
        require_doublable(thin)
    with pytest.warns(UserWarning, match="through-plane"):
        require_doublable(thin, allow_thin=True)


def test_thick_slices_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_doublable(ct(), allow_thin=True)


def test_checks_do_not_copy_the_volume() -> None:
    hu = np.full((64, 128, 128), -1000, dtype=np.float32)
    hu[:, 32:96, 32:96] = 35
    tracemalloc.start()
    require_doublable(ct(hu=hu))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < hu.nbytes / 8


def test_errors_are_the_projects_own() -> None:
    assert issubclass(VolumeError, SliceInterpError)
