"""Two at once, and stopped in the middle: no output is half-written, and nobody's is lost."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
import pytest

from SliceInterpLib.archive.manifest import open_manifest
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.upsampling import upsample

ROOT = Path(__file__).resolve().parents[1]


def heed_ctrl_c() -> None:
    """Tests in the background of a shell ignore Ctrl-C, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


WRITES_FOR_EVER = """
import signal, sys
import SimpleITK
from SliceInterpLib.cli import main
write = SimpleITK.WriteImage
def endless(*image, **options):
    write(*image, **options)
    print("written", flush=True)
    while True:
        signal.pause()
SimpleITK.WriteImage = endless
sys.exit(main())
"""
"""The command line, whose files are never complete: so it is caught while it writes."""


def start(*arguments: object, program: Sequence[str] = ("-m", "SliceInterpLib.cli")) -> Popen:
    return Popen(
        [sys.executable, *program, *map(str, arguments)],
        stdout=PIPE,
        stderr=PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=heed_ctrl_c,
    )


@pytest.fixture(scope="module")
def head_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coarse, but large enough that doubling and writing it take a moment."""
    path = tmp_path_factory.mktemp("in") / "head.mha"
    coarse = head_phantom(matrix=96, pixel_spacing=2.4, slices=24).volume
    fine = coarse.hu.repeat(4, axis=1).repeat(4, axis=2)
    write_volume(dataclasses.replace(coarse, slices=fine, pixel_spacing=(0.6, 0.6)), path)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def start_writing(head_file: Path, target: Path, *options: str) -> Popen:
    """A run that is just writing, beside what was in its folder."""
    before = list(target.parent.iterdir())
    command = ("upsample", head_file, "-o", target, "--method", "nearest", *options)
    process = start(*command, program=("-c", WRITES_FOR_EVER))
    assert process.stdout.readline() == "written\n"
    assert len(list(target.parent.iterdir())) == len(before) + 1
    return process


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_stopped_leaves_nothing(head_file, out, number, code):
    process = start("upsample", head_file, "-o", out / "o.nii.gz", "--method", "optical-flow")
    assert " of 23 slices" in process.stderr.readline()
    process.send_signal(number)
    output, errors = process.communicate()
    assert (process.returncode, output) == (code, "")
    assert errors.endswith("sliceinterp: cancelled; nothing was kept\n")
    assert list(out.iterdir()) == []


def test_a_run_that_is_terminated_while_it_writes_leaves_nothing(head_file, out):
    process = start_writing(head_file, out / "o.nii.gz")
    process.terminate()
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    assert list(out.iterdir()) == []


def test_a_terminated_run_keeps_what_it_was_to_replace(head_file, out):
    target = out / "o.nrrd"
    target.write_text("precious")
    process = start_writing(head_file, target, "--force")
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    assert [path.name for path in out.iterdir()] == ["o.nrrd"]
    assert target.read_text() == "precious"


def test_of_two_runs_with_one_output_one_wins_whole(head_file, out):
    target = out / "o.nii.gz"
    methods = ("nearest", "linear")
    runs = {m: start("upsample", head_file, "-o", target, "--method", m) for m in methods}
    errors = {method: process.communicate()[1] for method, process in runs.items()}
    codes = {method: process.returncode for method, process in runs.items()}
    assert sorted(codes.values()) == [0, 1], errors
    winner, loser = sorted(methods, key=codes.get)
    assert "exists already" in errors[loser]
    expected = upsample(read_volume(head_file), make_interpolator(winner))
    np.testing.assert_array_equal(read_volume(target).hu, expected.hu)
    assert f'"method": "{winner}"' in (out / "o.json").read_text()
    assert {path.name for path in out.iterdir()} == {"o.nii.gz", "o.json"}


def test_two_runs_that_replace_one_output_leave_one_whole(head_file, out):
    target = out / "o.nrrd"
    methods = ("nearest", "linear")
    runs = [start("upsample", head_file, "-o", target, "--force", "--method", m) for m in methods]
    assert [process.wait() for process in runs] == [0, 0]
    volume = read_volume(head_file)
    found = read_volume(target).hu
    expected = [upsample(volume, make_interpolator(method)).hu for method in methods]
    assert any(np.array_equal(found, hu) for hu in expected)
    assert list(out.iterdir()) == [target]


def test_a_second_batch_in_one_folder_is_refused(head_file, out):
    with open_manifest(out):
        refused = start("batch", head_file.parent, "-o", out, "--method", "nearest")
        _, errors = refused.communicate()
        assert refused.returncode == 1
        assert "Another batch is at work in this folder" in errors
    again = start("batch", head_file.parent, "-o", out, "--method", "nearest")
    output, errors = again.communicate()
    assert again.returncode == 0, errors
    assert "1 done" in output
