"""The command line as its users meet it: a process, its output, its exit code, its files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.volume import Volume

ROOT = Path(__file__).resolve().parents[1]


def sliceinterp(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "SliceInterpLib.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )


@pytest.fixture(scope="module")
def head_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("in put") / "head ct.nii.gz"
    write_volume(head_phantom(matrix=192, pixel_spacing=1.2).volume, path)
    return path


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_upsample_doubles_a_file_and_keeps_the_acquired_slices(head_file, tmp_path, suffix):
    output = tmp_path / f"doubled{suffix}"
    done = sliceinterp("upsample", head_file, "-o", output)
    assert done.returncode == 0, done.stderr
    assert "63 slices, 2.5 mm" in done.stdout
    before, after = read_volume(head_file), read_volume(output)
    np.testing.assert_array_equal(after.hu[::2], before.hu)
    assert after.hu.dtype == np.int16
    np.testing.assert_allclose(after.spacing, (1.2, 1.2, 2.5), atol=1e-3)
    np.testing.assert_allclose(after.origin, before.origin, atol=1e-3)


def test_four_times_the_slices_as_json(head_file, tmp_path):
    output = tmp_path / "fourfold.mha"
    done = sliceinterp(
        "upsample", head_file, "-o", output, "--factor", 4, "--method", "linear", "--json"
    )
    summary = json.loads(done.stdout)
    assert summary["slices"] == [32, 125]
    assert summary["slice_spacing_mm"] == [5.0, 1.25]
    assert summary["provenance"]["method"] == "linear"
    assert done.stderr == ""
    keys = sitk.ReadImage(str(output))
    assert keys.GetMetaData("SliceInterp_synthetic_slices").startswith("1,2,3,5,6,7,9")


def test_nothing_is_overwritten_without_force(head_file, tmp_path):
    output = tmp_path / "there.nrrd"
    output.write_text("precious")
    refused = sliceinterp("upsample", head_file, "-o", output, "--method", "nearest")
    assert refused.returncode == 1
    assert "exists already" in refused.stderr
    assert output.read_text() == "precious"
    assert (
        sliceinterp(
            "upsample", head_file, "-o", output, "--method", "nearest", "--force"
        ).returncode
        == 0
    )
    assert read_volume(output).slice_count == 63
    assert [path.name for path in tmp_path.iterdir()] == ["there.nrrd"]


def test_an_error_is_one_line_and_debug_shows_the_traceback(tmp_path):
    missing = tmp_path / "no such file.nii.gz"
    plain = sliceinterp("info", missing)
    assert plain.returncode == 1
    assert plain.stdout == ""
    assert plain.stderr.count("\n") == 1
    assert plain.stderr.startswith("sliceinterp: error: ")
    assert "Traceback" in sliceinterp("info", missing, "--debug").stderr


def test_a_picture_is_refused_before_any_output(tmp_path):
    picture = tmp_path / "picture.mha"
    grey = np.random.default_rng(0).integers(0, 256, (6, 32, 32)).astype(np.int16)
    write_volume(Volume(hu=grey, origin=(0, 0, 0), spacing=(1, 1, 5), direction=np.eye(3)), picture)
    refused = sliceinterp("upsample", picture, "-o", tmp_path / "out.mha")
    assert refused.returncode == 1
    assert "8-bit picture" in refused.stderr
    assert not (tmp_path / "out.mha").exists()
    info = json.loads(sliceinterp("info", picture, "--json").stdout)
    assert info["can_be_doubled"] is False
    assert "8-bit picture" in info["obstacle"]


def test_info_says_what_would_come_out(head_file):
    told = sliceinterp("info", head_file)
    assert told.returncode == 0
    assert "32 slices of 192×192, 5 mm apart" in told.stdout
    assert "×2: 63 slices, 2.5 mm" in told.stdout


def test_models_lists_what_is_shipped():
    models = json.loads(sliceinterp("models", "--json").stdout)["models"]
    assert "small" in {model["name"] for model in models}


def test_benchmark_prints_one_object_of_the_promised_shape(head_file):
    done = sliceinterp(
        "benchmark",
        head_file.parent,
        "--methods",
        "linear,learned",
        "--every",
        6,
        "--no-speed",
        "--json",
    )
    result = json.loads(done.stdout)
    assert result["patients"] == 1
    assert set(result["methods"]) == {"linear", "learned"}
    for row in result["methods"].values():
        assert set(row) == {"psnr", "ssim", "ms_ssim", "mae", "mae_hu"}
        assert row["psnr"]["mean"] > 10
    assert result["per_patient"]["head ct"]["linear"]["mae_hu"] > 0


def test_benchmark_as_a_table_with_simulated_thick_slices(tmp_path):
    thin = tmp_path / "thin.nrrd"
    write_volume(head_phantom(slice_spacing=2.5, matrix=192, pixel_spacing=1.2).volume, thin)
    done = sliceinterp(
        "benchmark", thin, "--methods", "linear,cubic", "--average", 2, "--every", 8, "--no-speed"
    )
    assert done.returncode == 0, done.stderr
    assert "true middle of 2 averaged slices" in done.stdout
    assert "| cubic |" in done.stdout


def test_an_unknown_method_is_refused_with_the_known_ones(head_file):
    done = sliceinterp("benchmark", head_file, "--methods", "magic")
    assert done.returncode == 2
    assert "optical-flow" in done.stderr


def test_importing_the_library_needs_no_torch():
    code = (
        "import sys; import SliceInterpLib, SliceInterpLib.upsampling, SliceInterpLib.cli; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_demo_leaves_a_volume_a_picture_and_a_table(head_file, tmp_path):
    done = sliceinterp("demo", head_file, "-o", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "demo").iterdir()} == {
        "doubled.nrrd",
        "montage.png",
        "table.md",
    }
    assert read_volume(tmp_path / "demo" / "doubled.nrrd").slice_count == 63
    assert "| learned |" in (tmp_path / "demo" / "table.md").read_text()
