"""Volume files that were cut off, flipped, stuffed or swapped."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from hostile.case import EITHER, RIGHT, Case, doubling, written
from hostile.images import HEAD, NIFTI_HEADER, metaimage, nifti, nrrd

_DAMAGED = "damaged, cut off"

_DETACHED = {
    "scan.mhd": metaimage({"ElementDataFile": "scan.raw"}, voxels=b""),
    "scan.nhdr": nrrd({"data file": "scan.raw"}, voxels=b""),
}
_WHOLE = {
    "scan.nii": nifti(),
    "scan.nii.gz": gzip.compress(nifti(), mtime=0),
    "scan.nrrd": nrrd(),
    "scan.mha": metaimage(),
    **_DETACHED,
}
"""A good file of each format; detached headers have their voxels in scan.raw."""


def cases() -> Iterator[Case]:
    """All of them."""
    for name, whole in _WHOLE.items():
        yield _case("whole", name, whole, RIGHT, of=name)
        yield from _cut(name, whole)
        yield from _flipped(name, whole)
        yield _case("empty", name, b"", _DAMAGED, of=name)
        yield _case("text", name, b"No scan at all. " * 100, _DAMAGED, of=name)
        yield _case("zeros", name, bytes(5000), _DAMAGED, of=name)
    yield from _voxel_files()
    yield from _swapped()
    yield from _gzips()


def _case(
    category: str,
    name: str,
    content: bytes | Callable[[], bytes],
    ends: str,
    *,
    of: str,
    raw: bytes | None = HEAD.tobytes(),
) -> Case:
    """Of a file called `of`, with voxels beside it if its format has them there."""
    beside = {"scan.raw": raw} if of in _DETACHED and raw is not None else {}
    hu = HEAD if ends == RIGHT else None
    return Case(category, name, written({of: content, **beside}, hu), ends, doubling(of))


def _cut(name: str, whole: bytes) -> Iterator[Case]:
    header = NIFTI_HEADER if ".nii" in name else len(whole) - HEAD.nbytes
    ends = {1, 40, header // 2, header, len(whole) // 2, len(whole) - 1}
    for end in sorted(end for end in ends if 0 < end < len(whole)):
        # Of a detached header's last byte, a line end, nothing depends.
        ends = EITHER if name in _DETACHED and end == len(whole) - 1 else _DAMAGED
        yield _case("cut off", f"{name} after {end} bytes", whole[:end], ends, of=name)


def _flipped(name: str, whole: bytes) -> Iterator[Case]:
    """Random bytes in the header, a few at a time; of a gzip anywhere."""
    header = len(whole) if name.endswith(".gz") else min(NIFTI_HEADER, len(whole))
    for seed in range(8):
        rng = np.random.default_rng(seed)
        damaged = bytearray(whole)
        for place in rng.integers(0, header, 1 + seed % 4):
            damaged[place] ^= 1 << rng.integers(8)
        yield _case("flipped bits", f"{name}, seed {seed}", bytes(damaged), EITHER, of=name)


def _voxel_files() -> Iterator[Case]:
    """What a detached header's voxels may be instead."""
    raw = HEAD.tobytes()
    for name, header in _DETACHED.items():
        for title, content, ends in (
            ("absent", None, _DAMAGED),
            ("empty", b"", _DAMAGED),
            ("one byte short", raw[:-1], _DAMAGED),
            ("longer", raw + bytes(99), EITHER),
        ):
            yield _case("voxel file", f"{name}: {title}", header, ends, of=name, raw=content)


def _swapped() -> Iterator[Case]:
    """Good files under the names of other formats."""
    for name, other in (
        ("scan.nii", "scan.nrrd"),
        ("scan.nii", "scan.nii.gz"),
        ("scan.nrrd", "scan.mha"),
        ("scan.mha", "scan.nii"),
        ("scan.dcm", "scan.nii"),
        ("scan", "scan.nrrd"),
    ):
        title = f"{name} is a {other.removeprefix('scan')}"
        yield _case("swapped", title, _WHOLE[other], EITHER, of=name)


def _gzips() -> Iterator[Case]:
    whole = nifti()
    packed = gzip.compress(whole, mtime=0)
    raw_deflate = zlib.compress(whole)
    wrong_sum = packed[:-8] + b"\1\2\3\4" + packed[-4:]
    wrong_length = packed[:-4] + b"\1\2\3\4"
    half = len(whole) // 2
    members = gzip.compress(whole[:half]) + gzip.compress(whole[half:])
    for title, content, ends in (
        ("junk behind it", packed + b"junk" * 9, EITHER),
        ("wrong checksum", wrong_sum, _DAMAGED),
        ("wrong length", wrong_length, _DAMAGED),
        ("of a gzip", gzip.compress(packed), _DAMAGED),
        ("of nothing", gzip.compress(b""), _DAMAGED),
        ("of the half", gzip.compress(whole[:half]), _DAMAGED),
        ("in two members", members, RIGHT),
        ("zlib instead", raw_deflate, _DAMAGED),
        ("not packed", whole, EITHER),
        ("bomb of 1 GiB behind the voxels", lambda: packed + _zeros(1 << 30), EITHER),
        ("bomb that a header of 60 GiB claims", _honest_bomb, "memory"),
    ):
        yield _case("gzip", title, content, ends, of="scan.nii.gz")
    for name, pack in (("scan.nrrd", _packed_nrrd), ("scan.mha", _packed_metaimage)):
        content = zlib.compress(HEAD.tobytes()) if name == "scan.mha" else gzip.compress(HEAD)
        for title, voxels, ends in (
            ("whole", content, RIGHT),
            ("cut off", content[: len(content) // 2], _DAMAGED),
            ("zeros", bytes(len(content)), _DAMAGED),
            ("of half the voxels", _repacked(name, HEAD.tobytes()[: HEAD.nbytes // 2]), _DAMAGED),
            ("of more than the voxels", _repacked(name, HEAD.tobytes() + bytes(1 << 20)), EITHER),
        ):
            yield _case("packed voxels", f"{name}: {title}", pack(voxels), ends, of=name)


def _packed_nrrd(voxels: bytes) -> bytes:
    return nrrd({"encoding": "gzip"}, voxels=voxels)


def _packed_metaimage(voxels: bytes) -> bytes:
    fields = {"CompressedData": "True", "CompressedDataSize": str(len(voxels))}
    return metaimage(fields, voxels=voxels)


def _repacked(name: str, voxels: bytes) -> bytes:
    return zlib.compress(voxels) if name == "scan.mha" else gzip.compress(voxels)


def _zeros(count: int) -> bytes:
    """So many zeros, packed; a multiple of 16 MiB."""
    return gzip.compress(bytes(1 << 24)) * (count >> 24)


def _honest_bomb() -> bytes:
    """60 GiB of voxels, all there, in 60 MB."""
    header = nifti({"dim": (3, 4096, 4096, 1920, 1, 1, 1, 1)}, voxels=b"")
    return gzip.compress(header) + _zeros(60 << 30)
