"""The command line as its users meet it: its output, its exit code, its files."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import ROOT, in_a_process, sliceinterp, write_head_file
from dicom_files import write_series

from SliceInterpLib.cli import main
from SliceInterpLib.files import read_dicom, read_volume, write_volume
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.volume import Volume


@pytest.fixture(scope="module")
def head_file(tmp_path_factory):
    return write_head_file(tmp_path_factory.mktemp("in put"))


@pytest.mark.parametrize(
    ("run", "suffix"), [(in_a_process, ".nii.gz"), (sliceinterp, ".nrrd"), (sliceinterp, ".mha")]
)
def test_upsample_doubles_a_file_and_keeps_the_acquired_slices(head_file, tmp_path, run, suffix):
    output = tmp_path / f"doubled{suffix}"
    done = run("upsample", head_file, "-o", output)
    assert done.returncode == 0, done.stderr
    assert "19 slices, 2.5 mm" in done.stdout
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
    assert summary["slices"] == [10, 37]
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
    assert read_volume(output).slice_count == 19
    assert [path.name for path in tmp_path.iterdir()] == ["there.nrrd"]


def test_an_error_is_one_line_and_debug_shows_the_traceback(tmp_path):
    missing = tmp_path / "no such file.nii.gz"
    plain = in_a_process("info", missing)
    assert plain.returncode == 1
    assert plain.stdout == ""
    assert plain.stderr.count("\n") == 1
    assert plain.stderr.startswith("sliceinterp: error: ")
    assert "Traceback" in in_a_process("info", missing, "--debug").stderr


def test_thin_slices_are_refused_with_this_program_s_way_out(tmp_path, capsys):
    hu = head_phantom(slices=3, matrix=64, pixel_spacing=3.5).volume.hu
    thin, mask = str(tmp_path / "thin.nrrd"), str(tmp_path / "mask.nrrd")
    for values, path in ((hu, thin), ((hu > 20).astype(np.uint8), mask)):
        write_volume(Volume.from_grid(values, (0, 0, 0), (1, 1, 1), np.eye(3)), path)
    linear = ("--method", "linear")
    commands = {
        "info": (),
        "upsample": (*linear, "-o", str(tmp_path / "out.nrrd")),
        "report": ("--method", "cubic", "-o", str(tmp_path / "page.html")),
        "volume": ("--methods", "linear", "--labels", mask),
    }
    for name, options in commands.items():
        main([name, thin, *options])
        said = " ".join(capsys.readouterr())
        assert "or allow thin slices with --allow-thin (upsample, " in said, name
        if name != "info":
            assert main([name, thin, *options, "--allow-thin"]) == 0


def test_a_picture_is_refused_before_any_output(tmp_path):
    picture = tmp_path / "picture.mha"
    grey = np.random.default_rng(0).integers(0, 256, (6, 32, 32)).astype(np.int16)
    write_volume(
        Volume.from_grid(hu=grey, origin=(0, 0, 0), spacing=(1, 1, 5), direction=np.eye(3)), picture
    )
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
    assert "10 slices of 192×192, 5 mm apart" in told.stdout
    assert "×2: 19 slices, 2.5 mm" in told.stdout


def test_models_lists_what_is_shipped():
    models = json.loads(sliceinterp("models", "--json").stdout)["models"]
    assert "small" in {model["name"] for model in models}


def test_an_unknown_method_is_refused_with_the_known_ones(head_file):
    done = sliceinterp("lab", "benchmark", head_file, "--methods", "magic")
    assert done.returncode == 2
    assert "optical-flow" in done.stderr


def test_the_commands_of_the_product_are_few_and_those_of_the_laboratory_apart():
    product = "upsample batch send info models demo check report volume lab"
    laboratory = (
        "benchmark contrast speed noise uniform-check validate mpr-check volumetry-study "
        "volumetry-real segmentation-check train study train-expected-error expected-error "
        "train-finder finder-check"
    )
    assert _commands_in(sliceinterp("--help").stdout) == product.split()
    assert _commands_in(sliceinterp("lab", "--help").stdout) == laboratory.split()


def _commands_in(told):
    return re.findall(r"^    ([a-z-]+)", told.split("COMMAND\n")[-1], re.M)


def test_importing_the_library_needs_no_torch_and_no_laboratory():
    code = (
        "import sys; import SliceInterpLib, SliceInterpLib.upsampling, SliceInterpLib.cli; "
        "SliceInterpLib.cli.main(['models']); "
        "sys.exit(bool({'torch', 'SliceInterpLib.lab'} & set(sys.modules)))"
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
    assert read_volume(tmp_path / "demo" / "doubled.nrrd").slice_count == 19
    assert "| learned |" in (tmp_path / "demo" / "table.md").read_text()


def test_uneven_series_is_filled_gap_by_gap(tmp_path):
    folder = write_series(tmp_path / "scan", [0, 4, 8, 12, 13, 20, 27], pixels=_slice_of_a_head())
    output = tmp_path / "even.nrrd"
    refused = sliceinterp("upsample", folder, "-o", output, "--method", "linear")
    assert refused.returncode == 1
    assert "gaps between the slices are uneven" in refused.stderr
    assert not output.exists()
    done = sliceinterp(
        "upsample", folder, "-o", output, "--method", "linear", "--gaps", "even", "--json"
    )
    summary = json.loads(done.stdout)
    assert [part["gap_mm"] for part in summary["provenance"]["parts"]] == [4, 1, 7]
    assert read_volume(output).slice_spacing == 2
    done = sliceinterp(
        "upsample", folder, "-o", output, "--method", "linear", "--gaps", "longest", "--force"
    )
    assert "Slices 1 to 4 of 7" in done.stderr
    assert read_volume(output).slice_count == 7


def test_tilted_series_keeps_its_tilt_or_is_straightened(tmp_path):
    axes = [1, 0, 0, 0, 0.98325, -0.18224]
    folder = write_series(
        tmp_path / "scan", [0, 5, 10], pixels=_slice_of_a_head(), ImageOrientationPatient=axes
    )
    assert "gantry tilted by 10.5°" in sliceinterp("info", folder).stdout
    refused = sliceinterp("upsample", folder, "-o", tmp_path / "a.nii.gz", "--method", "linear")
    assert refused.returncode == 1
    assert ".nrrd or .mha" in refused.stderr
    for name, flags, tilt in (("a.nrrd", (), 10.5), ("b.nii.gz", ("--upright",), 0)):
        done = sliceinterp("upsample", folder, "-o", tmp_path / name, "--method", "linear", *flags)
        assert done.returncode == 0, done.stderr
        volume = read_volume(tmp_path / name)
        assert volume.tilt_degrees == pytest.approx(tilt, abs=0.01)
        assert volume.slice_spacing == pytest.approx(4.916 / 2, abs=1e-3)


def test_an_upright_result_has_an_upright_error_map(tmp_path):
    """Voxel by voxel they belong together."""
    axes = [1, 0, 0, 0, 0.98325, -0.18224]
    folder = write_series(
        tmp_path / "scan", [0, 5, 10], pixels=_slice_of_a_head(), ImageOrientationPatient=axes
    )
    for name, flags in (("tilted", ()), ("upright", ("--upright",))):
        result, error = (tmp_path / f"{name}{more}.nrrd" for more in ("", " error"))
        done = sliceinterp("upsample", folder, "-o", result, "--expected-error", error, *flags)
        assert done.returncode == 0, done.stderr
        result, error = read_volume(result), read_volume(error)
        assert bool(result.tilt_degrees) == (name == "tilted")
        assert error.hu.shape == result.hu.shape
        np.testing.assert_allclose(error.spacing, result.spacing)
        np.testing.assert_allclose(error.slice_origins, result.slice_origins, atol=1e-6)
        np.testing.assert_allclose(error.direction, result.direction, atol=1e-9)


def test_derived_series_keeps_uneven_slices_where_they_are(tmp_path):
    folder = write_series(tmp_path / "scan", [0, 4, 8, 12, 13, 20, 27], pixels=_slice_of_a_head())
    derived = tmp_path / "derived"
    run = ("upsample", folder, "-o", derived, "--method", "linear", "--dicom")
    done = sliceinterp(*run, "--gaps", "each")
    assert done.returncode == 0, done.stderr
    assert "7 slices, unevenly spaced → 13 slices, unevenly spaced" in done.stdout
    stack = read_dicom(derived)
    np.testing.assert_allclose(
        stack.slice_origins[:, 2], [0, 2, 4, 6, 8, 10, 12, 12.5, 13, 16.5, 20, 23.5, 27]
    )
    assert "not empty" in sliceinterp(*run, "--gaps", "each").stderr
    assert sliceinterp(*run, "--gaps", "longest", "--force").returncode == 0
    assert read_volume(derived).slice_count == 7


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        (("--dicom",), "needs the DICOM files that it is derived from"),
        (("--gaps", "each"), "Only DICOM can hold"),
    ],
)
def test_what_no_output_can_hold_is_refused_before_the_run(flags, cause, head_file, tmp_path):
    done = sliceinterp("upsample", head_file, "-o", tmp_path / "out.nrrd", *flags)
    assert done.returncode == 1
    assert cause in done.stderr
    assert not list(tmp_path.iterdir())


def _slice_of_a_head():
    stored = np.zeros((32, 32), np.int16)
    stored[8:24, 8:24] = 1064
    return stored


def test_uniform_mode_is_asked_for_and_marked(head_file, tmp_path):
    run = ("upsample", head_file, "--method", "linear", "--json")
    plain = sliceinterp(*run, "-o", tmp_path / "plain.mha")
    assert "uniform" not in json.loads(plain.stdout)["provenance"]
    done = sliceinterp(*run, "-o", tmp_path / "uniform.mha", "--uniform", "0.5")
    assert json.loads(done.stdout)["provenance"]["uniform"]["strength"] == 0.5
    acquired, changed = (read_volume(tmp_path / f"{name}.mha").hu for name in ("plain", "uniform"))
    assert (acquired[::2] != changed[::2]).any()
    np.testing.assert_array_equal(acquired[1::2], changed[1::2])
    assert sliceinterp(*run, "-o", tmp_path / "a.mha", "--uniform", "2").returncode == 2


def test_the_expected_error_is_a_second_volume(head_file, tmp_path):
    error = tmp_path / "error.nii.gz"
    done = sliceinterp("upsample", head_file, "-o", tmp_path / "a.mha", "--expected-error", error)
    assert done.returncode == 0, done.stderr
    expected = read_volume(error)
    assert expected.hu.shape == read_volume(tmp_path / "a.mha").hu.shape
    assert not expected.hu[::2].any()
    assert (expected.hu[1::2] > 0).any()
    run = ("upsample", head_file, "-o", tmp_path / "b.mha", "--expected-error", error, "--force")
    assert sliceinterp(*run, "--factor", 3).returncode == 0
    np.testing.assert_array_equal(
        (read_volume(error).hu > 0).any((1, 2)), np.arange(3 * 9 + 1) % 3 != 0
    )
    refused = sliceinterp(*run, "--method", "linear")
    assert refused.returncode == 1
    assert "only for the learned method" in refused.stderr


def test_a_spacing_is_told_as_what_it_becomes(head_file, tmp_path):
    run = ("upsample", head_file, "-o", tmp_path / "a.nrrd", "--method", "linear", "--force")
    done = sliceinterp(*run, "--spacing", "1.2")
    assert done.returncode == 0, done.stderr
    assert "×4: 37 slices, 1.25 mm, the nearest that keeps every acquired slice" in done.stderr
    assert read_volume(tmp_path / "a.nrrd").slice_spacing == pytest.approx(1.25)
    assert sliceinterp(*run, "--factor", "isotropic").returncode == 0
    assert sliceinterp(*run, "--factor", "3", "--spacing", "2").returncode == 2
    refused = sliceinterp(*run, "--spacing", "9")
    assert refused.returncode == 1
    assert "Ask for less than that" in refused.stderr
    for text in ("1", "13", "2.5", "cubes"):
        assert "'isotropic'" in sliceinterp(*run, "--factor", text).stderr


def test_uneven_gaps_become_one_spacing_where_whole_numbers_do_so(tmp_path):
    folder = write_series(tmp_path / "scan", [0, 2.5, 5, 10, 15], pixels=_slice_of_a_head())
    run = ("upsample", folder, "-o", tmp_path / "a.nrrd", "--method", "linear")
    assert "--gaps even" in sliceinterp(*run, "--spacing", "2").stderr
    done = sliceinterp(*run, "--spacing", "1.25")
    assert done.returncode == 0, done.stderr
    even, acquired = read_volume(tmp_path / "a.nrrd"), read_volume(folder)
    assert even.slice_spacing == pytest.approx(1.25)
    kept = np.flatnonzero(~even.synthetic)
    assert kept.tolist() == [0, 2, 4, 8, 12]
    np.testing.assert_array_equal(even.slices[kept], acquired.slices)
