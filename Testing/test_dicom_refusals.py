"""Derived series that are refused or fail: nothing is left behind, and nothing is lost."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from derived_series import Head, make_head, written
from dicom_head import write_head

from SliceInterpLib.errors import OutputError, VolumeError
from SliceInterpLib.files.dicom_writing import check_dicom_folder, write_dicom
from SliceInterpLib.volume import Volume


@pytest.fixture
def head(tmp_path: Path) -> Head:
    return make_head(tmp_path / "acquired")


def test_a_result_of_other_files_is_refused(head: Head, tmp_path: Path) -> None:
    def refused(message: str, result: Volume = head.result, files: list[Path] = head.files) -> None:
        with pytest.raises(OutputError, match=message):
            write_dicom(result, files, tmp_path / "out")
        assert {path.name for path in tmp_path.iterdir()} == {"acquired", "other"}

    other = write_head(tmp_path / "other")
    moved = replace(
        head.result, slice_origins=head.result.slice_origins + [0, 0, 1.1 - head.result.origin[2]]
    )
    refused("Slice 1 of the result lies where there is no source slice", moved)
    origins = head.result.slice_origins[:, [0, 2, 1]]  # coronal: rows run upwards, slices back
    turned = replace(head.result, slice_origins=origins, in_plane_axes=np.eye(3)[:, [0, 2]])
    refused("not parallel", turned)
    refused("lies where there is no source slice", files=head.files[:-1])
    refused("differ in", files=[*head.files, other[0]])
    refused("fewer than 2", files=head.files[:1])
    changed = head.result.hu.copy()
    changed[4, 0, 0] += 1
    refused("slice 5 of the result is not what 2.dcm holds", replace(head.result, slices=changed))
    (tmp_path / "acquired" / "notes.txt").write_text("no DICOM")
    refused(r"notes\.txt", files=[*head.files, tmp_path / "acquired" / "notes.txt"])
    refused(r"gone\.dcm cannot be read", files=[*head.files, tmp_path / "gone.dcm"])


def test_a_damaged_source_is_refused(head: Head, tmp_path: Path) -> None:
    head.files[3].write_bytes(head.files[3].read_bytes()[:-5000])
    with pytest.raises(VolumeError, match=r"3\.dcm cannot be read: it is damaged or cut off"):
        write_dicom(head.result, head.files, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"acquired"}


def test_the_folder_must_be_new_or_ours(head: Head, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    first = written(head, out)
    with pytest.raises(OutputError, match="not empty"):
        written(head, out)
    second = written(head, out, overwrite=True)
    assert second[0].SeriesInstanceUID != first[0].SeriesInstanceUID
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="all of it would be lost"):
        written(head, out, overwrite=True)
    assert (out / "thesis.txt").exists()
    with pytest.raises(OutputError, match="does not exist"):
        check_dicom_folder(tmp_path / "missing" / "out")
    with pytest.raises(OutputError, match="This is a file"):
        check_dicom_folder(head.files[0])
    with pytest.raises(OutputError, match="cannot be used"):
        check_dicom_folder(tmp_path / ("long" * 100))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OutputError, match="cannot be used"):
        check_dicom_folder(tmp_path / "loop")


def test_the_sources_are_never_overwritten(head: Head, tmp_path: Path) -> None:
    for index, path in enumerate(head.files):
        path.rename(path.with_name(f"slice-{index:04d}.dcm"))
    files = sorted((tmp_path / "acquired").iterdir())
    with pytest.raises(OutputError, match="The source files are in this folder"):
        write_dicom(head.result, files, tmp_path / "acquired", overwrite=True)
    assert sorted((tmp_path / "acquired").iterdir()) == files


@pytest.mark.parametrize("failing", ["writing", "renaming"])
def test_a_failure_leaves_all_as_it_was(
    failing: str, head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    written(head, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    save, rename = pydicom.Dataset.save_as, Path.rename

    def full(image: pydicom.Dataset, path: Path, **options: object) -> None:
        if image.InstanceNumber == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(image, path, **options)

    def denied(path: Path, target: Path) -> Path:
        if path.name == "series":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return rename(path, target)

    if failing == "writing":
        monkeypatch.setattr(pydicom.Dataset, "save_as", full)
    else:
        monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(OutputError, match="Check the free space"):
        write_dicom(head.result, head.files, out, overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"acquired", "out"}
