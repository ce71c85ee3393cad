"""What the laboratory's commands share: a folder's scans, the record of how they were called."""

import shutil
import sys

import numpy as np
import SimpleITK as sitk

from SliceInterpLib.files import write_volume
from SliceInterpLib.lab.commands.common import command_line, scans
from SliceInterpLib.volume import Volume


def write_scan(path):
    hu = np.full((4, 8, 8), 30, np.int16)
    write_volume(Volume.from_grid(hu, (0, 0, 0), (1, 1, 5), np.eye(3)), path)
    return path


def test_every_file_that_can_be_read_is_a_scan_of_its_folder(tmp_path):
    one = write_scan(tmp_path / "one.nrrd")
    folder = tmp_path / "set"
    (folder / "below").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    names = ("TWO.NRRD", "three.nii", "four.nii.gz", "FIVE.Mha", "below/six.mhd", "seven.nhdr")
    for name in names:
        sitk.WriteImage(sitk.ReadImage(str(one)), str(folder / name.lower()))
        (folder / name.lower()).rename(folder / name)
    for name in ("notes.txt", "._three.nii", ".hidden/eight.nrrd"):
        shutil.copy(one, folder / name)
    assert scans([folder, one]) == [*sorted(folder / name for name in names), one]


def test_a_folder_without_volume_files_is_left_to_the_dicom_reader(tmp_path):
    (tmp_path / "IM0001").touch()
    assert scans([tmp_path]) == [tmp_path]


def test_the_record_of_a_command_can_be_run_again(monkeypatch):
    given = ["lab", "train", "--data", "/data/my scans", "-o", "it's"]
    monkeypatch.setattr(sys, "argv", ["anything", *given])
    assert command_line() == """sliceinterp lab train --data '/data/my scans' -o 'it'"'"'s'"""
