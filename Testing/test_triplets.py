"""Training examples are cut where they say, from the scans that they are to come from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from SliceInterpLib.lab.training.triplets import Augmentation, Triplets
from SliceInterpLib.networks.prediction import MIDDLE
from SliceInterpLib.volume import Volume


def ramp(slices, gap):
    """Slice k is k everywhere, with tissue for the crop to find."""
    hu = np.arange(slices, dtype=np.int16)[:, None, None] * np.ones((1, 64, 64), np.int16)
    return Volume.from_grid(hu=hu, origin=(0, 0, 0), spacing=(0.5, 0.5, gap), direction=np.eye(3))


PLAIN = Augmentation(coarse=0.0, turned=0.0, lesions=0.0, contrast=0.0, offset_hu=0.0)


@pytest.mark.parametrize("gap", [5.0, 2.0, 1.25])
def test_the_middle_slice_of_an_example_lies_midway_however_thick(gap):
    """In a volume that is linear in z, the true middle is the mean of the neighbours."""
    triplets = Triplets([ramp(40, gap)], crop=32)
    steps = set()
    for index in range(60):
        first, middle, last = triplets[index].hu.mean((1, 2)).tolist()
        assert middle == pytest.approx((first + last) / 2, abs=1e-3)
        steps.add(round(abs(last - middle), 1))
    assert (len(steps) > 3) or gap == 5.0


def values(example):
    """What each slice of an example of a ramp shows."""
    return [hu.mean().item() for hu in example.hu]


def pairs_apart(triplets, examples=200):
    shown = [values(triplets[i]) for i in range(examples)]
    return {abs(row[-1] - row[0]) for row in shown}


@pytest.mark.parametrize(("gap", "count"), [(5.0, 20), (5.0, 4), (2.0, 40), (1.25, 40)])
def test_an_example_lies_where_its_place_says(gap, count):
    """In a volume that is linear in z, the truth is the linear interpolation of its neighbours."""
    triplets = Triplets([ramp(count, gap)], crop=32, augmentation=PLAIN, any_place=True)
    seen = []
    for index in range(300):
        example = triplets[index]
        first, truth, last = values(example)
        t = example.place[1].item()
        assert truth == pytest.approx((1.0 - t) * first + t * last, abs=1e-3)
        seen.append(round(t, 3))
    assert {0.333, 0.5, 0.667} <= set(seen)
    if gap == 5.0:
        assert set(seen) == {0.333, 0.5, 0.667}
        assert 0.06 < 1.0 - seen.count(0.5) / len(seen) < 0.18
    else:
        assert {0.25, 0.2, 0.8} <= set(seen) or gap == 2.0
        assert 0.4 < seen.count(0.5) / len(seen) < 0.7


def test_a_network_for_the_middle_alone_is_shown_nothing_else():
    triplets = Triplets([ramp(40, 1.25), ramp(40, 5.0)], crop=32)
    assert all(torch.equal(triplets[index].place, MIDDLE) for index in range(50))


def test_a_volume_of_three_slices_has_a_middle_only():
    triplets = Triplets([ramp(3, 5.0)], crop=32, any_place=True)
    assert all(torch.equal(triplets[index].place, MIDDLE) for index in range(50))


def test_simulated_slices_are_up_to_6_mm_thick_and_pairs_overlap_by_half_up_to_one_apart():
    apart = pairs_apart(Triplets([ramp(100, 1.0)], crop=32, augmentation=PLAIN))
    assert apart == {2.0, 4.0, 6.0, 8.0, 10.0, 12.0}
    real = replace(PLAIN, simulated=False)
    assert pairs_apart(Triplets([ramp(100, 1.0)], crop=32, augmentation=real), 50) == {2.0}


def test_half_overlapping_slices_are_shown():
    """As scanners reconstruct them: 6 mm slices every 3 mm show one between two of them."""
    triplets = Triplets([ramp(100, 3.0)], crop=32, augmentation=PLAIN)
    shown = [values(triplets[i]) for i in range(200)]
    overlapping = [row for row in shown if row[0] % 1.0 == 0.5 and abs(row[2] - row[0]) == 2.0]
    assert len(overlapping) > 20


def replace_hu(volume, more):
    return replace(volume, slices=volume.slices + np.int16(more))


def test_thin_scans_have_their_part_of_the_examples():
    thick = [replace_hu(ramp(40, 5.0), +50) for _ in range(9)]
    augmentation = replace(PLAIN, thin=0.4)
    triplets = Triplets([*thick, ramp(40, 1.25)], crop=32, augmentation=augmentation)
    thin = np.mean([values(triplets[index])[1] < 45.0 for index in range(300)])
    assert 0.3 < thin < 0.5


def test_context_slices_lie_as_far_apart_as_the_pair_and_repeat_it_at_the_ends():
    triplets = Triplets([ramp(12, 5.0)], crop=32, context=1, augmentation=PLAIN)
    for index in range(40):
        shown = sorted(values(triplets[index]))
        middle = shown[2]
        expected = [middle - 3, middle - 1, middle, middle + 1, middle + 3]
        expected[0] = expected[0] if expected[0] >= 0 else middle - 1
        expected[4] = expected[4] if expected[4] <= 11 else middle + 1
        assert shown == expected


def test_examples_depend_on_seed_and_number_only(head):
    one, other = (Triplets([head], 96, context=1, seed=7) for _ in range(2))
    assert torch.equal(one[5].hu, [other[3], other[5]][1].hu)
    assert not torch.equal(one[5].hu, one[6].hu)
    assert not torch.equal(Triplets([head], 96, context=1, seed=8)[5].hu, one[5].hu)


def test_crops_are_taken_from_small_slices_too():
    triplets = Triplets([ramp(5, 5.0)], crop=192)
    assert all(triplets[index].hu.shape == (3, 192, 192) for index in range(12))


def test_faint_lesions_are_added_to_the_pair_and_to_the_target_alike(head):
    """With and without lesions, all else the same: the three central slices differ alike."""
    bare = Triplets([head], 192, context=1, seed=2, augmentation=PLAIN)
    marked = Triplets([head], 192, context=1, seed=2, augmentation=replace(PLAIN, lesions=1.0))
    seen = set()
    for index in range(12):
        # Flips are drawn after the lesions: compare what does not depend on them.
        sums = [np.sort(np.abs(e[index].hu.numpy()).sum(axis=(1, 2))) for e in (bare, marked)]
        assert (sums[0] != sums[1]).sum() >= 3
        seen.add(int((sums[0] != sums[1]).sum()))
    assert seen <= {3, 4, 5}


def test_volumes_without_a_triplet_are_refused():
    with pytest.raises(ValueError, match="at least 3 slices"):
        Triplets([ramp(2, 5.0)], crop=32)
