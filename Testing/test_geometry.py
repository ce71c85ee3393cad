"""Lengths, volumes and places do not depend on how a body is cut into slices."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_slice
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid
from scipy.spatial.transform import Rotation

from SliceInterpLib.cli import main
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.report.montage import _cuts
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.carrying import carried_over
from SliceInterpLib.volumetry.mask import voxel_ml
from SliceInterpLib.volumetry.measures import Measurement, measure
from SliceInterpLib.volumetry.segmentation import Segmenter
from SliceInterpLib.volumetry.settings import SegmentationSettings

RADIUS = 20.0
"""mm, of the ball that is cut."""

BALL_ML = 4 / 3 * np.pi * RADIUS**3 / 1000

CLOT_RAS = (-27.0, -4.0, 2.0)
"""The middle of the phantom's hematoma."""


def stack(
    gaps: np.ndarray,
    *,
    tilt: float = 0.0,
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
    slice_axis: int = 0,
    pixel: float = 1.0,
) -> Volume:
    """Empty slices at these gaps, in any position, sheared by a gantry tilt."""
    axes = Rotation.from_rotvec(turn).as_matrix()
    heights = np.concatenate([[0.0], np.cumsum(gaps)])
    line = axes[:, 2] + np.tan(np.radians(tilt)) * axes[:, 1]
    return Volume(
        slices=np.full((len(heights), round(64 / pixel), round(56 / pixel)), 30, np.int16),
        slice_origins=np.array([3.0, -40.0, 50.0]) + heights[:, None] * line,
        pixel_spacing=(pixel, pixel),
        in_plane_axes=axes[:, :2],
        slice_axis=slice_axis,
    )


def with_ball(volume: Volume) -> tuple[Volume, np.ndarray, np.ndarray]:
    """The volume with a ball of 70 HU around the middle of all places, its mask and its centre."""
    numbers = np.indices(volume.slices.shape).reshape(3, -1).T
    places = volume.places(numbers)
    middle = np.interp(volume.positions[-1] / 2, volume.positions, np.arange(volume.slice_count))
    centre = volume.places(np.array([middle, 31.0, 27.0] / np.array([1, *volume.pixel_spacing])))[0]
    mask = (np.linalg.norm(places - centre, axis=1) <= RADIUS).reshape(volume.slices.shape)
    return replace(volume, slices=np.where(mask, 70, 30).astype(np.int16)), mask, centre


@st.composite
def stacks(draw: st.DrawFn) -> Volume:
    """Stretches of even gaps, from 1.25 to 5 mm, over some 60 mm, anywhere and in any order."""
    parts = draw(
        st.lists(st.tuples(st.sampled_from([1.25, 2.0, 2.5, 4.0, 5.0]), st.integers(1, 8)))
    )
    gaps = np.concatenate([np.full(count, mm) for mm, count in [*parts, (4.0, 16)]])
    volume = stack(
        gaps[: np.searchsorted(np.cumsum(gaps), 60.0)],
        tilt=draw(st.floats(-30, 30)),
        turn=draw(st.tuples(*[st.floats(-1.5, 1.5)] * 3)),
        slice_axis=draw(st.integers(0, 2)),
    )
    if draw(st.booleans()):  # the array runs the other way
        volume = replace(
            volume, slices=volume.slices[::-1], slice_origins=volume.slice_origins[::-1]
        )
    return volume


