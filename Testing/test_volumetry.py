"""Hematomas found and measured, on the phantom, on shapes of known size and on real scans."""

import json

import numpy as np
import pytest

from SliceInterpLib.cli import main
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.carrying import carried_over
from SliceInterpLib.volumetry.comparison import CARRIED, GIVEN, PIECE, SEGMENTED, compare, measures
from SliceInterpLib.volumetry.diameters import kothari_diameters, largest_diameter_mm
from SliceInterpLib.volumetry.growth import REPEATABILITY, growth
from SliceInterpLib.volumetry.intracranial import intracranial_mask
from SliceInterpLib.volumetry.mask import SegmentationError, voxel_ml
from SliceInterpLib.volumetry.measures import measure, partial_volume_ml
from SliceInterpLib.volumetry.segmentation import Segmenter
from SliceInterpLib.volumetry.settings import SegmentationSettings
from SliceInterpLib.volumetry.surface import closed_surface

CLOT = (27.0, 4.0, 2.0)
"""The middle of the phantom's hematoma in mm, LPS."""


@pytest.fixture(scope="module")
def phantom():
    return head_phantom(matrix=200, pixel_spacing=1.0)


@pytest.fixture(scope="module")
def segmenter(phantom):
    return Segmenter(phantom.volume)


def ball(radius_mm, spacing, *, direction=None, size=(24, 60, 60)):
    """A volume with 70 HU in a ball in its middle and 30 HU around, and the ball's mask."""
    steps = np.array(spacing)[::-1, None, None, None]
    place = (np.indices(size) - (np.array(size)[:, None, None, None] - 1) / 2) * steps
    mask = np.linalg.norm(place, axis=0) <= radius_mm
    axes = np.eye(3) if direction is None else direction
    return Volume.from_grid(
        np.where(mask, 70, 30).astype(np.int16), (5.0, -7.0, 11.0), spacing, axes
    ), mask


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


# ---- Finding it


def test_a_seed_finds_the_phantoms_hematoma(phantom, segmenter):
    found = segmenter.segment([CLOT])
    assert dice(found.mask, phantom.hematoma_fraction > 0.5) > 0.95
    # The edema around it is darker than the brain, so that the edge is taken a little too high.
    assert 27.5 < voxel_ml(phantom.volume, found.mask) < 30.0
    assert found.warnings == ()
    # Midway between brain (about 32) and clot (70).
    assert 45 < found.limits_hu[0] < 55


def test_the_intracranial_space_holds_the_brain_and_no_bone(phantom, segmenter):
    space = segmenter.space
    assert space[phantom.hematoma_fraction > 0.5].all()
    assert np.mean(phantom.volume.hu[space] >= 500) < 0.001
    assert 1100 < voxel_ml(phantom.volume, space) < 1500


def test_a_saturated_scan_is_segmented_like_the_whole_range(phantom, segmenter):
    clipped = Volume.from_grid(
        np.clip(phantom.volume.hu, -20, 100),
        phantom.volume.origin,
        phantom.volume.spacing,
        phantom.volume.direction,
    )
    found = Segmenter(clipped).segment([CLOT])
    assert dice(found.mask, segmenter.segment([CLOT]).mask) > 0.98


def test_slices_along_another_axis_and_a_mirrored_direction_change_nothing(phantom, segmenter):
    volume = phantom.volume
    turned = Volume.from_grid(
        np.moveaxis(volume.hu, 0, 2)[:, :, ::-1],
        volume.origin + np.array([0, 0, (len(volume.hu) - 1) * volume.spacing[2]]),
        (volume.spacing[2], volume.spacing[0], volume.spacing[1]),
        np.column_stack([[0, 0, -1], [1, 0, 0], [0, 1, 0]]),
    )
    found = Segmenter(turned).segment([CLOT]).mask
    np.testing.assert_array_equal(found[::-1], segmenter.segment([CLOT]).mask)


def test_nothing_beyond_the_reach_is_taken(segmenter):
    near = segmenter.segment([CLOT], SegmentationSettings(reach_mm=10.0)).mask
    whole = segmenter.segment([CLOT]).mask
    assert 0 < near.sum() < whole.sum()
    places = np.argwhere(near) * np.array(segmenter.volume.spacing)[::-1]
    assert np.ptp(places, axis=0).max() <= 20.0


