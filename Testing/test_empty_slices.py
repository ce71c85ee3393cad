"""Slices without a head count nowhere, and every door says how many there were."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from SliceInterpLib.cli import main
from SliceInterpLib.evidence.holdout import to_hide
from SliceInterpLib.evidence.metrics import slice_metrics
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.report.html import make_report

METHODS = "--methods=linear,nearest"
SAID = "11 slices hidden in turn, 3 without a head left out"


def above(volume, count):
    """The volume with so many slices of air on top of it."""
    step = volume.slice_origins[1] - volume.slice_origins[0]
    further = volume.slice_origins[-1] + np.arange(1, count + 1)[:, None] * step
    air = np.full((count, *volume.slices.shape[1:]), -1000, volume.slices.dtype)
    return replace(
        volume,
        slices=np.concatenate([volume.slices, air]),
        slice_origins=np.concatenate([volume.slice_origins, further]),
        thickness=np.empty(0),
        synthetic=np.empty(0),
    )


def on_couch(volume):
    """The volume with a shell of 5 pixels below the head, 2.5 % of each slice."""
    slices = volume.slices.copy()
    slices[:, -8:-3, 15:-15] = 60
    return replace(volume, slices=slices)


def brain_window(volume):
    """The volume as a scan that was kept in a brain window only."""
    return replace(volume, slices=np.clip(volume.slices, -20, 100))


KINDS = {
    "plain": lambda volume: volume,
    "on a couch": on_couch,
    "on a couch, brain window": lambda volume: brain_window(on_couch(volume)),
}


@pytest.fixture(scope="module")
def head():
    """Twelve slices up to the vertex."""
    return head_phantom(matrix=160, pixel_spacing=1.4, slices=12, z_offset_mm=35).volume


@pytest.fixture(scope="module", params=KINDS)
def scans(request, head, tmp_path_factory):
    """The head with one slice of air above it, which is never hidden, and with four."""
    folder = tmp_path_factory.mktemp("scans")
    paths = folder / "one.nrrd", folder / "four.nrrd"
    for path, count in zip(paths, (1, 4), strict=True):
        write_volume(KINDS[request.param](above(head, count)), path)
    return paths


@pytest.fixture
def air(head, tmp_path):
    path = tmp_path / "air.nrrd"
    write_volume(replace(head, slices=np.full_like(head.slices, -1000)), path)
    return path


def as_json(capsys, *command):
    assert main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_slice_of_air_would_rule_a_mean(head):
    air = np.full(head.slices.shape[1:], -1000.0)
    assert slice_metrics(air, air)["psnr"] == pytest.approx(120.0)


def test_check_counts_heads_only(scans, capsys):
    one, four = (as_json(capsys, "check", str(path), METHODS) for path in scans)
    assert four["methods"] == one["methods"]
    assert (one["without_head"], four["without_head"], four["not_hidden"]) == (0, 3, 0)
    assert max(row["psnr"] for row in four["methods"]["linear"]["slices"]) < 50
    assert main(["check", str(scans[1]), METHODS]) == 0
    assert SAID in capsys.readouterr().out


def test_benchmark_counts_heads_only(scans, tmp_path, capsys):
    table = tmp_path / "table.csv"
    command = ["lab", "benchmark", METHODS, "--no-speed"]
    one, four = (as_json(capsys, *command, str(path)) for path in scans)
    assert four["methods"] == one["methods"]
    assert four["hidden"] == {"four": {"slices": 11, "without_head": 3}}
    assert main([*command, str(scans[1].parent), "--csv", str(table)]) == 0
    assert "one slice held out, every 1, 3 without a head left out" in capsys.readouterr().out
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert {(row["patient"], row["without_head"]) for row in rows} == {("one", "0"), ("four", "3")}


def test_thick_slices_made_of_air_do_not_count(head, tmp_path, capsys):
    path = tmp_path / "four.nrrd"
    write_volume(above(head, 4), path)
    found = as_json(capsys, "lab", "benchmark", str(path), METHODS, "--no-speed", "--average", "2")
    # Of 15 thick slices the last three are air, and one of these is the outermost.
    assert found["hidden"] == {"four": {"slices": 11, "without_head": 2}}


def test_validate_says_how_many_were_left_out(scans, capsys):
    assert main(["lab", "validate", str(scans[1]), METHODS]) == 0
    assert "1 patient, one slice held out, every 1, 3 without a head left out" in (
        capsys.readouterr().out
    )


def test_the_report_leaves_them_out_and_says_so(head):
    page = make_report(above(head, 4), method="cubic")
    assert SAID in page
    assert "each of 11 inner slices" in page


@pytest.mark.parametrize(
    "command", [("check",), ("lab", "benchmark", "--no-speed"), ("lab", "validate")]
)
def test_where_no_slice_shows_a_head_the_error_says_so(command, air, capsys):
    assert main([*command, str(air), METHODS]) == 1
    assert "shows a head, so no prediction can be judged" in capsys.readouterr().err


def test_a_report_on_air_says_why_nothing_was_measured(air):
    page = make_report(read_volume(air), method="cubic")
    assert "Not measured: No slice between the outermost ones shows a head" in page


@pytest.mark.parametrize(
    ("scan", "without_head"),
    [
        ("full-hu/test/cranium.nii.gz", [105, 106]),
        ("full-hu/test/toshiba-aquilion-2mm-clip.nii.gz", []),
        ("phe-sich/test/0037.nii.gz", [30]),
        ("phe-sich/test/0066.nii.gz", []),
        ("phe-sich/test/0166.nii.gz", [30]),
        ("dicom/toshiba-aquilion-human-tilt", []),
        ("dicom/philips-phantom-5mm", [26]),
    ],
)
def test_slices_of_real_scans(data_dir, scan, without_head):
    """The last of 0166 show the couch and next to no head; the Philips phantom is hollow."""
    volume = read_volume(data_dir / scan)
    inner = range(1, volume.slice_count - 1)
    assert sorted(set(inner) - set(to_hide(volume).indices)) == without_head
