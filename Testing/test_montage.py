"""The montage shows the patient the same way round however the file is stored."""

import numpy as np
import pytest
from matplotlib import image as pictures

from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.report.montage import _cuts, save_montage
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

AT = (27.0, 4.0, 2.5)


@pytest.fixture(scope="module")
def head():
    return head_phantom(matrix=96, pixel_spacing=2.4).volume


def flipped(volume):
    """The same head stored from feet to … the other way round, and from left to right."""
    last = np.array(volume.hu.shape)[::-1] - 1
    corner = np.array(volume.origin) + np.array(volume.spacing) * last * (1, 0, 1)
    return Volume.from_grid(
        hu=volume.hu[::-1, :, ::-1],
        origin=tuple(corner),
        spacing=volume.spacing,
        direction=volume.direction @ np.diag([-1.0, 1.0, -1.0]),
    )


def stored_sagittally(volume):
    """The same head with the file's axes turned round: (x, z, y) rather than (z, y, x)."""
    return Volume.from_grid(
        hu=volume.hu.transpose(2, 0, 1),
        origin=volume.origin,
        spacing=tuple(volume.spacing[i] for i in (1, 2, 0)),
        direction=volume.direction[:, [1, 2, 0]],
    )


@pytest.mark.parametrize("store", [flipped, stored_sagittally])
def test_the_picture_does_not_depend_on_how_the_file_is_stored(head, store, tmp_path):
    save_montage(tmp_path / "upright.png", {"head": head}, AT)
    save_montage(tmp_path / "other.png", {"head": store(head)}, AT)
    upright, other = (
        pictures.imread(tmp_path / name).astype(float) for name in ("upright.png", "other.png")
    )
    np.testing.assert_array_equal(upright, other)


def test_left_is_right_back_is_down_and_up_is_up(tmp_path):
    """A bright mark in the left upper back of a cube of tissue, cut through the mark."""
    hu = np.full((30, 60, 60), -1000, np.int16)
    hu[2:28, 5:55, 5:55] = 40
    hu[22:26, 42:50, 42:50] = 107
    cube = Volume.from_grid(hu=hu, origin=(0, 0, 0), spacing=(1, 1, 2), direction=np.eye(3))
    save_montage(tmp_path / "cube.png", {"cube": cube}, (46.0, 46.0, 48.0))
    grey = pictures.imread(tmp_path / "cube.png")[..., 0]
    tissue = np.abs(grey - 60 / 127) < 0.03
    empty_rows = np.flatnonzero(~tissue.any(axis=1))
    rows = np.flatnonzero(tissue.any(axis=1))
    views = np.split(rows, np.flatnonzero(np.diff(rows) > 5) + 1)
    views = [view for view in views if len(view) > 50]
    assert len(views) == 3 and empty_rows.size
    for view, vertical in zip(views, ("down", "up", "up"), strict=True):
        panel = grey[view[0] : view[-1]]
        mark = np.argwhere((panel > 0.99) & (np.arange(panel.shape[0]) > 10)[:, None])
        y, x = np.median(mark, axis=0) / panel.shape
        assert x > 0.6
        assert (y > 0.6) == (vertical == "down")


def test_an_axial_cut_says_whether_it_is_synthetic(head):
    doubled = upsample(head, make_interpolator("linear"))
    between, on_a_slice = (27.0, 4.0, 5.0), (27.0, 4.0, 2.5)
    assert _cuts(head, between)[0].caption == "axial, acquired"
    assert _cuts(doubled, between)[0].caption == "axial, synthetic"
    assert _cuts(doubled, on_a_slice)[0].caption == "axial, acquired"