@pytest.mark.parametrize(
    "settings, told",
    [
        (SegmentationSettings(low_hu=15.0), "more than a hematoma"),
        (SegmentationSettings(low_hu=15.0), "brain itself is within"),
        (SegmentationSettings(low_hu=15.0), "touches bone"),
    ],
)
def test_a_leak_is_told(segmenter, settings, told):
    assert any(told in warning for warning in segmenter.segment([CLOT], settings).warnings)


@pytest.mark.parametrize(
    "seed, told",
    [
        ((500.0, 0.0, 0.0), "outside the volume"),
        ((95.0, -95.0, 70.0), "in air"),
        ((66.0, 0.0, 0.0), "in bone"),
        ((-27.0, 4.0, 25.0), "not in blood"),
    ],
)
def test_a_seed_that_is_in_no_hematoma_is_refused(segmenter, seed, told):
    with pytest.raises(SegmentationError, match=told):
        segmenter.segment([seed])


def test_without_a_seed_nothing_is_segmented(segmenter):
    with pytest.raises(SegmentationError, match="no seed"):
        segmenter.segment([])


def test_no_skull_no_intracranial_space():
    volume, _ = ball(12.0, (0.5, 0.5, 5.0))
    with pytest.raises(VolumeError, match="No intracranial space"):
        intracranial_mask(volume)


def test_an_empty_threshold_range_is_refused():
    with pytest.raises(SegmentationError, match="range 60…50 HU is empty"):
        SegmentationSettings(low_hu=60.0, high_hu=50.0)


# ---- Measuring it


def sheared():
    """Axes of a gantry tilt of 20°."""
    return np.column_stack([[1, 0, 0], [0, 1, 0], [0, np.sin(0.35), np.cos(0.35)]])


@pytest.mark.parametrize("direction", [None, np.diag([1.0, -1.0, 1.0]), sheared()])
def test_a_ball_has_the_volume_of_a_ball(direction):
    volume, mask = ball(14.0, (0.6, 0.6, 2.0), direction=direction)
    true = 4 / 3 * np.pi * 14.0**3 / 1000
    if direction is not None:
        true *= abs(np.linalg.det(direction))  # the tilt shears it
    found = measure(volume, mask)
    assert found.voxel_ml == pytest.approx(true, rel=0.02)
    assert found.surface_ml == pytest.approx(true, rel=0.03)
    assert found.planimetric_ml == pytest.approx(true, rel=0.05)
    assert found.hu_mean == 70.0 and found.hu_std == 0.0
    assert found.side is None


def test_a_balls_diameters_and_surface():
    volume, mask = ball(14.0, (0.6, 0.6, 2.0))
    found = measure(volume, mask)
    assert found.largest_diameter_mm == pytest.approx(28.0, abs=1.2)
    assert found.a_mm == pytest.approx(28.0, abs=1.2)
    assert found.b_mm == pytest.approx(28.0, abs=1.2)
    assert found.surface_mm2 == pytest.approx(4 * np.pi * 14.0**2, rel=0.05)
    left, back, up = volume.origin + (np.array([59, 59, 23]) / 2) * volume.spacing
    np.testing.assert_allclose(found.centroid_ras, (-left, -back, up), atol=1e-6)


def test_abc_follows_kothari():
    """Areas of 100, 76, 74, 26 and 24 % count 1, 1, ½, ½ and 0 slices."""
    mask = np.zeros((7, 30, 130), bool)
    for index, columns in enumerate((100, 76, 74, 26, 24), start=1):
        mask[index, 5:25, :columns] = True
    volume = Volume.from_grid(np.full(mask.shape, 60.0), (0, 0, 0), (0.5, 0.5, 5.0), np.eye(3))
    found = kothari_diameters(volume, mask)
    assert found.c == pytest.approx(15.0)
    assert found.a == pytest.approx(np.hypot(50.0, 10.0))  # the diagonal of the rectangle
    assert 10.0 < found.b < 2 * 10.0
    assert found.abc2_ml == pytest.approx(found.a * found.b * 15.0 / 2000)
    assert found.abc3_ml == pytest.approx(found.abc2_ml * 2 / 3)


