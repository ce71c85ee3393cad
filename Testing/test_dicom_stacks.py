"""Several stacks in one series, odd encodings and odd places: right, or refused by name."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import write_enhanced, write_series, write_slice
from pydicom.dataset import Dataset

from SliceInterpLib.archive.finding import find_series
from SliceInterpLib.cli import main
from SliceInterpLib.errors import OutputError, VolumeError
from SliceInterpLib.files import list_series, read_dicom, read_volume
from SliceInterpLib.files.dicom_writing import check_sources

HEIGHTS = [0.0, 5.0, 10.0, 15.0]


def two_lots(folder: Path, shift: float, **changes: object) -> Path:
    """A series with the same heights once more, shifted and with other attributes."""
    folder.mkdir(exist_ok=True)
    for lot, (move, own) in enumerate(((0.0, {}), (shift, changes))):
        for height in HEIGHTS:
            pixels = np.full((8, 10), 100 * lot + height, np.int16)
            attributes = {"AcquisitionNumber": 1, "ConvolutionKernel": "H30s", **own}
            path = folder / f"{height:g}-{lot}"
            write_slice(path, (0, 0, height + move), series="1.2", pixels=pixels, **attributes)
    return folder


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AcquisitionNumber": 2}, "AcquisitionNumber 2"),
        ({"ConvolutionKernel": "H70h"}, "ConvolutionKernel H70h"),
        ({"ContrastBolusAgent": "Doe's medicine"}, "ContrastBolusAgent given"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, "ImageType DERIVED/SECONDARY/AXIAL"),
        ({"SliceThickness": 2.5}, "SliceThickness 2.5"),
        ({"KVP": 80}, "KVP 80"),
        ({"TemporalPositionIdentifier": 2}, "TemporalPositionIdentifier 2"),
        ({"FrameOfReferenceUID": "1.9"}, "no FrameOfReferenceUID"),
        ({"StudyInstanceUID": "1.9"}, "StudyInstanceUID no. 1"),
        ({"PatientID": "Secret"}, ""),
    ],
)
def test_stacks_within_each_other_are_told_apart(
    changes: dict, words: str, shift: float, tmp_path: Path
) -> None:
    if "PatientID" in changes:
        changes, other = {"PatientID": "Secret B"}, {"PatientID": "Secret A"}
    elif "FrameOfReferenceUID" in changes:
        other = {"FrameOfReferenceUID": "1.8"}
        words = "FrameOfReferenceUID no. 2"
    else:
        other = {}
    folder = two_lots(tmp_path / "scan", shift, **changes)
    for name, value in other.items():
        for path in folder.glob("*-0"):
            image = pydicom.dcmread(path)
            setattr(image, name, value)
            image.save_as(path)
    names = list_series(folder)
    assert set(names) == {"1.2/1", "1.2/2"}
    assert words in "; ".join(names.values())
    with pytest.raises(VolumeError, match="2 CT series") as caught:
        read_volume(folder)
    assert "Secret" not in str(caught.value) and "Doe" not in str(caught.value)
    found = sorted(int(read_volume(folder, series=name).hu.max()) for name in names)
    assert found == [15 - 1024, 115 - 1024]
    assert [series.uid for series in find_series(tmp_path, leave_out=tmp_path / "out")] == [*names]


def test_one_slice_of_a_pass_stands_for_its_pass(tmp_path: Path) -> None:
    folder = two_lots(tmp_path / "scan", 2.5, AcquisitionNumber=2)
    np.testing.assert_array_equal(
        read_volume(folder / "5-1").slice_origins[:, 2], [2.5, 7.5, 12.5, 17.5]
    )


def test_parts_that_follow_on_each_other_are_one_stack(tmp_path: Path) -> None:
    thin = {"SliceThickness": 3, "AcquisitionNumber": 1, "KVP": 140}
    thick = {"SliceThickness": 7, "AcquisitionNumber": 2, "KVP": 120}
    for index, height in enumerate([0, 3, 6, 9, 13, 20, 27, 34]):
        own = thin if height < 13 else thick
        write_slice(tmp_path / f"{index}", (0, 0, height), series="1.2", **own)
    assert read_volume(tmp_path).slice_count == 8


def test_a_slice_that_was_taken_again_fills_its_place(tmp_path: Path) -> None:
    for index, height in enumerate([0, 5, 10, 15, 20]):
        number = 2 if height == 10 else 1
        write_slice(tmp_path / f"{index}", (0, 0, height), series="1.2", AcquisitionNumber=number)
    assert read_volume(tmp_path).slice_count == 5


def test_two_kernels_of_scans_by_several_rotations_are_two_stacks(tmp_path: Path) -> None:
    for kernel, height in itertools.product(("bone", "soft"), range(0, 40, 5)):
        own = {"ConvolutionKernel": kernel, "AcquisitionNumber": 1 + height // 20}
        write_slice(tmp_path / f"{kernel}{height}", (0, 0, height), series="1.2", **own)
    assert list_series(tmp_path) == {
        "1.2/1": "8 slices, ConvolutionKernel bone",
        "1.2/2": "8 slices, ConvolutionKernel soft",
    }


def test_all_takes_several_stacks_as_one(tmp_path: Path) -> None:
    passes = two_lots(tmp_path / "passes", 2.5, AcquisitionNumber=2)
    assert read_volume(passes, series="1.2/all").slice_spacing == 2.5
    for index, height in enumerate(HEIGHTS):
        write_slice(tmp_path / f"{index}", (0, 0, height), series=f"1.2.{index}")
    with pytest.raises(VolumeError, match="a series UID of its own.*--series all"):
        read_volume(tmp_path)
    assert read_volume(tmp_path, series="all").slice_count == 4
    patients = two_lots(tmp_path / "studies", 2.5, StudyInstanceUID="1.9")
    with pytest.raises(VolumeError, match="differ in StudyInstanceUID"):
        read_volume(patients, series="1.2/all")


def test_the_odd_image_is_named_even_if_it_comes_first(tmp_path: Path) -> None:
    write_series(tmp_path, HEIGHTS)
    write_slice(tmp_path / "0-odd", (0, 0, 90), series="1.2.3.4", pixels=np.zeros((9, 9), np.int16))
    with pytest.raises(VolumeError, match=r"1 of the series' 5 images differ.*: 0-odd\. "):
        read_volume(tmp_path)


def test_slices_in_one_place_are_named(tmp_path: Path) -> None:
    write_series(tmp_path, [0, 5, 10])
    write_slice(tmp_path / "again", (1, 2, 5), series="1.2.3.4")
    with pytest.raises(VolumeError, match=r"1 of the series' 4 slices.*again"):
        read_volume(tmp_path)


@pytest.mark.parametrize(("bits", "signed"), [(16, 1), (16, 0), (12, 0), (12, 1)])
@pytest.mark.parametrize("tilted", [False, True])
def test_monochrome1_is_a_matter_of_display(
    bits: int, signed: int, tilted: bool, tmp_path: Path
) -> None:
    hu = np.random.default_rng(0).integers(-1000, 1000, (4, 8, 10)).astype(np.int16)
    intercept = 0 if signed else -1024
    axes = [1, 0, 0, 0, 0.98325, -0.18224] if tilted else [1, 0, 0, 0, 1, 0]
    for index, plane in enumerate(hu):
        write_slice(
            tmp_path / f"{index}",
            (0, 0, 5 * index),
            series="1.2",
            pixels=(plane - intercept).astype(np.int16 if signed else np.uint16),
            PhotometricInterpretation="MONOCHROME1",
            BitsStored=bits,
            HighBit=bits - 1,
            RescaleIntercept=intercept,
            ImageOrientationPatient=axes,
        )
    np.testing.assert_array_equal(read_volume(tmp_path).slices, hu)


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("high", [11, 12, 15])
def test_the_stored_bits_may_lie_anywhere_in_a_word(high: int, signed: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (4, 8, 10))
    stored = values - 2048 if signed else values
    garbage = 0 if high == 11 else 0b101 << (high + 1) | 1
    for index, plane in enumerate(stored):
        words = (((plane & 0xFFF) << (high - 11)) | garbage) & 0xFFFF
        if high == 11 and signed:
            words = plane & 0xFFFF
        write_slice(
            tmp_path / f"{index}",
            (0, 0, 5 * index),
            series="1.2",
            pixels=words.astype(np.uint16),
            BitsStored=12,
            HighBit=high,
            PixelRepresentation=signed,
        )
    np.testing.assert_array_equal(read_volume(tmp_path).slices, stored - 1024)


def test_shifted_bits_of_compressed_slices_are_refused(tmp_path: Path) -> None:
    from test_dicom_reading import compress

    for index in range(3):
        write_slice(tmp_path / "plain", (0, 0, 5 * index), series="1.2")
        compress(tmp_path / "plain", tmp_path / f"{index}.dcm", "JPEGLS")
        image = pydicom.dcmread(tmp_path / f"{index}.dcm")
        image.BitsStored = 12
        image.save_as(tmp_path / f"{index}.dcm")
    (tmp_path / "plain").unlink()
    with pytest.raises(VolumeError, match="12 bits a pixel.*highest is bit 15.*uncompressed"):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    ("kind", "reads"),
    [(None, True), ("HU", True), ("US", True), ("Z_EFF", False), ("PCT", False), ("ED", False)],
)
def test_values_that_are_no_hu_are_refused(kind: str | None, reads: bool, tmp_path: Path) -> None:
    write_series(tmp_path, HEIGHTS, **({"RescaleType": kind} if kind else {}))
    if reads:
        assert read_volume(tmp_path).slice_count == 4
    else:
        with pytest.raises(VolumeError, match=f"other values than HU .Rescale Type {kind}"):
            read_volume(tmp_path)


def test_files_from_before_dicom_are_refused_by_name(tmp_path: Path) -> None:
    write_series(tmp_path, HEIGHTS, RecognitionCode="ACR-NEMA 2.0", SOPClassUID=None)
    with pytest.raises(VolumeError, match="ACR-NEMA.*converted to DICOM"):
        read_volume(tmp_path)


def enhanced(path: Path, change: object = None, heights: list[float] = HEIGHTS) -> np.ndarray:
    """An enhanced CT that `change` was done to; its HU in the order of its frames."""
    stored = write_enhanced(path, heights, [-1024.0] * len(heights))
    image = pydicom.dcmread(path)
    if change:
        change(image)
    image.save_as(path)
    return stored - 1024


def test_enhanced_monochrome1(tmp_path: Path) -> None:
    def inverted(image: Dataset) -> None:
        image.PhotometricInterpretation = "MONOCHROME1"

    hu = enhanced(tmp_path / "a.dcm", inverted)
    np.testing.assert_array_equal(read_volume(tmp_path).hu, hu)


def test_frames_that_are_not_described_are_missed(tmp_path: Path) -> None:
    def fewer(image: Dataset) -> None:
        del image.PerFrameFunctionalGroupsSequence[-2:]

    enhanced(tmp_path / "a.dcm", fewer)
    for path in (tmp_path, tmp_path / "a.dcm"):
        with pytest.raises(VolumeError, match="it has 4 frames, but it says of 2"):
            read_volume(path)


def test_a_frame_without_a_place_is_missed(tmp_path: Path) -> None:
    def lost(image: Dataset) -> None:
        del image.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence

    enhanced(tmp_path / "a.dcm", lost)
    with pytest.raises(VolumeError, match="of its 4 frames.*spacing: 3. Export"):
        read_volume(tmp_path / "a.dcm")


@pytest.mark.parametrize("frame", [0, 3])
def test_a_localizer_frame_is_left_out(frame: int, tmp_path: Path) -> None:
    def localizer(image: Dataset) -> None:
        group = image.PerFrameFunctionalGroupsSequence[frame]
        group.CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]

    hu = enhanced(tmp_path / "a.dcm", localizer)
    for path in (tmp_path, tmp_path / "a.dcm"):
        with pytest.warns(UserWarning, match="1 × a localizer"):
            volume = read_volume(path)
        np.testing.assert_array_equal(volume.hu, np.delete(hu, frame, 0))


def test_one_file_of_a_concatenation_stands_for_all(tmp_path: Path) -> None:
    def part(number: int) -> object:
        def change(image: Dataset) -> None:
            image.ConcatenationUID, image.InConcatenationNumber = "1.2.9", number
            image.InConcatenationTotalNumber = 2
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.9.{number}"

        return change

    first = enhanced(tmp_path / "1.dcm", part(1))
    with pytest.raises(VolumeError, match="only 1 of 2 are here"):
        read_volume(tmp_path / "1.dcm")
    second = enhanced(tmp_path / "2.dcm", part(2), [20.0, 25.0])
    for path in (tmp_path, tmp_path / "1.dcm", tmp_path / "2.dcm"):
        np.testing.assert_array_equal(read_volume(path).hu, np.concatenate([first, second]))
    (tmp_path / "1.dcm").unlink()
    with pytest.raises(VolumeError, match="only 1 of 2 are here"):
        read_volume(tmp_path)


def test_two_phases_in_one_file(tmp_path: Path) -> None:
    def phases(image: Dataset) -> None:
        for index, group in enumerate(image.PerFrameFunctionalGroupsSequence):
            content = Dataset()
            content.TemporalPositionIndex = 1 + index // 4
            group.FrameContentSequence = [content]

    path = tmp_path / "a.dcm"
    hu = enhanced(path, phases, HEIGHTS * 2)
    with pytest.raises(VolumeError, match="2 CT series[\\s\\S]*TemporalPositionIndex 2"):
        read_volume(path)
    np.testing.assert_array_equal(read_dicom(path, series="1.2.3.4/2").hu, hu[4:])
    first = read_dicom(tmp_path, series="1.2.3.4/1")
    np.testing.assert_array_equal(first.hu, hu[:4])
    with pytest.raises(OutputError, match="more than this stack.*Write .nrrd"):
        check_sources(first)
    enhanced(path, None, HEIGHTS * 2)
    with pytest.raises(VolumeError, match="lie where another.*a.dcm frame 1, a.dcm frame 5"):
        read_volume(path)


@pytest.mark.parametrize("tilt", [0.0, 20.0])
@pytest.mark.parametrize("spacing", [4.83, 2.47, 0.625])
def test_rounded_positions_keep_every_slice(spacing: float, tilt: float, tmp_path: Path) -> None:
    sine, cosine = np.sin(np.radians(tilt)), np.cos(np.radians(tilt))
    for index in range(30):
        write_slice(
            tmp_path / f"{index}",
            (0, round(0.13 * spacing * index, 1), round(spacing * index, 1)),
            series="1.2",
            ImageOrientationPatient=[1, 0, 0, 0, cosine, -sine],
        )
    with pytest.warns(UserWarning, match="mm beside an even grid.*count as evenly spaced"):
        volume = read_volume(tmp_path)
    assert volume.is_even and volume.slice_count == 30
    assert volume.off_grid_mm < 0.2


@pytest.mark.parametrize("gaps", [[5, 5, 5, 5.2, 5, 5], [5] * 10 + [5.05] * 10, [4, 4, 4, 7, 7]])
def test_gaps_that_no_rounding_explains_are_uneven(gaps: list[float], tmp_path: Path) -> None:
    heights = np.concatenate([[0], np.cumsum(gaps)]).round(4).tolist()
    assert not read_volume(write_series(tmp_path, heights)).is_even


def test_a_file_says_how_far_from_its_grid_slices_lie(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    head = np.full((8, 10), 24, np.int16)
    head[:, 2:8] = 1060
    heights = [5 * k + 0.03 * (-1) ** k for k in range(8)]
    write_series(tmp_path / "scan", heights, pixels=head)
    out = tmp_path / "out.nrrd"
    assert main(["upsample", str(tmp_path / "scan"), "-o", str(out), "--method", "linear"]) == 0
    assert "out.nrrd spaces the slices evenly" in capsys.readouterr().err
    np.testing.assert_array_equal(read_volume(out).hu[::2], read_dicom(tmp_path / "scan").hu)


@pytest.mark.parametrize("output", ["out.nrrd", "out"])
def test_a_reformat_with_pixels_larger_than_its_gap(output: str, tmp_path: Path) -> None:
    scan = tmp_path / "scan"
    head = np.full((8, 10), 24, np.int16)
    head[:, 2:8] = 1060
    uids = {"StudyInstanceUID": "1.2.3", "FrameOfReferenceUID": "1.2.8"}
    write_series(scan, [0, 1, 2, 3], PixelSpacing=[1.25, 0.5], pixels=head, **uids)
    assert read_dicom(scan).slice_spacing == 1
    flags = ["--dicom"] if output == "out" else []
    command = ["upsample", str(scan), "-o", str(tmp_path / output), "--allow-thin", *flags]
    assert main([*command, "--method", "linear"]) == 0
    result = read_volume(tmp_path / output)
    assert len(result.hu) == 7
    np.testing.assert_allclose(result.spacing, (0.5, 1.25, 0.5))
