"""Small CT series written as DICOM, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)


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


def write_enhanced(
    path: Path,
    heights: list[float],
    intercepts: list[float],
    *,
    frame_type: str = "AXIAL",
    patient: str = "Secret^Person",
) -> np.ndarray:
    """Write an enhanced CT with a frame for each height; its stored values (n, rows, columns)."""
    stored = np.random.default_rng(0).integers(0, 3000, (len(heights), 8, 10)).astype(np.int16)
    write_slice(path, (0, 0, 0), series="1.2.3.4", pixels=stored[0], PatientName=patient)
    data = pydicom.dcmread(path)
    for name in (
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
        *("SliceThickness", "RescaleSlope", "RescaleIntercept"),
    ):
        delattr(data, name)
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    data.NumberOfFrames = len(heights)
    data.PixelData = stored.tobytes()
    data.SharedFunctionalGroupsSequence = [
        _group(
            PixelMeasuresSequence={"PixelSpacing": [0.5, 0.6], "SliceThickness": 4},
            PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        )
    ]
    data.PerFrameFunctionalGroupsSequence = [
        _group(
            PlanePositionSequence={"ImagePositionPatient": [1, 2, height]},
            PixelValueTransformationSequence={"RescaleSlope": 1, "RescaleIntercept": intercept},
            CTImageFrameTypeSequence={"FrameType": ["ORIGINAL", "PRIMARY", frame_type, "NONE"]},
        )
        for height, intercept in zip(heights, intercepts, strict=True)
    ]
    data.save_as(path, enforce_file_format=True)
    return stored


def _group(**sequences: dict[str, object]) -> Dataset:
    group = Dataset()
    for name, attributes in sequences.items():
        item = Dataset()
        for attribute, value in attributes.items():
            setattr(item, attribute, value)
        setattr(group, name, [item])
    return group
