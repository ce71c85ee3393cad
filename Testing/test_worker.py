"""The child process, and the runs that Slicer makes of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from SliceInterpLib import job_folder, worker
from SliceInterpLib.errors import Cancelled, MethodError, SliceInterpError
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.networks.registry import find_model
from SliceInterpLib.scene import jobs
from SliceInterpLib.scene.jobs import Job, JobError
from SliceInterpLib.tasks import Checking, Doubled, Doubling, MethodSettings, Reporting
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

ROOT = Path(__file__).resolve().parents[1]


def head(slices=5, size=24, spacing=(1.0, 1.0, 5.0)):
    hu = np.random.default_rng(0).integers(-1000, 100, (slices, size, size)).astype(np.int16)
    return Volume.from_grid(
        hu=hu, origin=(1, -2, 3), spacing=spacing, direction=np.diag([1, -1, -1])
    )


def doubling(*methods, of=None, **more):
    return Doubling(of or head(), MethodSettings(methods or ("linear",), **more))


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
    job = Job(doubling("linear", "cubic", of=volume), progress=lambda *what: seen.append(what))
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
    found = Job(doubling(of=volume, factor=4)).wait().unwrap().volumes["linear"]
    assert found.slice_count == 93
    assert found.slice_spacing == 1.25


def test_the_learned_method_runs_in_the_child_only():
    code = (
        "import sys, numpy as np\n"
        "from SliceInterpLib.scene.jobs import Job\n"
        "from SliceInterpLib.tasks import Doubling, MethodSettings\n"
        "from SliceInterpLib.volume import Volume\n"
        "hu = np.full((3, 16, 16), -1000, np.int16)\n"
        "volume = Volume.from_grid(hu, (0, 0, 0), (1, 1, 5), np.eye(3))\n"
        "task = Doubling(volume, MethodSettings(('learned',), device='cpu'))\n"
        "doubled = Job(task).wait().unwrap()\n"
        "result = doubled.volumes['learned']\n"
        "assert result.provenance['model_sha256'] and result.slice_count == 5\n"
        "assert 'torch' not in sys.modules and 'slicer' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_check_gives_metrics_of_every_hidden_slice():
    volume = head(slices=6)
    check = Job(Checking(volume, MethodSettings(("nearest", "linear")))).wait().unwrap()
    rows = check.rows
    assert [row["slice"] for row in rows["linear"]] == [1, 2, 3, 4]
    assert all(np.isfinite(row["psnr"]) for row in rows["nearest"])
    assert rows["linear"][0]["ms_ssim"] is None  # too small a slice for it


def test_a_report_tells_its_steps_and_gives_a_page():
    steps = []
    task = Reporting(head(slices=3), MethodSettings(("linear", "cubic")))
    page = Job(task, step=steps.append).wait().unwrap()
    assert page.rstrip().endswith("</html>")
    assert "Hiding each acquired slice in turn and predicting it…" in steps
    assert steps[-1] == "Drawing…"


def test_what_the_engine_refuses_is_one_clear_line(private_tmp):
    with pytest.raises(JobError, match="fewer than 2 slices"):
        Job(doubling(of=head(slices=1))).wait().unwrap()
    with pytest.raises(JobError, match="no method 'magic'") as caught:
        Job(doubling("magic")).wait().unwrap()
    assert "\n" not in str(caught.value)
    assert not list(private_tmp.iterdir())


def test_cuda_that_is_not_there_is_said():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU here")
    with pytest.raises(JobError, match="CUDA was asked for"):
        Job(doubling("learned", device="cuda")).wait().unwrap()


def test_a_warning_arrives_as_log():
    lines = []
    volume = head(spacing=(1.0, 1.0, 1.0))
    Job(doubling(of=volume, allow_thin=True), log=lines.append).wait().unwrap()
    assert any("adds no detail" in line for line in lines)


def test_a_crash_shows_the_last_lines(private_tmp, slow_worker):
    slow_worker("import sys\nprint('loading the model')\nraise SystemError('all is lost')\n")
    with pytest.raises(JobError, match="exit code 1") as caught:
        Job(doubling()).wait().unwrap()
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
    job = Job(doubling("sinc", of=head(slices=200, size=256), factor=4), progress=cancel)
    with pytest.raises(Cancelled):
        job.wait().unwrap()
    assert len(told) == 1
    assert job._process.returncode == worker.CANCELLED
    assert not list(private_tmp.iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(job._child, 0)


def test_cancel_before_the_child_has_started(private_tmp):
    job = Job(doubling())
    job.cancel()
    with pytest.raises(Cancelled):
        job.wait().unwrap()
    assert not list(private_tmp.iterdir())


def test_a_child_that_does_not_listen_is_killed(private_tmp, slow_worker, monkeypatch):
    slow_worker(ENDLESS + "import time\nwhile True: time.sleep(1)\n")
    monkeypatch.setattr(jobs, "GRACE", 0.3)
    job = Job(doubling())
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
    long = doubling("sinc", of=head(slices=400, size=256), factor=4)
    job_folder.write(folder, job_folder.TASK, long)
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
    job_folder.write(folder, job_folder.RESULT, "of somebody")
    os.mkfifo(folder / "task.pickle")  # nobody writes into it, so that reading never ends
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

    noted(job_folder, "write")
    noted(jobs, "start_worker")
    noted(job_folder, "read")
    job = Job(doubling())
    job.wait().unwrap()
    assert set(done_by) == {"write", "start_worker", "read"}
    assert threading.current_thread() not in done_by.values()
    assert job._child not in (None, os.getpid())


def test_the_folder_is_private(private_tmp, monkeypatch):
    modes = []
    real = job_folder.write

    def write(folder, *rest):
        modes.append(folder.stat().st_mode & 0o777)
        real(folder, *rest)

    monkeypatch.setattr(job_folder, "write", write)
    Job(doubling()).wait().unwrap()
    assert modes == [0o700]


def test_an_expected_error_that_was_never_measured_is_done_without(tmp_path):
    """As with a model of one's own: the run goes on, and the log says why."""
    model = find_model()
    card = tmp_path / "own.json"
    card.write_text(json.dumps(model.card))
    (tmp_path / model.weights.name).write_bytes(model.weights.read_bytes())
    task = doubling(
        "learned", of=head(slices=2), model=str(card), device="cpu", expected_error=True
    )
    lines = []
    doubled = Job(task, log=lines.append).wait().unwrap()
    assert doubled.volumes["learned"].slice_count == 3
    assert not doubled.expected_errors
    assert any("never measured" in line for line in lines)


