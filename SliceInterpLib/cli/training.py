"""The command that trains a network."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from SliceInterpLib.cli.common import Commands, add_command, add_device, scans
from SliceInterpLib.files.reading import read_volume
from SliceInterpLib.networks.registry import find_model

DESIGNS = ("small", "base", "base-pair", "plain", "flow-given", "reference-unet")
LOSSES = ("mse", "l1", "ssim", "ms-ssim", "ssim+l1", "ms-ssim+l1")


def add_commands(commands: Commands) -> None:
    """Add train."""
    sub = add_command(commands, "train", _train, "Train a network on folders of scans.")
    sub.add_argument("--data", type=Path, nargs="+", required=True, help="folders or scans")
    sub.add_argument("--valid", type=Path, nargs="*", default=[], help="for the log's PSNR")
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    sub.add_argument("--design", choices=DESIGNS, default="small")
    sub.add_argument("--start", metavar="MODEL", help="go on from this model (name or card)")
    sub.add_argument("--name", default="mine", help="the model's name on its card")
    length = sub.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, default=5000)
    length.add_argument("--minutes", type=float, help="train for this long rather than by steps")
    sub.add_argument("--loss", choices=LOSSES, default="ms-ssim+l1")
    sub.add_argument("--similarity", type=float, default=0.25, help="weight beside the pixel term")
    sub.add_argument("--k2", type=float, default=0.03, help="SSIM's second constant")
    sub.add_argument("--rate", type=float, default=4e-4, help="highest learning rate")
    sub.add_argument("--batch", type=int, default=6)
    sub.add_argument("--crop", type=int, default=192, help="pixels, a multiple of 32")
    sub.add_argument("--no-simulated", action="store_true", help="no thick slices made of thin")
    sub.add_argument("--lesions", type=float, default=0.6, help="part that gets faint lesions")
    sub.add_argument("--workers", type=int, default=0, help="processes that prepare examples")
    sub.add_argument("--seed", type=int, default=1)
    add_device(sub)


def _train(options: argparse.Namespace) -> None:
    from SliceInterpLib.networks import architectures
    from SliceInterpLib.training.guard import Guard
    from SliceInterpLib.training.losses import Loss
    from SliceInterpLib.training.session import train_model
    from SliceInterpLib.training.trainer import Settings
    from SliceInterpLib.training.triplets import Augmentation

    start = find_model(options.start) if options.start else None
    settings = Settings(
        steps=options.steps,
        minutes=options.minutes,
        batch=options.batch,
        crop=options.crop,
        learning_rate=options.rate,
        # A trained network finds the flow, and similarity counts from its first step.
        guided_steps=0 if start else 2000,
        guard=Guard(ramp_from_step=0 if start else 300, ramp_steps=0 if start else 500),
        loss=Loss(options.loss, options.similarity, k=(0.01, options.k2)),
        augmentation=Augmentation(simulated=not options.no_simulated, lesions=options.lesions),
        seed=options.seed,
        workers=options.workers,
    )
    train_model(
        name=options.name,
        design=architectures.DESIGNS[options.design],
        volumes=[read_volume(path) for path in scans(options.data)],
        validation=[read_volume(path) for path in scans(options.valid)],
        folder=options.output,
        settings=settings,
        device=options.device,
        start=start,
        command="sliceinterp " + " ".join(sys.argv[1:]),
        log=lambda record: print(json.dumps(record), flush=True),
    )
