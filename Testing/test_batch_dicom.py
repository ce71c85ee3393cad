"""A whole archive doubled to derived DICOM series: each whole, in a folder of its own, or not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from archives import assert_right, head, identities, leftovers, results, run, start, states
from archives import write_dicom as write_scan
from dicom_head import write_head

from SliceInterpLib import cli
from SliceInterpLib.archive.doubling import make_recipe
from SliceInterpLib.archive.manifest import open_manifest
from SliceInterpLib.archive.running import plan
from SliceInterpLib.files import read_dicom, read_volume, write_volume
from SliceInterpLib.files.dicom_writing import write_dicom
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.upsampling import upsample

UNEVEN_MM = (0, 5, 10, 15, 20, 27, 34, 41, 48, 55)


def series_in(out: Path) -> list[Path]:
    """The folders of derived series."""
    return sorted({path.parent for path in out.rglob("slice-*.dcm")})


def test_an_archive_becomes_derived_series(tmp_path: Path) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    (archive / "ward").mkdir(parents=True)
    write_head(archive / "ward" / "even")
    write_head(archive / "ward" / "tilted", tilt=15.0)
    write_scan(
        *(archive / "uneven", head(seed=1), "1.2.3.1"),
        heights=UNEVEN_MM,
        ImageType=["DERIVED", "SECONDARY", "AXIAL", "MPR"],
    )
    write_scan(archive / "two", head(seed=2), "1.2.3.2")
    write_scan(archive / "two", head(seed=3), "1.2.3.3")
    write_scan(archive / "thin", head(slice_spacing=3.6), "1.2.3.4")
    write_scan(archive / "missing", head(), "1.2.3.5", heights=[*range(0, 45, 5), 90])
    write_volume(head(), archive / "same.nii.gz")
    write_volume(head(seed=1), archive / "same.nrrd")

    code, output, errors = run(archive, out, "--dicom")
    assert code == 0, errors
    assert "5 done, 4 skipped, 0 failed" in output
    table = results(out)
    assert table["thin"]["state"] == table["missing"]["state"] == "skipped"
    assert "let 'sliceinterp upsample --allow-thin' double it" in table["thin"]["reason"]
    assert "sliceinterp upsample --gaps longest" in table["missing"]["reason"]
    told = (out / "manifest.jsonl").read_text(encoding="utf-8")
    for name in ("same.nii.gz", "same.nrrd"):
        assert table[name]["state"] == "skipped"
        assert "needs the DICOM files of its scan" in table[name]["reason"]
        assert told.count(f'"{name}"') == 1
    assert table["ward/even"]["spacing_after_mm"] == "2.5"
    assert table["uneven"]["spacing_before_mm"] == table["uneven"]["spacing_after_mm"] == ""
    assert (table["uneven"]["slices_before"], table["uneven"]["slices_after"]) == ("10", "19")
    assert (
        "not what a scanner reconstructs (Image Type: DERIVED, MPR)" in table["uneven"]["remarks"]
    )
    assert table["ward/even"]["remarks"] == ""
    made = series_in(out)
    assert len(made) == 5
    for name in ("ward/even", "ward/tilted"):
        assert_right(archive / name, out / table[name]["output"])
    uneven = read_volume(out / table["uneven"]["output"])
    expected = upsample(read_volume(archive / "uneven"), make_interpolator("linear"))
    np.testing.assert_array_equal(uneven.slices, expected.slices)
    np.testing.assert_allclose(uneven.slice_origins, expected.slice_origins, atol=1e-6)
    for secret in (b"Secret", "Müller".encode(), "Müller".encode("latin-1"), b"P-4711", b"1.2.3."):
        everything = [path for path in out.rglob("*") if path.is_file()]
        assert not any(secret in path.read_bytes() for path in everything)
    assert leftovers(out) == []

    # Done is done; what was damaged since is done again, and nothing else.
    before, lines = identities(out), states(out)
    assert run(archive, out, "--dicom")[0] == 0
    assert (identities(out), states(out)) == (before, lines)
    damaged = out / table["ward/even"]["output"]
    (damaged / "slice-0003.dcm").unlink()
    assert run(archive, out, "--dicom")[0] == 0
    assert_right(archive / "ward/even", damaged)
    changed = {name for name, now in identities(out).items() if before[name] != now}
    assert changed == {table["ward/even"]["output"]}


def test_with_identity_a_series_joins_the_study_and_can_be_sent(tmp_path: Path) -> None:
    pynetdicom = pytest.importorskip("pynetdicom")
    archive, out = tmp_path / "archive", tmp_path / "out"
    archive.mkdir()
    source = pydicom.dcmread(write_head(archive / "scan")[0])
    assert run(archive, out, "--dicom")[0] == 0
    (anonymous,) = series_in(out)
    assert run(archive, out, "--dicom", "--keep-identity")[0] == 0
    (named,) = series_in(out)
    assert named == anonymous
    image = pydicom.dcmread(named / "slice-0002.dcm")
    assert image.StudyInstanceUID == source.StudyInstanceUID
    assert image.PatientName == source.PatientName
    assert image.SeriesDescription == "Schädel 5 mm ×2 synthetic"

    received = []

    def store(event: object) -> int:
        received.append(event.dataset.SOPInstanceUID)
        return 0

    entity = pynetdicom.AE("ARCHIVE")
    entity.add_supported_context(image.SOPClassUID)
    handlers = [(pynetdicom.evt.EVT_C_STORE, store)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        port = str(server.server_address[1])
        assert cli.main(["send", str(named), "127.0.0.1", port]) == 0
    finally:
        server.shutdown()
    assert received == [pydicom.dcmread(path).SOPInstanceUID for path in sorted(named.iterdir())]


def test_no_half_written_series_is_taken_for_a_whole_one(tmp_path: Path) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    volume = head(slices=40)
    for number in range(3):
        write_scan(archive / f"scan {number}", volume, f"1.2.3.{number}")
    process = start(archive, out, "--method", "linear", "--dicom")
    wait_for_half_a_series(process, out)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert leftovers(out)
    whole = [path for path in series_in(out) if ".sliceinterp-" not in str(path)]
    assert all(len(list(folder.iterdir())) == 79 for folder in whole)
    code, _, errors = run(archive, out, "--dicom")
    assert code == 0, errors
    assert len(series_in(out)) == 3
    for number, folder in enumerate(series_in(out)):
        assert_right(archive / f"scan {number}", folder)
    assert leftovers(out) == []


def wait_for_half_a_series(process: subprocess.Popen, out: Path) -> None:
    while not 3 < sum(1 for _ in out.rglob(".sliceinterp-*/series/slice-*.dcm")) < 70:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def test_derived_series_in_the_archive_are_not_doubled_again(tmp_path: Path) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    archive.mkdir()
    write_head(archive / "scan")
    scan = read_dicom(archive / "scan")
    result = upsample(scan, make_interpolator("linear"))
    write_dicom(result, scan.files, archive / "derived")
    write_dicom(result, scan.files, tmp_path / "beside", keep_identity=True)
    for path in (tmp_path / "beside").iterdir():
        shutil.move(path, archive / "scan")
    # Results of a batch that ran before, into another folder of the archive.
    assert run(archive, archive / "earlier", "--dicom")[0] == 0
    code, output, _ = run(archive, out, "--suffix", ".nii.gz")
    assert code == 0
    assert "1 done, 3 skipped, 0 failed" in output
    reason = results(out)["derived"]["reason"]
    assert "8 of 17 slices are synthetic" in reason
    assert "its 9 acquired slices alone (sliceinterp upsample --acquired-only)" in reason


def test_what_others_put_in_the_way_is_left_alone(tmp_path: Path) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    archive.mkdir()
    for name in ("one", "two"):
        write_head(archive / name)
    recipe = make_recipe("linear", model=None, factor=2, dicom=True)
    with open_manifest(out) as manifest:
        first, second = (r.output for _, r in plan(archive, out, recipe, "", manifest).to_do)
    shutil.rmtree(out)
    (out / first).mkdir(parents=True)
    (out / first / "notes").write_text("precious")
    code, _, errors = run(archive, out, "--dicom")
    assert code == 1, errors
    assert "no batch has made" in results(out)["one"]["reason"]
    (out / second / "notes").write_text("precious")
    assert run(archive, out, "--dicom")[0] == 1
    assert "holds more than a series by SliceInterp" in results(out)["two"]["reason"]
    for name in (first, second):
        assert (out / name / "notes").read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--keep-identity"], "Add --dicom"), (["--dicom", "--suffix", ".nrrd"], "either")],
)
def test_options_that_contradict_each_other(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "archive").mkdir()
    call = ["batch", str(tmp_path / "archive"), "-o", str(tmp_path / "out"), *options]
    assert cli.main(call) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
