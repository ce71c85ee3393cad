"""The command that compares the losses' stability."""

from __future__ import annotations

import argparse
from pathlib import Path

from SliceInterpLib.cli.common import Commands, add_acquired_only, add_command, add_device, say
from SliceInterpLib.cli.values import count, number
from SliceInterpLib.files.whole import write_text
from SliceInterpLib.lab.commands.common import command_line, scans
from SliceInterpLib.lab.commands.training import LOSSES, SMALLEST_MS_SSIM_CROP

_MOST_VOLUMES = 20
"""To train on."""


def add_commands(commands: Commands) -> None:
    """Add study."""
    sub = add_command(
        commands, "study", _study, "Measure which losses diverge in training, and what helps."
    )
    sub.set_defaults(kept="the runs that were finished are")
    sub.add_argument("--data", type=Path, nargs="+", required=True, help="folders or scans")
    sub.add_argument("--valid", type=Path, nargs="+", required=True, help="folders or scans")
    add_acquired_only(sub)
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder; an unfinished study there is resumed",
    )
    sub.add_argument("--losses", nargs="+", choices=LOSSES, default=LOSSES)
    sub.add_argument("--batches", type=count(), nargs="+", help="default: 2 4 8; --full: 32 64 96")
    sub.add_argument("--seeds", type=count(), default=2, help="runs of each setting")
    sub.add_argument(
        "--seeds-of-default",
        type=count(),
        default=10,
        help="runs of ms-ssim+l1 with the guard on",
    )
    length = sub.add_mutually_exclusive_group()
    length.add_argument("--steps", type=count(), help="length of each run")
    length.add_argument(
        "--minutes",
        type=number(above=0),
        default=60.0,
        help="length of the whole study; steps are chosen to fit",
    )
    sub.add_argument(
        "--crop",
        type=count(least=SMALLEST_MS_SSIM_CROP, multiple_of=32),
        help="pixels; default: 192; --full: 256",
    )
    sub.add_argument("--rate", type=number(above=0), default=1e-3, help="learning rate")
    sub.add_argument(
        "--full",
        action="store_true",
        help="the field reference's network itself; the default on a GPU",
    )
    sub.add_argument("--jobs", type=count(), default=1, help="runs side by side, one thread each")
    add_device(sub)


def _study(options: argparse.Namespace) -> None:
    import json
    from dataclasses import replace

    import torch

    from SliceInterpLib.lab.training.study import plan_of, run_study, steps_within
    from SliceInterpLib.lab.training.study_figure import save_study_figure
    from SliceInterpLib.lab.training.study_run import CHECKED_VOLUMES, Examples, Plan
    from SliceInterpLib.lab.training.study_tables import markdown, whole_table
    from SliceInterpLib.networks.devices import choose_device

    device = choose_device(options.device).type
    full = options.full or device == "cuda"
    plan = Plan(
        steps=options.steps or 1,
        losses=tuple(options.losses),
        batches=tuple(options.batches or ((32, 64, 96) if full else (2, 4, 8))),
        seeds=options.seeds,
        default_seeds=options.seeds_of_default,
        crop=options.crop or (256 if full else 192),
        learning_rate=options.rate,
        full=full,
        device=device,
    )
    training, validation = (
        scans(places, acquired_only=options.acquired_only)
        for places in (options.data, options.valid)
    )
    examples = Examples(
        [scan.read() for scan in training[:_MOST_VOLUMES]],
        [scan.read() for scan in validation[:CHECKED_VOLUMES]],
    )
    if options.jobs > 1:
        torch.set_num_threads(1)
    if options.steps is None:
        known = plan_of(options.output)
        steps = (
            known["steps"] if known else steps_within(options.minutes, plan, examples, options.jobs)
        )
        plan = replace(plan, steps=steps)
    say(f"{plan.steps} steps a run")
    result = run_study(
        plan,
        examples,
        options.output,
        jobs=options.jobs,
        log=lambda record: say(json.dumps(record)),
    )
    text = f"```\n{command_line()}\n```\n\n{markdown(result)}"
    write_text(options.output / "study.md", text)
    write_text(options.output / "study.csv", whole_table(result).csv())
    save_study_figure(options.output / "study.png", result)
    print(text)
