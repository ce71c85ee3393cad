"""Clots of two densities, dim blood, and skulls that are open."""

import json
from dataclasses import replace

import numpy as np
import pytest

from SliceInterpLib.cli import main
from SliceInterpLib.files import write_volume
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.phantom_anatomy import BLOOD, MUSCLE
from SliceInterpLib.volumetry.comparison import compare, comparison_table
from SliceInterpLib.volumetry.intracranial import SKULL_HU, intracranial_mask
from SliceInterpLib.volumetry.mask import SegmentationError, voxel_ml
from SliceInterpLib.volumetry.morphology import dilated
from SliceInterpLib.volumetry.segmentation import SegmentationSettings, Segmenter

CLOT = np.array([27.0, 4.0, 2.0])
"""The middle of the phantom's hematoma in mm, LPS."""

FRONT, BACK = CLOT - [0.0, 9.0, 0.0], CLOT + [0.0, 12.0, 0.0]


@pytest.fixture(scope="module")
def phantom():
    return head_phantom(matrix=200, pixel_spacing=1.0)


@pytest.fixture(scope="module")
def places(phantom):
    """(slice, row, column, 3) mm, LPS."""
    shape = phantom.volume.slices.shape
    flat = phantom.volume.places(np.indices(shape).reshape(3, -1).T.astype(np.float64))
    return flat.reshape(*shape, 3)


@pytest.fixture(scope="module")
def space(phantom):
    return intracranial_mask(phantom.volume)


def with_hu(volume, hu):
    return replace(volume, slices=np.rint(hu).astype(np.int16))


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


# ---- Two densities


@pytest.fixture(scope="module")
def blend(phantom, places, space):
    """The clot's back is of 46 HU, its front of 70."""
    grey = phantom.hematoma_fraction * (places[..., 1] > CLOT[1] + 2.0)
    volume = with_hu(phantom.volume, phantom.volume.slices + grey * (46.0 - BLOOD))
    return volume, Segmenter(volume, space=space)


def test_the_grey_part_of_a_clot_is_found_and_both_volumes_are_told(phantom, blend):
    volume, segmenter = blend
    found = segmenter.segment([FRONT])
    assert dice(found.mask, phantom.hematoma_fraction > 0.5) > 0.88
    bright, whole = voxel_ml(volume, found.bright), voxel_ml(volume, found.mask)
    assert whole == pytest.approx(phantom.hematoma_ml, rel=0.15)
    assert bright < 0.8 * whole and not (found.bright & ~found.mask).any()
    told = next(one for one in found.warnings if "two densities" in one)
    assert f"{bright:.1f} ml" in told and f"{whole:.1f} ml" in told


def test_a_seed_in_the_grey_part_finds_the_same_or_says_that_it_does_not(blend):
    volume, segmenter = blend
    front, back = (segmenter.segment([seed]) for seed in (FRONT, BACK))
    sizes = [voxel_ml(volume, one.mask) for one in (front, back)]
    told = all(any("two dens" in w or "depends" in w for w in f.warnings) for f in (front, back))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1) or told


def test_a_clot_of_one_density_has_no_grey_part(phantom, space):
    found = Segmenter(phantom.volume, space=space).segment([CLOT])
    assert found.bright is None and found.warnings == ()


def test_a_limit_of_ones_own_leaves_the_grey_part_to_its_owner(blend):
    found = blend[1].segment([FRONT], SegmentationSettings(low_hu=58.0))
    assert found.bright is None and not any("densities" in one for one in found.warnings)


