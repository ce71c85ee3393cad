"""A head as DICOM, its derived series, and what every reader of one must find."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_head import write_head

from SliceInterpLib.files import read_dicom
from SliceInterpLib.files.dicom_writing import write_dicom
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

LINEAR = make_interpolator("linear")


@dataclass(frozen=True)
class Head:
    """The phantom as DICOM, and doubled."""

    files: list[Path]
    result: Volume


def make_head(folder: Path, *, factor: int = 2, **changes: object) -> Head:
    """The phantom in the new folder; changes: as of `write_head`."""
    files = write_head(folder, **changes)
    return Head(files, upsample(read_dicom(folder), LINEAR, factor=factor))


def images_in(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def written(head: Head, folder: Path, **options: object) -> list[pydicom.Dataset]:
    write_dicom(head.result, head.files, folder, **options)
    return images_in(folder)


def assert_read_back(folder: Path, result: Volume) -> None:
    """HU exactly, every slice where it belongs, read with pydicom alone."""
    images = images_in(folder)
    assert [image.InstanceNumber for image in images] == list(range(1, len(result.slices) + 1))
    for image, hu, origin in zip(images, result.slices, result.slice_origins, strict=True):
        stored = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        np.testing.assert_array_equal(stored, hu)
        np.testing.assert_allclose(image.ImagePositionPatient, origin, rtol=0, atol=1e-9)
        axes = np.reshape(image.ImageOrientationPatient, (2, 3)).T
        np.testing.assert_allclose(axes, result.in_plane_axes, rtol=0, atol=1e-12)
        assert image.PixelSpacing == pytest.approx(result.pixel_spacing)
        assert all(len(str(one)) <= 16 for one in image.ImagePositionPatient)


def assert_valid(folder: Path) -> None:
    """dciodvfy finds no error."""
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy is not installed: Testing/debian-packages.txt lists dicom3tools")
    for path in sorted(folder.iterdir()):
        report = subprocess.run(
            ["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False
        )
        said = report.stdout + report.stderr
        assert report.returncode == 0, said
        assert "Error" not in said
        assert "CTImage" in said
        assert "not present in standard" not in said
