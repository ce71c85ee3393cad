"""NIfTI, NRRD and MetaImage: what goes in comes out, and what is no volume is refused."""

from __future__ import annotations

import dataclasses
import gzip
import json
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SliceInterpLib.doublable import require_doublable
from SliceInterpLib.errors import OutputError, VolumeError
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.volume import Volume

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")


def oblique(seed: int = 0, dtype: str = "int16", mirrored: bool = False) -> Volume:
    """Random values in a random position."""
    rng = np.random.default_rng(seed)
    direction = Rotation.random(random_state=seed).as_matrix()
    if mirrored:
        direction[:, 2] *= -1
    return Volume.from_grid(
        hu=rng.integers(-1024, 3072, (5, 7, 6)).astype(dtype),
        origin=rng.uniform(-300, 300, 3),
        spacing=(0.4883, 0.4883, rng.uniform(1, 6)),
        direction=direction,
    )


def upsampled() -> Volume:
    """A volume with the two marks of an upsampled one."""
    provenance = {"method": "learned", "model": "small", "from": 'C:\\"scan"', "é": [1, None]}
    made = np.arange(5) % 2 == 1
    return dataclasses.replace(oblique(), synthetic=made, provenance=provenance)


def with_array(volume: Volume, hu: np.ndarray) -> Volume:
    """Another array on the volume's grid."""
    return Volume.from_grid(hu, volume.origin, volume.spacing, volume.direction)


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
    volume = dataclasses.replace(oblique(), slices=np.abs(oblique().slices).astype(dtype))
    write_volume(volume, tmp_path / "scan.nrrd")
    assert_same(read_volume(tmp_path / "scan.nrrd"), volume)


def test_round_trip_of_an_array_that_is_not_contiguous(tmp_path: Path) -> None:
    volume = with_array(oblique(), oblique().hu.T)
    write_volume(volume, tmp_path / "scan.mha")
    assert_same(read_volume(tmp_path / "scan.mha"), volume)


def test_nifti_of_several_blocks_is_one_gzip_stream_and_the_same_bytes_each_time(
    tmp_path: Path,
) -> None:
    noise = np.random.default_rng(0).integers(0, 100, (3, 700, 601)).astype(np.int16)
    volume = with_array(oblique(), noise)
    paths = [tmp_path / f"{name}.nii.gz" for name in ("one", "other")]
    for path in paths:
        write_volume(volume, path)
        assert_same(read_volume(path), volume)
    one, other = (path.read_bytes() for path in paths)
    assert one == other
    stream = zlib.decompressobj(zlib.MAX_WBITS + 16)
    assert len(stream.decompress(one)) == 352 + noise.nbytes
    assert stream.eof
    assert not stream.unused_data


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


@pytest.mark.parametrize("taken", ["scan.nii.gz", "scan.json"])
def test_what_appears_during_the_writing_is_not_overwritten(
    taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a second run with the same output is done first."""
    honest = sitk.WriteImage

    def meanwhile(*image: object, **options: object) -> None:
        honest(*image, **options)
        (tmp_path / taken).write_text("precious")

    monkeypatch.setattr(sitk, "WriteImage", meanwhile)
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
    volume = dataclasses.replace(oblique(), slices=oblique().slices.astype(np.float16))
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
    volume = with_array(oblique(), np.tile(oblique().hu, (3, 9, 9)))
    write_volume(volume, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(VolumeError, match="cut off.*again"):
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
        ((3, 8, 9, 3), True, "3 values per voxel.*one HU"),
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
    with pytest.raises(VolumeError, match="Gantry tilt.*upright"):
        read_volume(tmp_path / "scan.nii")


def test_sheared_nrrd_keeps_its_tilt(tmp_path: Path) -> None:
    columns = " ".join(f"({x},{y},{z})" for x, y, z in SHEARED[:3, :3].T)
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 4 5 6\n"
        f"space directions: {columns}\nkinds: domain domain domain\nendian: little\n"
        "encoding: raw\nspace origin: (0,0,0)\n\n"
    )
    (tmp_path / "scan.nrrd").write_bytes(header.encode() + bytes(4 * 5 * 6 * 2))
    volume = read_volume(tmp_path / "scan.nrrd")
    assert volume.tilt_degrees == pytest.approx(np.degrees(np.arctan2(0.9, 5)))
    assert volume.slice_spacing == pytest.approx(5)
    for suffix in (".nrrd", ".mha"):
        write_volume(volume, tmp_path / f"copy{suffix}")
        assert_same(read_volume(tmp_path / f"copy{suffix}"), volume)
    with pytest.raises(OutputError, match=r"10\.2°.*\.nrrd or \.mha"):
        write_volume(volume, tmp_path / "copy.nii.gz")
    assert not (tmp_path / "copy.nii.gz").exists()


def test_series_is_no_choice_for_a_single_file(tmp_path: Path) -> None:
    write_volume(oblique(), tmp_path / "scan.nii")
    with pytest.raises(VolumeError, match="DICOM folder only"):
        read_volume(tmp_path / "scan.nii", series="1.2.3")


# ---- Real data


@pytest.mark.parametrize("name", ["phe-sich/test/0009.nii.gz", "full-hu/test/cranium.nii.gz"])
def test_real_head_goes_through(name: str, data_dir: Path, tmp_path: Path) -> None:
    volume = read_volume(data_dir / name)
    require_doublable(volume)
    write_volume(volume, tmp_path / "scan.mha")
    assert_same(read_volume(tmp_path / "scan.mha"), volume)
