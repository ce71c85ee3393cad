"""Headers of volume files that lie: about sizes, types, places and voxels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hostile.case import EITHER, RIGHT, Case, doubling, written
from hostile.images import HEAD, metaimage, nifti, nrrd

_DAMAGED = "damaged, cut off"
_TOO_MANY = "more than any head CT has"
_DAMAGED_OR = _DAMAGED + "|"
_SPACING = "not state the voxel spacing"
_NAN, _INF = float("nan"), float("inf")

_NIFTI = {
    "3.5 × 10^13 voxels": ({"dim": (3, 32767, 32767, 32767, 1, 1, 1, 1)}, _TOO_MANY),
    "no slices": ({"dim": (3, 10, 12, 0, 1, 1, 1, 1)}, _DAMAGED),
    "a negative size": ({"dim": (3, 10, -12, 6, 1, 1, 1, 1)}, _DAMAGED),
    "one slice more": ({"dim": (3, 10, 12, 7, 1, 1, 1, 1)}, _DAMAGED),
    "no dimensions": ({"dim": (0, 10, 12, 6, 1, 1, 1, 1)}, _DAMAGED),
    "99 dimensions": ({"dim": (99, 10, 12, 6, 1, 1, 1, 1)}, _DAMAGED),
    "negative dimensions": ({"dim": (-3, 10, 12, 6, 1, 1, 1, 1)}, _DAMAGED),
    "time points": ({"dim": (4, 10, 12, 3, 2, 1, 1, 1)}, "4 dimensions"),
    "an unknown type": ({"datatype": 12345}, _DAMAGED),
    "type 0": ({"datatype": 0}, _DAMAGED),
    "1-bit voxels": ({"datatype": 1, "bitpix": 1}, _DAMAGED),
    "complex": ({"datatype": 32, "bitpix": 64, "dim": (3, 10, 12, 1, 1, 1, 1, 1)}, "per voxel"),
    "RGB": ({"datatype": 128, "bitpix": 24, "dim": (3, 10, 12, 4, 1, 1, 1, 1)}, "values per voxel"),
    "128-bit floats": ({"datatype": 1536, "bitpix": 128}, _DAMAGED),
    "bitpix of another type": ({"bitpix": 64}, _DAMAGED),
    "bitpix 0": ({"bitpix": 0}, _DAMAGED),
    "voxels at NaN": ({"vox_offset": _NAN}, _DAMAGED),
    "voxels at infinity": ({"vox_offset": _INF}, _DAMAGED),
    "voxels at 1e30": ({"vox_offset": 1e30}, _DAMAGED),
    "voxels before the file": ({"vox_offset": -1e6}, _DAMAGED),
    "voxels within the header": ({"vox_offset": 16}, _DAMAGED),
    "zero spacing": ({"pixdim": (1, 0.5, 0.5, 0, 0, 0, 0, 0), "sform_code": 0}, "spacing"),
    "NaN spacing": ({"pixdim": (1, _NAN, 0.5, 5, 0, 0, 0, 0), "sform_code": 0}, "spacing"),
    "infinite spacing": ({"pixdim": (1, 0.5, 0.5, _INF, 0, 0, 0, 0)}, "spacing"),
    "negative spacing": ({"pixdim": (1, 0.5, 0.5, -5, 0, 0, 0, 0)}, EITHER),
    "an sform of zeros": ({"srow_x": 0, "srow_y": 0, "srow_z": 0}, "sform"),
    "an sform of NaN": ({"srow_x": _NAN}, "sform"),
    "a huge sform": ({"srow_x": (3e38, 3e38, 3e38, 3e38)}, "axes"),
    "a flat sform": ({"srow_z": (0, 0.5, 0, 0)}, "sform"),
    "a qform of NaN": ({"sform_code": 0, "quatern_b": _NAN}, "qform"),
    "an impossible quaternion": ({"sform_code": 0, "quatern_b": 9, "quatern_c": 9}, "qform"),
    "a qform that contradicts": ({"quatern_b": 0.7}, "twice"),
    "no transform at all": ({"sform_code": 0, "qform_code": 0}, EITHER),
    "an unknown magic": ({"magic": b"n+9"}, _DAMAGED),
    "the magic of a pair": ({"magic": b"ni1"}, _DAMAGED),
    "a header of 540 bytes": ({"sizeof_hdr": 540}, _DAMAGED),
    "a slope of NaN": ({"scl_slope": _NAN}, RIGHT),
    "an infinite slope": ({"scl_slope": _INF}, "finite"),
    "a slope of 1e30": ({"scl_slope": 1e30}, EITHER),
    "an infinite intercept": ({"scl_slope": 1, "scl_inter": _INF}, "finite"),
    "a slope of 0": ({"scl_slope": 0}, RIGHT),
    "an intercept without slope": ({"scl_slope": 0, "scl_inter": -1024}, "scl_slope to 1"),
}

_NRRD = {
    "10^18 voxels": ({"sizes": "1000000 1000000 1000000"}, _TOO_MANY),
    "sizes that overflow": ({"sizes": "4294967296 4294967296 18446744073709551615"}, _DAMAGED),
    "no slices": ({"sizes": "10 12 0"}, _DAMAGED),
    "a negative size": ({"sizes": "10 -12 6"}, _DAMAGED),
    "one slice more": ({"sizes": "10 12 7"}, _DAMAGED),
    "two sizes": ({"sizes": "10 12"}, _DAMAGED),
    "words for sizes": ({"sizes": "ten twelve six"}, _DAMAGED),
    "99 dimensions": ({"dimension": "99"}, _DAMAGED),
    "dimension -1": ({"dimension": "-1"}, _DAMAGED),
    "no dimension": ({"dimension": None}, _DAMAGED),
    "no sizes": ({"sizes": None}, _DAMAGED),
    "no type": ({"type": None}, _DAMAGED),
    "a type of blocks": ({"type": "block", "block size": "2"}, _DAMAGED),
    "blocks of 10^12 bytes": ({"type": "block", "block size": "1000000000000"}, _DAMAGED),
    "an unknown type": ({"type": "quaternion"}, _DAMAGED),
    "an unknown encoding": ({"encoding": "morse"}, _DAMAGED),
    "text that is binary": ({"encoding": "ascii"}, _DAMAGED),
    "hex that is binary": ({"encoding": "hex"}, _DAMAGED),
    "bzip2 that is none": ({"encoding": "bzip2"}, _DAMAGED),
    "no byte order": ({"endian": None}, EITHER),
    "an unknown byte order": ({"endian": "middle"}, _DAMAGED),
    "10^9 lines to skip": ({"line skip": "1000000000"}, _DAMAGED),
    "10^15 bytes to skip": ({"byte skip": "1000000000000000"}, _DAMAGED),
    "-9 bytes to skip": ({"byte skip": "-9"}, EITHER),
    "no directions": ({"space directions": None}, _SPACING),
    "directions of none": ({"space directions": "none none none"}, _SPACING),
    "directions of zero": ({"space directions": "(0,0,0) (0,0,0) (0,0,0)"}, _DAMAGED_OR + "spac"),
    "directions of NaN": ({"space directions": "(nan,0,0) (0,0.5,0) (0,0,5)"}, _SPACING),
    "infinite directions": ({"space directions": "(inf,0,0) (0,1,0) (0,0,5)"}, _DAMAGED_OR + "num"),
    "parallel directions": (
        {"space directions": "(0.5,0,0) (0.5,0,0) (0,0,5)"},
        "right angles|damaged",
    ),
    "two directions": ({"space directions": "(0.5,0,0) (0,0.5,0)"}, _SPACING),
    "an origin of NaN": ({"space origin": "(nan,0,0)"}, EITHER),
    "an unknown space": ({"space": "outer"}, _DAMAGED),
    "a space of time": ({"space": "scanner-xyz-time"}, _DAMAGED),
    "colours": (
        {"kinds": "RGB-color domain domain", "sizes": "3 40 6"},
        "2-D|per voxel|dam",
    ),
    "a header line of 1 MB": ({"content": "x" * 1_000_000}, EITHER),
}

_META = {
    "10^18 voxels": ({"DimSize": "1000000 1000000 1000000"}, _TOO_MANY),
    "sizes that overflow": ({"DimSize": "4294967296 4294967296 2147483648"}, _TOO_MANY),
    "no slices": ({"DimSize": "10 12 0"}, _DAMAGED_OR + "empty|2-D"),
    "a negative size": ({"DimSize": "10 -12 6"}, _DAMAGED),
    "one slice more": ({"DimSize": "10 12 7"}, _DAMAGED),
    "two sizes": ({"DimSize": "10 12"}, _DAMAGED),
    "no sizes": ({"DimSize": None}, _DAMAGED),
    "words for sizes": ({"DimSize": "ten twelve six"}, _DAMAGED),
    "0 dimensions": ({"NDims": "0"}, _DAMAGED),
    "99 dimensions": ({"NDims": "99"}, _DAMAGED_OR + "99 dim"),
    "-3 dimensions": ({"NDims": "-3"}, _DAMAGED),
    "no dimensions": ({"NDims": None}, _DAMAGED),
    "no type": ({"ElementType": None}, _DAMAGED),
    "an unknown type": ({"ElementType": "MET_QUATERNION"}, _DAMAGED),
    "voxels of text": ({"ElementType": "MET_STRING"}, _DAMAGED),
    "3 channels": ({"ElementNumberOfChannels": "3", "DimSize": "10 12 2"}, "3 values per voxel"),
    "10^9 channels": ({"ElementNumberOfChannels": "1000000000"}, _DAMAGED_OR + "values per voxel"),
    "-1 channels": ({"ElementNumberOfChannels": "-1"}, EITHER),
    "a header of 10^12 bytes": ({"HeaderSize": "1000000000000"}, _DAMAGED),
    "a header of 10^8 bytes": ({"HeaderSize": "100000000"}, _DAMAGED),
    "a header that ends the file": ({"HeaderSize": "-1"}, RIGHT),
    "a header of -99 bytes": ({"HeaderSize": "-99"}, _DAMAGED),
    "voxels of no said kind": ({"BinaryData": None}, RIGHT),
    "voxels as text": ({"BinaryData": "False"}, "as text"),
    "packed voxels that are not": ({"CompressedData": "True"}, _DAMAGED),
    "packed voxels of -1 bytes": (
        {"CompressedData": "True", "CompressedDataSize": "-1"},
        _DAMAGED,
    ),
    "packed voxels of 10^15 bytes": (
        {"CompressedData": "True", "CompressedDataSize": "1000000000000000"},
        _DAMAGED,
    ),
    "zero spacing": ({"ElementSpacing": "0.5 0.5 0"}, "spacing|damaged"),
    "negative spacing": ({"ElementSpacing": "0.5 0.5 -5"}, _SPACING),
    "no spacing": ({"ElementSpacing": None}, _SPACING),
    "NaN spacing": ({"ElementSpacing": "0.5 nan 5"}, "spacing|damaged"),
    "one spacing": ({"ElementSpacing": "0.5"}, EITHER),
    "a matrix of zeros": ({"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, "direction|damaged|axes"),
    "a matrix of NaN": ({"TransformMatrix": "nan 0 0 0 1 0 0 0 1"}, "axes|numbers|damaged"),
    "an offset of NaN": ({"Offset": "nan 0 0"}, "numbers|damaged"),
    "no voxels": ({"ElementDataFile": None}, _DAMAGED),
    "a line of 1 MB": ({"Comment": "x" * 1_000_000}, EITHER),
}

_VOXELS = {
    "NaN": (np.float32, _NAN, "not finite"),
    "infinity": (np.float32, _INF, "not finite"),
    "-infinity": (np.float64, -_INF, "not finite"),
    "10^9": (np.float32, 1e9, RIGHT),
    "-10^9": (np.float32, -1e9, RIGHT),
    "10^300": (np.float64, 1e300, EITHER),
    "the smallest float": (np.float32, 1e-45, RIGHT),
    "int16's limits": (np.int16, -32768, RIGHT),
}
"""Types, and one voxel's value."""

