"""Check on this scan: hidden slices, their figures, the worst one, and the command."""

import json
import threading

import numpy as np
import pytest

from SliceInterpLib.cli import main
from SliceInterpLib.errors import Cancelled, VolumeError
from SliceInterpLib.evidence.scan_check import check_scan, check_table, slice_table
from SliceInterpLib.files import write_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.volume import Volume

LINEAR, NEAREST = make_interpolator("linear"), make_interpolator("nearest")


def stack(values, low=-1000.0):
    """Slices of one value each, in a frame of `low`."""
    hu = np.full((len(values), 24, 24), low, np.float32)
    hu[:, 4:20, 4:20] = np.asarray(values, np.float32)[:, None, None]
    return Volume.from_grid(hu=hu, origin=(0, 0, 0), spacing=(0.5, 0.5, 5.0), direction=np.eye(3))


def test_every_inner_slice_is_hidden_and_the_worst_is_named():
    result = check_scan(stack([20, 30, 40, 60, 60, 60]), [LINEAR, NEAREST])
    linear = result["methods"]["linear"]
    assert [row["slice"] for row in linear["slices"]] == [1, 2, 3, 4]
    assert [row["mae_hu"] for row in linear["slices"]] == pytest.approx([0, 5, 10, 0], abs=1e-4)
    assert linear["worst"]["slice"] == 3
    assert linear["mean"]["mae_hu"] == pytest.approx(15 / 4)
    # The window's figure is over the whole slice, of which 16² of 24² pixels are off.
    assert linear["mean"]["mae_window_hu"] == pytest.approx(15 / 4 * (16 / 24) ** 2, rel=1e-4)
    assert result["methods"]["nearest"]["mean"]["mae_hu"] == pytest.approx((10 + 10 + 20) / 4)


def test_context_beyond_an_end_is_the_last_slice_at_whole_steps():
    """Around a hidden slice those two gaps apart count, also where the scan's last is nearer."""
    seen = []

    class Recorder:
        name, context, provenance = "recorder", 1, {}

        def __call__(self, pairs, times):
            for slices in pairs:
                seen.append(slices[:, 12, 12].tolist())
                yield slices[1:3].mean(0, keepdims=True)

    check_scan(stack(range(7)), [Recorder()])
    assert seen == [[0, 0, 2, 4], [1, 1, 3, 5], [0, 2, 4, 6], [1, 3, 5, 5], [2, 4, 6, 6]]


def test_it_says_that_the_gap_is_twice_the_real_one():
    result = check_scan(stack([20, 30, 40]), [LINEAR])
    assert (result["gap_mm"], result["hidden_gap_mm"]) == (5.0, 10.0)


def test_without_the_full_range_there_is_no_error_over_it():
    result = check_scan(stack([20, 30, 50], low=-20.0), [LINEAR])
    assert result["methods"]["linear"]["mean"]["mae_hu"] is None
    assert result["methods"]["linear"]["mean"]["mae_window_hu"] > 0
    assert "| – |" in check_table(result).markdown()


def test_progress_counts_over_all_methods_and_a_cancel_stops_it():
    told = []
    check_scan(stack(range(6)), [LINEAR, NEAREST], progress=lambda *done: told.append(done))
    assert told == [(done, 8) for done in range(1, 9)]
    stop = threading.Event()
    with pytest.raises(Cancelled):
        check_scan(
            stack(range(6)),
            [LINEAR],
            progress=lambda done, total: stop.set() if done == 2 else None,
            cancelled=stop.is_set,
        )


def test_two_slices_are_too_few():
    with pytest.raises(VolumeError, match="at least 3"):
        check_scan(stack([1, 2]), [LINEAR])


def test_the_tables_have_a_row_a_method_and_a_row_a_slice():
    result = check_scan(stack([20, 30, 40, 60, 60]), [LINEAR, NEAREST])
    assert [row[0] for row in check_table(result).cells] == ["linear", "nearest"]
    assert [row[0] for row in slice_table(result).cells] == ["2", "3", "4"]


def test_the_worst_slice_is_numbered_from_1():
    result = check_scan(stack([20, 30, 40, 60, 60]), [LINEAR])
    assert result["methods"]["linear"]["worst"]["slice"] == 3
    assert check_table(result).cells[0][-1].startswith("4 (")


def test_the_command_prints_a_table_or_one_object(tmp_path, capsys):
    path = tmp_path / "scan.nrrd"
    write_volume(stack([20, 30, 40, 60]), path)
    assert main(["check", str(path), "--methods", "linear,nearest", "--slices"]) == 0
    text = capsys.readouterr().out
    assert "10 mm apart, twice the 5 mm" in text
    assert text.count("| linear |") == 2  # a row of one table, a column of the other
    assert main(["check", str(path), "--methods", "linear", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["slice"] for row in result["methods"]["linear"]["slices"]] == [1, 2]


def test_the_command_refuses_a_method_that_is_not_there(tmp_path, capsys):
    path = tmp_path / "scan.nrrd"
    write_volume(stack([20, 30, 40]), path)
    with pytest.raises(SystemExit) as stop:
        main(["check", str(path), "--methods", "magic"])
    assert stop.value.code == 2
    assert "unknown: 'magic'; choose from" in capsys.readouterr().err
