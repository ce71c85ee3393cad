"""Segmentations of other programs: where their voxels lie decides, not how they are stored."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import write_slice
from hostile.images import nrrd
from scipy.spatial.transform import Rotation

from SliceInterpLib.cli import main
from SliceInterpLib.errors import SliceInterpError, VolumeError
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.files.masks import read_mask
from SliceInterpLib.volume import Volume

SHAPE = (6, 40, 30)
"""(slice, row, column)"""


def scan() -> Volume:
    """Turned, so that a wrong order of axes shows; pixels of 0.5 mm, slices of 5 mm."""
    return Volume.from_grid(
        np.random.default_rng(0).integers(-1000, 100, SHAPE).astype(np.int16),
        (-20.0, 33.0, 7.0),
        (0.5, 0.5, 5.0),
        Rotation.from_euler("xyz", (10, 20, 30), degrees=True).as_matrix(),
    )


def clot() -> np.ndarray:
    """A mask that is like none of its mirror images."""
    mask = np.zeros(SHAPE, bool)
    mask[1:4, 5:20, 8:12] = mask[2, 20:30, 10] = True
    return mask


def labels_of(mask: np.ndarray, volume: Volume) -> sitk.Image:
    """A label image of the mask on the volume's grid."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetOrigin(volume.origin)
    image.SetSpacing(volume.spacing)
    image.SetDirection(volume.direction.ravel())
    return image


def read(image: sitk.Image, path: Path, volume: Volume, label: str | None = None) -> np.ndarray:
    """The mask of the label in a file that SimpleITK writes."""
    sitk.WriteImage(image, str(path))
    return read_mask(path, volume, label)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_axes_in_any_order_and_direction(
    order: tuple[int, ...], flips: tuple[int, ...], suffix: str, tmp_path: Path
) -> None:
    image = sitk.PermuteAxes(labels_of(clot(), scan()), order)
    image = sitk.Flip(image, [axis in flips for axis in range(3)], False)
    np.testing.assert_array_equal(read(image, tmp_path / f"m{suffix}", scan()), clot())


def test_nibabels_canonical_order_of_an_isotropic_scan(tmp_path: Path) -> None:
    """Of which the spacing does not tell the slices' axis."""
    affine = np.array([[0, 0, 2, 5], [-2, 0, 0, 7], [0, -2, 0, 9], [0, 0, 0, 1.0]])
    hu = scan().slices
    nibabel.save(nibabel.Nifti1Image(hu.T, affine), tmp_path / "ct.nii")
    image = nibabel.Nifti1Image(clot().T.astype(np.uint8), affine)
    nibabel.save(nibabel.as_closest_canonical(image), tmp_path / "m.nii")
    volume = read_volume(tmp_path / "ct.nii")
    mask = read_mask(tmp_path / "m.nii", volume)
    np.testing.assert_array_equal(volume.as_stored(mask), clot())


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("margin", [0, 2])
def test_a_part_of_the_scans_grid(order: tuple[int, ...], margin: int, tmp_path: Path) -> None:
    """As Slicer saves segments: cut to their extent."""
    image = labels_of(clot(), scan())[8 - margin : 12 + margin, 5 : 30 + margin, 1:4]
    image = sitk.PermuteAxes(image, order)
    np.testing.assert_array_equal(read(image, tmp_path / "m.seg.nrrd", scan()), clot())


def test_a_single_slice_of_the_scan(tmp_path: Path) -> None:
    wanted = clot()
    wanted[[0, 1, 3, 4, 5]] = False
    image = labels_of(clot(), scan())[:, :, 2:3]
    np.testing.assert_array_equal(read(image, tmp_path / "m.nrrd", scan()), wanted)


def test_a_larger_grid_and_a_segment_beyond_the_scan(tmp_path: Path) -> None:
    image = sitk.ConstantPad(labels_of(clot(), scan()), (3, 0, 2), (0, 4, 1))
    np.testing.assert_array_equal(read(image, tmp_path / "m.nrrd", scan()), clot())
    image[0, 10, 2] = 1
    with pytest.raises(VolumeError, match="reaches beyond the scan"):
        read(image, tmp_path / "m.nrrd", scan())


@pytest.mark.parametrize("moved", [(0.2, 0, 0), (0, 0, 1.0)])
def test_a_part_of_another_grid_is_refused(
    moved: tuple[float, float, float], tmp_path: Path
) -> None:
    image = labels_of(clot(), scan())[4:20, 5:30, 1:4]
    image.SetOrigin(image.GetOrigin() + scan().direction @ moved)
    with pytest.raises(VolumeError, match="not lie on one grid.*resample"):
        read(image, tmp_path / "m.nrrd", scan())


