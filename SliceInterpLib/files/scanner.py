"""What a DICOM header says of how a scan was made and, only if asked, of whom."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom

_SCANNER = {
    "Manufacturer": "Manufacturer",
    "ManufacturerModelName": "Scanner",
    "ConvolutionKernel": "Kernel",
    "SliceThickness": "Slice thickness",
    "KVP": "Tube voltage",
}
_IDENTITY = {
    "PatientName": "Patient",
    "PatientID": "Patient ID",
    "PatientBirthDate": "Born",
    "PatientSex": "Sex",
    "StudyDate": "Date of study",
    "AccessionNumber": "Accession number",
    "StudyDescription": "Study",
    "SeriesDescription": "Series",
}
"""Titles of attributes by their keywords."""

_UNITS = {"SliceThickness": " mm", "KVP": " kV"}

_GROUPS = "SharedFunctionalGroupsSequence"
"""Where an enhanced CT keeps some of them."""


def scanner_facts(path: Path, *, identity: bool = False) -> dict[str, str]:
    """Scanner, kernel, slice thickness and tube voltage of a DICOM file.

    Args:
        path: the file.
        identity: who the patient is and when the study was, too.

    Returns:
        The texts as they stand in the header, by their titles. What the header lacks is left out;
        of a header that is damaged all, with a warning.
    """
    titles = _SCANNER | (_IDENTITY if identity else {})
    try:
        header = pydicom.dcmread(
            path, stop_before_pixels=True, force=True, specific_tags=[*titles, _GROUPS]
        )
        values = {one.keyword: str(one.value) for one in header.iterall() if one.keyword in titles}
    except Exception:  # pydicom's parsers raise whatever they stumble over
        warnings.warn("The header is damaged and does not say how the scan was made.", stacklevel=2)
        return {}
    return {
        title: values[name] + _UNITS.get(name, "")
        for name, title in titles.items()
        if values.get(name)
    }