def test_the_largest_diameter_may_run_through_the_slices():
    mask = np.zeros((11, 20, 20), bool)
    mask[:, 10, 10] = True
    volume = Volume.from_grid(np.full(mask.shape, 60.0), (0, 0, 0), (1.0, 1.0, 5.0), np.eye(3))
    assert largest_diameter_mm(volume, mask) == pytest.approx(np.sqrt(50.0**2 + 2))


def test_partial_volume_sees_what_the_threshold_rounds_away():
    """A layer of 10 mm over four slices of 4 mm: of the outer two a quarter is blood."""
    hu = np.full((8, 60, 60), 30.0)
    hu[2:6, 20:40, 20:40] = 40.0
    hu[3:5, 20:40, 20:40] = 70.0
    volume = Volume.from_grid(hu, (0, 0, 0), (1.0, 1.0, 4.0), np.eye(3))
    mask = hu > 50
    assert voxel_ml(volume, mask) == pytest.approx(3.2)
    assert partial_volume_ml(volume, mask) == pytest.approx(4.0, rel=0.01)


@pytest.mark.parametrize(
    "spacing, direction", [((1.0, 1.0, 5.0), None), ((0.7, 0.9, 2.5), "turned")]
)
def test_volumes_agree_with_slicers(phantom, spacing, direction):
    """Voxel and surface volume of vtkSegmentation's own conversion, within 0.1 %."""
    slicer = pytest.importorskip("slicer", reason="needs slicer-core")
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    axes = np.eye(3)
    if direction:
        axes = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    mask = phantom.hematoma_fraction > 0.5
    volume = Volume.from_grid(phantom.volume.hu, (3.0, -4.0, 5.0), spacing, axes)
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(mask.shape[::-1])
    image.SetSpacing(spacing)
    image.SetOrigin(volume.origin)
    image.SetDirections(axes.tolist())
    image.GetPointData().SetScalars(numpy_to_vtk(mask.astype(np.uint8).ravel(), deep=True))
    rule = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule()
    slicer.vtkSegmentationConverterFactory.GetInstance().RegisterConverterRule(rule)
    segmentation = slicer.vtkSegmentation()
    segmentation.SetSourceRepresentationName("Binary labelmap")
    segment = slicer.vtkSegment()
    segment.AddRepresentation("Binary labelmap", image)
    segmentation.AddSegment(segment, "clot")
    segmentation.CreateRepresentation("Closed surface")
    properties = vtk.vtkMassProperties()
    properties.SetInputData(segmentation.GetSegment("clot").GetRepresentation("Closed surface"))
    ours = closed_surface(volume, mask)
    assert ours.ml == pytest.approx(properties.GetVolume() / 1000, rel=1e-3)
    assert ours.mm2 == pytest.approx(properties.GetSurfaceArea(), rel=1e-3)
    accumulate = vtk.vtkImageAccumulate()
    accumulate.SetInputData(image)
    accumulate.IgnoreZeroOn()
    accumulate.Update()
    theirs = accumulate.GetVoxelCount() * np.prod(spacing) / 1000
    assert voxel_ml(volume, mask) == pytest.approx(theirs, rel=1e-6)


def test_an_empty_mask_and_one_of_another_size_are_refused(phantom):
    with pytest.raises(SegmentationError, match="0 ml"):
        measure(phantom.volume, np.zeros(phantom.volume.hu.shape, bool))
    with pytest.raises(SegmentationError, match="the scan 200 × 200 × 32"):
        measure(phantom.volume, np.ones((3, 4, 5), bool))


# ---- Comparing grids and time points


@pytest.mark.parametrize("factor", [2, 4])
def test_a_mask_is_carried_over_by_its_shape(phantom, factor):
    volume, mask = phantom.volume, phantom.hematoma_fraction > 0.5
    doubled = upsample(volume, make_interpolator("linear"), factor=factor)
    carried = carried_over(volume, mask, doubled)
    np.testing.assert_array_equal(carried[::factor], mask)
    areas = carried.sum(axis=(1, 2))
    assert (areas[1::factor] <= np.maximum(areas[:-1:factor], areas[factor::factor])).all()
    true = head_phantom(
        matrix=200, pixel_spacing=1.0, slice_spacing=5.0 / factor, slices=factor * 31 + 1
    )
    assert dice(carried, true.hematoma_fraction > 0.5) > 0.95


