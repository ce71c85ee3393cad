"""The head phantom as an acquired DICOM series with all that scanners write, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicom_files import write_slice
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from SliceInterpLib.phantom import head_phantom


def write_head(folder: Path, *, tilt: float = 0.0, **changes: object) -> list[Path]:
    """Write nine slices of 64 × 64, 5 mm apart, sheared by `tilt` degrees; the files in order."""
    volume = head_phantom(matrix=64, pixel_spacing=3.76, slices=9).volume
    study = generate_uid()
    common = {
        "StudyInstanceUID": study,
        "FrameOfReferenceUID": generate_uid(),
        "SpecificCharacterSet": "ISO_IR 100",
        "PatientName": "Müller^Jörg",
        "PatientID": "P-4711",
        "PatientBirthDate": "19500102",
        "PatientSex": "M",
        "StudyDate": "20200102",
        "StudyTime": "030405",
        "StudyID": "7",
        "AccessionNumber": "A7",
        "ReferringPhysicianName": "Weiß^Eva",
        "SeriesDescription": "Schädel 5 mm",
        "SeriesNumber": 2,
        "AcquisitionNumber": 1,
        "InstitutionName": "Klinik",
        "Manufacturer": "Maker",
        "KVP": 120,
        "ConvolutionKernel": "H30s",
        "GantryDetectorTilt": tilt,
        "XRayTubeCurrent": 200,
        "SliceThickness": 5,
        "PixelSpacing": list(volume.pixel_spacing),
        "ProcedureCodeSequence": [_procedure()],
        "WindowCenter": 40,
        "WindowWidth": 80,
    }
    folder.mkdir()
    series, files = generate_uid(), []
    for index, hu in enumerate(volume.hu):
        x, y, z = volume.slice_origins[index]
        path = folder / f"{index}.dcm"
        place = (x, y + round(5 * index * np.tan(np.radians(tilt)), 6), z)
        own = common | {"InstanceNumber": index + 1, "TableHeight": 150 + index} | changes
        write_slice(path, place, series=series, pixels=(hu + 1024).astype(np.int16), **own)
        files.append(path)
    return files


def _procedure() -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "CT1", "99X", "Schädel"
    return item
