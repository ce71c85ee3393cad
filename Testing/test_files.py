"""Reading and writing volumes: what goes in comes out, and what is not a CT stack is refused."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy.spatial.transform import Rotation

from SliceInterpLib.errors import OutputError, VolumeError
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.volume import Volume, require_doublable

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")


@dataclasses.dataclass(frozen=True, eq=False)
class Upsampled(Volume):
    """A volume with the two marks of an upsampled one."""

    synthetic: np.ndarray
    provenance: dict


def oblique(seed: int = 0, dtype: str = "int16", mirrored: bool = False) -> Volume:
    """Random values in a random position."""
    rng = np.random.default_rng(seed)
    direction = Rotation.random(random_state=seed).as_matrix()
    if mirrored:
        direction[:, 2] *= -1
    return Volume(
        hu=rng.integers(-1024, 3072, (5, 7, 6)).astype(dtype),
        origin=rng.uniform(-300, 300, 3),
        spacing=(0.4883, 0.4883, rng.uniform(1, 6)),
        direction=direction,
    )


def upsampled() -> Upsampled:
    provenance = {"method": "learned", "model": "small", "from": 'C:\\"scan"', "é": [1, None]}
    return Upsampled(**vars(oblique()), synthetic=np.arange(5) % 2 == 1, provenance=provenance)


def assert_same(one: Volume, other: Volume) -> None:
    """Values bit for bit; every corner at the same place to 1e-3 mm."""
    assert one.hu.dtype == other.hu.dtype
    np.testing.assert_array_equal(one.hu, other.hu)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in one.hu.shape[::-1]])).reshape(3, -1)
    places = [
        v.direction @ (np.array(v.spacing)[:, None] * corners) + np.array(v.origin)[:, None]
        for v in (one, other)
    ]
    np.testing.assert_allclose(*places, rtol=0, atol=1e-3)


def write_slice(
    path: Path,
    position: tuple[float, float, float],
    *,
    series: str,
    pixels: np.ndarray | None = None,
    **changes: object,
) -> None:
    """Write one small CT slice as DICOM; `changes` sets attributes, or leaves out what is None."""
    if pixels is None:
        pixels = np.full((8, 10), 24, dtype=np.int16)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SeriesInstanceUID = series
    data.StudyInstanceUID = "1.2.3"
    data.PatientName = "Secret^Person"
    data.Modality = "CT"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.ImagePositionPatient = list(position)
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing = [0.5, 0.6]
    data.SliceThickness = 99
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape[:2]
    data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = pixels.tobytes()
    for name, value in changes.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)


def write_series(folder: Path, heights: list[float], *, series: str = "1.2.3.4", **kwargs) -> Path:  # noqa: ANN003
    """Write a slice for each height, named so that the order of names is not that of heights."""
    folder.mkdir(exist_ok=True)
    for index, height in enumerate(heights):
        write_slice(
            folder / f"{series}-{-index % 7}-{index}", (1, 2, height), series=series, **kwargs
        )
    return folder


# ---- Round trips


@pytest.mark.parametrize("suffix", FORMATS)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 1000), mirrored=st.booleans(), dtype=st.sampled_from(["int16", "float32"])
)
def test_round_trip(suffix: str, tmp_path: Path, seed: int, mirrored: bool, dtype: str) -> None:
    volume = oblique(seed, dtype, mirrored)
    write_volume(volume, tmp_path / f"scan{suffix}", overwrite=True)
    assert_same(read_volume(tmp_path / f"scan{suffix}"), volume)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float64"])
def test_round_trip_keeps_the_type(dtype: str, tmp_path: Path) -> None:
    volume = dataclasses.replace(oblique(), hu=np.abs(oblique().hu).astype(dtype))
    write_volume(volume, tmp_path / "scan.nrrd")
    assert_same(read_volume(tmp_path / "scan.nrrd"), volume)


def test_round_trip_of_an_array_that_is_not_contiguous(tmp_path: Path) -> None:
    volume = dataclasses.replace(oblique(), hu=oblique().hu.T)
    write_volume(volume, tmp_path / "scan.mha")
    assert_same(read_volume(tmp_path / "scan.mha"), volume)


@pytest.mark.parametrize("mirrored", [False, True])
def test_nifti_is_what_nibabel_understands(mirrored: bool, tmp_path: Path) -> None:
    volume = oblique(3, mirrored=mirrored)
    write_volume(volume, tmp_path / "scan.nii.gz")
    image = nibabel.load(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), volume.hu.T)
    lps = np.diag([-1, -1, 1]) @ image.affine[:3]
    np.testing.assert_allclose(lps[:, :3], volume.direction * volume.spacing, atol=1e-5)
    np.testing.assert_allclose(lps[:, 3], volume.origin, atol=1e-3)


def test_detached_headers_are_read(tmp_path: Path) -> None:
    volume = oblique()
    write_volume(volume, tmp_path / "scan.mha")
    image = sitk.ReadImage(str(tmp_path / "scan.mha"))
    for suffix in (".mhd", ".nhdr"):
        sitk.WriteImage(image, str(tmp_path / f"scan{suffix}"))
        assert_same(read_volume(tmp_path / f"scan{suffix}"), volume)


def test_upper_case_suffix(tmp_path: Path) -> None:
    write_volume(oblique(), tmp_path / "SCAN.NII.GZ")
    assert_same(read_volume(tmp_path / "SCAN.NII.GZ"), oblique())


# ---- Marks of a synthetic volume


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_marks_in_the_header(suffix: str, tmp_path: Path) -> None:
    write_volume(upsampled(), tmp_path / f"scan{suffix}")
    image = sitk.ReadImage(str(tmp_path / f"scan{suffix}"))
    assert image.GetMetaData("SliceInterp_synthetic_slices") == "1,3"
    assert json.loads(image.GetMetaData("SliceInterp_provenance")) == upsampled().provenance
    assert [path.name for path in tmp_path.iterdir()] == [f"scan{suffix}"]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_marks_beside_nifti(suffix: str, tmp_path: Path) -> None:
    write_volume(upsampled(), tmp_path / f"scan{suffix}")
    descrip = bytes(nibabel.load(tmp_path / f"scan{suffix}").header["descrip"]).decode()
    assert descrip.startswith("SliceInterp: 2 of 5 slices synthetic; learned small")
    sidecar = json.loads((tmp_path / "scan.json").read_text(encoding="utf-8"))
    assert sidecar["SliceInterp_synthetic_slices"] == [1, 3]
    assert sidecar["SliceInterp_provenance"] == upsampled().provenance
    assert len(list(tmp_path.iterdir())) == 2


def test_long_names_fit_the_nifti_header(tmp_path: Path) -> None:
    volume = dataclasses.replace(upsampled(), provenance={"method": "é" * 200})
    write_volume(volume, tmp_path / "scan.nii")
    assert_same(read_volume(tmp_path / "scan.nii"), volume)


def test_acquired_volume_gets_no_mark(tmp_path: Path) -> None:
    write_volume(oblique(), tmp_path / "scan.nii")
    assert bytes(nibabel.load(tmp_path / "scan.nii").header["descrip"]).strip(b"\0") == b""
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii"]


# ---- Writing is refused, and leaves nothing behind


@pytest.mark.parametrize("name", ["scan", "scan.png", "scan.gz", "scan.dcm"])
def test_unknown_suffix_is_not_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="must end in one of .nii"):
        write_volume(oblique(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_missing_folder_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder does not exist"):
        write_volume(oblique(), tmp_path / "new" / "scan.nii")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("taken", ["scan.nii.gz", "scan.json"])
def test_nothing_is_overwritten_unasked(taken: str, tmp_path: Path) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(OutputError, match=f"{taken}: This exists already"):
        write_volume(upsampled(), tmp_path / "scan.nii.gz")
    assert (tmp_path / taken).read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    write_volume(upsampled(), tmp_path / "scan.nii.gz", overwrite=True)
    assert_same(read_volume(tmp_path / "scan.nii.gz"), upsampled())


def test_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "scan.nii").mkdir()
    with pytest.raises(OutputError, match="exists"):
        write_volume(oblique(), tmp_path / "scan.nii", overwrite=True)


def cut(image: sitk.Image, path: str, **_: object) -> None:
    """A writer on a full disk that says nothing, as ITK's NIfTI writer is."""
    del image
    Path(path).write_bytes(WHOLE_NIFTI[: len(WHOLE_NIFTI) // 2])


def fail(image: sitk.Image, path: str, **_: object) -> None:
    """A writer that leaves half a file and raises."""
    cut(image, path)
    raise RuntimeError("ITK ERROR: no space left")


WHOLE_NIFTI = nibabel.Nifti1Image(np.zeros((9, 9, 9), np.int16), np.eye(4)).to_bytes()


@pytest.mark.parametrize("writer", [cut, fail])
@pytest.mark.parametrize("existing", [False, True])
def test_failed_write_leaves_all_as_it_was(
    writer: object, existing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if existing:
        (tmp_path / "scan.nii").write_text("precious")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(sitk, "WriteImage", writer)
    with pytest.raises(OutputError, match="free space"):
        write_volume(upsampled(), tmp_path / "scan.nii", overwrite=True)
    assert sorted(tmp_path.iterdir()) == before
    assert not existing or (tmp_path / "scan.nii").read_text() == "precious"


def test_type_that_no_format_has_is_not_written(tmp_path: Path) -> None:
    volume = dataclasses.replace(oblique(), hu=oblique().hu.astype(np.float16))
    with pytest.raises(OutputError, match="float16.*Use int16"):
        write_volume(volume, tmp_path / "scan.nii")
    assert not list(tmp_path.iterdir())


# ---- Reading single files is refused


def test_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="no such file"):
        read_volume(tmp_path / "scan.nii")


@pytest.mark.parametrize("suffix", (*FORMATS, ".nhdr", ".mhd", ".txt", ".dcm", ""))
def test_file_of_something_else_is_refused(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"scan{suffix}").write_bytes(b"No scan at all. " * 100)
    with pytest.raises(VolumeError, match="cannot be read: it is damaged|neither a DICOM image"):
        read_volume(tmp_path / f"scan{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
def test_truncated_file_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"scan{suffix}"
    volume = dataclasses.replace(oblique(), hu=np.tile(oblique().hu, (3, 9, 9)))
    write_volume(volume, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(VolumeError, match="cut off.*anew"):
        read_volume(path)


def test_gzip_of_half_a_nifti_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(WHOLE_NIFTI[:-100]))
    with pytest.raises(VolumeError, match="cut off"):
        read_volume(tmp_path / "scan.nii.gz")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("shape", "vector", "cause"),
    [
        ((8, 9), False, "2-D image.*whole series"),
        ((2, 3, 8, 9), False, "4 dimensions.*one of its volumes"),
        ((3, 8, 9, 3), True, "3 values a voxel.*one HU"),
    ],
)
def test_image_that_is_no_volume_is_refused(
    shape: tuple[int, ...], vector: bool, cause: str, suffix: str, tmp_path: Path
) -> None:
    image = sitk.GetImageFromArray(np.zeros(shape, np.uint8), isVector=vector)
    sitk.WriteImage(image, str(tmp_path / f"scan{suffix}"))
    with pytest.raises(VolumeError, match=cause):
        read_volume(tmp_path / f"scan{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(("dtype", "value"), [("float32", np.nan), ("float64", -np.inf)])
def test_values_that_are_not_finite_are_refused(
    dtype: str, value: float, suffix: str, tmp_path: Path
) -> None:
    hu = np.zeros((3, 5, 7), dtype)
    hu[-1, -1, -1] = value
    sitk.WriteImage(sitk.GetImageFromArray(hu), str(tmp_path / f"scan{suffix}"))
    with pytest.raises(VolumeError, match=f"scan{suffix}: .*not finite.*Replace"):
        read_volume(tmp_path / f"scan{suffix}")


def test_big_endian_nifti_is_read(tmp_path: Path) -> None:
    for value in (-1000, np.nan):
        data = np.full((3, 4, 5), value, ">f4")
        header = nibabel.Nifti1Header(endianness=">")
        header.set_data_dtype(">f4")
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4), header), tmp_path / f"{value}.nii")
    assert (read_volume(tmp_path / "-1000.nii").hu == -1000).all()
    with pytest.raises(VolumeError, match="not finite"):
        read_volume(tmp_path / "nan.nii")


