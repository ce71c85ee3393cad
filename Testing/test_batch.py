"""A whole archive from the command line: what is doubled, what is not, and going on after a kill.

The long one, a hundred real scans and three kills, runs where SLICEINTERP_SLOW is set.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from archives import (
    ROOT,
    assert_right,
    head,
    identities,
    leftovers,
    results,
    run,
    start,
    states,
    wait_for_done,
    write_dicom,
)
from pydicom.uid import MRImageStorage

from SliceInterpLib.archive.cluster import local_cluster
from SliceInterpLib.archive.doubling import make_recipe
from SliceInterpLib.archive.manifest import Result, open_manifest
from SliceInterpLib.archive.running import plan
from SliceInterpLib.errors import OutputError
from SliceInterpLib.files import read_volume, write_volume

UIDS = ("1.2.3.1", "1.2.3.2", "1.2.3.3")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Twelve files with three different heads."""
    folder = tmp_path / "archive"
    folder.mkdir()
    heads = [head(seed=seed) for seed in range(3)]
    for number in range(12):
        write_volume(heads[number % 3], folder / f"head {number:02}.nii.gz")
    return folder


def test_a_mixed_archive_is_sorted_out_once(tmp_path):
    archive = tmp_path / "archive"
    out = archive / "a" / "doubled"
    (archive / "a" / "ward 1").mkdir(parents=True)
    write_volume(head(), archive / "a" / "ward 1" / "head.nii.gz")
    write_volume(head(seed=1), archive / "plain.mha")
    write_volume(head(seed=2), archive / "plain.nrrd")
    write_volume(head(pixel_spacing=6.0, slice_spacing=8.0), archive / "chest.nrrd")
    write_volume(head(slice_spacing=3.6), archive / "thin.nrrd")
    (archive / "broken.nii.gz").write_bytes((archive / "a/ward 1/head.nii.gz").read_bytes()[:2000])
    (archive / ".hidden.nii.gz").write_bytes(b"not read")
    (archive / "notes.txt").write_text("not DICOM")
    write_dicom(archive / "study", head(seed=3), UIDS[0], BodyPartExamined="HEAD")
    write_dicom(archive / "study", head(seed=4), UIDS[1])
    write_dicom(archive / "study", head(seed=5), UIDS[2], BodyPartExamined="CHEST")
    write_dicom(archive / "mr", head(), "1.2.4", Modality="MR", SOPClassUID=MRImageStorage)
    (archive / "loop").symlink_to(archive)

    code, output, errors = run(archive, out, "--json")
    assert code == 1
    summary = json.loads(output)
    assert {state: summary[state] for state in ("done", "skipped", "failed")} == {
        "done": 3,
        "skipped": 4,
        "failed": 3,
    }
    assert errors.startswith("sliceinterp: error: 3 of 10 series failed")
    table = results(out)
    reasons = {
        "a/ward 1/head.nii.gz": ("done", ""),
        "plain.mha": ("failed", "same name"),
        "plain.nrrd": ("failed", "same name"),
        "chest.nrrd": ("skipped", "size of a head"),
        "thin.nrrd": ("skipped", "no detail.*'sliceinterp upsample --allow-thin' double it"),
        "broken.nii.gz": ("failed", "damaged"),
        "mr": ("skipped", "no CT slices"),
    }
    for source, (state, reason) in reasons.items():
        assert table[source]["state"] == state, source
        assert re.search(reason, table[source]["reason"]), source
    row = table["a/ward 1/head.nii.gz"]
    assert (row["slices_before"], row["slices_after"]) == ("10", "19")
    assert (row["spacing_before_mm"], row["spacing_after_mm"]) == ("5.0", "2.5")
    assert_right(archive / "a/ward 1/head.nii.gz", out / "a/ward 1/head.nrrd")
    made = sorted(path.name for path in out.glob("study*"))
    assert len(made) == 2
    assert all(
        secret not in path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
        for secret in (b"Secret", b"1.2.3", b"CHEST", bytes(str(tmp_path), "utf-8"))
    )
    assert leftovers(out) == []

    before = identities(out)
    (archive / "plain.mha").rename(archive / "other.mha")
    assert run(archive, out)[0] == 1
    assert before.items() < identities(out).items()
    assert {name: row["state"] for name, row in results(out).items()} == {
        **{name: row["state"] for name, row in table.items() if name != "plain.mha"},
        "other.mha": "done",
        "plain.nrrd": "done",
    }


def test_another_method_or_another_scan_is_done_anew(tmp_path):
    archive, out = tmp_path / "archive", tmp_path / "out"
    archive.mkdir()
    write_volume(head(), archive / "one.nrrd")
    write_volume(head(seed=1), archive / "two.nrrd")
    assert run(archive, out)[0] == 0

    linear = make_recipe("linear", model=None, factor=2)
    others = (
        make_recipe("cubic", model=None, factor=2),
        dataclasses.replace(linear, model_sha256="0" * 64),
        dataclasses.replace(linear, version="0.0.0"),
    )
    with open_manifest(out) as manifest:
        assert plan(archive, out, linear, ".nrrd", manifest).to_do == []
        write_volume(head(seed=2), archive / "two.nrrd", overwrite=True)
        again = plan(archive, out, linear, ".nrrd", manifest).to_do
        assert [result.input for _, result in again] == ["two.nrrd"]
        for recipe in others:
            assert len(plan(archive, out, recipe, ".nrrd", manifest).to_do) == 2

    assert run(archive, out, "--factor", 4)[0] == 0
    assert [read_volume(out / f"{n}.nrrd").slice_count for n in ("one", "two")] == [37, 37]


