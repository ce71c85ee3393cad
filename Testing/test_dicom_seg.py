"""DICOM segmentations, written by highdicom: each segment in its place, or a true sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_files import write_enhanced
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSLossless, RLELossless
from seg_files import EVEN, UNEVEN, blood_and_edema, ct_series, reordered, write_seg

from SliceInterpLib.cli import main
from SliceInterpLib.errors import SliceInterpError, VolumeError
from SliceInterpLib.files import list_series, read_volume, write_volume
from SliceInterpLib.files.masks import read_mask

BLOOD, EDEMA = np.moveaxis(blood_and_edema(), -1, 0)
LABELS = np.where(EDEMA, 2, BLOOD)
"""Without the overlap, of which edema has all."""

FRACTIONS = np.where(blood_and_edema(), 0.5, 0.49)


def segment(path: Path, scan: Path, label: str | None = None) -> np.ndarray:
    """The mask of a segment in a scan, as the command takes it."""
    return read_mask(path, read_volume(scan), label)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A folder with an even, upright series."""
    ct_series(tmp_path / "ct")
    return tmp_path / "ct"


def sources(scan: Path) -> list[Path]:
    return sorted(scan.iterdir())


@pytest.fixture
def seg(scan: Path, tmp_path: Path) -> Path:
    """A binary SEG of that series with two segments."""
    return write_seg(tmp_path / "seg.dcm", sources(scan), blood_and_edema())