SHEARED = np.diag([0.5, 0.5, 5.0, 1.0])
SHEARED[1, 2] = 0.9


@pytest.mark.parametrize("qform", [0, 1])
def test_sheared_nifti_is_refused(qform: int, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), SHEARED)
    image.set_qform(SHEARED, qform, strip_shears=True)
    nibabel.save(image, tmp_path / "scan.nii")
    with pytest.raises(VolumeError, match="Gantry tilt.*Straighten"):
        read_volume(tmp_path / "scan.nii")


def test_sheared_nrrd_is_refused(tmp_path: Path) -> None:
    columns = " ".join(f"({x},{y},{z})" for x, y, z in SHEARED[:3, :3].T)
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 4 5 6\n"
        f"space directions: {columns}\nkinds: domain domain domain\nendian: little\n"
        "encoding: raw\nspace origin: (0,0,0)\n\n"
    )
    (tmp_path / "scan.nrrd").write_bytes(header.encode() + bytes(4 * 5 * 6 * 2))
    with pytest.raises(VolumeError, match=r"Gantry tilt.*10\.2°"):
        read_volume(tmp_path / "scan.nrrd")


def test_series_is_no_choice_for_a_single_file(tmp_path: Path) -> None:
    write_volume(oblique(), tmp_path / "scan.nii")
    with pytest.raises(VolumeError, match="DICOM folder only"):
        read_volume(tmp_path / "scan.nii", series="1.2.3")


