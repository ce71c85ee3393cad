"""The commands that measure methods."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from SliceInterpLib.cli.common import (
    Commands,
    add_acquired_only,
    add_command,
    add_device,
    add_json,
    print_result,
    progress_bar,
)
from SliceInterpLib.cli.values import count, names_of, number
from SliceInterpLib.errors import MethodError
from SliceInterpLib.files.apart import check_apart
from SliceInterpLib.files.whole import check_place, write_text
from SliceInterpLib.interpolators import METHODS, Interpolator
from SliceInterpLib.lab.commands.common import Scan, add_places, by_name, check_average, scans
from SliceInterpLib.lab.contenders import PEERS, make_contender
from SliceInterpLib.networks.registry import (
    DEFAULT_MODEL,
    INTERPOLATOR,
    available_models,
    find_model,
)
from SliceInterpLib.volume import Volume


class Contender(NamedTuple):
    """A row of the tables."""

    label: str
    """What the row is called."""
    method: str
    """One of METHODS or PEERS."""
    model: str | None
    """As `make_contender` takes it."""


def add_commands(commands: Commands) -> None:
    """Add benchmark, contrast and speed."""
    sub = add_command(
        commands, "benchmark", _benchmark, "Compare predicted slices with acquired ones, by method."
    )
    _add_contenders(sub, default="all but the peers")
    sub.add_argument(
        "--every",
        type=count(),
        default=1,
        metavar="N",
        help="hold out every N-th slice (default: 1)",
    )
    add_places(sub)
    sub.add_argument(
        "--against",
        action="append",
        metavar="NAME",
        help="a row that learned methods are compared with; may be repeated (default: linear, "
        "optical-flow and reference models, as far as they run)",
    )
    sub.add_argument(
        "--ceiling",
        action="store_true",
        help="add a row with what a prediction without any error would score, estimated from the "
        "last method's slices",
    )
    sub.add_argument("--csv", type=Path, metavar="FILE", help="also write each patient's figures")
    sub.add_argument("--force", action="store_true", help="overwrite that table")
    sub.add_argument("--no-speed", action="store_true", help="leave out the speed table")
    add_json(sub)

    sub = add_command(
        commands, "contrast", _contrast, "Measure how much of a faint lesion's contrast is kept."
    )
    _add_contenders(sub, default="linear,optical-flow,learned")
    sub.add_argument("--hu", type=_contrast_hu, default=6.0, help="contrast of the discs")
    sub.add_argument(
        "--radius-mm",
        type=number(above=0),
        nargs="+",
        default=[2.4, 4.7, 7.5],
        help="radii of the discs",
    )
    sub.add_argument("--places", type=count(), default=50, help="discs of each radius")
    sub.add_argument("--one", action="store_true", help="add them to one of the two slices only")
    sub.add_argument("--seed", type=count(least=0), default=0)
    add_json(sub)

    sub = add_command(
        commands,
        "speed",
        _network_speed,
        "Time networks side by side with the field reference's, and the parts of upsample.",
    )
    sub.add_argument(
        "--model",
        action="append",
        help="name of a shipped model, or path of a model's card; may be repeated (default: all "
        "that are shipped)",
    )
    sub.add_argument("--runs", type=count(), default=7, help="how many times each is timed")
    sub.add_argument(
        "--slices",
        type=count(least=2),
        default=10,
        help="of the scan whose upsampling is timed part by part (default: 10)",
    )
    add_device(sub)
    add_json(sub)


def _add_contenders(sub: argparse.ArgumentParser, *, default: str) -> None:
    sub.add_argument("data", type=Path, help="a scan, or a folder of scans, one per patient")
    add_acquired_only(sub)
    sub.add_argument(
        "--methods",
        type=_method_list,
        help=f"comma-separated, or 'all' (default: {default}); peers: {', '.join(PEERS)}",
    )
    sub.add_argument(
        "--model",
        action="append",
        default=[],
        help="name of a shipped model, or path of a model's card; may be repeated",
    )
    sub.add_argument(
        "--torchscript",
        metavar="FILE",
        help="a frame interpolation model(x0, x1, dt) as TorchScript, such as FILM's; such a file "
        "is a program: take it from someone you trust",
    )
    add_device(sub)


def _benchmark(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab import benchmark as tables

    check_average(options)
    if options.csv:
        check_place(options.csv, overwrite=options.force)
        check_apart([options.csv], [file for scan in _scans(options) for file in scan.files])
    contenders = _contenders(options, METHODS)
    methods = _interpolators(contenders, options)
    if options.places == 4:
        methods |= _doubled_twice(methods)
    with progress_bar("volumes × methods", quiet=options.json) as progress:
        result = tables.benchmark(
            _patients(options),
            list(methods.values()),
            every=options.every,
            thickness=options.average,
            places=options.places,
            against=options.against,
            ceiling=list(methods.values())[-1] if options.ceiling else None,
            progress=progress,
        )
    if options.csv:
        write_text(options.csv, tables.patient_table(result).csv())
    text = tables.quality_table(result).markdown()
    if result["comparisons"]:
        text += f"\n\n{tables.comparison_table(result).markdown()}"
    if not options.no_speed:
        result["speed"] = _speed([c for c in contenders if c.label in methods], options.device)
        text += f"\n\n{tables.timing_table(result['speed']).markdown()}"
    print_result(result, text, as_json=options.json)


def _contrast(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab.contrast import contrast_kept, contrast_table
    from SliceInterpLib.lab.patient_statistics import counted

    contenders = _contenders(options, ("linear", "optical-flow", "learned"))
    with progress_bar("volumes", quiet=options.json) as progress:
        result = contrast_kept(
            _patients(options),
            list(_interpolators(contenders, options).values()),
            hu=options.hu,
            radii_mm=options.radius_mm,
            places=options.places,
            both=not options.one,
            seed=options.seed,
            progress=progress,
        )
    where = "both slices" if result["both"] else "one of the two slices"
    text = (
        f"{counted(result['patients'])}, contrast kept of discs of {options.hu:g} HU in {where}, "
        f"by radius\n\n{contrast_table(result).markdown()}"
    )
    print_result(result, text, as_json=options.json)


def _network_speed(options: argparse.Namespace) -> None:
    from SliceInterpLib.lab.command_parts import command_parts, command_parts_table
    from SliceInterpLib.lab.network_speed import network_speed, network_speed_table

    names = options.model or [model.name for model in available_models(INTERPOLATOR)]
    result = network_speed(names, device=options.device, runs=options.runs)
    command = command_parts(names[0], device=options.device, slices=options.slices)
    result["command"] = command
    text = f"{network_speed_table(result).markdown()}\n\n{command_parts_table(command).markdown()}"
    print_result(result, text, as_json=options.json)


def _contenders(options: argparse.Namespace, default: Sequence[str]) -> list[Contender]:
    """The rows asked for; a model that is given has one even where its method is not named."""
    named = list(options.methods or default)
    if options.model and "learned" not in named:
        named.append("learned")
    if options.torchscript and "torchscript" not in named:
        named.append("torchscript")
    rows: list[Contender] = []
    for method in dict.fromkeys(named):
        if method == "learned":
            rows += _learned(options.model)
        elif method == "torchscript":
            rows.append(Contender(method, method, options.torchscript))
        else:
            rows.append(Contender(method, method, None))
    return rows


def _learned(models: Sequence[str]) -> list[Contender]:
    if list(models) in ([], [DEFAULT_MODEL]):
        return [Contender("learned", "learned", None)]
    rows = [Contender(f"learned:{find_model(model).name}", "learned", model) for model in models]
    labels = [row.label for row in rows]
    if len(set(labels)) < len(labels):
        raise MethodError(
            f"Two of the models have one name: {', '.join(labels)}. "
            'Give each its own on its card ("name").'
        )
    return rows


def _interpolators(
    contenders: Sequence[Contender], options: argparse.Namespace
) -> dict[str, Interpolator]:
    """By label. What was not asked for by name and cannot run is left out with a warning."""
    asked = options.methods is not None and options.methods != METHODS + PEERS
    made = {}
    for label, method, model in contenders:
        try:
            made[label] = make_contender(method, model=model, device=options.device)
        except MethodError as problem:
            if asked or model:
                raise
            warnings.warn(f"Left out: {problem}", stacklevel=2)
        else:
            if label != method:
                made[label].name = label
    return made


def _doubled_twice(methods: Mapping[str, Interpolator]) -> dict[str, Interpolator]:
    """What each network does at the quarters if it is asked for middles alone."""
    from SliceInterpLib.lab.peers.doubled_twice import DoubledTwice

    made: dict[str, Interpolator] = {}
    for label, method in methods.items():
        if label.split(":")[0] == "learned":
            name = label.replace("learned", DoubledTwice.name, 1)
            made[name] = DoubledTwice(method, name)
    return made


def _speed(contenders: Sequence[Contender], device: str) -> dict[str, dict[str, float]]:
    from SliceInterpLib.lab.speed import speed_table

    rows = speed_table([c.method for c in contenders if c.model is None], device=device)
    for label, method, model in contenders:
        if model:
            rows[label] = speed_table([method], model=model, device=device)[method]
    return rows


def _scans(options: argparse.Namespace) -> list[Scan]:
    return scans([options.data], acquired_only=options.acquired_only)


def _patients(options: argparse.Namespace) -> dict[str, Callable[[], Volume]]:
    """How to load each scan."""
    return {name: scan.read for name, scan in by_name(_scans(options)).items()}


def _method_list(text: str) -> tuple[str, ...]:
    known = METHODS + PEERS
    return known if text == "all" else names_of(known)(text)


def _contrast_hu(text: str) -> float:
    value = number()(text)
    if value == 0:
        raise argparse.ArgumentTypeError("discs of 0 HU have no contrast")
    return value
