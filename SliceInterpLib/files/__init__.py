"""Volumes in and out of files."""

from SliceInterpLib.files.reading import read_volume
from SliceInterpLib.files.writing import write_volume

__all__ = ["read_volume", "write_volume"]
