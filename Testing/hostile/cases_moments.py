"""Runs that lack permission, space, or what was there when they began."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from hostile.case import CANCELLED, EITHER, Case, Impossible, doubling, written
from hostile.images import metaimage, nifti, nrrd
from SliceInterpLib.cli import upsample

_NOBODY = 65534
_SCAN = written({"scan.nii": nifti()})
_NOISE = np.random.default_rng(0).integers(-1000, 100, (6, 60, 60)).astype(np.int16)
_LARGE = written({"scan.nii": nifti(hu=_NOISE)})


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _permissions()
    yield from _full_disks()
    yield from _moments()


def _permissions() -> Iterator[Case]:
    for title, name, path in (
        ("an unreadable file", "scan.nii", "scan.nii"),
        ("an unreadable folder", "series", "series"),
        ("an unreadable image", "series/image", "series"),
        ("a folder that cannot be written", "out", "scan.nii"),
    ):
        make, denied = partial(_closed, name=name), "Permission denied|permissions"
        yield Case("permissions", title, make, denied, doubling(path), _be_nobody)


def _closed(folder: Path, name: str) -> None:
    """A scan and a series, one of them or the output's folder without permissions."""
    folder.chmod(0o755)
    _SCAN(folder)
    (folder / "series").mkdir()
    (folder / "series/image").write_bytes(bytes(200))
    (folder / name).chmod(0o500 if name == "out" else 0)


def _be_nobody() -> None:
    if os.geteuid() == 0:
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)


def _full_disks() -> Iterator[Case]:
    for suffix in (".nii", ".nii.gz", ".nrrd", ".mha"):
        arguments = doubling("scan.nii", f"out/doubled{suffix}")
        for make, count, title in (
            (_LARGE, 400, "400 bytes a file"),
            (_LARGE, 8000, "8000 bytes a file"),
            (_on_a_small_disk, resource.RLIM_INFINITY, "a disk of 4 KiB"),
        ):
            before, full = partial(_limit_files, count), "free space"
            yield Case("full disk", f"{suffix}, {title}", make, full, arguments, before)


def _on_a_small_disk(folder: Path) -> None:
    _LARGE(folder)
    command = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder / "out"]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        raise Impossible("this process may not mount")


def _limit_files(count: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, count))


def _moments() -> Iterator[Case]:
    gone = "cannot be written|folder does not exist"
    terminate = partial(_signal_oneself, signal.SIGTERM)
    for title, ends, before in (
        ("SIGTERM at work", CANCELLED, partial(_at_work, terminate)),
        ("SIGTERM at writing", CANCELLED, partial(_at_writing, terminate)),
        ("input removed at work", EITHER, partial(_at_work, Path("scan.nii").unlink)),
        ("output removed at work", gone, partial(_at_work, partial(shutil.rmtree, "out"))),
        ("output removed at writing", gone, partial(_at_writing, partial(shutil.rmtree, "out"))),
    ):
        yield Case("moments", title, _SCAN, ends, doubling("scan.nii"), before)
    for name, content in (
        ("scan.nii", nifti()),
        ("scan.nrrd", nrrd()),
        ("scan.mha", metaimage()),
    ):
        before = partial(_at_reading, Path(name).unlink)
        make, title = written({name: content}), f"{name} removed between header and voxels"
        yield Case("moments", title, make, "damaged", doubling(name), before)


def _signal_oneself(number: int) -> None:
    os.kill(os.getpid(), number)


def _at_work(action: Callable[[], None]) -> None:
    """Let something happen when the scan was read."""
    real = upsample.upsample

    def acting(*args: object, **kwargs: object) -> object:
        action()
        return real(*args, **kwargs)

    upsample.upsample = acting


def _at_writing(action: Callable[[], None]) -> None:
    """Let something happen when the result lies in its temporary folder."""
    real = sitk.WriteImage

    def acting(*args: object, **kwargs: object) -> None:
        real(*args, **kwargs)
        action()

    sitk.WriteImage = acting


def _at_reading(action: Callable[[], None]) -> None:
    """Let something happen when the header was read."""
    real = sitk.ImageFileReader.Execute

    def acting(reader: sitk.ImageFileReader) -> sitk.Image:
        action()
        return real(reader)

    sitk.ImageFileReader.Execute = acting