@settings(max_examples=50, deadline=None)
@given(volume=stacks(), points=st.lists(st.tuples(*[st.floats(-20, 80)] * 3), min_size=1))
def test_places_and_indices_are_each_others_reverse(volume: Volume, points: list) -> None:
    np.testing.assert_allclose(volume.indices(volume.places(np.array(points))), points, atol=1e-6)
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(volume.slices.shape) - 1)
    by_hand = volume.slice_origins[corners[:, 0]] + (
        corners[:, :0:-1] * volume.pixel_spacing[::-1] @ volume.in_plane_axes.T
    )
    np.testing.assert_allclose(volume.places(corners), by_hand, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(volume=stacks())
def test_a_body_measures_the_same_however_it_is_cut(volume: Volume) -> None:
    volume, mask, centre = with_ball(volume)
    found = measure(volume, mask)
    widest = float(volume.gaps.max())
    # Slices 5 mm apart sample a ball of 40 mm to within 2 %, pixels of 1 mm to within 0.5 %.
    assert found.voxel_ml == pytest.approx(BALL_ML, rel=0.025)
    assert found.surface_ml == pytest.approx(BALL_ML, rel=0.04)
    assert found.surface_mm2 == pytest.approx(4 * np.pi * RADIUS**2, rel=0.03)
    assert found.partial_volume_ml == pytest.approx(BALL_ML, rel=0.025)
    left, back, up = centre
    np.testing.assert_allclose(found.centroid_ras, (-left, -back, up), atol=0.4)
    # Corners of pixels lie up to 0.71 mm beyond the border, at both ends.
    assert 2 * RADIUS <= found.largest_diameter_mm <= 2 * RADIUS + 1.42
    # The largest slice may lie half a gap beside the middle.
    chord = 2 * np.sqrt(RADIUS**2 - (widest / 2) ** 2)
    assert chord - 0.1 <= found.b_mm <= found.a_mm + 1e-9
    assert found.a_mm <= 2 * RADIUS + 1.42
    # ABC/2's own rounding: whole and half slices between ¾ and ¼ of the largest area.
    assert found.c_mm == pytest.approx(RADIUS * (1 + (np.sqrt(3) - 1) / 2), abs=widest)


@pytest.mark.parametrize("tilt", [0, 10, 20, 30])
def test_a_tilted_gantry_changes_no_diameter_and_no_reach(tilt: float) -> None:
    volume, mask, centre = with_ball(stack(np.full(24, 2.5), tilt=tilt, pixel=0.5))
    assert measure(volume, mask).largest_diameter_mm == pytest.approx(40.35, abs=0.36)
    everywhere = np.ones(volume.slices.shape, bool)
    bright = replace(volume, slices=np.full_like(volume.slices, 65))
    reached = Segmenter(bright, space=everywhere).segment(
        [centre], SegmentationSettings(low_hu=60, high_hu=70, reach_mm=15.0)
    )
    places = volume.places(np.argwhere(reached.mask))
    assert np.linalg.norm(places - centre, axis=1).max() == pytest.approx(15.0, abs=1.3)
    ball = 4 / 3 * np.pi * 15.0**3 / 1000
    assert voxel_ml(volume, reached.mask) == pytest.approx(ball, rel=0.05)


def test_a_mask_is_carried_into_uneven_gaps() -> None:
    volume, mask, _ = with_ball(stack(np.array([2.5] * 12 + [5.0] * 6), tilt=12.0))
    volume = replace(volume, slices=np.where(mask, 70, -1000).astype(np.int16))
    finer = upsample(volume, make_interpolator("linear"), factor=4)
    carried = carried_over(volume, mask, finer)
    np.testing.assert_array_equal(carried[~finer.synthetic], mask)
    assert voxel_ml(finer, carried) == pytest.approx(BALL_ML, rel=0.05)


def test_an_upright_rod_is_drawn_upright_in_a_tilted_and_uneven_scan() -> None:
    volume = stack(np.array([2.5] * 10 + [5.0] * 6), tilt=20.0)
    shape = volume.slices.shape
    places = volume.places(np.indices(shape).reshape(3, -1).T).reshape(*shape, 3)
    rod = np.abs(places[..., 1] - places[shape[0] // 2, 32, 0, 1]) <= 1.0
    volume = replace(volume, slices=np.where(rod, 1000, -1000).astype(np.int16))
    cut = _cuts(volume, tuple(places[shape[0] // 2, 32, 27]))[2]
    middles = [np.flatnonzero(row > 0).mean() for row in cut.hu if (row > 0).any()]
    assert len(middles) > 0.9 * len(cut.hu)
    assert np.ptp(middles) <= 1.0
    assert cut.extent[3] - cut.extent[2] == pytest.approx(55.0 + 1.25 + 2.5, abs=0.5)


# ---- One figure, whichever way a scan came in


def uneven_head() -> Volume:
    """The phantom with its 30 ml hematoma, in slices of 2.5 mm below it and of 5 mm above."""
    thin = head_phantom(matrix=128, pixel_spacing=1.75, slice_spacing=2.5, noise_hu=2.0).volume
    middle = int(np.argmin(np.abs(thin.slice_origins[:, 2])))
    chosen = [*range(middle), *range(middle, thin.slice_count, 2)]
    return replace(
        thin,
        slices=thin.slices[chosen],
        slice_origins=thin.slice_origins[chosen],
        thickness=np.full(len(chosen), 5.0),
        synthetic=np.zeros(len(chosen), bool),
    )


def tilted(volume: Volume, degrees: float) -> Volume:
    """The same slices, each shifted as by a tilted gantry."""
    shear = np.tan(np.radians(degrees)) * volume.positions[:, None] * [0.0, 1.0, 0.0]
    return replace(volume, slice_origins=volume.slice_origins + shear)


def write_dicom_series(volume: Volume, folder: Path) -> Path:
    folder.mkdir()
    series = generate_uid()
    for index, (hu, origin) in enumerate(zip(volume.slices, volume.slice_origins, strict=True)):
        write_slice(
            folder / f"{index:03d}.dcm",
            tuple(round(float(mm), 6) for mm in origin),
            series=series,
            pixels=(hu + 1024).astype(np.int16),
            PixelSpacing=list(volume.pixel_spacing),
            SliceThickness=5,
        )
    return folder


def one_figure(one: Measurement, other: Measurement) -> None:
    """Raise AssertionError unless two measurements are one."""
    ours, theirs = asdict(one), asdict(other)
    assert ours.pop("side") == theirs.pop("side")
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-4, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("degrees", [0.0, 14.0])
def test_an_uneven_scan_measures_alike_from_dicom_and_from_slicer(
    scene: object, degrees: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from as_slicer_loads import load

    from SliceInterpLib.hematoma import Find, Scan
    from SliceInterpLib.scene import nodes, segmentations, volumetry

    acquired = tilted(uneven_head(), degrees)
    folder = write_dicom_series(acquired, tmp_path / "scan")
    read = read_volume(folder)
    assert not read.is_even
    assert read.tilt_degrees == pytest.approx(degrees, abs=1e-3)
    middle = (27.0, 4.0, -2.0)
    height = (np.array(middle) - acquired.slice_origins[0]) @ acquired.normal
    shift = height * np.tan(np.radians(degrees))
    seed = (middle[0], middle[1] + shift, middle[2])
    python = measure(read, Segmenter(read).segment([seed]).mask, Segmenter(read).space)
    assert python.voxel_ml == pytest.approx(30.0, rel=0.08)

    node = load(acquired)
    in_slicer = nodes.volume_from_node(node)
    np.testing.assert_allclose(in_slicer.slice_origins, acquired.slice_origins, atol=1e-3)
    scan, rule = Scan(in_slicer), ([seed], SegmentationSettings())
    segmentation = segmentations.add_segmentation(node, Find(rule).answer(scan), rule)
    (row,) = volumetry.measure_request(segmentation, node).rows(scan)
    one_figure(row.measured, python)

    ras = ",".join(f"{mm:.3f}" for mm in (-seed[0], -seed[1], seed[2]))
    assert main(["volume", str(folder), f"--seed={ras}", "--methods", "linear", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows[0]["voxel_ml"] == pytest.approx(python.voxel_ml, rel=1e-6)
    assert rows[1]["voxel_ml"] == pytest.approx(python.voxel_ml, rel=0.05)


def test_an_even_tilted_scan_measures_alike_from_dicom_nrrd_and_slicer(
    scene: object, tmp_path: Path
) -> None:
    from as_slicer_loads import load

    from SliceInterpLib.scene import nodes

    straight = head_phantom(matrix=96, pixel_spacing=2.4, slices=24).volume
    acquired = tilted(straight, 17.0)
    folder = write_dicom_series(acquired, tmp_path / "scan")
    write_volume(acquired, tmp_path / "scan.nrrd")
    mask = np.zeros(acquired.slices.shape, bool)
    mask[8:14, 40:52, 30:47] = True
    grids = {
        "DICOM": read_volume(folder),
        "NRRD": read_volume(tmp_path / "scan.nrrd"),
        "MRML": nodes.volume_from_node(load(acquired)),
    }
    wanted = measure(acquired, mask)
    for name, volume in grids.items():
        assert volume.tilt_degrees == pytest.approx(17.0, abs=1e-3), name
        one_figure(measure(volume, mask), wanted)


def test_check_takes_an_uneven_series_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = uneven_head()
    folder = write_dicom_series(scan, tmp_path / "scan")
    assert main(["check", str(folder), "--methods", "linear", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    hidden = [row["slice"] for row in found["methods"]["linear"]["slices"]]
    (border,) = np.flatnonzero(np.abs(np.diff(scan.gaps)) > 0.1) + 1
    top = scan.slice_count - 2  # the skin of the vertex, too little to count as a head
    assert hidden == [index for index in range(1, top) if index != border]
    assert (found["not_hidden"], found["without_head"]) == (1, 1)
