"""Results that carry marks, and what must be found when they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from SliceInterpLib.acquired import acquired_only, require_acquired
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

LINEAR = make_interpolator("linear")


def head(axis: int = 0, *, tilt: float = 0.0, slices: int = 6, gap: float = 5.0) -> Volume:
    """Brain in air, in random HU; slices along `axis` of the array, sheared by `tilt` degrees."""
    hu = np.full((slices, 12, 10), -1000, np.int16)
    hu[:, 3:-3, 3:-3] = np.random.default_rng(0).integers(0, 80, (slices, 6, 4))
    direction, spacing = np.eye(3), [0.5, 0.5, 0.5]
    spacing[2 - axis] = gap / np.cos(np.radians(tilt))
    direction[(2 - axis) - 1, 2 - axis] = np.sin(np.radians(tilt))
    direction[2 - axis, 2 - axis] = np.cos(np.radians(tilt))
    array = np.moveaxis(hu, 0, axis)
    return Volume.from_grid(array, (-11.0, 7.0, 3.0), spacing, direction, slice_axis=axis)


def doubled(volume: Volume, factor: int = 2) -> Volume:
    """By the linear method, also with wide gaps."""
    return upsample(volume, LINEAR, factor=factor, widest_gap_mm=20.0)


def saved(volume: Volume, path: Path) -> Path:
    """The path, where the volume now is."""
    write_volume(volume, path)
    return path


def assert_source(found: Volume, source: Volume) -> None:
    """Acquired, bit for bit, and each slice to 1e-3 mm where it was."""
    assert not found.is_derived
    assert not found.synthetic.any()
    np.testing.assert_array_equal(found.slices, source.slices)
    np.testing.assert_allclose(found.slice_origins, source.slice_origins, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.in_plane_axes, source.in_plane_axes, rtol=0, atol=1e-6)
    assert found.pixel_spacing == pytest.approx(source.pixel_spacing)


def assert_unknown(path: Path) -> None:
    """A result, of which nothing more is known: refused, and no slice of it taken for acquired."""
    with pytest.warns(UserWarning, match="all of them count as such"):
        found = read_volume(path)
    assert found.synthetic.all()
    with pytest.raises(VolumeError, match="no longer known.*Give the scan that it was made from"):
        require_acquired(found)
    with pytest.raises(VolumeError, match="no longer known"):
        acquired_only(found)
