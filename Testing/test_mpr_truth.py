"""A scanner's own reformat as the truth: registration, sampling, figures, picture, command."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from SliceInterpLib.cli import main
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.lab import mpr_truth
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

OFFSET_MM = np.array([24.0, -9.0, 6.0])
"""By how much the reformat's coordinates are off in these tests."""

LINEAR = make_interpolator("linear")


@pytest.fixture(scope="module")
def pair():
    """The phantom in 5 mm slices, and a sagittal reformat of it made from thin ones."""
    thick = head_phantom(matrix=128, pixel_spacing=1.8, slice_spacing=5.0, noise_hu=0.0).volume
    thin = head_phantom(matrix=128, pixel_spacing=1.8, slice_spacing=1.0, noise_hu=0.0).volume
    return thick, sagittal(thin)


def sagittal(volume, step=2, offset=OFFSET_MM):
    """Planes `step` pixels thick, superior up, anterior to the left, with shifted coordinates."""
    columns = volume.hu.shape[2] // step * step
    planes = volume.hu[:, :, :columns].reshape(*volume.hu.shape[:2], -1, step).mean(-1)
    corner = np.array([0.5 * (step - 1), 0, volume.hu.shape[0] - 1]) * volume.spacing
    x, y, z = volume.spacing
    return Volume.from_grid(
        hu=np.rint(planes.transpose(2, 0, 1)[:, ::-1]).astype(np.int16),
        origin=np.array(volume.origin) + corner + offset,
        spacing=(y, z, x * step),
        direction=np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    )


@pytest.fixture(scope="module")
def checked(pair):
    return mpr_truth.mpr_check(*pair, [(LINEAR, 2)])


def test_the_reformat_is_found_centimetres_away(checked):
    """The phantom is drawn without error, so what is left is the registration's."""
    figures, _ = checked
    assert figures["registration"]["offset_mm"] == pytest.approx(-OFFSET_MM, abs=0.3)
    assert figures["registration"]["degrees"] < 0.3


def test_nearest_draws_stairs_and_linear_widens_the_edge(checked):
    rows = checked[0]["rows"]
    linear, stairs, truth = (
        rows[name] for name in (mpr_truth.SHOWN_NOW, mpr_truth.STAIRS, mpr_truth.TRUTH)
    )
    assert stairs["roughness_mm"] > 2 * truth["roughness_mm"]
    assert stairs["roughness_mm"] > linear["roughness_mm"]
    assert linear["edge_mm"] > 1.3 * truth["edge_mm"]
    assert linear["deep_psnr"] > linear["rim_psnr"] + 5
    assert "brain_psnr" not in truth


def test_linear_between_linear_slices_changes_nothing(checked):
    rows = checked[0]["rows"]
    for figure, value in rows["linear ×2"].items():
        assert value == pytest.approx(rows[mpr_truth.SHOWN_NOW][figure], rel=0.02), figure


def test_the_truth_is_its_own_equal(pair):
    """A volume that resolves everything scores far above what is shown of thick slices."""
    _, reformat = pair
    truth = reformat.slices.astype(np.float32)
    regions = {"all": np.ones(truth.shape, bool)}
    same = mpr_truth._likeness(truth, truth, regions)
    assert same["all_psnr"] == pytest.approx(120.0)
    assert same["all_ssim"] == pytest.approx(1.0)


def slanted(count=9, tilt=0.3):
    """A ramp of places: HU = 10 x + 20 y + 30 z, in slices that slant."""
    direction = np.array([[1, 0, 0], [0, 1, np.sin(tilt)], [0, 0, np.cos(tilt)]])
    volume = {"origin": (-10, 5, 20), "spacing": (1.0, 1.0, 5.0), "direction": direction}
    index = np.stack(np.meshgrid(*(np.arange(n) for n in (40, 40, count)), indexing="ij"), -1)
    places = index * volume["spacing"] @ direction.T + volume["origin"]
    hu = (places @ [10, 20, 30]).transpose(2, 1, 0)
    return Volume.from_grid(hu=hu.astype(np.float32), **volume)


def test_slanted_stacks_are_sampled_along_their_own_axis():
    volume = slanted()
    grid = Volume.from_grid(
        hu=np.zeros((5, 20, 12), np.float32),
        origin=(0, 25, 50),
        spacing=(1.0, 1.0, 2.0),
        direction=np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    )
    found = mpr_truth.resampled(volume, grid, sitk.Euler3DTransform())
    planes, rows, columns = np.indices(grid.hu.shape)
    wanted = 10 * (2.0 * planes) + 20 * (25 + columns) + 30 * (50 - rows)
    inside = np.isfinite(found)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(found[inside], wanted[inside], atol=0.05)


