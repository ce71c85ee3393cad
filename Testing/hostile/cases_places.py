"""Places that are not what they seem: odd names, links, pipes, headers that point away."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hostile.case import EITHER, RIGHT, Case, doubling, holding, written
from hostile.images import HEAD, metaimage, nifti, nrrd

_NOT_A_FILE = "neither a file nor a folder"
_SCAN = written({"scan.nii": nifti()})

_NAMES = {
    "two words.nii": RIGHT,
    "two\nlines.nii": RIGHT,
    "Schädel 头.nii": RIGHT,
    "-dash.nii": RIGHT,
    "%s%n%d.nii": RIGHT,
    "$(reboot);'\".nii": RIGHT,
    "\x1b[31mred.nii": RIGHT,
    "back\\slash.nii": RIGHT,
    "SCAN.NII": RIGHT,
    "scan.nii.nii": RIGHT,
    "f" * 251 + ".nii": RIGHT,
    ".nii": EITHER,
    os.fsdecode(b"latin1-\xe9.nii"): "not written in UTF-8",
}

_INPUTS = {
    "x" * 5000 + ".nii": "File name too long",
    "": "no DICOM images",
    "./" * 1500 + "scan.nii": RIGHT,
    "absent.nii": "no such file",
    "scan.nii/scan.nii": "no such file|Not a dir",
}

_OUTPUTS = {
    "out/two\nlines.nii": EITHER,
    os.fsdecode(b"out/latin1-\xe9.nrrd"): EITHER,
    os.fsdecode(b"out/folder-\xe9/x.nii"): "not written in UTF-8",
    f"out/{'x' * 300}.nii": "too long|cannot be written",
    "out/x.exe": "must end in",
    "out": "must end in",
    "": "must end in",
    "absent/x.nii": "folder does not exist",
    "/dev/null": "must end in",
    "scan.nii/x.nii": "folder does not exist",
    "scan.nii": "exists already",
    "out/taken.nii": "exists already",
    "out/taken-beside.nii": "exists already",
    "out/folder.nii": "exists already",
    "out/link.nii": "exists already",
}

_TARGETS = {
    "scan.raw": RIGHT,
    "scan.raw ": EITHER,
    "/dev/zero": "beside",
    "/etc/passwd": "beside",
    "../case/scan.raw": "beside",
    "sub/scan.raw": "beside",
    "..": "beside",
    "": "beside",
    "zeros.raw": "damaged",
    "pipe.raw": "damaged",
    "absent.raw": "damaged",
    "http://example.org/scan.raw": "beside",
    "LIST\nscan.raw": "beside",
    "%d.raw 1 6 1": "beside",
}
"""What detached headers point at; themselves as well."""


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _names()
    yield from _links()
    yield from _special_files()
    yield from _detached()


def _case(
    category: str,
    name: str,
    make: Callable[[Path], object],
    ends: str,
    path: str = "scan.nii",
    output: str = "out/doubled.nii",
) -> Case:
    return Case(category, name, holding(make, HEAD, ends), ends, doubling(path, output))


def _names() -> Iterator[Case]:
    for name, ends in _NAMES.items():
        title = ascii(name)[1:40]
        yield _case("names", title, written({name: nifti()}), ends, name)
        refused = ends if ends not in (RIGHT, EITHER) else "damaged"
        yield _case("names", f"{title}, cut off", written({name: nifti()[:-9]}), refused, name)
    for path, ends in _INPUTS.items():
        yield _case("input", repr(path[:30]), _SCAN, ends, path)
    for output, ends in _OUTPUTS.items():
        yield _case("output", ascii(output)[:30], _taken, ends, output=output)


def _taken(folder: Path) -> None:
    """A scan, and places for results where something is already."""
    _SCAN(folder)
    (folder / "out/taken.nii").write_text("precious")
    (folder / "out/taken-beside.json").write_text("precious")
    (folder / "out/folder.nii").mkdir()
    (folder / os.fsdecode(b"out/folder-\xe9")).mkdir()
    (folder / "out/link.nii").symlink_to("../scan.nii")


def _links() -> Iterator[Case]:
    for title, target, ends in (
        ("to a scan", "scan.nii", RIGHT),
        ("to itself", "link.nii", "no such file|Too many"),
        ("to nothing", "absent", "no such file"),
    ):
        make = partial(_linked, name="link.nii", target=target)
        yield _case("links", title, make, ends, "link.nii")
    for name in ("link.nii", "link.nii.gz", "link.nrrd", "link.mha", "link"):
        for target in ("/dev/zero", "/dev/urandom", "/dev/null"):
            make = partial(_linked, name=name, target=target)
            yield _case("links", f"{name} to {target}", make, _NOT_A_FILE, name)
    yield _case("links", "a folder of loops", _loops, "no DICOM images", "series")
    make = partial(_linked, name="link", target=".")
    yield _case("links", "a folder in itself", make, "no DICOM images", "link/link")


def _linked(folder: Path, name: str, target: str) -> None:
    _SCAN(folder)
    (folder / name).symlink_to(target)


def _loops(folder: Path) -> None:
    (folder / "series").mkdir()
    for name, target in (("a", "b"), ("b", "a"), ("c", "/dev/zero"), ("d", "..")):
        (folder / "series" / name).symlink_to(target)


def _special_files() -> Iterator[Case]:
    for suffix in (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ""):
        name = f"scan{suffix}"
        for kind, make in (("pipe", _pipe), ("socket", _socket)):
            title = f"{kind} {name}"
            yield _case("special files", title, partial(make, name=name), _NOT_A_FILE, name)
    yield _case("special files", "in a DICOM folder", _odd_series, "no DICOM images", "series")
    for name in ("scan.nii", "scan.nrrd", "scan.mha"):
        make = partial(_folder, name=name)
        yield _case("special files", f"a folder called {name}", make, "no DICOM images", name)


def _pipe(folder: Path, name: str) -> None:
    os.mkfifo(folder / name)


def _socket(folder: Path, name: str) -> None:
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket may have some hundred characters only
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(name)
    os.chdir(here)


def _folder(folder: Path, name: str) -> None:
    (folder / name).mkdir()


def _odd_series(folder: Path) -> None:
    (folder / "series").mkdir()
    _pipe(folder / "series", "pipe")
    _socket(folder / "series", "socket")


def _detached() -> Iterator[Case]:
    for name in ("scan.mhd", "scan.mha", "scan.nhdr", "scan.nrrd"):
        for target, ends in (_TARGETS | {name: "damaged"}).items():
            make = partial(_pointing, name=name, target=target)
            yield _case("other files", f"{name}: {target!r}", make, ends, name)


def _pointing(folder: Path, name: str, target: str) -> None:
    """A header that says where its voxels are, and several places where they could be."""
    (folder / "sub").mkdir()
    for place in (folder, folder / "sub"):
        (place / "scan.raw").write_bytes(HEAD.tobytes())
    (folder / "zeros.raw").symlink_to("/dev/zero")
    _pipe(folder, "pipe.raw")
    if name.startswith("scan.mh"):
        header = metaimage({"ElementDataFile": target}, voxels=b"")
    else:
        header = nrrd({"data file": target}, voxels=b"")
    (folder / name).write_bytes(header)
