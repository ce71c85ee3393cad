"""CT series from DICOM: ordered, complete, where they were acquired, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import write_enhanced, write_series, write_slice
from scipy.spatial.transform import Rotation

from SliceInterpLib.doublable import require_doublable
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files import list_series, read_dicom, read_volume


def test_series_is_sorted_and_spaced_by_position(tmp_path: Path) -> None:
    for index, height in enumerate([10.0, -5.0, 0.0, 5.0]):
        pixels = np.full((8, 10), 1000 + height, dtype=np.int16)
        write_slice(tmp_path / f"{index}", (1, 2, height), series="1.2", pixels=pixels)
    (tmp_path / "notes.txt").write_text("not a DICOM file")
    volume = read_volume(tmp_path)
    assert volume.hu.dtype == np.int16
    np.testing.assert_array_equal(volume.hu[:, 0, 0], [-29, -24, -19, -14])
    assert volume.hu.shape == (4, 8, 10)
    assert volume.origin == (1, 2, -5)
    assert volume.spacing == (0.6, 0.5, 5)


def test_every_slice_has_its_own_rescale(tmp_path: Path) -> None:
    for height, intercept in ((0, -1024), (5, -1000), (10, 0)):
        write_slice(
            tmp_path / f"{height}", (0, 0, height), series="1.2", RescaleIntercept=intercept
        )
    np.testing.assert_array_equal(read_volume(tmp_path).hu[:, 0, 0], [-1000, -976, 24])


@pytest.mark.parametrize(("slope", "value"), [(0.5, -1011.5), (3000, 3000 * 25 - 1024)])
def test_hu_beyond_int16_become_float32(slope: float, value: float, tmp_path: Path) -> None:
    pixels = np.full((8, 10), 25, dtype=np.int16)
    write_series(tmp_path, [0, 5, 10], RescaleSlope=slope, pixels=pixels)
    hu = read_volume(tmp_path).hu
    assert hu.dtype == np.float32
    assert (hu == value).all()


def test_fractional_slope_with_whole_results_stays_int16(tmp_path: Path) -> None:
    hu = read_volume(write_series(tmp_path, [0, 5, 10], RescaleSlope=0.5)).hu
    assert hu.dtype == np.int16
    assert (hu == -1012).all()


def test_one_file_stands_for_its_series(tmp_path: Path) -> None:
    write_series(tmp_path, [0, 5, 10], series="1.2")
    write_series(tmp_path, [0, 2, 4, 6], series="1.3")
    one = next(tmp_path.glob("1.3-*"))
    assert read_volume(one).hu.shape[0] == 4
    with pytest.raises(VolumeError, match="not of the series"):
        read_volume(one, series="1.2")


def test_several_series_are_listed(tmp_path: Path) -> None:
    write_series(tmp_path, [0, 5, 10], series="1.2")
    write_series(tmp_path, [0, 2, 4, 6], series="1.3")
    with pytest.raises(VolumeError) as caught:
        read_volume(tmp_path)
    message = str(caught.value)
    assert "--series UID" in message and "series=UID" in message
    assert "1.2  3 slices" in message and "1.3  4 slices" in message
    assert "Secret" not in message
    assert read_volume(tmp_path, series="1.2").hu.shape[0] == 3
    assert read_volume(tmp_path, series="1.3").slice_spacing == 2
    with pytest.raises(VolumeError, match=r"no CT series 9\.9[\s\S]*1\.2  3 slices"):
        read_volume(tmp_path, series="9.9")


@pytest.mark.parametrize(
    "changes",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"Modality": "SR"},
        {"ImagePositionPatient": None},
    ],
)
def test_what_is_no_ct_slice_is_left_out(changes: dict, tmp_path: Path) -> None:
    write_series(tmp_path, [0, 5, 10], series="1.2")
    write_series(tmp_path, [0, 200], series="1.3", **changes)
    with pytest.warns(UserWarning, match="Left out, because they are not CT slices: 2 × "):
        assert read_volume(tmp_path).hu.shape[0] == 3


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"Modality": "MR"}, "modality MR"),
        ({"SamplesPerPixel": None}, "an object without an image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
        ({"PixelSpacing": None}, "without position, orientation or pixel spacing"),
        ({"NumberOfFrames": 2, "PixelData": bytes(320)}, "multi-frame"),
        (
            {
                "SamplesPerPixel": 3,
                "PhotometricInterpretation": "RGB",
                "PlanarConfiguration": 0,
                "pixels": np.zeros((8, 10, 3), np.uint8),
            },
            "colour picture",
        ),
    ],
)
def test_folder_without_ct_slices_is_refused(changes: dict, cause: str, tmp_path: Path) -> None:
    write_series(tmp_path, [0, 5, 10], **changes)
    with pytest.raises(VolumeError, match=f"no CT slices, only 3 × .*{cause}.*Give"):
        read_volume(tmp_path)
    with pytest.raises(VolumeError, match=f"not a CT slice but .*{cause}"):
        read_volume(next(tmp_path.iterdir()))


def test_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a DICOM file")
    with pytest.raises(VolumeError, match="no DICOM images.*Give the folder"):
        read_volume(tmp_path)


def test_single_slice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="one slice only.*whole series"):
        read_volume(write_series(tmp_path, [0]))


def test_file_that_was_copied_counts_once(tmp_path: Path) -> None:
    write_series(tmp_path, [0, 5, 10])
    (tmp_path / "copy").write_bytes(next(tmp_path.iterdir()).read_bytes())
    with pytest.warns(UserWarning, match="1 images are in the folder twice"):
        assert read_volume(tmp_path).slice_count == 3


def test_acquisitions_at_the_same_places_are_told_apart(tmp_path: Path) -> None:
    write_series(tmp_path / "1", [0, 5, 10], AcquisitionNumber=1)
    write_series(tmp_path / "2", [0, 5, 10, 15], AcquisitionNumber=2)
    for path in (tmp_path / "2").iterdir():
        path.rename(tmp_path / "1" / f"second-{path.name}")
    assert list_series(tmp_path / "1") == {
        "1.2.3.4/1": "3 slices, AcquisitionNumber 1",
        "1.2.3.4/2": "4 slices, AcquisitionNumber 2",
    }
    with pytest.raises(VolumeError, match="2 CT series[\\s\\S]*1.2.3.4/2  4 slices"):
        read_volume(tmp_path / "1")
    assert read_volume(tmp_path / "1", series="1.2.3.4/2").slice_count == 4


def test_acquisitions_one_after_the_other_are_one_stack(tmp_path: Path) -> None:
    for index, height in enumerate([0, 5, 10]):
        write_slice(
            tmp_path / f"{index}", (0, 0, height), series="1.2", AcquisitionNumber=index + 1
        )
    assert list_series(tmp_path) == {"1.2": "3 slices"}
    assert read_volume(tmp_path).slice_count == 3


def test_series_are_listed(tmp_path: Path) -> None:
    assert list_series(tmp_path) == {}
    write_series(tmp_path, [0, 5, 10], series="1.2")
    write_series(tmp_path, [0, 2], series="1.3")
    assert list_series(tmp_path) == {"1.2": "3 slices", "1.3": "2 slices"}


def test_duplicate_positions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="1 of the series' 4 slices.*duplicates"):
        read_volume(write_series(tmp_path, [0, 5, 5, 10]))


def test_uneven_gaps_are_kept_and_are_no_even_grid(tmp_path: Path) -> None:
    volume = read_volume(write_series(tmp_path, [0, 5, 10, 20, 25]))
    np.testing.assert_allclose(volume.slice_origins[:, 2], [0, 5, 10, 20, 25])
    for ask in (volume.require_even, lambda: volume.spacing, lambda: volume.slice_spacing):
        with pytest.raises(VolumeError, match=r"uneven: 5.00 mm \(3 times\), 10.00 mm \(1 times\)"):
            ask()


def test_rounded_positions_are_even(tmp_path: Path) -> None:
    volume = read_volume(write_series(tmp_path, [-35.63, -35.0, -34.38, -33.75]))
    assert volume.slice_spacing == pytest.approx(0.6267, abs=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"pixels": np.zeros((9, 10), np.int16)},
        {"PixelSpacing": [0.7, 0.7]},
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
    ],
)
def test_slices_that_do_not_match_are_refused(changes: dict, tmp_path: Path) -> None:
    write_series(tmp_path, [0, 5, 10])
    write_slice(tmp_path / "z", (1, 2, 15), series="1.2.3.4", **changes)
    with pytest.raises(VolumeError, match="1 of the series' 4 images differ.*: z. Keep"):
        read_volume(tmp_path)


def test_truncated_slice_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, [0, 5, 10])
    last = max(tmp_path.iterdir())
    last.write_bytes(last.read_bytes()[:-50])
    with pytest.raises(VolumeError, match=f"slice {last.name} cannot be read"):
        read_volume(tmp_path)


def test_tilted_series_keeps_its_shear(tmp_path: Path) -> None:
    axes = [1, 0, 0, 0, 0.98325, -0.18224]
    write_series(tmp_path, [0, 5, 10], ImageOrientationPatient=axes)
    volume = read_volume(tmp_path)
    assert volume.tilt_degrees == pytest.approx(10.5, abs=0.01)
    np.testing.assert_allclose(
        volume.slice_origins, [[1, 2, 0], [1, 2, 5], [1, 2, 10]], rtol=0, atol=1e-6
    )


def test_slices_beside_the_line_are_refused(tmp_path: Path) -> None:
    for index, shift in enumerate([0, 3, 0]):
        write_slice(tmp_path / f"{index}", (shift, 0, 5 * index), series="1.2")
    with pytest.raises(VolumeError, match=r"slice 2 is 3.0 mm beside the line"):
        read_volume(tmp_path)


def test_frames_of_an_enhanced_ct(tmp_path: Path) -> None:
    path = tmp_path / "enhanced.dcm"
    stored = write_enhanced(path, heights=[10, 0, 5], intercepts=[-1024, -1024, -1024])
    stack = read_dicom(path)
    np.testing.assert_array_equal(stack.slices, stored[[1, 2, 0]] - 1024)
    np.testing.assert_array_equal(stack.slice_origins[:, 2], [0, 5, 10])
    np.testing.assert_array_equal(stack.thickness, [4, 4, 4])
    assert stack.pixel_spacing == (0.5, 0.6)
    assert stack.files == (path,) * 3
    np.testing.assert_array_equal(read_volume(tmp_path).hu, stack.slices)


def test_every_frame_has_its_own_rescale(tmp_path: Path) -> None:
    path = tmp_path / "enhanced.dcm"
    stored = write_enhanced(path, heights=[0, 5, 10], intercepts=[-1024, -1000, 0])
    expected = stored + np.array([-1024, -1000, 0])[:, None, None]
    np.testing.assert_array_equal(read_volume(path).hu, expected)


def test_localizer_frames_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "enhanced.dcm"
    write_enhanced(path, heights=[0, 5], intercepts=[0, 0], frame_type="LOCALIZER")
    with pytest.raises(VolumeError, match="not a CT slice but a localizer"):
        read_volume(path)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEGLS", "JPEG2000", "RLE"])
def test_compressed_slices(compressor: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 3000, (3, 32, 40)).astype(np.int16)
    for index, plane in enumerate(pixels):
        plain = tmp_path / "plain"
        write_slice(plain, (0, 0, 5 * index), series="1.2", pixels=plane)
        packed = tmp_path / f"{index}.dcm"
        compress(plain, packed, compressor)
        plain.unlink()
    assert pydicom.dcmread(packed).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_volume(tmp_path).hu, pixels - 1024)


def compress(plain: Path, packed: Path, compressor: str) -> None:
    """The image with its pixels compressed without loss by GDCM, its header as it was."""
    header = pydicom.dcmread(plain)
    image = sitk.GetImageFromArray(header.pixel_array[None])
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(packed))
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.Execute(image)
    result = pydicom.dcmread(packed)
    header.PixelData = result.PixelData
    header["PixelData"].is_undefined_length = True
    header.file_meta.TransferSyntaxUID = result.file_meta.TransferSyntaxUID
    header.save_as(packed, enforce_file_format=True)


def test_oblique_series_keeps_its_direction(tmp_path: Path) -> None:
    axes = Rotation.from_euler("xyz", (10, 20, 30), degrees=True).as_matrix()
    for index in range(3):
        write_slice(
            tmp_path / f"{index}",
            tuple(np.round(4 * index * axes[:, 2], 4)),
            series="1.2",
            ImageOrientationPatient=list(np.round(axes[:, :2].T.ravel(), 6)),
        )
    volume = read_volume(tmp_path)
    np.testing.assert_allclose(volume.direction, axes, atol=1e-5)
    assert volume.slice_spacing == pytest.approx(4, abs=1e-3)


def test_real_series(data_dir: Path) -> None:
    folder = data_dir / "dicom" / "philips-phantom-5mm"
    volume = read_volume(folder)
    assert volume.hu.shape == (28, 512, 512)
    assert volume.hu.dtype == np.int16
    assert volume.slice_spacing == pytest.approx(5, abs=1e-6)
    assert volume.pixel_spacing == (0.451171875, 0.451171875)
    require_doublable(volume)
    lowest = min(
        (pydicom.dcmread(path) for path in folder.glob("*.dcm")),
        key=lambda image: image.ImagePositionPatient[2],
    )
    np.testing.assert_allclose(volume.origin, lowest.ImagePositionPatient)
    hu = lowest.pixel_array * float(lowest.RescaleSlope) + float(lowest.RescaleIntercept)
    np.testing.assert_array_equal(volume.hu[0], hu)


def test_real_tilted_series(data_dir: Path) -> None:
    volume = read_volume(data_dir / "dicom" / "toshiba-aquilion-human-tilt")
    assert volume.hu.shape == (33, 512, 512)
    assert volume.tilt_degrees == pytest.approx(10.5, abs=0.01)
    assert volume.slice_spacing == pytest.approx(4.916, abs=0.001)
    np.testing.assert_allclose(np.diff(volume.slice_origins, axis=0), [[0, 0, 5]] * 32, atol=1e-3)
    require_doublable(volume)


def test_real_uneven_series(data_dir: Path) -> None:
    folder = data_dir / "dicom" / "ge-hispeed-human-tilt-variable-gap"
    stack = read_volume(folder)
    with pytest.raises(VolumeError, match=r"uneven: 4.00 mm \(13 times\), 7.00 mm.*--gaps even"):
        stack.require_even()
    assert stack.stretches == [range(14), range(13, 15), range(14, 28)]
    assert [round(float(gap), 2) for gap in stack.gaps[[0, 13, 14]]] == [4.0, 1.08, 7.0]
    assert not stack.missing.any()