def test_beyond_the_stack_there_is_nothing():
    grid = Volume.from_grid(
        hu=np.zeros((3, 8, 8), np.float32),
        origin=(500, 500, 500),
        spacing=(1, 1, 3),
        direction=np.eye(3),
    )
    assert np.isnan(mpr_truth.resampled(slanted(), grid, sitk.Euler3DTransform())).all()


def test_air_has_no_brain(pair):
    thick, reformat = pair
    air = Volume.from_grid(
        hu=np.full_like(thick.hu, -1000),
        origin=thick.origin,
        spacing=thick.spacing,
        direction=thick.direction,
    )
    air.hu[0, 0, 0] = 0
    with pytest.raises(VolumeError):
        mpr_truth.mpr_check(air, reformat, [])


def test_the_command_prints_a_table_and_draws_a_picture(pair, tmp_path, monkeypatch, capsys):
    thick, reformat = pair
    write_volume(every_other_pixel(thick), tmp_path / "axial.nrrd")
    write_volume(reformat, tmp_path / "sagittal.nrrd")
    arguments = ["lab", "mpr-check", *(str(tmp_path / f"{n}.nrrd") for n in ("axial", "sagittal"))]
    picture = tmp_path / "mpr.png"
    assert main([*arguments, "-o", str(picture), "--json", "--device", "cpu"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {"learned ×2", "learned ×4", "optical-flow ×2", "cubic ×2"} < set(rows)
    assert picture.stat().st_size > 10_000
    assert main([*arguments, "-o", str(picture)]) == 1
    assert "exists already" in capsys.readouterr().err


@pytest.fixture(scope="module")
def real_pair(data_dir):
    """An axial scan and a reformat of the same, and the transform between the two."""
    axial = every_other_pixel(read_volume(data_dir / "dicom" / "toshiba-aquilion-human-tilt"))
    path = data_dir / "mpr-truth" / "toshiba-aquilion-human-tilt-sagittal-3mm.nii.gz"
    reformat = every_other_pixel(read_volume(path))
    return axial, reformat, mpr_truth.register(axial, reformat)


def every_other_pixel(volume):
    x, y, z = volume.spacing
    thinned = volume.hu[:, ::2, ::2]
    return Volume.from_grid(thinned, volume.origin, (2 * x, 2 * y, z), volume.direction)


def test_the_real_pair_is_registered(real_pair):
    """What the offset is was found with all pixels and no pyramid."""
    *_, pose = real_pair
    assert pose.GetTranslation() == pytest.approx((-27.0, 0.0, 0.0), abs=0.3)


def test_the_real_pair_shows_that_the_tilt_is_right(real_pair):
    """Free to stretch and shear, the doubled scan stays as it is; without its tilt it would not."""
    axial, reformat, pose = real_pair
    doubled = upsample(axial, LINEAR)
    np.testing.assert_allclose(stretch(doubled, reformat, pose), 1, atol=0.005)
    axes = doubled.direction.copy()
    axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])
    upright = Volume.from_grid(doubled.hu, doubled.origin, doubled.spacing, axes)
    assert np.abs(stretch(upright, reformat, pose) - 1).max() > 0.05


def stretch(axial, reformat, pose):
    """By how much the best affine transform between the two stretches along its three axes."""
    start = sitk.AffineTransform(pose.GetMatrix(), pose.GetTranslation(), pose.GetCenter())
    search = sitk.ImageRegistrationMethod()
    search.SetMetricAsMeanSquares()
    search.SetShrinkFactorsPerLevel([4])
    search.SetSmoothingSigmasPerLevel([2.0])
    search.SetInterpolator(sitk.sitkLinear)
    search.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 100, relaxationFactor=0.6)
    search.SetOptimizerScalesFromPhysicalShift()
    search.SetInitialTransform(start)
    found = search.Execute(*(mpr_truth.clamped(volume) for volume in (reformat, axial)))
    matrix = sitk.AffineTransform(sitk.CompositeTransform(found).GetNthTransform(0)).GetMatrix()
    return np.linalg.svd(np.reshape(matrix, (3, 3)), compute_uv=False)