# ---- DICOM


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
    assert read_volume(tmp_path).hu.shape[0] == 3


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"Modality": "MR"}, "modality MR"),
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


def test_duplicate_positions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="1 of the series' 4 slices.*duplicates"):
        read_volume(write_series(tmp_path, [0, 5, 5, 10]))


def test_uneven_gaps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match=r"uneven: 5.00 mm \(3 times\), 10.00 mm \(1 times\)"):
        read_volume(write_series(tmp_path, [0, 5, 10, 20, 25]))


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
    with pytest.raises(VolumeError, match="1 of the series' 4 images differ.*: z. Leave"):
        read_volume(tmp_path)


def test_truncated_slice_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, [0, 5, 10])
    last = max(tmp_path.iterdir())
    last.write_bytes(last.read_bytes()[:-50])
    with pytest.raises(VolumeError, match=f"slice {last.name} cannot be read"):
        read_volume(tmp_path)


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


# ---- Real data


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


def test_real_tilted_series_is_refused(data_dir: Path) -> None:
    with pytest.raises(VolumeError, match=r"Gantry tilt.*10\.5°"):
        read_volume(data_dir / "dicom" / "toshiba-aquilion-human-tilt")


def test_real_uneven_series_is_refused(data_dir: Path) -> None:
    with pytest.raises(VolumeError, match="Gantry tilt|uneven"):
        read_volume(data_dir / "dicom" / "ge-hispeed-human-tilt-variable-gap")


@pytest.mark.parametrize("name", ["phe-sich/test/0009.nii.gz", "full-hu/test/cranium.nii.gz"])
def test_real_head_goes_through(name: str, data_dir: Path, tmp_path: Path) -> None:
    volume = read_volume(data_dir / name)
    require_doublable(volume)
    write_volume(volume, tmp_path / "scan.mha")
    assert_same(read_volume(tmp_path / "scan.mha"), volume)
