"""The laboratory's commands: scans and what of them is read, the record of a call, choices."""

import json
import shutil
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_head import write_head

from SliceInterpLib.cli import main
from SliceInterpLib.errors import TrainingError, VolumeError
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.lab.commands import training
from SliceInterpLib.lab.commands.common import Scan, by_name, command_line, scans
from SliceInterpLib.lab.designs import DESIGNS
from SliceInterpLib.lab.training.losses import LOSSES
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.upsampling import upsample
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
    found = [scan.path for scan in scans([folder, one])]
    assert found == [*sorted(folder / name for name in names), one]


def test_dicom_series_are_scans_beside_volume_files(tmp_path):
    """Each series of a folder is one; what is no CT is none."""
    write_head(tmp_path / "a")
    for number, file in enumerate(write_head(tmp_path / "b")):
        file.rename(tmp_path / "a" / f"other{number}.dcm")
    write_head(tmp_path / "mr", Modality="MR")
    one = write_scan(tmp_path / "a" / "one.nrrd")
    found = scans([tmp_path])
    assert [scan.path for scan in found] == [tmp_path / "a", tmp_path / "a", one]
    assert [scan.series is None for scan in found] == [False, False, True]
    assert len({scan.read().hu.shape for scan in found[:2]}) == 1
    assert len(by_name(found)) == 3
    assert set(by_name(scans([one, tmp_path / "mr"]))) == {"one", "mr"}


def test_a_folder_without_a_scan_is_left_to_the_dicom_reader(tmp_path):
    (tmp_path / "IM0001").touch()
    assert scans([tmp_path]) == [Scan(tmp_path)]
    with pytest.raises(VolumeError, match="no CT slices"):
        Scan(tmp_path).read()


@pytest.fixture(scope="module")
def head_and_doubled(tmp_path_factory):
    """Two folders: a head, and what doubling it gave."""
    folder = tmp_path_factory.mktemp("heads")
    head = head_phantom(matrix=160, pixel_spacing=1.4, slices=9).volume
    doubled = upsample(head, make_interpolator("linear"))
    for name, volume in (("acquired", head), ("doubled", doubled)):
        (folder / name).mkdir()
        write_volume(volume, folder / name / "head.nrrd")
    return folder / "acquired", folder / "doubled"


TRAIN = ("--data", "{0}", "--valid", "{0}")


@pytest.mark.parametrize(
    "command",
    [
        ("benchmark", "{0}", "--methods=linear"),
        ("contrast", "{0}", "--methods=linear"),
        ("noise", "{0}", "--methods=linear"),
        ("uniform-check", "{0}"),
        ("validate", "{0}", "--methods=linear"),
        ("expected-error", "{0}"),
        ("train-expected-error", *TRAIN),
        ("train", *TRAIN, "-o", "{1}/run"),
        ("study", *TRAIN, "-o", "{1}/study"),
    ],
    ids=lambda command: command[0],
)
def test_results_are_no_scans_to_judge_or_train_by(command, head_and_doubled, tmp_path, capsys):
    _, doubled = head_and_doubled
    assert main(["lab", *(part.format(doubled, tmp_path) for part in command)]) == 1
    said = capsys.readouterr().err
    assert "8 of 17 slices are synthetic" in said and "(--acquired-only)" in said
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        ("benchmark", "--methods=linear", "--no-speed"),
        ("contrast", "--methods=linear", "--places=4"),
        ("noise", "--methods=linear"),
        ("validate", "--methods=linear"),
        ("expected-error", "--every=5"),
    ],
    ids=lambda command: command[0],
)
def test_with_acquired_only_a_result_measures_as_its_scan(command, head_and_doubled, capsys):
    said = []
    for folder, options in zip(head_and_doubled, ((), ("--acquired-only",)), strict=True):
        name, *more = command
        assert main(["lab", name, str(folder), *more, "--json", *options]) == 0
        said.append(json.loads(capsys.readouterr().out.replace(str(folder), "FOLDER")))
    assert said[0] == said[1]


def test_a_network_trains_on_the_acquired_slices_of_a_result(head_and_doubled):
    acquired, doubled = head_and_doubled
    (scan,) = scans([doubled], acquired_only=True)
    np.testing.assert_array_equal(scan.read().hu, read_volume(acquired / "head.nrrd").hu)


def test_the_record_of_a_command_can_be_run_again(monkeypatch):
    given = ["lab", "train", "--data", "/data/my scans", "-o", "it's"]
    monkeypatch.setattr(sys, "argv", ["anything", *given])
    assert command_line() == """sliceinterp lab train --data '/data/my scans' -o 'it'"'"'s'"""


def test_the_command_line_offers_every_design_and_loss():
    """It names them itself, so as to start without torch."""
    assert set(training.DESIGNS) == set(DESIGNS)
    assert training.LOSSES == LOSSES


def test_a_split_keeps_patients_apart(tmp_path):
    files = [f"p{i}/{name}.nii.gz" for i in range(6) for name in ("one", "two")]
    files += [f"single{i}.nrrd" for i in range(4)]
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    train_on, check = training.split_by_patient([tmp_path], 0.3, seed=1)
    paths = [[scan.path for scan in some] for some in (train_on, check)]
    assert sorted(sum(paths, [])) == sorted(tmp_path / name for name in files)
    patients = [{p.relative_to(tmp_path).parts[0] for p in some} for some in paths]
    assert (len(patients[0]), len(patients[1])) == (7, 3)
    assert not patients[0] & patients[1]
    assert training.split_by_patient([tmp_path], 0.3, seed=2)[1] != check
    with pytest.raises(TrainingError, match="1 patient cannot be split"):
        training.split_by_patient([tmp_path / "single0.nrrd"], 0.5, seed=1)
