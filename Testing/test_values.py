"""A value that an option cannot have is refused in one line, before anything is read."""

import numpy as np
import pytest

from SliceInterpLib.cli import main
from SliceInterpLib.files import write_volume
from SliceInterpLib.phantom import head_phantom

UPSAMPLE = ("upsample", "scan.nrrd", "-o", "out.nrrd")
BENCHMARK = ("lab", "benchmark", "scan.nrrd")
CONTRAST = ("lab", "contrast", "scan.nrrd")
TRAIN = ("lab", "train", "--data", "scan.nrrd", "-o", "run")
STUDY = ("lab", "study", "--data", "scan.nrrd", "--valid", "scan.nrrd", "-o", "study")


@pytest.mark.parametrize(
    ("command", "option", "value", "cause"),
    [
        (UPSAMPLE, "--uniform", "abc", "not a number at least 0 and at most 1"),
        (UPSAMPLE, "--uniform", "nan", "not a number at least 0"),
        (UPSAMPLE, "--widest-gap", "-1", "not a number above 0"),
        (("volume", "scan.nrrd"), "--earlier-ml", "nan", "not a number above 0"),
        (("volume", "scan.nrrd"), "--earlier-ml", "inf", "not a number above 0"),
        (("volume", "scan.nrrd"), "--reach", "0", "not a number above 0"),
        (("volume", "scan.nrrd"), "--low", "nan", "not a number"),
        (("volume", "scan.nrrd"), "--seed", "1,nan,3", "not three numbers"),
        (("batch", "scans", "-o", "out"), "--workers", "0", "from 1 to 1024"),
        (BENCHMARK, "--every", "0", "of at least 1"),
        (BENCHMARK, "--every", "-1", "of at least 1"),
        (BENCHMARK, "--places", "13", "from 2 to 12"),
        (BENCHMARK, "--average", "0", "of at least 2"),
        (CONTRAST, "--places", "0", "of at least 1"),
        (CONTRAST, "--hu", "0", "no contrast"),
        (CONTRAST, "--hu", "inf", "not a number"),
        (CONTRAST, "--radius-mm", "nan", "not a number above 0"),
        (CONTRAST, "--seed", "-1", "of at least 0"),
        (("lab", "expected-error", "scan.nrrd"), "--every", "0", "of at least 1"),
        (("lab", "expected-error", "scan.nrrd"), "--average", "1", "of at least 2"),
        (TRAIN, "--steps", "0", "of at least 1"),
        (TRAIN, "--minutes", "0", "not a number above 0"),
        (TRAIN, "--batch", "0", "of at least 1"),
        (TRAIN, "--crop", "100", "multiple of 32"),
        (TRAIN, "--lesions", "1.5", "at most 1"),
        (TRAIN, "--rate", "nan", "not a number above 0"),
        (TRAIN, "--split", "1", "below 1"),
        (TRAIN, "--workers", "-1", "of at least 0"),
        (STUDY, "--minutes", "0", "not a number above 0"),
        (STUDY, "--crop", "160", "multiple of 32 of at least 192"),
        (STUDY, "--jobs", "0", "of at least 1"),
        (("lab", "volumetry-study", "-o", "."), "--lesions", "0", "of at least 1"),
        (("send", "series", "archive"), "", "70000", "from 1 to 65535"),
    ],
)
def test_a_number_out_of_range_is_one_clear_line(command, option, value, cause, capsys):
    given = f"{option}={value}" if option else value
    with pytest.raises(SystemExit) as end:
        main([*command, given])
    assert end.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"error: argument {option or 'port'}" in last
    assert cause in last


@pytest.mark.parametrize(
    ("command", "known"),
    [
        (("check", "scan.nrrd"), "learned"),
        (BENCHMARK, "torchscript"),
        (CONTRAST, "torchscript"),
        (("lab", "noise", "scan.nrrd"), "registration"),
        (("lab", "validate", "scan.nrrd"), "registration"),
    ],
)
def test_a_typo_in_methods_names_the_choices(command, known, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command, "--methods", "linear,lerned"])
    assert end.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "argument --methods: unknown: 'lerned'; choose from nearest, linear" in last
    assert known in last


def test_ms_ssim_needs_a_larger_crop(capsys):
    assert main([*TRAIN, "--crop", "160"]) == 1
    assert "needs a --crop of at least 192, not 160" in capsys.readouterr().err


@pytest.mark.parametrize("limits", [("--low=-50", "--high=-40"), ("--low=3000", "--high=3050")])
def test_limits_between_which_nothing_lies_find_no_blood(limits, tmp_path, capsys):
    scan = tmp_path / "scan.nrrd"
    head = head_phantom(matrix=64, pixel_spacing=3.76, slices=6).volume
    write_volume(head, scan)
    left, back, up = head.places(np.array([3, 32, 32]))[0]
    seed = f"--seed={-left},{-back},{up}"
    assert main(["volume", str(scan), "--methods", "linear", seed, *limits]) == 1
    assert "is not in blood" in capsys.readouterr().err
