"""No command loses what it reads, or one of its results, to another of its files."""

import os

import numpy as np
import pytest
from dicom_files import write_series

from SliceInterpLib.cli import main
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.volume import Volume


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.nii.gz"
    hu = np.full((4, 8, 8), 30, np.int16)
    write_volume(Volume.from_grid(hu, (0, 0, 0), (1, 1, 5), np.eye(3)), path)
    return path


def refused(capsys, *command):
    """Run a command that is to be refused; what it said."""
    assert main([str(part) for part in command]) == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("spelling", ["same", "dotted", "link", "other suffix", "hard link"])
def test_a_scan_is_not_replaced_by_its_result(spelling, scan, tmp_path, capsys):
    before = scan.read_bytes()
    output = {
        "same": scan,
        "dotted": f"{tmp_path}/./x/../scan.nii.gz",
        "link": tmp_path / "link.nii.gz",
        "other suffix": tmp_path / "scan.nii",  # their JSON file is the same
        "hard link": tmp_path / "hard.nii.gz",
    }[spelling]
    (tmp_path / "x").mkdir()
    (tmp_path / "link.nii.gz").symlink_to(scan)
    os.link(scan, tmp_path / "hard.nii.gz")
    there = sorted(tmp_path.iterdir())
    run = ("upsample", scan, "-o", output, "--method", "linear", "--force")
    assert "would replace what is read" in refused(capsys, *run)
    assert scan.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == there


@pytest.mark.parametrize(
    "command",
    [
        ("report", "{scan}", "-o", "{scan}", "--force"),
        ("volume", "{scan}", "-o", "{scan}", "--force"),
        ("volume", "{scan}", "--labels", "{mask}", "-o", "{mask}", "--force"),
        ("lab", "mpr-check", "{scan}", "{mask}", "-o", "{mask}", "--force"),
        ("lab", "benchmark", "{folder}", "--csv", "{scan}", "--force"),
        ("lab", "validate", "{folder}", "-o", "{scan}", "--force"),
    ],
    ids=lambda command: " ".join(part for part in command if "{" not in part),
)
def test_every_command_that_writes_spares_what_it_reads(command, scan, tmp_path, capsys):
    mask = tmp_path / "mask.nii.gz"
    write_volume(read_volume(scan), mask)
    before = scan.read_bytes(), mask.read_bytes()
    places = {"scan": scan, "mask": mask, "folder": tmp_path}
    said = refused(capsys, *(part.format(**places) for part in command))
    assert "would replace what is read" in said
    assert (scan.read_bytes(), mask.read_bytes()) == before


@pytest.mark.parametrize("second", ["out.nii.gz", "./out.nii.gz", "out.nii"])
def test_two_outputs_have_two_names(second, scan, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = ("upsample", scan, "-o", "out.nii.gz", "--expected-error", second)
    assert "Two outputs" in refused(capsys, *run)
    assert list(tmp_path.iterdir()) == [scan]


def test_the_files_of_a_dicom_series_are_spared(tmp_path, capsys):
    stored = np.zeros((32, 32), np.int16)
    stored[8:24, 8:24] = 1064
    folder = write_series(tmp_path / "series", [0, 5, 10, 15], pixels=stored)
    one = sorted(folder.iterdir())[1]
    before = one.read_bytes()
    said = refused(capsys, "report", folder, "-o", one, "--force")
    assert "would replace what is read" in said
    assert one.read_bytes() == before
    derived = tmp_path / "derived"
    run = ("upsample", "--method", "linear", "--dicom", "--json")
    assert main([*run, str(folder), "-o", str(derived)]) == 0
    held = {path.name: path.read_bytes() for path in derived.iterdir()}
    again = (*run, "--acquired-only", "--force", derived, "-o", tmp_path / "series/../derived")
    assert "would replace what is read" in refused(capsys, *again)
    assert {path.name: path.read_bytes() for path in derived.iterdir()} == held
