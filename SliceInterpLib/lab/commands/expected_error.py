"""The commands that fit and judge the expected error of a model's slices."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from SliceInterpLib.cli.common import (
    Commands,
    add_acquired_only,
    add_command,
    add_device,
    add_json,
    print_result,
    progress_bar,
    say,
)
from SliceInterpLib.cli.values import count
from SliceInterpLib.lab.commands.common import add_places, check_average, command_line, scans
from SliceInterpLib.networks.registry import find_model
from SliceInterpLib.volume import Volume

if TYPE_CHECKING:
    from SliceInterpLib.interpolators.learned import Learned

_REPORT_EVERY = 3
"""N, where every N-th slice is judged for the card."""

_MEANING = (
    "Expected absolute error in HU of each synthetic voxel against what the scanner would have "
    "shown there, so that it holds the acquired slices' noise as well."
)

_LIMITS = [
    "Measured on hidden slices, one at a time and two in a row, whose neighbours lie two and three "
    "times as far apart as in use. In use the clues are smaller, and so is the expected error; how "
    "well it is calibrated there, and at other places than the middle and the thirds, is known "
    "from thin slices averaged into thick ones alone (metrics with --average).",
    "The curve was measured on scans that are saturated at both ends of a brain window; in bone "
    "and air of other scans it is carried on and is a rough guide.",
    "It says where the two slices disagree, not whether a lesion was missed: what neither slice "
    "shows raises no expected error.",
]


def add_commands(commands: Commands) -> None:
    """Add train-expected-error and expected-error."""
    sub = add_command(
        commands, "train-expected-error", _train, "Fit the expected error of a model's slices."
    )
    sub.add_argument("--data", type=Path, nargs="+", required=True, help="scans to learn from")
    sub.add_argument(
        "--valid",
        type=Path,
        nargs="+",
        required=True,
        help="scans of other patients, to calibrate on",
    )
    sub.add_argument(
        "--report",
        type=Path,
        nargs="+",
        default=[],
        help="scans of further patients, for the figures on the card",
    )
    add_acquired_only(sub)
    sub.add_argument("--model", help="name of a model, or path of its card")
    sub.add_argument(
        "--every", type=count(), default=6, metavar="N", help="hide every N-th slice (default: 6)"
    )
    sub.add_argument("--steps", type=count(), default=4000)
    sub.add_argument("--seed", type=count(least=0), default=0)
    add_device(sub)

    sub = add_command(
        commands,
        "expected-error",
        _judge,
        "Compare the expected error with the real one, voxel by voxel.",
    )
    sub.add_argument("data", type=Path, nargs="+", help="scans, or folders of scans")
    add_acquired_only(sub)
    sub.add_argument("--model", help="name of a model, or path of its card")
    sub.add_argument(
        "--every", type=count(), default=1, metavar="N", help="hide every N-th slice (default: 1)"
    )
    add_places(sub)
    add_device(sub)
    add_json(sub)


def _train(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab.calibration import calibration_text, judge_expected_error
    from SliceInterpLib.lab.training.expected_error import fit_expected_error
    from SliceInterpLib.networks.expected_error import save_expected_error

    learned = _learned(options)
    with progress_bar("volumes", quiet=False) as progress:
        expected = fit_expected_error(
            learned,
            [scan.read() for scan in scans(options.data, acquired_only=options.acquired_only)],
            [scan.read() for scan in scans(options.valid, acquired_only=options.acquired_only)],
            every=options.every,
            steps=options.steps,
            seed=options.seed,
            progress=progress,
        )
    learned.expected_error = expected
    metrics = {}
    for place in options.report:
        result = judge_expected_error(_patients([place], options), learned, every=_REPORT_EVERY)
        del result["per_patient"]
        metrics[f"sliceinterp lab expected-error {place} --every {_REPORT_EVERY}"] = json.loads(
            json.dumps(result), parse_float=lambda text: round(float(text), 3)
        )
        say(f"{place}\n\n{calibration_text(result)}\n")
    facts = {
        "summary": _MEANING,
        "licence": learned.model.card.get("licence"),
        "training": {"command": command_line()},
        "limits": _LIMITS,
        "metrics": metrics,
    }
    print(save_expected_error(expected, learned.model, facts))


def _judge(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab.calibration import calibration_text, judge_expected_error
    from SliceInterpLib.lab.patient_statistics import counted

    check_average(options)
    with progress_bar("volumes", quiet=options.json) as progress:
        result = judge_expected_error(
            _patients(options.data, options),
            _learned(options),
            every=options.every,
            thickness=options.average,
            places=options.places,
            progress=progress,
        )
    heading = f"{counted(result['patients'])}, {result['voxels']} voxels"
    text = f"{heading}\n\n{calibration_text(result)}"
    print_result(result, text, as_json=options.json)


def _learned(options: argparse.Namespace) -> Learned:
    from SliceInterpLib.interpolators.learned import Learned

    return Learned(find_model(options.model), device=options.device)


def _patients(places: list[Path], options: argparse.Namespace) -> dict[str, Callable[[], Volume]]:
    return {str(scan): scan.read for scan in scans(places, acquired_only=options.acquired_only)}
