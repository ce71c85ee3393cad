"""`sliceinterp lab benchmark`, `contrast` and `speed`: their tables, objects, files and methods."""

from __future__ import annotations

import json
from functools import partial

import pytest
from command_line import ROOT, sliceinterp, write_head_file

from SliceInterpLib.files import write_volume
from SliceInterpLib.lab import network_speed
from SliceInterpLib.lab.peers.reference_unet import SMALL
from SliceInterpLib.phantom import head_phantom


@pytest.fixture(scope="module")
def head_file(tmp_path_factory):
    return write_head_file(tmp_path_factory.mktemp("in put"))


def test_benchmark_prints_one_object_of_the_promised_shape(head_file):
    done = sliceinterp(
        "lab",
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
        assert set(row) == {"psnr", "ssim", "ms_ssim", "mae", "mae_hu", "gradient_mae", "ncc"}
        assert row["psnr"]["mean"] > 10
    assert result["per_patient"]["head ct"]["linear"]["mae_hu"] > 0
    assert result["comparisons"]["learned"]["linear"]["psnr"]["difference"] > 0


def test_benchmark_as_a_table_with_simulated_thick_slices(tmp_path):
    thin = tmp_path / "thin.nrrd"
    write_volume(
        head_phantom(slices=12, slice_spacing=2.5, matrix=192, pixel_spacing=1.2).volume, thin
    )
    done = sliceinterp(
        "lab",
        "benchmark",
        thin,
        "--methods",
        "linear,cubic",
        "--average",
        2,
        "--every",
        8,
        "--no-speed",
    )
    assert done.returncode == 0, done.stderr
    assert "true middle of 2 averaged slices" in done.stdout
    assert "| cubic |" in done.stdout


def test_benchmark_writes_its_patients_and_overwrites_none(head_file, tmp_path):
    table = tmp_path / "patients.csv"
    command = [
        "lab",
        "benchmark",
        head_file,
        "--methods",
        "nearest,linear",
        "--every",
        12,
        "--no-speed",
    ]
    command += ["--csv", table]
    assert sliceinterp(*command).returncode == 0
    lines = table.read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["head ct", "nearest"],
        ["head ct", "linear"],
    ]
    refused = sliceinterp(*command)
    assert refused.returncode == 1
    assert "exists already" in refused.stderr
    table.write_text("old")
    assert sliceinterp(*command, "--force").returncode == 0
    assert table.read_text().splitlines() == lines
    assert list(tmp_path.iterdir()) == [table]


def test_benchmark_gives_each_model_a_row(head_file, tmp_path):
    models = ROOT / "Resources/Models"
    card = json.loads((models / "small.json").read_text())
    (tmp_path / "twin.json").write_text(json.dumps(card | {"name": "twin"}))
    (tmp_path / "small.safetensors").symlink_to(models / "small.safetensors")
    command = [
        "lab",
        "benchmark",
        head_file,
        "--methods",
        "linear,learned",
        "--every",
        12,
        "--no-speed",
    ]
    command += ["--json", "--model", "small"]
    done = sliceinterp(
        *command, "--model", tmp_path / "twin.json", "--against", "linear", "--against",
        "learned:small"
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert list(result["methods"]) == ["linear", "learned:small", "learned:twin"]
    assert set(result["comparisons"]["learned:twin"]) == {"linear", "learned:small"}
    assert result["comparisons"]["learned:twin"]["learned:small"]["psnr"]["difference"] == 0
    assert set(result["comparisons"]["learned:small"]) == {"linear"}
    twice = sliceinterp(*command, "--model", "small")
    assert twice.returncode == 1
    assert "one name" in twice.stderr


def test_peers_are_for_benchmarks_only(head_file, tmp_path):
    done = sliceinterp(
        "lab",
        "benchmark",
        head_file,
        "--methods",
        "linear,denoised-linear",
        "--every",
        12,
        "--no-speed",
    )
    assert "| denoised-linear |" in done.stdout
    refused = sliceinterp(
        "upsample", head_file, "-o", tmp_path / "o.mha", "--method", "registration"
    )
    assert refused.returncode == 2
    missing = sliceinterp("lab", "benchmark", head_file, "--torchscript", tmp_path / "film.pt")
    assert missing.returncode == 1
    assert "no TorchScript file" in missing.stderr


def test_contrast_prints_a_table_and_an_object(head_file):
    command = [
        "lab",
        "contrast",
        head_file,
        "--methods",
        "linear",
        "--radius-mm",
        3,
        5,
        "--places",
        3,
    ]
    told = sliceinterp(*command)
    assert told.returncode == 0, told.stderr
    assert "| method | 3 mm | 5 mm | places |" in told.stdout
    assert "| linear | 1.00 (1.00…1.00) | 1.00 (1.00…1.00) | 3 |" in told.stdout
    assert sliceinterp(*command, "--hu", 0).returncode == 2
    rows = json.loads(sliceinterp(*command, "--one", "--json").stdout)["methods"]["linear"]
    assert [row["radius_mm"] for row in rows] == [3, 5]
    assert [row["mean"] for row in rows] == pytest.approx([0.5, 0.5], abs=1e-4)


def test_speed_times_the_shipped_model_beside_the_reference(monkeypatch):
    small = partial(network_speed.ReferenceUNet, **SMALL)  # a few of its channels
    monkeypatch.setattr(network_speed, "ReferenceUNet", small)
    command = ("lab", "speed", "--runs", 1, "--slices", 3, "--device", "cpu", "--json")
    rows = json.loads(sliceinterp(*command).stdout)
    assert {"small", "reference U-Net", "reference U-Net, 13 crops"} <= set(rows["networks"])
    assert all(row["seconds"] > 0 for row in rows["networks"].values())
    assert rows["command"]["slices"] == 3
    assert {"start", "read", "import torch", "predict all slices"} <= set(rows["command"]["parts"])
    assert all(row["cpu_seconds"] > 0 for row in rows["command"]["parts"].values())
