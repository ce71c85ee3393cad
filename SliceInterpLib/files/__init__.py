"""Volumes in and out of files. What reads and writes them is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from SliceInterpLib.files.dicom_reading import list_series, read_dicom
    from SliceInterpLib.files.reading import read_volume
    from SliceInterpLib.files.writing import write_volume

__all__ = ["list_series", "read_dicom", "read_volume", "write_volume"]

_WHERE = {
    "list_series": "dicom_reading",
    "read_dicom": "dicom_reading",
    "read_volume": "reading",
    "write_volume": "writing",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
