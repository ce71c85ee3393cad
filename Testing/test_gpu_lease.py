"""The scripts for a GPU that is lent for minutes, tried on the CPU: packs, training, product."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from SliceInterpLib.files import write_volume
from SliceInterpLib.networks.registry import load_network, read_card
from SliceInterpLib.phantom import head_phantom

HERE = Path(__file__).resolve().parent / "gpu"

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(("cv2", "SimpleITK", "pydicom", "matplotlib", "dask")))
sys.path[:0] = [sys.argv.pop(1)]
import lease
lease.main()
"""
"""The lent machine has none of these."""


@pytest.fixture
def gpu_folder(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


def lease(*arguments):
    command = [sys.executable, "-c", WITHOUT, str(HERE), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_packed_scans_come_back_bit_for_bit_in_parts_of_the_size_asked_for(
    tmp_path, gpu_folder, head
):
    from lease import main
    from packs import unpack

    window = np.clip(head.slices, -20, 100)
    for name, slices in (("a", head.slices), ("b", window), ("c", head.slices[::-1])):
        volume = head_phantom(matrix=224, pixel_spacing=1.0, slices=12).volume
        volume.slices[...] = slices
        write_volume(volume, tmp_path / f"{name}.nrrd")
    given = [str(tmp_path / f"{name}.nrrd") for name in "abc"]
    main(["pack", "--data", *given, "-o", str(tmp_path / "pack" / "train"), "--mib", "0.4"])
    parts = sorted((tmp_path / "pack").iterdir())
    assert [part.name for part in parts] == ["train-1", "train-2"]
    found = unpack(parts)
    for volume, slices in zip(found, (head.slices, window, head.slices[::-1]), strict=True):
        np.testing.assert_array_equal(volume.slices, slices)
        assert volume.slice_spacing == pytest.approx(head.slice_spacing)
        assert volume.pixel_spacing == pytest.approx(head.pixel_spacing)
    assert np.load(parts[0] / "b.npz")["slices"].dtype == np.uint8


def test_training_goes_on_from_call_to_call_and_needs_few_packages(tmp_path, gpu_folder, head):
    from packs import pack

    parts = pack([("head", head)], tmp_path / "train", 50.0)
    run = tmp_path / "run"
    command = [
        *("train", "--data", *parts, "--valid", *parts, "-o", run, "--device", "cpu"),
        *("--start", "small", "--batch", 1, "--workers", 1, "--minutes", 0.1),
    ]
    first = lease(*command, "--leave-after", 0.03)
    assert 0.0 < first[-1]["minutes"] < 0.1
    assert first[-1]["valid_psnr"] > 20.0
    second = lease(*command)
    assert second[-1]["step"] > first[-1]["step"]
    assert second[-1]["minutes"] >= 0.1
    assert max(path.stat().st_size for path in run.iterdir()) < 16 << 20
    assert len(list(run.iterdir())) <= 8
    model = read_card(run / "model.json")
    assert model.card["training"]["steps"] == second[-1]["step"]
    load_network(model)


def test_the_product_is_measured_run_by_run(tmp_path, gpu_folder):
    from product import Run, _differences, _finished, ceilings, torch

    files = [str(tmp_path / name) for name in ("half.npy", "full.npy")]
    half, full = (
        _finished(Run("cpu", 6, 64, half=half, keep=keep).start())
        for half, keep in zip((True, False), files, strict=True)
    )
    assert (half["precision"], full["precision"]) == ("bfloat16", "float32")
    assert half["seconds"] > 0.0 and half["sha256"] != full["sha256"]
    off = _differences(*files)
    assert 0.0 < off["mean"] < 2.0
    assert "failed" in _finished(Run("no such device", 6, 64).start())
    assert ceilings(torch.device("cpu"))["float32_tflops"] > 0.0