def test_every_grid_is_segmented_anew_and_has_its_carried_mask(phantom):
    methods = [make_interpolator("linear")]
    rows = compare(phantom.volume, methods, seeds=[CLOT])
    assert [(row.grid, row.mask_is) for row in rows] == [
        ("acquired", SEGMENTED),
        ("linear ×2", SEGMENTED),
        ("linear ×2", CARRIED),
    ]
    assert all(row.measured.side == "left" for row in rows)
    assert 27.5 < rows[1].measured.voxel_ml < 30.0
    given = compare(phantom.volume, methods, mask=rows[0].mask)
    assert [row.mask_is for row in given] == [GIVEN, CARRIED]
    assert given[1].measured == rows[2].measured


def test_growth_has_the_uncertainty_of_both_volumes():
    grown = growth(8.0, 27.0)
    sigma = REPEATABILITY * np.hypot(4.0, 9.0)
    assert grown.ml == 19.0 and grown.percent == pytest.approx(237.5)
    np.testing.assert_allclose(grown.interval_ml, (19 - 1.96 * sigma, 19 + 1.96 * sigma))
    assert grown.above_6_ml and grown.above_33_percent
    assert not growth(30.0, 35.0).above_6_ml and not growth(30.0, 35.0).above_33_percent


# ---- The command


@pytest.fixture(scope="module")
def scan_file(phantom, tmp_path_factory):
    path = tmp_path_factory.mktemp("volumetry") / "head.nrrd"
    write_volume(phantom.volume, path)
    return path


def test_the_command_measures_from_a_seed_and_from_its_own_mask(scan_file, capsys):
    mask = scan_file.with_name("mask.nrrd")
    seed = f"--seed={-CLOT[0]},{-CLOT[1]},{CLOT[2]}"
    options = ["--methods", "linear", "--json", "--earlier-ml", "12"]
    assert main(["volume", str(scan_file), seed, "-o", str(mask), *options]) == 0
    first = json.loads(capsys.readouterr().out)
    assert 27.5 < first["rows"][0]["voxel_ml"] < 30.0
    assert first["growth"]["above_6_ml"] and first["growth"]["ml"] > 15
    assert read_volume(mask).hu.max() == 1
    assert main(["volume", str(scan_file), "--labels", str(mask), *options]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["rows"][0]["voxel_ml"] == pytest.approx(first["rows"][0]["voxel_ml"])
    assert [row["mask"] for row in again["rows"]] == [GIVEN, CARRIED]


@pytest.mark.parametrize(
    "options, told",
    [
        (["--seed=0,0,900"], "outside the volume"),
        (["--low", "80", "--high", "60"], "range 80…60 HU is empty"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(scan_file, capsys, options, told):
    assert main(["volume", str(scan_file), "--methods", "linear", *options]) == 1
    printed = capsys.readouterr()
    assert told in printed.err and printed.out == ""


def test_a_hematoma_of_several_pieces_has_a_row_a_piece_and_one_of_all():
    volume, mask = ball(12.0, (1.0, 1.0, 4.0), size=(12, 60, 100))
    small = np.roll(mask, 35, axis=2)
    small[:, :30] = False  # half of the ball
    dust = np.zeros_like(mask)
    dust[2, 2, 2] = True
    rows = compare(volume, [], mask=mask | small | dust)
    assert [row.grid for row in rows] == ["acquired", "acquired, piece 1", "acquired, piece 2"]
    assert [row.mask_is for row in rows] == [GIVEN, PIECE, PIECE]
    np.testing.assert_array_equal(rows[1].mask, mask)
    np.testing.assert_array_equal(rows[2].mask, small)
    whole, first, second = (row.measured.voxel_ml for row in rows)
    assert whole == pytest.approx(first + second + 0.004)
    assert [record["difference_ml"] for record in measures(rows)] == [None, None, None]
