"""The contrast kept of faint discs, by methods whose answer is known."""

import numpy as np
import pytest
from scipy import ndimage

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.lab.contrast import contrast_kept, contrast_table, find_places
from SliceInterpLib.volume import Volume

SIZE = 160
PIXEL_MM = 0.5
ROWS, COLUMNS = np.indices((SIZE, SIZE)) - SIZE // 2


def head(slices=5, *, skull=True, seed=0):
    """Brain of 35 ± 3 HU with a ventricle of 5 HU on its left, in a ring of bone."""
    radius = np.hypot(ROWS, COLUMNS)
    hu = np.full((slices, SIZE, SIZE), -1000.0, np.float32)
    hu[:, radius < 76] = 1000.0 if skull else -1000.0
    hu[:, radius < 70] = 35.0
    hu[:, np.hypot(ROWS, COLUMNS + 30) < 12] = 5.0
    hu += np.random.default_rng(seed).normal(0, 3, hu.shape).astype(np.float32)
    spacing = (PIXEL_MM, PIXEL_MM, 5.0)
    return Volume.from_grid(hu=hu, origin=(0, 0, 0), spacing=spacing, direction=np.eye(3))


class Blurred:
    """Fades what is small: the mean of the two slices, blurred."""

    name = "blurred"
    context = 0
    provenance = {}

    def __call__(self, pairs, times):
        for pair in pairs:
            yield ndimage.gaussian_filter(pair.mean(0), 4)[None]


def means(method, **options):
    """Mean contrast kept by radius."""
    if isinstance(method, str):
        method = make_interpolator(method)
    result = contrast_kept({"head": head}, [method], **({"places": 4} | options))
    return [row["mean"] for row in result["methods"][method.name]]


@pytest.mark.parametrize(
    "method, both, wanted",
    [
        ("linear", True, 1.0),
        ("linear", False, 0.5),
        ("nearest", False, 1.0),  # it takes the first slice, where the disc is
    ],
)
def test_a_weighted_sum_keeps_what_its_weights_say(method, both, wanted):
    assert means(method, both=both) == pytest.approx([wanted] * 3, abs=1e-4)


def test_slices_of_the_context_get_no_disc():
    """Cubic gives 9/16 to each of the pair and −1/16 to each slice beyond."""
    volume = head(9)
    volume.hu[[0, 1, -2, -1]] = -1000.0  # no places where the outermost slice would repeat
    result = contrast_kept({"head": lambda: volume}, [make_interpolator("cubic")], places=4)
    kept = [row["mean"] for row in result["methods"]["cubic"]]
    assert kept == pytest.approx([9 / 8] * 3, abs=1e-4)


def test_a_blur_fades_small_discs_most():
    small, medium, large = means(Blurred())
    assert 0.2 < small < medium - 0.1
    assert medium < large < 0.95


def test_discs_lie_in_homogeneous_brain_and_apart():
    volume = head(7)
    blood = (ROWS > 0) & (np.hypot(ROWS, COLUMNS) < 70)
    volume.hu[3, blood] = 70.0
    places = find_places(volume, 12, radius_mm=4.0, rng=np.random.default_rng(1))
    assert len(places) == 12
    for place in places:
        assert 1 <= place.index <= 5
        y, x = place.row - SIZE // 2, place.column - SIZE // 2
        assert np.hypot(y, x) < 70 - 8
        assert np.hypot(y, x + 30) > 12 + 8
        if 2 <= place.index <= 4:
            assert y < -8
        for other in places:
            if other.index == place.index and other != place:
                apart = np.hypot(other.row - place.row, other.column - place.column)
                assert apart * PIXEL_MM >= 16.0


def test_places_follow_the_seed():
    first, again, other = (
        find_places(head(), 6, radius_mm=4.0, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_places_are_spread_over_the_patients_and_made_up_for_by_those_with_room():
    loaded = []

    def load(name, **options):
        loaded.append(name)
        return head(**options)

    patients = {"bare": lambda: load("bare", skull=False), "whole": lambda: load("whole")}
    result = contrast_kept(patients, [make_interpolator("linear")], places=5, radii_mm=[3.0])
    assert loaded == ["bare", "whole"]
    assert result["methods"]["linear"][0]["places"] == 5


def test_where_there_is_no_place_it_says_so():
    with pytest.raises(VolumeError, match="no place for discs of 7.5 mm"):
        contrast_kept({"bare": lambda: head(skull=False)}, [make_interpolator("linear")])


def test_the_table_shows_every_radius():
    result = contrast_kept({"head": head}, [Blurred()], places=3, radii_mm=[2.0, 6.0])
    header, _, row = contrast_table(result).markdown().splitlines()
    assert header == "| method | 2 mm | 6 mm | places |"
    assert row.startswith("| blurred | 0.") and row.endswith(") | 3 |")
