"""Training and the product on a GPU that is lent for minutes; the same on a CPU, to try it.

    pack    scans into small files, where they are (needs SimpleITK)
    train   on packed scans for some minutes, going on from the last checkpoint
    check   what the product does on the GPU

train and check need Python with numpy, scipy, torch, safetensors and pytorch-msssim only. See
Docs/training.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)

    sub = commands.add_parser("pack", help="scans into small files")
    sub.set_defaults(run=_pack)
    sub.add_argument("--data", type=Path, nargs="+", required=True, help="folders or scans")
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder, without a number")
    sub.add_argument("--mib", type=float, default=50.0, help="of each of its parts")

    sub = commands.add_parser("train", help="on packed scans")
    sub.set_defaults(run=_train)
    sub.add_argument("--data", type=Path, nargs="+", required=True, help="parts of a pack")
    sub.add_argument("--valid", type=Path, nargs="*", default=[], help="parts of another")
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    sub.add_argument("--minutes", type=float, required=True, help="of the whole schedule")
    sub.add_argument("--leave-after", type=float, default=float("inf"), help="minutes of this call")
    sub.add_argument("--design", default="small")
    sub.add_argument("--start", help="start from this model (name or card)")
    sub.add_argument("--name", default="mine", help="the model's name on its card")
    sub.add_argument("--batch", type=int, default=64)
    sub.add_argument("--crop", type=int, default=192)
    sub.add_argument("--rate", type=float, default=8e-4, help="highest learning rate")
    sub.add_argument("--workers", type=int, default=14, help="processes that cut examples")
    sub.add_argument("--device", default="auto")

    sub = commands.add_parser("check", help="what the product does on the GPU")
    sub.set_defaults(run=_check)
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON lines")
    sub.add_argument("--device", default="cuda")
    sub.add_argument("--matrix", type=int, default=512)
    sub.add_argument("--slices", type=int, nargs=2, default=(40, 400), metavar=("FEW", "MANY"))

    options = parser.parse_args(arguments)
    options.run(options)


def _pack(options: argparse.Namespace) -> None:
    from packs import pack

    from SliceInterpLib.lab.commands.common import by_name, scans

    found = by_name(scans(options.data))
    volumes = ((name.replace("/", "_"), scan.read()) for name, scan in found.items())
    for part in pack(volumes, options.output, options.mib):
        size = sum(path.stat().st_size for path in part.iterdir())
        print(f"{part}: {len(list(part.iterdir()))} scans, {size / 2**20:.1f} MiB")


def _train(options: argparse.Namespace) -> None:
    from packs import unpack

    from SliceInterpLib.lab.designs import DESIGNS
    from SliceInterpLib.lab.training.guard import Guard
    from SliceInterpLib.lab.training.losses import Loss
    from SliceInterpLib.lab.training.session import train_model
    from SliceInterpLib.lab.training.trainer import TrainingSettings
    from SliceInterpLib.lab.training.triplets import Augmentation
    from SliceInterpLib.networks.registry import find_model

    start = find_model(options.start) if options.start else None
    settings = TrainingSettings(
        minutes=options.minutes,
        batch=options.batch,
        crop=options.crop,
        learning_rate=options.rate,
        guided_steps=0,  # the guide is OpenCV's flow, which such a machine need not have
        # As sliceinterp lab train: a trained network can take similarity from its first step.
        guard=Guard(ramp_from_step=0 if start else 300, ramp_steps=0 if start else 500),
        loss=Loss("ms-ssim+l1", 0.5, bone_weight=0.3),
        augmentation=Augmentation(lesions=0.95),
        workers=options.workers,
        checkpoint_every=1_000_000,
        checkpoint_minutes=1.0,
    )
    train_model(
        name=options.name,
        design=DESIGNS[options.design],
        volumes=unpack(options.data),
        validation=unpack(options.valid),
        folder=options.output,
        settings=settings,
        device=options.device,
        start=start,
        command=shlex.join(["Testing/gpu/lease.py", *sys.argv[1:]]),
        log=lambda record: print(json.dumps(record), flush=True),
        leave_after=options.leave_after,
    )


def _check(options: argparse.Namespace) -> None:
    from product import measure

    few, many = options.slices
    with tempfile.TemporaryDirectory() as folder, open(options.output, "w") as output:
        found = measure(options.device, Path(folder), matrix=options.matrix, few=few, many=many)
        for finding in found:
            line = json.dumps(finding)
            print(line, flush=True)
            print(line, file=output, flush=True)


if __name__ == "__main__":
    main()