@pytest.mark.parametrize("heights", [EVEN, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("tilt", [0.0, 18.0])
@pytest.mark.parametrize(
    ("kind", "masks"),
    [("BINARY", blood_and_edema()), ("FRACTIONAL", FRACTIONS), ("LABELMAP", LABELS)],
)
@pytest.mark.filterwarnings("ignore:The segmentation is fractional")
def test_a_segment_is_where_it_was_drawn(
    kind: str, masks: np.ndarray, heights: tuple[float, ...], tilt: float, tmp_path: Path
) -> None:
    files = ct_series(tmp_path / "ct", heights, tilt=tilt)
    path = write_seg(tmp_path / "seg.dcm", files, masks, kind)
    blood = LABELS == 1 if kind == "LABELMAP" else BLOOD
    np.testing.assert_array_equal(segment(path, tmp_path / "ct", "1"), blood)
    np.testing.assert_array_equal(segment(path, tmp_path / "ct", "edema"), EDEMA)


@pytest.mark.parametrize("meaning", ["PROBABILITY", "OCCUPANCY"])
def test_it_is_said_how_fractions_are_read(meaning: str, scan: Path, tmp_path: Path) -> None:
    path = tmp_path / "seg.dcm"
    write_seg(path, sources(scan), FRACTIONS, "FRACTIONAL", fractional_type=meaning)
    with pytest.warns(UserWarning, match=rf"fractional \({meaning.lower()}\).*at least half"):
        segment(path, scan, "1")


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
@pytest.mark.parametrize("colours", ["MONOCHROME2", "PALETTE COLOR"])
def test_packed_and_coloured_label_maps(
    syntax: str, colours: str, scan: Path, tmp_path: Path
) -> None:
    path = write_seg(
        tmp_path / "seg.dcm",
        sources(scan),
        LABELS,
        "LABELMAP",
        transfer_syntax_uid=syntax,
        changes={"PhotometricInterpretation": colours},
    )
    np.testing.assert_array_equal(segment(path, scan, "2"), EDEMA)


def test_frames_in_any_order(scan: Path, tmp_path: Path) -> None:
    """highdicom writes blood in slices 1 and 3, then edema in 3 and 4."""
    path = tmp_path / "seg.dcm"
    write_seg(path, sources(scan), blood_and_edema(), change=reordered([3, 1, 2, 0]))
    np.testing.assert_array_equal(segment(path, scan, "1"), BLOOD)
    np.testing.assert_array_equal(segment(path, scan, "2"), EDEMA)


TURNS: dict[str, Callable[[hd.Volume], hd.Volume]] = {
    "mirrored": lambda volume: volume.flip_spatial([1, 2]),
    "upside down": lambda volume: volume.flip_spatial([0, 1, 2]),
    "transposed": lambda volume: volume.permute_spatial_axes([0, 2, 1]),
    "sagittal": lambda volume: volume.permute_spatial_axes([2, 0, 1]),
    "coronal": lambda volume: volume.permute_spatial_axes([1, 2, 0]).flip_spatial([0]),
    "cut to its extent": lambda volume: volume[2:5, 1:7, 2:9],
    "cut and turned": lambda volume: volume[1:5, 1:7].permute_spatial_axes([1, 0, 2]),
    "larger": lambda volume: volume.pad(2),
}


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_the_same_grid_stored_otherwise(
    turn: Callable[[hd.Volume], hd.Volume], scan: Path, tmp_path: Path
) -> None:
    whole = hd.get_volume_from_series([pydicom.dcmread(path) for path in sources(scan)])
    order = np.argsort([path.affine[2, 3] for path in (whole[n] for n in range(6))])
    turned = turn(whole.with_array(BLOOD[order].astype(np.uint8)))
    path = write_seg(tmp_path / "seg.dcm", sources(scan), turned, names=["blood"])
    np.testing.assert_array_equal(segment(path, scan), BLOOD)


def test_of_an_enhanced_ct(tmp_path: Path) -> None:
    ct = tmp_path / "ct.dcm"
    write_enhanced(ct, list(EVEN), [0.0] * 6)
    mask = np.zeros((6, 8, 10), bool)
    mask[1:3, 2:7, 3:5] = True
    flat = ct_series(tmp_path / "like", series="1.2.3.4", Rows=8, Columns=10, PixelData=bytes(160))
    path = write_seg(tmp_path / "seg.dcm", flat, mask, names=["blood"])
    np.testing.assert_array_equal(segment(path, ct), mask)


# ---- Choosing


def test_the_command(scan: Path, seg: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["volume", str(scan), "--methods", "--json", "--labels", str(seg)]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "several segments. It has 1 (blood), 2 (edema): choose one of these by --label" in said
    for label, mask in (("1", BLOOD), ("edema", EDEMA)):
        output = tmp_path / f"{label}.nrrd"
        assert main([*command, "--label", label, "-o", str(output)]) == 0
        out, err = capsys.readouterr()
        ml = mask.sum() * 0.5 * 0.6 * 5 / 1000
        assert json.loads(out)["rows"][0]["voxel_ml"] == pytest.approx(ml)
        assert not err
        np.testing.assert_array_equal(read_volume(output).slices, mask)


@pytest.mark.parametrize("label", ["3", "Blood", "0"])
def test_a_segment_that_is_not_there(label: str, scan: Path, seg: Path) -> None:
    with pytest.raises(VolumeError, match=rf"no segment {label}. It has 1 \(blood\), 2 \(edema\)"):
        segment(seg, scan, label)


def test_the_only_segment_and_its_name_as_it_was_written(scan: Path, tmp_path: Path) -> None:
    path = tmp_path / "seg.dcm"
    write_seg(
        path,
        sources(scan),
        BLOOD,
        names=["x"],
        change=lambda seg: setattr(seg.SegmentSequence[0], "SegmentLabel", "Hämatom"),
        changes={"SpecificCharacterSet": "ISO_IR 100"},
    )
    for label in (None, "1", "Hämatom"):
        np.testing.assert_array_equal(segment(path, scan, label), BLOOD)


def test_names_that_do_not_tell_segments_apart(scan: Path, tmp_path: Path) -> None:
    path = tmp_path / "seg.dcm"
    write_seg(path, sources(scan), blood_and_edema(), names=["blood", "blood"])
    with pytest.raises(VolumeError, match=r"several segments blood. It has 1 \(blood\), 2 \(blo"):
        segment(path, scan, "blood")
    np.testing.assert_array_equal(segment(path, scan, "2"), EDEMA)


@pytest.mark.parametrize("omitted", [True, False])
def test_an_empty_segment_says_so(omitted: bool, scan: Path, tmp_path: Path) -> None:
    masks = blood_and_edema() & [True, False]
    path = tmp_path / "seg.dcm"
    write_seg(path, sources(scan), masks, omit_empty_frames=omitted)
    with pytest.raises(VolumeError, match=r"segment 2 \(edema\) is empty: 0 ml. Give"):
        segment(path, scan, "2")


# ---- Which file


def test_one_in_a_folder_and_beside_its_scan(scan: Path, seg: Path, tmp_path: Path) -> None:
    hu = read_volume(scan).slices
    beside = scan / "seg.dcm"
    seg.rename(beside)
    np.testing.assert_array_equal(segment(beside, scan, "1"), BLOOD)
    np.testing.assert_array_equal(segment(scan, scan, "1"), BLOOD)
    with pytest.warns(UserWarning, match="not CT slices: 1 × an object of modality SEG"):
        np.testing.assert_array_equal(read_volume(scan).slices, hu)
    assert list(list_series(scan)) == ["1.2.3.4"]
    (scan / "again.dcm").write_bytes(beside.read_bytes())
    np.testing.assert_array_equal(segment(scan, scan, "1"), BLOOD)
    write_seg(scan / "other.dcm", sorted(scan.glob("[0-9].dcm")), blood_and_edema())
    with pytest.raises(VolumeError, match="2 segmentations. Give the file of one.*other.dcm, seg"):
        segment(scan, scan, "1")


def test_one_in_several_files(scan: Path, tmp_path: Path) -> None:
    """A concatenation: two parts of two frames, of which the second begins its bits anew."""
    parts = tmp_path / "parts"
    parts.mkdir()
    for number, frames in enumerate(([0, 1], [2, 3]), 1):
        part = {"ConcatenationUID": "1.2.77", "InConcatenationNumber": number}
        write_seg(
            parts / f"{number}.dcm",
            sources(scan),
            blood_and_edema(),
            change=reordered(frames),
            changes={**part, "InConcatenationTotalNumber": 2},
        )
    for path in (parts, parts / "1.dcm", parts / "2.dcm"):
        np.testing.assert_array_equal(segment(path, scan, "1"), BLOOD)
        np.testing.assert_array_equal(segment(path, scan, "2"), EDEMA)
    (parts / "2.dcm").unlink()
    with pytest.raises(VolumeError, match="only 1 of 2 are here"):
        segment(parts / "1.dcm", scan, "1")


def test_labels_in_a_dicom_series(scan: Path, tmp_path: Path) -> None:
    """As programs write them that know no SEG: CT slices of which the HU are labels."""
    for path in sources(scan):
        image = pydicom.dcmread(path)
        image.PixelData = (LABELS[int(path.stem)] + 1024).astype(np.int16).tobytes()
        image.save_as(tmp_path / path.name)
    for path in (tmp_path, tmp_path / "3.dcm"):
        np.testing.assert_array_equal(segment(path, scan, "2"), EDEMA)
    with pytest.raises(VolumeError, match="several segments. It has 1, 2"):
        segment(tmp_path, scan)


# ---- On which scan


def test_a_scan_of_another_format(scan: Path, seg: Path, tmp_path: Path) -> None:
    write_volume(read_volume(scan), tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(segment(seg, tmp_path / "ct.nii.gz", "1"), BLOOD)


def test_another_series_of_the_same_scan_is_named(seg: Path, tmp_path: Path) -> None:
    ct_series(tmp_path / "bone", series="1.2.3.5")
    with pytest.warns(UserWarning, match="made on another series than this scan"):
        np.testing.assert_array_equal(segment(seg, tmp_path / "bone", "1"), BLOOD)


def test_another_frame_of_reference_is_refused(seg: Path, tmp_path: Path) -> None:
    ct_series(tmp_path / "other", FrameOfReferenceUID="1.2.3.10")
    with pytest.raises(VolumeError, match="another frame of reference.*Slicer"):
        segment(seg, tmp_path / "other", "1")


def test_only_some_of_the_scans_slices(scan: Path, seg: Path, tmp_path: Path) -> None:
    for number in (0, 5):
        (scan / f"{number}.dcm").unlink()
    np.testing.assert_array_equal(segment(seg, scan, "1"), BLOOD[1:5])
    (scan / "1.dcm").unlink()
    with pytest.raises(VolumeError, match="reaches beyond the scan"):
        segment(seg, scan, "1")
    np.testing.assert_array_equal(segment(seg, scan, "2"), EDEMA[2:5])


def _spacing(seg: Dataset, stated: float | None) -> None:
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = stated


@pytest.mark.parametrize("stated", [10, None])
def test_a_coarser_series_that_has_every_other_slice(stated: float | None, tmp_path: Path) -> None:
    """Its masks would lie in every other slice of the scan, and have half the volume."""
    coarse = ct_series(tmp_path / "coarse", [0.0, 10.0, 20.0], series="1.2.3.5")
    mask = BLOOD[[0, 1, 2]] | BLOOD[[1, 1, 1]]
    change = partial(_spacing, stated=stated)
    path = write_seg(tmp_path / "seg.dcm", coarse, mask, names=["blood"], change=change)
    np.testing.assert_array_equal(segment(path, tmp_path / "coarse"), mask)
    ct_series(tmp_path / "fine")
    with (
        pytest.warns(UserWarning, match="another series"),
        pytest.raises(VolumeError, match="further apart than those of the scan"),
    ):
        segment(path, tmp_path / "fine")
    write_volume(read_volume(tmp_path / "fine"), tmp_path / "fine.nrrd")
    with pytest.raises(VolumeError, match="further apart than those of the scan"):
        segment(path, tmp_path / "fine.nrrd")


@pytest.mark.parametrize(("stated", "right"), [(5, True), (None, True), (10, False)])
def test_slices_of_this_series_that_are_no_neighbours(
    stated: float | None, right: bool, scan: Path, tmp_path: Path
) -> None:
    """Blood lies in slices 1 and 3; only what states a coarser grid has one."""
    path = tmp_path / "seg.dcm"
    change = partial(_spacing, stated=stated)
    write_seg(path, sources(scan), BLOOD, names=["blood"], change=change)
    if right:
        np.testing.assert_array_equal(segment(path, scan), BLOOD)
    else:
        with pytest.raises(VolumeError, match="further apart than those of the scan"):
            segment(path, scan)


@pytest.mark.parametrize(
    ("heights", "changes", "said"),
    [
        ([height + 1.5 for height in EVEN], {}, "do not lie on one grid.*resample"),
        ([0.0, 4.0, 9.0, 14.0, 20.0, 25.0], {}, "do not lie on one grid.*resample"),
        (EVEN, {"PixelSpacing": [0.3, 0.6]}, "do not lie on one grid.*resample"),
        (EVEN, {"ImageOrientationPatient": [1, 0, 0, 0, 0.8, 0.6]}, "do not lie on one grid"),
    ],
    ids=["between the slices", "uneven", "other pixels", "oblique"],
)
@pytest.mark.filterwarnings("ignore:The segmentation says")
def test_another_grid_is_refused(
    heights: list[float], changes: dict[str, object], said: str, scan: Path, tmp_path: Path
) -> None:
    files = ct_series(tmp_path / "other", heights, series="1.2.3.5", **changes)
    path = write_seg(tmp_path / "seg.dcm", files, blood_and_edema())
    with pytest.raises(SliceInterpError, match=said):
        segment(path, scan, "1")


# ---- What cannot be


def _without_place(seg: Dataset) -> None:
    for group in seg.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence


def _without_segment(seg: Dataset) -> None:
    del seg.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence


def _twice(seg: Dataset) -> None:
    first, second = seg.PerFrameFunctionalGroupsSequence[:2]
    second.PlanePositionSequence = first.PlanePositionSequence


def _moved(seg: Dataset, **to: float) -> None:
    """The frame of slice 1, which has blood alone, moved."""
    for group in seg.PerFrameFunctionalGroupsSequence:
        place = group.PlanePositionSequence[0]
        if place.ImagePositionPatient[2] == 5:
            place.ImagePositionPatient = list({"x": 1, "y": 2, "z": 5, **to}.values())


@pytest.mark.parametrize(
    ("change", "changes", "said"),
    [
        (_without_place, {}, "no segmentation that can be read but an image without position"),
        (None, {"PerFrameFunctionalGroupsSequence": None}, "without the places of its frames"),
        (_without_segment, {}, "does not say of which segments"),
        (_twice, {}, "several frames of segment 1 in one place"),
        (partial(_moved, x=10, z=20), {}, "beside each other in one plane .tiles."),
        (partial(_moved, x=2), {}, "do not lie on one grid"),
        (None, {"NumberOfFrames": 3}, "has 3 frames, but it says of 4"),
        (None, {"NumberOfFrames": 5}, "has 5 frames, but it says of 4"),
        (None, {"PixelData": bytes(30)}, "cannot be read"),
        (None, {"PixelData": bytes(34)}, "cannot be read"),
        (None, {"Rows": 8}, "cannot be read"),
        (None, {"SegmentationType": "SURFACE"}, "cannot be read"),
        (None, {"SegmentationType": "FRACTIONAL"}, "cannot be read"),
        (None, {"SegmentSequence": []}, "has no segments"),
        (None, {"Modality": "SR"}, "but an object of modality SR"),
        (None, {"SamplesPerPixel": None}, "but an object without an image"),
    ],
)
def test_what_is_no_segmentation_is_refused(
    change: Callable[[Dataset], None] | None,
    changes: dict[str, object],
    said: str,
    scan: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "seg.dcm"
    write_seg(
        path,
        sources(scan),
        blood_and_edema(),
        change=change or (lambda seg: None),
        changes=changes,
    )
    with pytest.raises(VolumeError, match=said):
        segment(path, scan, "1")


def test_single_bits_that_are_packed_are_refused(scan: Path, seg: Path) -> None:
    image = pydicom.dcmread(seg)
    image.PixelData = encapsulate([b"\0\0"] * 4)
    image["PixelData"].is_undefined_length = True
    image.file_meta.TransferSyntaxUID = RLELossless
    image.save_as(seg)
    with pytest.raises(VolumeError, match="compressed single bits.*uncompressed"):
        segment(seg, scan, "1")


def test_a_deflated_one_is_refused(scan: Path, seg: Path) -> None:
    image = pydicom.dcmread(seg)
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image.save_as(seg)
    with pytest.raises(VolumeError, match="but a deflated file, which has to be exported unpacked"):
        segment(seg, scan, "1")
