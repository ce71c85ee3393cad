"""Results that come back as input: known by marks, refused where acquired slices are needed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import write_series
from dicom_head import write_head
from marked import LINEAR, assert_source, assert_unknown, doubled, head, saved

from SliceInterpLib.acquired import acquired_only, require_acquired
from SliceInterpLib.archive.doubling import Task, double, make_recipe
from SliceInterpLib.archive.manifest import Result
from SliceInterpLib.cli import main
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.evidence.noise import noise_signature
from SliceInterpLib.evidence.scan_check import check_scan
from SliceInterpLib.files import read_dicom, read_volume
from SliceInterpLib.files.dicom_writing import write_dicom
from SliceInterpLib.grids import evenly_spaced, upright
from SliceInterpLib.lab.averaging import thick_slices
from SliceInterpLib.lab.benchmark import benchmark
from SliceInterpLib.lab.contrast import contrast_kept
from SliceInterpLib.lab.training.triplets import Triplets
from SliceInterpLib.uniform import uniform
from SliceInterpLib.volume import Volume

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return saved(doubled(head()), tmp_path / "result.nrrd")


def tissue_of(scan: Path) -> Path:
    """A mask of the scan, in a file beside it."""
    volume = read_volume(scan)
    mask = (volume.slices > -500).astype(np.uint8)
    return saved(replace(volume, slices=mask, provenance={}), scan.with_name("labels.nrrd"))


# ---- Written, read, and taken apart again


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_gives_the_marks_and_the_source_back(
    suffix: str, factor: int, tmp_path: Path
) -> None:
    source = head()
    made = doubled(source, factor)
    found = read_volume(saved(made, tmp_path / f"result{suffix}"))
    np.testing.assert_array_equal(found.synthetic, made.synthetic)
    assert found.provenance == made.provenance
    with pytest.raises(VolumeError, match=r"synthetic.*scan that it was made from.*6 acquired"):
        doubled(found)
    assert_source(acquired_only(found), source)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_tilted_one(suffix: str, tmp_path: Path) -> None:
    source = head(tilt=15.0)
    found = read_volume(saved(doubled(source), tmp_path / f"result{suffix}"))
    assert_source(acquired_only(found), source)
    assert acquired_only(found).tilt_degrees == pytest.approx(15.0, abs=1e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("suffix", FORMATS)
def test_slices_as_close_as_pixels_keep_their_axis(suffix: str, axis: int, tmp_path: Path) -> None:
    """After doubling, the spacings no longer tell which axis runs through-plane."""
    source = head(axis, gap=1.0)
    found = read_volume(saved(doubled(source), tmp_path / f"result{suffix}"))
    assert found.slice_axis == axis
    assert_source(acquired_only(found), source)


@pytest.mark.parametrize("keep_identity", [True, False])
@pytest.mark.parametrize(
    ("tilt", "without", "factor"), [(0, (), 2), (0, (), 3), (15, (), 4), (0, (4, 6), 2)]
)
def test_a_derived_series(
    tilt: float, without: tuple[int, ...], factor: int, keep_identity: bool, tmp_path: Path
) -> None:
    """Even, tilted and uneven; the factor is found in the pattern of even ones."""
    files = write_head(tmp_path / "scan", tilt=tilt)
    for index in without:
        files[index].unlink()
    source = read_dicom(tmp_path / "scan")
    made = doubled(source, factor)
    write_dicom(made, source.files, tmp_path / "out", keep_identity=keep_identity)
    found = read_volume(tmp_path / "out")
    np.testing.assert_array_equal(found.synthetic, made.synthetic)
    assert found.provenance["method"] == "linear"
    assert found.provenance["factor"] == factor
    with pytest.raises(VolumeError, match="synthetic"):
        doubled(found)
    apart = acquired_only(found)
    assert_source(apart, source)
    np.testing.assert_allclose(apart.thickness, source.thickness)
    # And they can be doubled and exported once more.
    write_dicom(doubled(apart), apart.files, tmp_path / "again")
    assert read_volume(tmp_path / "again").synthetic.sum() == len(source.slices) - 1


def test_the_model_is_read_from_a_derived_series(tmp_path: Path) -> None:
    source = read_dicom(write_head(tmp_path / "scan")[0].parent)
    provenance = {"method": "learned", "model": "small.v2", "model_sha256": "0" * 63 + "f"}
    made = replace(doubled(source), provenance={**doubled(source).provenance, **provenance})
    write_dicom(made, source.files, tmp_path / "out")
    found = read_volume(tmp_path / "out").provenance
    assert {name: found[name] for name in provenance} == provenance
    assert found["version"] == made.provenance["version"]


@pytest.mark.parametrize("change", [uniform, upright])
def test_where_no_slice_is_as_acquired_none_is_taken_out(
    change: Callable[[Volume], Volume], tmp_path: Path
) -> None:
    files = write_head(tmp_path / "scan", tilt=15.0)
    source = read_dicom(tmp_path / "scan")
    made = change(doubled(source))
    write_dicom(made, files, tmp_path / "out")
    for found in (
        read_volume(saved(made, tmp_path / "result.nrrd")),
        read_volume(tmp_path / "out"),
    ):
        with pytest.raises(VolumeError, match=r"synthetic, and the others.*it was made from\.$"):
            doubled(found)
        with pytest.raises(VolumeError, match=r"none of its slices is as it was acquired"):
            acquired_only(found)


def test_even_spacing_that_lost_acquired_slices_is_told(tmp_path: Path) -> None:
    write_series(
        tmp_path / "scan", [0.0, 5.0, 10.0, 15.0, 18.0, 21.0, 24.0], pixels=head().slices[0]
    )
    even = evenly_spaced(doubled(read_dicom(tmp_path / "scan")))
    found = read_volume(saved(even, tmp_path / "even.nrrd"))
    with pytest.raises(VolumeError, match="not all acquired ones"):
        acquired_only(found)


def test_slices_that_another_program_turned_round_are_not_mistaken(tmp_path: Path) -> None:
    heights, pixels = [0.0, 3.0, 6.0, 9.0, 15.0, 21.0], head().slices[0]
    source = read_dicom(write_series(tmp_path / "scan", heights, pixels=pixels))
    even = saved(evenly_spaced(doubled(source)), tmp_path / "even.nrrd")
    assert_source(acquired_only(read_volume(even)), source)
    image = sitk.ReadImage(str(even))
    turned = image[:, :, ::-1]
    for key in image.GetMetaDataKeys():
        turned.SetMetaData(key, image.GetMetaData(key))
    sitk.WriteImage(turned, str(tmp_path / "turned.nrrd"))
    assert_unknown(tmp_path / "turned.nrrd")


def test_acquired_volumes_are_let_through(tmp_path: Path) -> None:
    found = read_volume(saved(head(), tmp_path / "scan.nii.gz"))
    require_acquired(found)
    assert acquired_only(found) is found


# ---- What needs acquired slices


@pytest.mark.parametrize(
    "need",
    [
        lambda volume: check_scan(volume, [LINEAR]),
        lambda volume: noise_signature(volume, [LINEAR]),
        lambda volume: benchmark({"p": lambda: volume}, [LINEAR]),
        lambda volume: contrast_kept({"p": lambda: volume}, [LINEAR]),
        lambda volume: thick_slices(volume, 2),
        lambda volume: Triplets([volume], 32),
    ],
    ids=["check", "noise", "benchmark", "contrast", "thick-slices", "training"],
)
def test_nothing_is_judged_or_trained_by_predicted_slices(
    need: Callable[[Volume], object], result: Path
) -> None:
    with pytest.raises(VolumeError, match="slices are synthetic"):
        need(read_volume(result))


@pytest.mark.parametrize(
    "command",
    [
        ("upsample", "-o", "again.nrrd", "--method=linear"),
        ("check", "--methods=linear"),
        ("report", "-o", "page.html", "--method=cubic"),
        ("volume", "--methods", "linear"),
        ("demo", "-o", "demo"),
    ],
    ids=lambda command: command[0],
)
def test_commands_refuse_and_leave_nothing(
    command: tuple[str, ...],
    result: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    more = ["--labels", str(tissue_of(result))] if command[0] == "volume" else []
    before = {path.name for path in tmp_path.iterdir()}
    assert main([command[0], str(result), *command[1:], *more]) == 1
    said = capsys.readouterr().err
    assert re.search("error: .*5 of 11 slices are synthetic.*--acquired-only", said)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} <= before


def test_the_way_out_of_the_command_line(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.nrrd"
    assert main(
        ["upsample", str(result), "--acquired-only", "-o", str(again), "--method", "linear"]
    ) == 0  # fmt: skip
    np.testing.assert_array_equal(read_volume(again).slices, read_volume(result).slices)
    assert main(["check", str(result), "--acquired-only", "--methods", "linear", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(found["methods"]["linear"]["slices"]) == 4


def test_info_says_it(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(result)]) == 0
    assert (
        "SliceInterp made this (linear ×2): 5 of 11 slices are synthetic" in capsys.readouterr().out
    )
    main(["info", str(result), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["synthetic_slices"] == [1, 3, 5, 7, 9]
    assert told["provenance"]["method"] == "linear"
    assert not told["can_be_doubled"]
    main(["info", str(result), "--acquired-only", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["slices"], told["provenance"], told["can_be_doubled"]) == (6, {}, True)


def test_a_result_can_be_measured(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tissue_of(result)
    mask = read_volume(labels).slices
    assert main(["volume", str(result), "--labels", str(labels), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["grid"] == "result"
    assert row["voxel_ml"] == pytest.approx(mask.sum() * 0.5 * 0.5 * 2.5 / 1000)


def test_a_batch_passes_over_results(result: Path, tmp_path: Path) -> None:
    source = read_dicom(write_head(tmp_path / "scan")[0].parent)
    write_dicom(doubled(source), source.files, tmp_path / "derived")
    uid = str(pydicom.dcmread(tmp_path / "derived" / "slice-0001.dcm").SeriesInstanceUID)
    for place, series in ((result, None), (tmp_path / "derived", uid)):
        target = tmp_path / "out.nrrd"
        pending = Result(place.name, target.name, "")
        recipe = make_recipe("linear", model=None, factor=2)
        done = double(Task(place, series, target, pending, recipe, "cpu", ticket=tmp_path))
        assert done.state == "skipped"
        assert "slices are synthetic" in done.reason
        assert not target.exists()
