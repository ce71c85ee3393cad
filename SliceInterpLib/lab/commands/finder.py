"""The commands that train and judge the finder of hematomas."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from SliceInterpLib.cli.common import Commands, add_command, progress_bar
from SliceInterpLib.cli.values import count, number
from SliceInterpLib.lab.commands.common import Scan, command_line, scans

if TYPE_CHECKING:
    from SliceInterpLib.lab.training.finder_examples import Stack

_LABEL = "1"
"""Of the hematoma in the files of labels."""


def add_commands(commands: Commands) -> None:
    """Add train-finder."""
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


def _train(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab.training.finder import FinderTraining, train_finder

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
            validation=stacks["valid"],
            folder=options.output,
            settings=settings,
            command=command_line(),
            log=lambda record: print(json.dumps(record), flush=True),
        )
    )


def _stack(scan: Scan, labels: Path | None) -> Stack:
    from SliceInterpLib.files.masks import read_mask
    from SliceInterpLib.lab.training.finder_examples import stack_of

    volume = scan.read()
    if labels is None:
        return stack_of(volume, None)
    return stack_of(volume, read_mask(labels / f"{scan.name}.nii.gz", volume, _LABEL))
