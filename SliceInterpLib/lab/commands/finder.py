"""The commands that train and judge the finder of hematomas."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SliceInterpLib.cli.common import Commands, add_command, add_json, print_result, progress_bar
from SliceInterpLib.cli.values import count, number
from SliceInterpLib.lab.commands.common import Scan, by_name, command_line, scans
from SliceInterpLib.networks.registry import FINDER, find_model
from SliceInterpLib.volume import Volume

if TYPE_CHECKING:
    from SliceInterpLib.lab.training.finder_examples import Stack

_LABEL = "1"
"""Of the hematoma in the files of labels."""


def add_commands(commands: Commands) -> None:
    """Add train-finder and finder-check."""
    sub = add_command(commands, "train-finder", _train, "Train the finder of hematomas.")
    sub.set_defaults(kept="what was last written is")
    sub.add_argument("--data", type=Path, nargs="+", required=True, help="scans with a hematoma")
    sub.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="a file NAME.nii.gz for each scan of --data and --valid, 1 where the hematoma is",
    )
    sub.add_argument(
        "--without", type=Path, nargs="*", default=[], help="scans without any hemorrhage"
    )
    sub.add_argument("--valid", type=Path, nargs="*", default=[], help="scans for the log's Dice")
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    sub.add_argument("--name", default="my-finder", help="the model's name on its card")
    sub.add_argument("--minutes", type=number(above=0), default=30.0)
    sub.add_argument("--batch", type=count(), default=12)
    sub.add_argument("--seed", type=count(least=0), default=1)

    sub = add_command(
        commands, "finder-check", _check, "Hold the finder against known hematomas, or none."
    )
    sub.add_argument("data", type=Path, nargs="+", help="scans, or folders of scans")
    sub.add_argument(
        "--labels",
        type=Path,
        metavar="FOLDER",
        help="a file NAME.nii.gz for each scan, 1 where the hematoma is (default: the scans have "
        "no hemorrhage)",
    )
    sub.add_argument("--finder", help="name of a finder, or path of its card")
    add_json(sub)


def _train(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab.training.finder import FinderTraining, phantoms, train_finder

    places = {"data": options.data, "valid": options.valid, "without": options.without}
    found = {use: scans(at) if at else [] for use, at in places.items()}
    stacks: dict[str, list[Stack]] = {use: [] for use in places}
    total = sum(map(len, found.values()))
    with progress_bar("scans", quiet=False) as progress:
        for use, some in found.items():
            for scan in some:
                labels = None if use == "without" else options.labels
                stacks[use].append(_stack(scan, labels))
                progress(sum(map(len, stacks.values())), total)
    settings = FinderTraining(minutes=options.minutes, batch=options.batch, seed=options.seed)
    print(
        train_finder(
            name=options.name,
            patients=stacks["data"],
            without=stacks["without"],
            built_in=phantoms(),
            validation=stacks["valid"],
            folder=options.output,
            settings=settings,
            command=command_line(),
            log=lambda record: print(json.dumps(record), flush=True),
        )
    )


def _check(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab.finder_check import check_finder, checked_table, in_words, summary_of

    loaders = {
        name: partial(_read, scan, options.labels)
        for name, scan in by_name(scans(options.data)).items()
    }
    with progress_bar("scans", quiet=options.json) as progress:
        rows = check_finder(loaders, find_model(options.finder, FINDER), progress)
    text = f"{checked_table(rows).markdown()}\n\n{in_words(rows)}"
    print_result(summary_of(rows), text, as_json=options.json)


def _stack(scan: Scan, labels: Path | None) -> Stack:
    from SliceInterpLib.lab.training.finder_examples import stack_of

    return stack_of(*_read(scan, labels))


def _read(scan: Scan, labels: Path | None) -> tuple[Volume, np.ndarray | None]:
    """The scan and the mask of its hematoma."""
    from SliceInterpLib.files.masks import read_mask

    volume = scan.read()
    if labels is None:
        return volume, None
    return volume, read_mask(labels / f"{scan.name}.nii.gz", volume, _LABEL)
