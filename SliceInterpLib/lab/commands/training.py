"""The command that trains a network."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from SliceInterpLib.cli.common import Commands, add_acquired_only, add_command, add_device
from SliceInterpLib.cli.values import count, number
from SliceInterpLib.errors import TrainingError
from SliceInterpLib.lab.commands.common import Scan, command_line, scans
from SliceInterpLib.networks.registry import find_model

DESIGNS = ("small", "plain", "flow-given", "reference-unet")
LOSSES = ("mse", "l1", "ssim", "ms-ssim", "ssim+l1", "ms-ssim+l1")

SMALLEST_MS_SSIM_CROP = 192
"""Pixels, a multiple of 32: MS-SSIM halves the picture four times and then looks 11 pixels wide."""


def add_commands(commands: Commands) -> None:
    """Add train."""
    sub = add_command(commands, "train", _train, "Train a network on folders of scans.")
    sub.set_defaults(kept="the last checkpoint is")
    sub.add_argument("--data", type=Path, nargs="+", required=True, help="folders or scans")
    check = sub.add_mutually_exclusive_group()
    check.add_argument("--valid", type=Path, nargs="*", default=[], help="scans for the log's PSNR")
    check.add_argument(
        "--split",
        type=number(above=0, below=1),
        metavar="PART",
        help="set this part of the patients of --data aside for it instead, such as 0.1; a "
        "patient is a folder within a folder of --data, or a file directly in it",
    )
    add_acquired_only(sub)
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    sub.add_argument("--design", choices=DESIGNS, default="small")
    sub.add_argument("--start", metavar="MODEL", help="start from this model (name or card)")
    sub.add_argument("--name", default="mine", help="the model's name on its card")
    length = sub.add_mutually_exclusive_group()
    length.add_argument("--steps", type=count(), default=5000)
    length.add_argument("--minutes", type=number(above=0), help="train for this long instead")
    sub.add_argument("--loss", choices=LOSSES, default="ms-ssim+l1")
    sub.add_argument(
        "--similarity",
        type=number(least=0, most=1),
        default=0.25,
        help="weight of similarity beside the pixel term",
    )
    sub.add_argument(
        "--bone",
        type=number(least=0),
        default=0.3,
        metavar="WEIGHT",
        help="weight of the error in 1000 HU near bone",
    )
    sub.add_argument("--k2", type=number(above=0), default=0.03, help="SSIM's second constant")
    sub.add_argument("--rate", type=number(above=0), default=4e-4, help="highest learning rate")
    sub.add_argument("--batch", type=count(), default=6)
    sub.add_argument(
        "--crop", type=count(least=32, multiple_of=32), default=192, help="pixels, a multiple of 32"
    )
    sub.add_argument(
        "--no-simulated", action="store_true", help="do not simulate thick slices from thin ones"
    )
    sub.add_argument(
        "--lesions",
        type=number(least=0, most=1),
        default=0.6,
        help="part of the examples that faint lesions are added to",
    )
    sub.add_argument(
        "--workers",
        type=count(least=0),
        help="processes that prepare examples (default: none on a CPU, 8 on a GPU)",
    )
    sub.add_argument("--seed", type=count(least=0), default=1)
    add_device(sub)


def _train(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab import designs
    from SliceInterpLib.lab.training.guard import Guard
    from SliceInterpLib.lab.training.losses import Loss
    from SliceInterpLib.lab.training.session import train_model
    from SliceInterpLib.lab.training.trainer import TrainingSettings
    from SliceInterpLib.lab.training.triplets import Augmentation
    from SliceInterpLib.networks.devices import choose_device

    if "ms-ssim" in options.loss and options.crop < SMALLEST_MS_SSIM_CROP:
        raise TrainingError(
            f"--loss {options.loss} needs a --crop of at least {SMALLEST_MS_SSIM_CROP}, not "
            f"{options.crop}. Choose a larger crop or another loss."
        )
    start = find_model(options.start) if options.start else None
    training, validation = (
        scans(places, acquired_only=options.acquired_only)
        for places in (options.data, options.valid)
    )
    if options.split:
        training, validation = split_by_patient(
            options.data, options.split, options.seed, acquired_only=options.acquired_only
        )
    workers = options.workers
    if workers is None:
        workers = 8 if choose_device(options.device).type == "cuda" else 0
    settings = TrainingSettings(
        steps=options.steps,
        minutes=options.minutes,
        batch=options.batch,
        crop=options.crop,
        learning_rate=options.rate,
        # A trained network finds the flow, and similarity counts from its first step.
        guided_steps=0 if start else 2000,
        guard=Guard(ramp_from_step=0 if start else 300, ramp_steps=0 if start else 500),
        loss=Loss(options.loss, options.similarity, k=(0.01, options.k2), bone_weight=options.bone),
        augmentation=Augmentation(simulated=not options.no_simulated, lesions=options.lesions),
        seed=options.seed,
        workers=workers,
    )
    train_model(
        name=options.name,
        design=designs.DESIGNS[options.design],
        volumes=[scan.read() for scan in training],
        validation=[scan.read() for scan in validation],
        folder=options.output,
        settings=settings,
        device=options.device,
        start=start,
        command=command_line(),
        log=lambda record: print(json.dumps(record), flush=True),
    )


def split_by_patient(
    places: Sequence[Path], part: float, seed: int, *, acquired_only: bool = False
) -> tuple[list[Scan], list[Scan]]:
    """The scans to train on and those to validate with, no patient in both.

    A patient is a folder within one of `places`, or a file directly in it.

    Args:
        places: files and folders.
        part: 0…1, of the patients that validate, at least one.
        seed: of the draw.
        acquired_only: as `scans` takes it.

    Returns:
        The two lists.

    Raises:
        TrainingError: where that leaves none to train on.
    """
    patients: dict[Path, list[Scan]] = {}
    for place in places:
        for scan in scans([place], acquired_only=acquired_only):
            inner = scan.path.relative_to(place).parts if place.is_dir() else ()
            patients.setdefault(place.joinpath(*inner[:1]), []).append(scan)
    order = sorted(patients)
    random.Random(seed).shuffle(order)
    kept = max(1, round(part * len(order)))
    if kept >= len(order):
        raise TrainingError(
            f"{len(order)} patient{'s' if len(order) != 1 else ''} cannot be split into training "
            "and validation. Give more scans, or leave --split out."
        )
    training, validation = (
        [scan for patient in some for scan in patients[patient]]
        for some in (order[kept:], order[:kept])
    )
    return training, validation