def left(body):
    """A child that leaves this in its folder and says that it is done."""
    return (
        "import sys\n"
        f"sys.path[0] = {str(ROOT)!r}\n"
        "from pathlib import Path\n"
        "from SliceInterpLib import job_folder\n"
        "folder = Path(sys.argv[1])\n"
        f"{body}\n"
    )


@pytest.mark.parametrize(
    "body",
    [
        "",  # nothing
        "(folder / 'result.pickle').write_bytes(b'')",
        "(folder / 'result.pickle').write_bytes(b'\\x80\\x05')",
        "(folder / 'result.pickle').write_bytes(b'cno_such_module\\nname\\n.')",
        "job_folder.write(folder, 'result', None)",
    ],
)
def test_a_damaged_result_is_thrown_away(private_tmp, slow_worker, body):
    slow_worker(left(body))
    with pytest.raises(MethodError, match="damaged and was thrown away.*Run it again"):
        Job(doubling()).wait().unwrap()
    assert not list(private_tmp.iterdir())


def run_here(**more):
    """A task and what it gives; no child is needed for that."""
    task = doubling(**more)
    owner = SimpleNamespace(heed=lambda: None, progress=lambda *what: None, cancelled=lambda: False)
    return task, task.run(owner)


@pytest.mark.parametrize(
    "change",
    [
        {"slices": lambda hu: np.where(np.arange(9)[:, None, None] == 2, hu + 1, hu)},
        {"slices": lambda hu: hu.astype(np.float32)},
        {"slices": lambda hu: hu[:, 1:]},
        {"synthetic": lambda marks: np.zeros(9, bool)},
        {"synthetic": lambda marks: ~marks},
        {"slice_origins": lambda places: places + [0.0, 0.0, 0.1]},
    ],
)
def test_a_result_with_other_acquired_slices_is_refused(change):
    task, doubled = run_here()
    task.check(doubled)
    ((name, by),) = change.items()
    result = doubled.volumes["linear"]
    spoilt = replace(result, **{name: by(getattr(result, name))})
    with pytest.raises((ValueError, IndexError)):
        task.check(Doubled({"linear": spoilt}, {}))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda error: error.astype(np.float64),
        lambda error: error[:, 1:],
        lambda error: error + 1,  # acquired slices have none
        lambda error: -error,
    ],
)
def test_an_impossible_expected_error_is_refused(spoil):
    task, doubled = run_here()
    linear = doubled.volumes["linear"]
    error = np.zeros(linear.hu.shape, np.float32)
    error[linear.synthetic] = 5.0
    for hu, refusal in (
        (error, contextlib.nullcontext()),
        (spoil(error), pytest.raises(ValueError, match="its expected error")),
    ):
        told = Doubled(doubled.volumes, {"linear": replace(linear, slices=hu)})
        with refusal:
            task.check(told)


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
