"""A small head as NIfTI, NRRD and MetaImage, byte by byte, so that any field may lie."""

from __future__ import annotations

from collections.abc import Mapping

import nibabel
import numpy as np

from hostile.case import SECRET


def _head() -> np.ndarray:
    hu = np.full((6, 12, 10), -1000, np.int16)
    hu[:, 3:-3, 3:-3] = np.random.default_rng(0).integers(0, 80, (6, 6, 4))
    return hu


HEAD = _head()
"""HU (slice, row, column) of brain in air."""

PADDED = HEAD.copy()
"""The same with metal in the brain, and around the slices padding of the same value."""

PADDED[:, :2] = PADDED[:, -1:] = PADDED[:, :, :1] = PADDED[:, 6:8, 5] = 3071

PADDING_STORED = 4095
"""That value as the DICOM files store it."""

SPACING = (0.5, 0.5, 5.0)

NIFTI_HEADER = 352
"""Bytes before the voxels."""


def nifti(
    fields: Mapping[str, object] | None = None, hu: np.ndarray = HEAD, voxels: bytes | None = None
) -> bytes:
    """A single-file NIfTI; `fields` overwrites raw header fields, `voxels` the data."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(hu.dtype)
    header.set_data_shape(hu.shape[::-1])
    header.set_sform(np.diag([*SPACING, 1]), code=1)
    header.set_qform(np.diag([*SPACING, 1]), code=1)
    raw = header.structarr
    raw["vox_offset"], raw["magic"] = NIFTI_HEADER, b"n+1"
    raw["descrip"] = raw["aux_file"] = raw["intent_name"] = raw["db_name"] = SECRET.encode()
    for name, value in (fields or {}).items():
        raw[name] = value
    return header.binaryblock + bytes(4) + (hu.tobytes() if voxels is None else voxels)


_NRRD_TYPES = {"int16": "short", "float32": "float", "float64": "double", "complex64": "short"}


def nrrd(
    fields: Mapping[str, str | None] | None = None,
    hu: np.ndarray = HEAD,
    voxels: bytes | None = None,
) -> bytes:
    """An NRRD with its data attached; `fields` changes or adds lines, None leaves one out."""
    lines = {
        "type": _NRRD_TYPES[str(hu.dtype)],
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, hu.shape[::-1])),
        "space directions": "(0.5,0,0) (0,0.5,0) (0,0,5)",
        "endian": "little",
        "encoding": "raw",
        "content": SECRET,
        "space origin": "(0,0,0)",
    } | dict(fields or {})
    text = "".join(f"{name}: {value}\n" for name, value in lines.items() if value is not None)
    data = hu.tobytes() if voxels is None else voxels
    return f"NRRD0004\n# {SECRET}\n{text}PatientName:={SECRET}\n\n".encode() + data


_META_TYPES = {"int16": "MET_SHORT", "float32": "MET_FLOAT", "float64": "MET_DOUBLE"}


def metaimage(
    fields: Mapping[str, str | None] | None = None,
    hu: np.ndarray = HEAD,
    voxels: bytes | None = None,
) -> bytes:
    """A MetaImage with its data attached; `fields` changes or adds lines, None leaves one out."""
    fields = dict(fields or {})
    data_file = fields.pop("ElementDataFile", "LOCAL")
    lines = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "0 0 0",
        "ElementSpacing": " ".join(map(str, SPACING)),
        "DimSize": " ".join(map(str, hu.shape[::-1])),
        "Comment": SECRET,
        "PatientName": SECRET,
        "ElementType": _META_TYPES[str(hu.dtype)],
    } | fields
    if data_file is not None:
        lines["ElementDataFile"] = data_file
    text = "".join(f"{name} = {value}\n" for name, value in lines.items() if value is not None)
    return text.encode() + (hu.tobytes() if voxels is None else voxels)