def test_the_tables_and_the_command_show_both_volumes(blend, tmp_path, capsys):
    row = compare(blend[0], [], seeds=[FRONT])[0]
    assert row.bright_ml < row.measured.voxel_ml
    assert "bright part alone ml" in comparison_table([row]).markdown()
    write_volume(blend[0], tmp_path / "head.nrrd")
    seed = "--seed={},{},{}".format(*(FRONT * [-1, -1, 1]))
    options = [seed, "--methods", "--json"]
    assert main(["volume", str(tmp_path / "head.nrrd"), *options]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["rows"][0]["bright_ml"] == pytest.approx(row.bright_ml)
    assert "two densities" in printed.err


# ---- Dim blood


@pytest.mark.parametrize("noise_hu", [3.0, 5.0])
@pytest.mark.parametrize("hu", [42, 45, 48, 51, 54])
def test_dim_blood_is_found_or_told_to_be_unsure(noise_hu, hu):
    head = head_phantom(matrix=200, pixel_spacing=1.0, noise_hu=noise_hu, slices=9, z_offset_mm=2.0)
    truth = head.hematoma_fraction > 0.5
    dim = with_hu(head.volume, head.volume.slices + head.hematoma_fraction * (hu - BLOOD))
    found = Segmenter(dim).segment([CLOT])
    error = np.count_nonzero(found.mask) / np.count_nonzero(truth) - 1.0
    if hu >= 48:
        assert abs(error) < 0.2
    else:
        assert any("half of it may be missing" in one for one in found.warnings)


# ---- Open skulls


def opened_skull(phantom, places, space, at, window_mm):
    """A round window in the bone, and blood under the scalp above it, 15 mm thick."""
    way = np.array(at) / np.linalg.norm(at)
    along = places @ way
    beside = np.sqrt(np.maximum((places**2).sum(-1) - along**2, 0.0))
    window = (along > 0) & (beside < window_mm / 2) & ~space
    bone = phantom.volume.slices >= SKULL_HU
    outside = window & (np.linalg.norm(places, axis=-1) < 100.0)
    hu = np.where(window & bone, MUSCLE, phantom.volume.slices)
    return with_hu(phantom.volume, np.where(outside & ~bone, 65.0, hu))


@pytest.mark.parametrize("window_mm", [30.0, 50.0, 80.0])
@pytest.mark.parametrize("at", [(70, 0, 10), (-70, 0, 25), (50, -50, 30), (0, -80, 30)])
def test_a_window_in_the_skull_does_not_hide_the_brain(phantom, places, space, at, window_mm):
    volume = opened_skull(phantom, places, space, at, window_mm)
    found = intracranial_mask(volume)
    assert dice(found, space) > 0.98
    assert voxel_ml(volume, space & ~found) < 0.015 * voxel_ml(volume, space)
    # A part of the bone that is gone may be taken for the space within; scalp is not.
    scalp = (volume.slices == 65) & ~dilated(space, phantom.volume.pixel_spacing, 8.0)
    assert scalp.any() and voxel_ml(volume, found & scalp) < 0.5


def test_a_clot_below_a_window_is_measured_without_the_scalp(phantom, places, space):
    volume = opened_skull(phantom, places, space, (70, 0, 10), 80.0)
    closed = Segmenter(phantom.volume, space=space).segment([CLOT])
    found = Segmenter(volume).segment([CLOT])
    assert voxel_ml(volume, found.mask) == pytest.approx(
        voxel_ml(phantom.volume, closed.mask), rel=0.03
    )
    with pytest.raises(SegmentationError, match="outside the intracranial space"):
        Segmenter(volume).segment([(84.0, 0.0, 12.0)])


def test_a_head_that_the_picture_cuts_off_has_an_intracranial_space(phantom, space):
    cut = np.s_[:, :, :155]
    part = replace(phantom.volume, slices=phantom.volume.slices[cut])
    found = intracranial_mask(part)
    assert dice(found, space[cut]) > 0.97


# ---- The laboratory's check


def test_the_check_holds_the_segmentation_against_a_reference(phantom, tmp_path, capsys):
    (tmp_path / "scans").mkdir()
    (tmp_path / "labels").mkdir()
    write_volume(phantom.volume, tmp_path / "scans" / "one.nrrd")
    reference = replace(phantom.volume, slices=(phantom.hematoma_fraction > 0.5).astype(np.uint8))
    write_volume(reference, tmp_path / "labels" / "one.nrrd")
    command = ["lab", "segmentation-check", str(tmp_path / "scans")]
    assert main([*command, "--labels", str(tmp_path / "labels"), "--seeds", "2"]) == 0
    shown = capsys.readouterr().out
    assert "1 patient: Dice 0.9" in shown and "without a warning: none" in shown