def test_another_place_is_refused(tmp_path: Path) -> None:
    image = labels_of(clot(), scan())
    image.SetOrigin(np.add(image.GetOrigin(), 3.0))
    with pytest.raises(VolumeError, match="corners are up to 3.0 mm away.*resample"):
        read(image, tmp_path / "m.nrrd", scan())


def test_another_spacing_is_refused(tmp_path: Path) -> None:
    image = sitk.Expand(labels_of(clot(), scan()), (1, 1, 2), sitk.sitkNearestNeighbor)
    with pytest.raises(VolumeError, match="30 × 40 × 12 voxels, the scan 30 × 40 × 6"):
        read(image, tmp_path / "m.nrrd", scan())


@pytest.mark.parametrize("slices", [slice(2, 3), slice(0, 5, 2)])
def test_a_coarser_grid_is_refused(slices: slice, tmp_path: Path) -> None:
    """Of which the slices are every other one of the scan."""
    image = labels_of(clot(), scan())[:, :, slices]
    image.SetSpacing((0.5, 0.5, 10.0))
    with pytest.raises(VolumeError, match="further apart than those of the scan"):
        read(image, tmp_path / "m.nrrd", scan())


def test_an_uneven_scan(tmp_path: Path) -> None:
    """Labels are even: they fit where the scan's gaps are those of the labels."""
    even = scan()
    origins = even.slice_origins.copy()
    origins[4:] += 2.5 * even.normal
    uneven = dataclasses.replace(even, slice_origins=origins)
    image = labels_of(clot(), even)[:, :, 1:4]
    np.testing.assert_array_equal(read(image, tmp_path / "m.nrrd", uneven), clot())
    mask = clot()
    mask[4, 9, 9] = True
    with pytest.raises(VolumeError, match="not lie on one grid"):
        read(labels_of(mask, even)[:, :, 1:5], tmp_path / "m.nrrd", uneven)


def test_an_empty_segmentation_says_so(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="is empty.*Give one"):
        read(labels_of(np.zeros(SHAPE), scan()), tmp_path / "m.nrrd", scan())


def test_a_segment_that_is_empty_says_so(tmp_path: Path) -> None:
    image = with_keys(labels_of(clot(), scan()), segments(("blood", 0, 1), ("edema", 0, 2)))
    with pytest.raises(VolumeError, match=r"segment 2 \(edema\) is empty: 0 ml. Give"):
        read(image, tmp_path / "m.seg.nrrd", scan(), "edema")


def test_one_label_is_taken_and_of_several_one_is_asked_for(tmp_path: Path) -> None:
    numbers = np.where(clot(), 255, 0)
    np.testing.assert_array_equal(
        read(labels_of(numbers, scan()), tmp_path / "m.nrrd", scan()), clot()
    )
    numbers[0] = 3
    image = labels_of(numbers, scan())
    np.testing.assert_array_equal(read(image, tmp_path / "m.nrrd", scan(), "255"), clot())
    with pytest.raises(VolumeError, match="several segments. It has 3, 255: choose.*--label"):
        read(image, tmp_path / "m.nrrd", scan())
    for label in ("1", "blood"):
        with pytest.raises(VolumeError, match=f"no segment {label}. It has 3, 255"):
            read(image, tmp_path / "m.nrrd", scan(), label)


def segments(*keys: tuple[str, int, int]) -> dict[str, str]:
    """The keys of a `.seg.nrrd`, of segments by name, layer and label value."""
    return {
        f"Segment{number}_{key}": str(value)
        for number, (name, layer, label) in enumerate(keys)
        for key, value in (
            ("ID", f"Segment_{number + 1}"),
            ("Name", name),
            ("Layer", layer),
            ("LabelValue", label),
        )
    }


def with_keys(image: sitk.Image, keys: dict[str, str]) -> sitk.Image:
    for key, value in keys.items():
        image.SetMetaData(key, value)
    return image


def test_segments_of_one_layer(tmp_path: Path) -> None:
    numbers = np.where(clot(), 7, 0)
    numbers[0] = 3
    image = with_keys(labels_of(numbers, scan()), segments(("edema", 0, 3), ("blood", 0, 7)))
    np.testing.assert_array_equal(read(image, tmp_path / "m.seg.nrrd", scan(), "7"), clot())
    np.testing.assert_array_equal(read(image, tmp_path / "m.seg.nrrd", scan(), "blood"), clot())
    there = r"It has 3 \(edema\), 7 \(blood\).*label"
    with pytest.raises(VolumeError, match="several segments. " + there):
        read(image, tmp_path / "m.seg.nrrd", scan())
    with pytest.raises(VolumeError, match="no segment 1. " + there):
        read(image, tmp_path / "m.seg.nrrd", scan(), "1")


