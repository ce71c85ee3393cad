"""Where the head is, and a learned method that computes there alone: nothing lost, no seam."""

from functools import partial

import numpy as np
import pytest
from predicting import between
from tiny_models import write_tiny_model

from SliceInterpLib.head_box import Box, head_box
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.interpolators.beside import SEAM
from SliceInterpLib.interpolators.learned import Learned
from SliceInterpLib.networks.devices import has_bf16
from SliceInterpLib.networks.flow_inside import FlowInside
from SliceInterpLib.networks.registry import find_model, read_card
from SliceInterpLib.phantom import head_phantom

AIR, HEADREST, SKIN = -1000.0, 150.0, 40.0

pytestmark = pytest.mark.networks


@pytest.fixture(scope="module")
def four():
    """(1, 4, 256, 256) HU: slices of a small head in a large field, with noise."""
    head = head_phantom(slices=30, matrix=256, pixel_spacing=1.4).volume
    return head.slices[14:18].astype(np.float32)[None]


@pytest.fixture
def learned():
    return make_interpolator("learned", device="cpu")


def seen_by(learned, four):
    return np.ascontiguousarray(four[:, 1 - learned.context : 3 + learned.context])


def whole(learned, slices, times=2):
    """What the network makes of whole slices."""
    learned.network.margin = None
    try:
        return between(learned, slices, times)
    finally:
        learned.network.margin = FlowInside.margin


def disc(size=256, centre=(128, 128), radius=60.0, inside=SKIN, outside=AIR):
    rows, columns = np.indices((size, size))
    far = np.hypot(rows - centre[0], columns - centre[1])
    return np.where(far < radius, inside, outside).astype(np.float32)


def with_headrest(hu, column=128, density=HEADREST):
    """A shell of six pixels from below the head to the edge."""
    hu = hu.copy()
    hu[200:, column - 3 : column + 3] = density
    return hu


def edges(box):
    return box.top, box.top + box.height, box.left, box.left + box.width


def test_a_head_is_found_and_the_headrest_left_out():
    noise = np.random.default_rng(0).normal(0, 12, (2, 256, 256)).astype(np.float32)
    both = np.stack([with_headrest(disc()), with_headrest(disc(radius=58))])
    box = head_box(both + noise, 16)
    top, bottom, left, right = edges(box)
    assert 20 < top <= 128 - 60 - 16 and 20 < left <= 128 - 60 - 16
    assert 128 + 60 + 16 <= bottom < 256 and 128 + 60 + 16 <= right < 256
    assert box.height % 32 == box.width % 32 == box.top % 8 == box.left % 8 == 0


@pytest.mark.parametrize("other", [disc(), with_headrest(disc(), 134)], ids=["ends", "moves"])
def test_a_headrest_that_ends_or_moves_is_not_left_out(other):
    box = head_box(np.stack([with_headrest(disc(), 126), other]), 16)
    assert edges(box)[1] == 256
    assert 128 + 60 + 16 <= edges(box)[3] < 256


def test_in_a_brain_window_air_is_as_dark_as_fat_and_skin_lies_around_it():
    """A ring of skin, black within but for a brain far from most of the skin."""
    skin = np.maximum(disc(radius=90, outside=-20.0), -20.0)
    skin[disc(radius=86) > 0] = -20.0
    skin[disc(radius=30, centre=(128, 90)) > 0] = 35.0
    top, bottom, left, right = edges(head_box(skin[None], 0))
    assert top <= 38 and left <= 38 and bottom >= 218 and right >= 218
    assert head_box(skin[None], 0).height < 256


def test_what_hangs_on_the_head_belongs_to_it():
    ear = disc()
    ear[120:140, 180:215] = SKIN
    ear[120:123, 200:215] = SKIN
    assert head_box(ear[None], 0).columns.stop >= 215


@pytest.mark.parametrize("hu", [AIR, -20.0, 0.0, 3071.0])
def test_where_no_head_is_found_the_slice_is_taken_whole(hu):
    assert head_box(np.full((2, 64, 96), hu, np.float32), 16) == Box(0, 0, 64, 96)


def test_a_head_that_fills_the_slice_is_the_slice():
    assert head_box(disc(radius=150)[None], 16) == Box(0, 0, 256, 256)


def test_the_box_does_not_depend_on_the_order():
    one, other = disc(centre=(100, 120)), disc(centre=(140, 150), radius=40)
    assert head_box(np.stack([one, other]), 8) == head_box(np.stack([other, one]), 8)


@pytest.mark.parametrize("windowed", [False, True])
def test_within_the_head_nothing_changes(four, windowed):
    learned = Learned(find_model(), "cpu", half=False)
    slices = seen_by(learned, four.clip(-20, 100) if windowed else four)
    box = head_box(slices[0], learned.network.margin)
    assert box.height * box.width < 0.8 * 256 * 256
    found, wanted = between(learned, slices, 4)[0], whole(learned, slices, 4)[0]
    head = disc(size=256, centre=(128, 128), radius=50) > 0
    off = np.abs(found - wanted)[:, head]
    assert off.mean() < 0.05
    assert off.max() < 1.0


def test_beside_the_head_it_is_linear(learned, four):
    slices = seen_by(learned, four)
    box = head_box(slices[0], learned.network.margin)
    found = between(learned, slices, 3)[0, 0]
    a, b = slices[0, learned.context : learned.context + 2]
    outside = np.ones(found.shape, bool)
    outside[box.rows, box.columns] = False
    np.testing.assert_allclose(found[outside], ((2 * a + b) / 3)[outside], atol=1e-3)


def test_a_headrest_of_foam_that_moves_shows_no_seam(learned):
    """Moved by the network on one side and blended on the other: one passes into the other."""
    foam = partial(with_headrest, disc(), density=-250.0)
    pair = np.stack([foam(126), foam(132)])[None]
    if learned.context:
        pair = pair[:, [0, 0, 1, 1]]
    box = head_box(pair[0], learned.network.margin)
    end = box.top + box.height
    assert 204 <= end < 248  # it ends across the headrest
    network, found = whole(learned, pair)[0, 0], between(learned, pair)[0, 0]
    strip = (slice(end - SEAM - 2, end + 2), slice(115, 145))
    most = np.abs(network - pair[0].mean(0))[strip].max()
    assert most > 100.0  # the two differ, so that there could be a seam
    own = np.abs(np.diff(network[strip], axis=0)).max()
    assert np.abs(np.diff(found[strip], axis=0)).max() < own + most / 8.0


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("times", [2, 3])
def test_reversed_slices_give_exactly_the_same_slices_reversed(four, times, half):
    learned = Learned(find_model(), "cpu", half=half)
    if half and not has_bf16(learned.device):
        pytest.skip("half precision is not used here")
    slices = seen_by(learned, four)
    mirrored = between(learned, np.ascontiguousarray(slices[:, ::-1]), times)[:, ::-1]
    np.testing.assert_array_equal(between(learned, slices, times), mirrored)


def test_what_tells_the_error_is_known_everywhere(tmp_path, four):
    learned = Learned(read_card(write_tiny_model(tmp_path)), device="cpu")
    slices = seen_by(learned, four)
    [(found, clues)] = learned.with_clues(slices, 3)
    np.testing.assert_array_equal(found, between(learned, slices, 3)[0])
    assert np.isfinite(clues).all()
    learned.network.margin = None
    [(_, wanted)] = learned.with_clues(slices, 3)
    head = disc(radius=40) > 0
    assert np.abs(clues - wanted)[..., head].mean() < 0.05
