"""Volumes in and out of files."""

from SliceInterpLib.files.dicom_reading import list_series, read_dicom
from SliceInterpLib.files.reading import read_volume
from SliceInterpLib.files.writing import write_volume

__all__ = ["list_series", "read_dicom", "read_volume", "write_volume"]