_NOT_CT = {
    "all zero": (np.zeros_like(HEAD), "not HU"),
    "an 8-bit picture": (np.clip(HEAD, 0, 255), "not HU"),
    "stored values": (HEAD + np.int16(1024), "not HU"),
    "hardly any air": (np.where(HEAD < -10, np.int16(5), HEAD) - np.int16(1), "not HU"),
    "one slice": (HEAD[:1], "2-D|fewer than 2"),
}


def cases() -> Iterator[Case]:
    """All of them."""
    for name, lies, make in (
        ("scan.nii", _NIFTI, nifti),
        ("scan.nrrd", _NRRD, nrrd),
        ("scan.mha", _META, metaimage),
    ):
        for title, (fields, ends) in lies.items():
            yield _case(f"{name.removeprefix('scan')} header", title, name, make(fields), ends)
        for title, (dtype, value, ends) in _VOXELS.items():
            hu = HEAD.astype(dtype)
            hu[2, 5, 5] = value
            yield _case("voxel values", f"{name}, {title}", name, make(hu=hu), ends, hu)
        for title, (hu, ends) in _NOT_CT.items():
            yield _case("no CT", f"{name}, {title}", name, make(hu=hu), ends)


def _case(
    category: str,
    title: str,
    name: str,
    content: bytes,
    ends: str,
    hu: np.ndarray = HEAD,
) -> Case:
    make = written({name: content}, hu if ends == RIGHT else None)
    return Case(category, title, make, ends, doubling(name))
