"""The child process, and the runs that Slicer makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SliceInterpLib import job_folder, worker
from SliceInterpLib.errors import Cancelled, MethodError, SliceInterpError
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.job_folder import JobSettings
from SliceInterpLib.networks.registry import find_model
from SliceInterpLib.scene import jobs
from SliceInterpLib.scene.jobs import Job, JobError
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume


def head(slices=5, size=24, spacing=(1.0, 1.0, 5.0)):
    hu = np.random.default_rng(0).integers(-1000, 100, (slices, size, size)).astype(np.int16)
    return Volume.from_grid(
        hu=hu, origin=(1, -2, 3), spacing=spacing, direction=np.diag([1, -1, -1])
    )


@pytest.fixture
def slow_worker(tmp_path, monkeypatch):
    """A stand-in for the worker's file that goes on until it is cancelled, or for ever."""

    def make(body):
        path = tmp_path / "slow_worker.py"
        path.write_text(body)
        monkeypatch.setattr(worker, "__file__", str(path))

    return make


ENDLESS = "import json, os; print(json.dumps({'event': 'start', 'pid': os.getpid()}), flush=True)\n"


def test_a_job_gives_what_the_engine_gives(private_tmp):
    volume = head()
    seen = []
    job = Job(volume, JobSettings(("linear", "cubic")), progress=lambda *what: seen.append(what))
    results = job.wait().unwrap().volumes
    assert list(results) == ["linear", "cubic"]
    for method, found in results.items():
        expected = upsample(volume, make_interpolator(method))
        assert np.array_equal(found.hu, expected.hu)
        assert found.hu.dtype == np.int16
        assert found.spacing == expected.spacing
        assert found.origin == expected.origin
        assert np.array_equal(found.direction, expected.direction)
        assert np.array_equal(found.synthetic, expected.synthetic)
        assert found.provenance == expected.provenance
        assert found.slice_axis == expected.slice_axis
    assert seen[-1] == ("cubic", 4, 4)
    assert not list(private_tmp.iterdir())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_factor_4_along_any_axis(axis):
    spacing = [1.0, 1.0, 1.0]
    spacing[2 - axis] = 5.0
    volume = head(slices=24, spacing=tuple(spacing))
    found = Job(volume, JobSettings(("linear",), factor=4)).wait().unwrap().volumes["linear"]
    assert found.slice_count == 93
    assert found.slice_spacing == 1.25


