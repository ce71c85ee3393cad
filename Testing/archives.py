"""Archives for `sliceinterp batch`, the command as a process, and what it leaves."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from SliceInterpLib.files import read_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

ROOT = Path(__file__).resolve().parents[1]


def heed_ctrl_c() -> None:
    """Tests in the background of a shell ignore Ctrl-C, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(archive: Path, out: Path, *options: object) -> subprocess.Popen:
    """The command as a process that leads a group of its own, as in a terminal."""
    call = ["batch", archive, "-o", out, "--workers", "1", *options]
    temporary = out.with_name("tmp")
    temporary.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "SliceInterpLib.cli", *map(str, call)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        start_new_session=True,
        preexec_fn=heed_ctrl_c,
    )


def run(archive: Path, out: Path, *options: object) -> tuple[int, str, str]:
    process = start(archive, out, "--method", "linear", *options)
    output, errors = process.communicate()
    return process.returncode, output, errors


def head(**changes: object) -> Volume:
    return head_phantom(**{"matrix": 64, "pixel_spacing": 3.6, "slices": 10, **changes}).volume


def write_dicom(
    folder: Path,
    volume: Volume,
    uid: str,
    *,
    heights: Sequence[float] | None = None,
    **changes: object,
) -> None:
    """The volume's slices as DICOM files of one series, by default where they lie."""
    folder.mkdir(parents=True, exist_ok=True)
    places = volume.positions if heights is None else heights
    for index, (plane, height) in enumerate(zip(volume.slices, places, strict=True)):
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = CTImageStorage
        data.SOPInstanceUID = f"{uid}.{index}"
        data.SeriesInstanceUID = uid
        data.StudyInstanceUID = "1.2.3"
        data.PatientName = "Secret^Person"
        data.Modality = "CT"
        data.ImagePositionPatient = [0, 0, float(height)]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.PixelSpacing = list(volume.pixel_spacing)
        data.Rows, data.Columns = plane.shape
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
        data.SamplesPerPixel, data.PixelRepresentation = 1, 1
        data.PhotometricInterpretation = "MONOCHROME2"
        data.RescaleSlope, data.RescaleIntercept = 1, 0
        data.PixelData = plane.astype("<i2").tobytes()
        for name, value in changes.items():
            setattr(data, name, value)
        data.save_as(folder / f"{uid}-{index:02}", enforce_file_format=True)


def results(out: Path) -> dict[str, dict[str, str]]:
    """The table, by input; of several series of a folder the last."""
    with (out / "results.csv").open(encoding="utf-8") as table:
        return {row["input"]: row for row in csv.DictReader(table)}


def states(out: Path) -> list[tuple[str, str]]:
    """Output and state of every whole line of the manifest."""
    lines = (out / "manifest.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return [(entry["output"], entry["state"]) for entry in entries]


def identities(out: Path) -> dict[str, tuple[int, int]]:
    """What changes when a result is written again: its inode and time, by its path."""
    done = {output for output, state in states(out) if state == "done"}
    stats = {output: (out / output).stat() for output in done}
    return {output: (stat.st_ino, stat.st_mtime_ns) for output, stat in stats.items()}


def leftovers(out: Path) -> list[Path]:
    """Temporary files, beside the results and where the system has them (see `start`)."""
    return [*out.rglob(".sliceinterp-*"), *out.with_name("tmp").iterdir()]


def assert_right(source: Path, result: Path) -> None:
    """Whole, and what the library makes of the same scan."""
    expected = upsample(read_volume(source), make_interpolator("linear"))
    found = read_volume(result)
    np.testing.assert_array_equal(found.hu, expected.hu)
    np.testing.assert_allclose(found.spacing, expected.spacing, rtol=1e-5)


def wait_for_done(process: subprocess.Popen, out: Path, count: int) -> None:
    while not (out / "manifest.jsonl").exists() or len(identities(out)) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
