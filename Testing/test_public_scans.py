"""Public CT that is right is read, without a word, as other readers read it, and can be doubled."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pydicom.data
import pytest
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from SliceInterpLib.doublable import require_doublable
from SliceInterpLib.files import read_dicom, read_volume
from SliceInterpLib.volume import Volume

SHIPPED = Path(pydicom.data.__file__).parent / "test_files"
"""pydicom's own test files that come with it; nothing is downloaded."""

SERIES = (
    *("ge-hispeed-human-tilt-variable-gap", "philips-phantom-5mm"),
    "toshiba-aquilion-human-tilt",
)

FILES = ("full-hu/**/*.nii.gz", "phantom/*.nii.gz", "mpr-truth/*.nii.gz", "phe-sich/test/*.nii.gz")


def quietly_read(path: Path) -> Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        volume = read_volume(path)
        require_doublable(volume)
    return volume


def hu_of(image: Dataset) -> np.ndarray:
    """As pydicom decodes it; skips the test where it cannot."""
    try:
        stored = image.pixel_array
    except (RuntimeError, NotImplementedError) as lacking:
        pytest.skip(f"pydicom has no decoder here: {str(lacking)[:60]}")
    return stored * float(image.RescaleSlope) + float(image.RescaleIntercept)


# ---- Real scans


@pytest.mark.parametrize("name", SERIES)
def test_real_series(name: str, data_dir: Path) -> None:
    volume = quietly_read(data_dir / "dicom" / name)
    for number in (0, volume.slice_count // 2, volume.slice_count - 1):
        image = pydicom.dcmread(volume.files[number])
        np.testing.assert_allclose(volume.slice_origins[number], image.ImagePositionPatient)
        np.testing.assert_array_equal(volume.slices[number], hu_of(image))


@pytest.mark.parametrize("pattern", FILES)
def test_real_files(pattern: str, data_dir: Path) -> None:
    paths = sorted(data_dir.glob(pattern))
    assert paths
    for path in paths:
        found = np.asarray(nibabel.load(path).dataobj).T
        np.testing.assert_array_equal(quietly_read(path).hu, found)


# ---- pydicom's test files


def shipped_ct() -> list[Path]:
    """Those with a CT slice in them: no localizers, no headers without an image."""
    found = []
    for path in sorted(path for path in SHIPPED.rglob("*") if path.is_file()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, EOFError):
            continue
        is_slice = "Rows" in image and "LOCALIZER" not in str(image.get("ImageType"))
        if image.get("Modality") == "CT" and is_slice:
            found.append(path)
    return found


CT = shipped_ct()


def test_they_are_there() -> None:
    names = {path.name for path in CT}
    assert {"CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm"} <= names
    assert len(CT) >= 12


@pytest.mark.parametrize("path", CT, ids=lambda path: str(path.relative_to(SHIPPED)))
def test_a_shipped_slice_is_read(path: Path, tmp_path: Path) -> None:
    """Twice, for one slice is no scan: once more 5 mm on."""
    expected = hu_of(pydicom.dcmread(path))
    image = pydicom.dcmread(path)
    normal = np.cross(*np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float))
    for number in range(2):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        place = np.array(image.ImagePositionPatient, float) + 5 * number * normal
        image.ImagePositionPatient = [f"{value:.6f}" for value in place]
        image.save_as(tmp_path / f"{number}.dcm")
    volume = read_dicom(tmp_path)
    assert volume.slice_spacing == pytest.approx(5, abs=1e-3)
    for hu in volume.slices:
        np.testing.assert_array_equal(hu, expected)


def test_a_shipped_series_is_read() -> None:
    volume = read_dicom(SHIPPED / "dicomdirtests" / "98892001" / "CT5N")
    assert volume.slices.shape == (5, 16, 16)
    assert volume.slice_spacing == pytest.approx(2.5)