def test_the_learned_method_runs_in_the_child_only():
    code = (
        "import sys, numpy as np\n"
        "from SliceInterpLib.scene.jobs import Job\n"
        "from SliceInterpLib.worker import JobSettings\n"
        "from SliceInterpLib.volume import Volume\n"
        "hu = np.full((3, 16, 16), -1000, np.int16)\n"
        "volume = Volume.from_grid(hu, (0, 0, 0), (1, 1, 5), np.eye(3))\n"
        "doubled = Job(volume, JobSettings(('learned',), device='cpu')).wait().unwrap()\n"
        "result = doubled.volumes['learned']\n"
        "assert result.provenance['model_sha256'] and result.slice_count == 5\n"
        "assert 'torch' not in sys.modules and 'slicer' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_check_gives_metrics_of_every_hidden_slice():
    volume = head(slices=6)
    rows = Job(volume, JobSettings(("nearest", "linear"), task="check")).wait().unwrap()
    assert [row["slice"] for row in rows["linear"]] == [1, 2, 3, 4]
    assert all(np.isfinite(row["psnr"]) for row in rows["nearest"])
    assert rows["linear"][0]["ms_ssim"] is None  # too small a slice for it


def test_a_report_tells_its_steps_and_gives_a_page():
    steps = []
    settings = JobSettings(("linear", "cubic"), task="report")
    page = Job(head(slices=3), settings, step=steps.append).wait().unwrap()
    assert page.rstrip().endswith("</html>")
    assert "Hiding each acquired slice in turn and predicting it…" in steps
    assert steps[-1] == "Drawing…"


def test_what_the_engine_refuses_is_one_clear_line(private_tmp):
    with pytest.raises(JobError, match="fewer than 2 slices"):
        Job(head(slices=1), JobSettings(("linear",))).wait().unwrap()
    with pytest.raises(JobError, match="no method 'magic'") as caught:
        Job(head(), JobSettings(("magic",))).wait().unwrap()
    assert "\n" not in str(caught.value)
    assert not list(private_tmp.iterdir())


def test_cuda_that_is_not_there_is_said():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU here")
    with pytest.raises(JobError, match="CUDA was asked for"):
        Job(head(), JobSettings(("learned",), device="cuda")).wait().unwrap()


def test_a_warning_arrives_as_log():
    lines = []
    volume = head(spacing=(1.0, 1.0, 1.0))
    Job(volume, JobSettings(("linear",), allow_thin=True), log=lines.append).wait().unwrap()
    assert any("adds no detail" in line for line in lines)


def test_a_crash_shows_the_last_lines(private_tmp, slow_worker):
    slow_worker("import sys\nprint('loading the model')\nraise SystemError('all is lost')\n")
    with pytest.raises(JobError, match="exit code 1") as caught:
        Job(head(), JobSettings(("linear",))).wait().unwrap()
    assert "loading the model" in caught.value.details
    assert "all is lost" in str(caught.value)
    assert not list(private_tmp.iterdir())


def test_cancel_ends_a_run_in_its_middle(private_tmp, monkeypatch):
    monkeypatch.setattr(jobs, "GRACE", float("inf"))  # it heeds the cancel, or is never over
    told = []

    def cancel(*what):
        told.append(what)
        job.cancel()
        job.cancel()  # twice does no harm

    # Long enough that it is still going on: hundreds of slices through scipy's filters.
    job = Job(head(slices=200, size=256), JobSettings(("sinc",), factor=4), progress=cancel)
    with pytest.raises(Cancelled):
        job.wait().unwrap()
    assert len(told) == 1
    assert job._process.returncode == worker.CANCELLED
    assert not list(private_tmp.iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(job._child, 0)


def test_cancel_before_the_child_has_started(private_tmp):
    job = Job(head(), JobSettings(("linear",)))
    job.cancel()
    with pytest.raises(Cancelled):
        job.wait().unwrap()
    assert not list(private_tmp.iterdir())


def test_a_child_that_does_not_listen_is_killed(private_tmp, slow_worker, monkeypatch):
    slow_worker(ENDLESS + "import time\nwhile True: time.sleep(1)\n")
    monkeypatch.setattr(jobs, "GRACE", 0.3)
    job = Job(head(), JobSettings(("linear",)))
    while job._child is None:
        assert not job.poll()
        time.sleep(0.01)
    job.cancel()
    with pytest.raises(Cancelled):
        job.wait().unwrap()
    with pytest.raises(ProcessLookupError):
        os.kill(job._child, 0)
    assert not list(private_tmp.iterdir())


def test_the_child_leaves_nothing_behind_when_its_owner_dies(tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    job_folder.write_job(folder, head(slices=400, size=256), JobSettings(("sinc",), factor=4))
    (folder / "a-file-of-someone-else").touch()
    process = jobs.start_worker(folder)
    assert json.loads(process.stdout.readline())["event"] == "start"
    process.stdin.close()
    assert process.wait() == worker.CANCELLED
    process.stdout.close()
    assert [path.name for path in folder.iterdir()] == ["a-file-of-someone-else"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_child_that_hangs_leaves_nothing_behind_either(tmp_path):
    """Where it cannot heed a cancel, as in a read from a disk that does not answer."""
    folder = tmp_path / "job"
    folder.mkdir()
    job_folder.write_job(folder, head(), JobSettings(("linear",)))
    (folder / "results.json").write_text("of an earlier method")
    (folder / "input.npy").unlink()
    os.mkfifo(folder / "input.npy")  # nobody writes into it, so that reading never ends
    process = jobs.start_worker(folder)
    assert json.loads(process.stdout.readline())["event"] == "start"
    process.stdin.close()
    assert process.wait() == worker.CANCELLED
    assert process.stdout.read() == ""  # it did not take leave
    process.stdout.close()
    assert not folder.exists()


def test_only_the_child_and_a_thread_touch_the_voxels(monkeypatch):
    """Slicer's main thread, on which its windows are drawn, waits for no file and no process."""
    done_by = {}

    def noted(module, name):
        real = getattr(module, name)

        def note(*what):
            done_by[name] = threading.current_thread()
            return real(*what)

        monkeypatch.setattr(module, name, note)

    noted(job_folder, "write_job")
    noted(jobs, "start_worker")
    noted(job_folder, "read_outcome")
    job = Job(head(), JobSettings(("linear",)))
    job.wait().unwrap()
    assert set(done_by) == {"write_job", "start_worker", "read_outcome"}
    assert threading.current_thread() not in done_by.values()
    assert job._child not in (None, os.getpid())


def test_the_folder_is_private(private_tmp, monkeypatch):
    modes = []
    real = job_folder.write_job

    def write(folder, *rest):
        modes.append(folder.stat().st_mode & 0o777)
        real(folder, *rest)

    monkeypatch.setattr(job_folder, "write_job", write)
    Job(head(), JobSettings(("linear",))).wait().unwrap()
    assert modes == [0o700]


def run_in_process(folder, volume):
    folder.mkdir()
    job_folder.write_job(folder, volume, JobSettings(("linear",)))
    worker.run_job(folder, lambda *args, **more: None, lambda: False)
    return folder


def change_voxel(folder):
    hu = np.load(folder / "result-0.npy")
    hu[2, 0, 0] += 1  # an acquired slice
    np.save(folder / "result-0.npy", hu)


def test_an_expected_error_that_was_never_measured_is_done_without(tmp_path):
    """As with a model of one's own: the run goes on, and the log says why."""
    model = find_model()
    card = tmp_path / "own.json"
    card.write_text(json.dumps(model.card))
    (tmp_path / model.weights.name).write_bytes(model.weights.read_bytes())
    settings = JobSettings(("learned",), model=str(card), device="cpu", expected_error=True)
    lines = []
    doubled = Job(head(slices=2), settings, log=lines.append).wait().unwrap()
    assert doubled.volumes["learned"].slice_count == 3
    assert not doubled.expected_errors
    assert any("never measured" in line for line in lines)


def change_results(change):
    def tamper(folder):
        results = json.loads((folder / "results.json").read_text())
        change(results["linear"])
        (folder / "results.json").write_text(json.dumps(results))

    return tamper


@pytest.mark.parametrize(
    "tamper",
    [
        change_voxel,
        lambda folder: np.save(folder / "result-0.npy", np.zeros((3, 3, 3), np.int16)),
        lambda folder: np.save(folder / "result-0.npy", np.array([{}]), allow_pickle=True),
        lambda folder: (folder / "result-0.npy").write_bytes(b"\x93NUMPY"),
        lambda folder: (folder / "result-0.npy").unlink(),
        lambda folder: (folder / "results.json").write_text("[]"),
        lambda folder: (folder / "results.json").write_text("{"),
        change_results(lambda about: about.pop("provenance")),
        change_results(lambda about: about["synthetic"].pop()),
        change_results(lambda about: about.update(synthetic=[False] * 9)),
        change_results(lambda about: about["slice_origins"][2].pop()),
        change_results(lambda about: about.update(file="../../result-9.npy")),
        change_results(lambda about: about["slice_origins"][0].__setitem__(0, 7.0)),
    ],
)
def test_a_damaged_result_is_thrown_away(tmp_path, tamper):
    folder = run_in_process(tmp_path / "job", head())
    assert job_folder.read_results(folder).volumes["linear"].slice_count == 9
    tamper(folder)
    with pytest.raises(MethodError, match="damaged"):
        job_folder.read_results(folder)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda error: error.astype(np.float64),
        lambda error: error[1:],
        lambda error: error + 1,  # acquired slices have none
        lambda error: -error,
        lambda error: error / 0.0 * 0.0,
    ],
)
def test_a_damaged_expected_error_is_thrown_away(tmp_path, spoil):
    volume = head()
    linear = upsample(volume, make_interpolator("linear"))
    error = np.zeros(linear.hu.shape, np.float32)
    error[linear.synthetic] = 5.0
    job_folder.write_job(tmp_path, volume, JobSettings(("linear",), expected_error=True))
    about = job_folder.save_upsampled(tmp_path, 0, linear, replace(linear, slices=error))
    job_folder.save_results(tmp_path, {"linear": about})
    (found,) = job_folder.read_results(tmp_path).expected_errors.values()
    assert np.array_equal(found.hu, error)
    with np.errstate(invalid="ignore", divide="ignore"):
        np.save(tmp_path / about["expected_error"], spoil(error))
    with pytest.raises(MethodError, match="damaged"):
        job_folder.read_results(tmp_path)
    job_folder.remove_job(tmp_path)
    assert not tmp_path.exists()


def test_a_report_that_is_not_there_is_damaged(tmp_path):
    with pytest.raises(MethodError, match="damaged"):
        job_folder.read_outcome(tmp_path, "report")


def test_the_worker_needs_one_folder(capsys):
    assert worker.main([]) == worker.FAILED
    assert "usage" in capsys.readouterr().err


def test_a_folder_without_a_job_is_an_error(tmp_path):
    process = jobs.start_worker(tmp_path)
    lines = [json.loads(line) for line in process.stdout if line.startswith("{")]
    process.stdin.close()
    assert process.wait() == worker.FAILED
    process.stdout.close()
    assert lines[-1]["event"] == "error"
    assert "FileNotFoundError" in lines[-1]["text"]


def test_slicers_python_is_preferred_and_slicer_never_started(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")  # the headless host puts a PythonSlicer there
    assert jobs.slicer_python() == sys.executable
    monkeypatch.setattr(sys, "executable", str(tmp_path / "SlicerApp-real"))
    with pytest.raises(SliceInterpError, match="PythonSlicer"):
        jobs.slicer_python()
    (tmp_path / "PythonSlicer").touch()
    assert Path(jobs.slicer_python()).name == "PythonSlicer"