def test_killed_and_terminated_runs_are_gone_on_with(archive, tmp_path):
    out = tmp_path / "out"
    known: dict[str, tuple[int, int]] = {}
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = start(archive, out, "--method", "linear")
        wait_for_done(process, out, len(known) + 2)
        # Ctrl-C reaches the workers as well.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        _, errors = process.communicate()
        assert process.returncode == code, errors
        assert known.items() < identities(out).items()
        known = identities(out)
        assert len(known) < 12
        if number != signal.SIGKILL:
            assert errors.endswith("cancelled; every finished series was kept\n")
            assert "Traceback" not in errors
            assert leftovers(out) == []
            assert len(results(out)) == 12
    code, _, errors = run(archive, out)
    assert code == 0, errors
    assert known.items() < identities(out).items()
    assert Counter(states(out))[("head 00.nrrd", "done")] == 1
    assert_all_right_and_once(archive, out)


def assert_all_right_and_once(archive: Path, out: Path) -> None:
    done = Counter(output for output, state in states(out) if state == "done")
    assert set(done.values()) == {1}
    sources = sorted(path for path in archive.rglob("*") if path.is_file())
    assert len(sources) == len(done)
    for source in sources:
        name = source.relative_to(archive).as_posix().removesuffix(".nii.gz")
        assert_right(source, out / f"{name}.nrrd")
    assert leftovers(out) == []


def test_a_running_cluster_does_it_as_well(tmp_path):
    import dask
    from distributed import LocalCluster

    archive, out = tmp_path / "archive", tmp_path / "out"
    write_dicom(archive, head(), UIDS[0])
    with (
        dask.config.set({"temporary-directory": str(tmp_path)}),
        LocalCluster(processes=False, protocol="tcp", dashboard_address=None) as cluster,
    ):
        call = ["batch", archive, "-o", out, "--method", "linear", "--scheduler"]
        done = subprocess.run(
            [sys.executable, "-m", "SliceInterpLib.cli", *call, cluster.scheduler_address],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "1 done, 0 skipped, 0 failed" in done.stdout
    assert len(list(out.glob("series-*.nrrd"))) == 1


def test_each_process_has_a_gpu_of_its_own(tmp_path, monkeypatch):
    """Two GPUs are pretended: what counts is what each process gets to see."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    with local_cluster(2, 2, tmp_path) as client:
        seen = client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
        addresses = client.scheduler_info()["workers"]
    assert sorted(seen.values()) == ["2", "5"]
    assert all(address.startswith("tls://127.0.0.1:") for address in addresses)


def test_a_line_cut_off_by_a_kill_counts_for_nothing(tmp_path):
    one, two = (Result(f"{n}.nii", f"{n}.nrrd", "f", state="done") for n in ("one", "two"))
    with open_manifest(tmp_path) as manifest:
        manifest.add([one, two])
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    with open_manifest(tmp_path) as manifest:
        assert manifest.results == {"one.nrrd": one}
        manifest.add([two])
    with open_manifest(tmp_path) as manifest:
        assert manifest.results == {"one.nrrd": one, "two.nrrd": two}


def test_files_of_others_are_left_alone(archive, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "head 03.nii.gz").write_text("precious")
    (out / "head 05.json").write_text("precious")
    recipe = make_recipe("linear", model=None, factor=2)
    for _ in range(2):
        with open_manifest(out) as manifest:
            batch = plan(archive, out, recipe, ".nii.gz", manifest)
        failed = {result.input for result in batch.results if result.state == "failed"}
        assert failed == {"head 03.nii.gz", "head 05.nii.gz"}
    with (
        open_manifest(tmp_path) as manifest,
        pytest.raises(OutputError, match="lies in the output"),
    ):
        plan(archive, tmp_path, recipe, ".nrrd", manifest)


@pytest.mark.skipif("SLICEINTERP_SLOW" not in os.environ, reason="takes minutes; SLICEINTERP_SLOW")
def test_a_hundred_real_scans_survive_three_kills(data_dir, tmp_path):
    """By `linear`, or the method that SLICEINTERP_SLOW names; results are compared for linear."""
    method = os.environ["SLICEINTERP_SLOW"] or "linear"
    archive, out = tmp_path / "archive", tmp_path / "out"
    shutil.copytree(data_dir / "phe-sich", archive)
    chance = random.Random(0)
    known: dict[str, tuple[int, int]] = {}
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        begun = time.monotonic()
        process = start(archive, out, "--method", method)
        wait_for_done(process, out, len(known) + chance.randint(10, 30))
        time.sleep(chance.random())
        os.kill(process.pid, number)
        process.communicate()
        assert known.items() <= identities(out).items()
        known = identities(out)
        print(
            f"\n{signal.Signals(number).name}: {len(known)} done, {time.monotonic() - begun:.0f} s"
        )
    process = start(archive, out, "--method", method)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "100 done, 0 skipped, 0 failed" in output
    assert known.items() < identities(out).items()
    if method == "linear":
        assert_all_right_and_once(archive, out)