@pytest.mark.parametrize("values", [(1, 2), (1, 1)])
@pytest.mark.parametrize("cut", [slice(None), slice(1, 4)])
def test_segments_that_overlap(values: tuple[int, int], cut: slice, tmp_path: Path) -> None:
    """They are numbered by label value, or from 1 where layers share one."""
    whole = np.zeros(SHAPE, bool)
    whole[1:4, 2:35, 2:25] = True
    layers = np.stack([whole * values[0], clot() * values[1]], axis=-1)[cut].astype(np.uint8)
    vectors = " ".join(
        f"({','.join(map(str, axis))})" for axis in (scan().direction * scan().spacing).T.tolist()
    )
    start = scan().slice_origins[cut.start or 0].tolist()
    keys = segments(("all", 0, values[0]), ("blood", 1, values[1]))
    header = {"type": "uchar", "dimension": "4", "sizes": f"2 30 40 {len(layers)}"}
    header |= {"kinds": "list domain domain domain", "space directions": f"none {vectors}"}
    header |= {"space origin": f"({','.join(map(str, start))})"}
    lines = "".join(f"\n{key}:={value}" for key, value in keys.items())
    header["encoding"] = f"raw{lines}"
    path = tmp_path / "m.seg.nrrd"
    path.write_bytes(nrrd(header, voxels=layers.tobytes()))
    for label, mask in (("1", whole), ("2", clot()), ("blood", clot())):
        np.testing.assert_array_equal(read_mask(path, scan(), label), mask)
    with pytest.raises(VolumeError, match=r"no segment 3. It has 1 \(all\), 2 \(blood\)"):
        read_mask(path, scan(), "3")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "2 values per voxel"),
        (segments(("a", 0, 1), ("b", 5, 2)), "segment b lies in a layer"),
        (segments(("a", 0, 1), ("b", 1, 2)) | {"Segment1_Layer": "x"}, "segment b has a layer"),
    ],
)
def test_layers_that_nothing_tells_of_are_refused(
    keys: dict[str, str], said: str, tmp_path: Path
) -> None:
    image = sitk.GetImageFromArray(np.stack([clot(), clot()], -1).astype(np.uint8), isVector=True)
    with pytest.raises(SliceInterpError, match=said):
        read(with_keys(image, keys), tmp_path / "m.seg.nrrd", scan(), "2")


def test_the_command_measures_a_cropped_and_turned_mask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_volume(scan(), tmp_path / "ct.nrrd")
    image = labels_of(clot(), scan())
    turned = sitk.PermuteAxes(image[8:12, 5:30, 1:4], (2, 0, 1))
    sitk.WriteImage(turned, str(tmp_path / "m.seg.nrrd"))
    main(
        ["volume", str(tmp_path / "ct.nrrd"), "--methods", "--json"]
        + ["--labels", str(tmp_path / "m.seg.nrrd"), "--label", "1"]
    )
    row = json.loads(capsys.readouterr().out)["rows"][0]
    assert row["voxel_ml"] == pytest.approx(clot().sum() * 0.5 * 0.5 * 5 / 1000)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda hu: hu, "from -1000 to 99, as in a CT"),
        (lambda hu: hu + 1000, "from 0 to 1099, too many different ones"),
        (lambda hu: (hu + 1000) / np.float32(1099), "from 0 to 1, and not all are whole numbers"),
    ],
    ids=["hu", "stored values", "probabilities"],
)
def test_a_ct_is_no_segmentation_though_the_label_occurs(
    change: Callable[[np.ndarray], np.ndarray],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ct, mask = tmp_path / "ct.nrrd", tmp_path / "mask.nrrd"
    volume = scan()
    for values, path in ((volume.slices, ct), (change(volume.slices), mask)):
        write_volume(dataclasses.replace(volume, slices=values), path)
    assert (read_volume(mask).slices == 1).any()
    assert main(["volume", str(ct), "--labels", str(mask), "--methods"]) == 1
    said = capsys.readouterr().err
    assert f"error: {mask}: This is no segmentation: its values go {reason}." in said


def test_a_dicom_ct_is_no_segmentation(tmp_path: Path) -> None:
    for index in range(3):
        write_slice(tmp_path / f"{index}.dcm", (0, 0, 5.0 * index), series="1.2.3")
    with pytest.raises(VolumeError, match="no segmentation: its values go from -1000 to -1000"):
        read_mask(tmp_path, scan())
