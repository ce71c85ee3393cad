"""The command line: sliceinterp upsample, info, models, train, benchmark, demo."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import SliceInterpLib
from SliceInterpLib.errors import Cancelled, SliceInterpError, VolumeError
from SliceInterpLib.files.reading import read_volume
from SliceInterpLib.files.writing import check_writable, write_volume
from SliceInterpLib.interpolators import METHODS, make_interpolator, usable_interpolators
from SliceInterpLib.networks.registry import available_models, find_model
from SliceInterpLib.upsampling import FACTORS, upsample
from SliceInterpLib.volume import require_doublable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 only on success. Errors are one line, with --debug a traceback."""
    options = _parser().parse_args(arguments)
    warnings.showwarning = lambda message, *_: _say(f"sliceinterp: warning: {message}")
    try:
        options.run(options)
    except (KeyboardInterrupt, Cancelled):
        _say("sliceinterp: cancelled; nothing was kept")
        return 130
    except (SliceInterpError, ImportError, OSError, MemoryError) as problem:
        if options.debug:
            raise
        _say(f"sliceinterp: error: {_one_line(problem)}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sliceinterp",
        description="Doubles the through-plane resolution of head CT. For research use only.",
    )
    parser.add_argument("--version", action="version", version=SliceInterpLib.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], None], summary: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return sub

    def add_input(sub: argparse.ArgumentParser, **more: object) -> None:
        sub.add_argument(
            "input", type=Path, help="NIfTI, NRRD or MetaImage file, or DICOM folder", **more
        )
        sub.add_argument("--series", metavar="UID", help="which series of a DICOM folder")

    def add_model(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--model", help="name of a shipped model, or path of a model's card")
        sub.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")

    def add_json(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--json", action="store_true", help="print one JSON object, for scripts")

    sub = command("upsample", _upsample, "Put predicted slices between the acquired ones.")
    add_input(sub)
    sub.add_argument("-o", "--output", type=Path, required=True, help=".nii.gz, .nrrd or .mha")
    sub.add_argument("--method", choices=METHODS, default="learned")
    add_model(sub)
    sub.add_argument("--factor", type=int, choices=FACTORS, default=2)
    sub.add_argument("--allow-thin", action="store_true", help="even if slices are thin already")
    sub.add_argument("--force", action="store_true", help="overwrite the output")
    add_json(sub)

    sub = command("info", _info, "Say what a scan is and whether it can be doubled.")
    add_input(sub)
    add_json(sub)

    sub = command("models", _models, "List the trained models.")
    add_json(sub)

    sub = command("benchmark", _benchmark, "Compare the methods on slices that were acquired.")
    sub.add_argument("data", type=Path, help="a scan, or a folder of scans, one a patient")
    sub.add_argument("--methods", type=_method_list, help="comma-separated; all that can run here")
    add_model(sub)
    sub.add_argument("--every", type=int, default=1, help="hold out every how manieth slice")
    sub.add_argument(
        "--average",
        type=int,
        metavar="N",
        help="average N thin slices into thick ones and compare with the true middle slice",
    )
    sub.add_argument("--no-speed", action="store_true", help="leave out the speed table")
    add_json(sub)

    sub = command("train", _train, "Train a network on folders of scans.")
    sub.add_argument("--data", type=Path, nargs="+", required=True, help="folders or scans")
    sub.add_argument("--valid", type=Path, nargs="*", default=[], help="for the log's PSNR")
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    sub.add_argument("--start", metavar="MODEL", help="go on from this model (name or card)")
    sub.add_argument("--name", default="mine", help="the model's name on its card")
    length = sub.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, default=5000)
    length.add_argument("--minutes", type=float, help="train for this long rather than by steps")
    sub.add_argument("--seed", type=int, default=1)
    sub.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")

    sub = command("demo", _demo, "Double a head, measure it and draw it.")
    add_input(sub, nargs="?")
    sub.add_argument("-o", "--output", type=Path, default=Path("demo"), help="folder")
    sub.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    return parser


def _upsample(options: argparse.Namespace) -> None:
    check_writable(options.output, overwrite=options.force)
    volume = read_volume(options.input, series=options.series)
    require_doublable(volume, allow_thin=options.allow_thin)
    interpolator = make_interpolator(options.method, model=options.model, device=options.device)
    with _progress("slices", quiet=options.json) as progress:
        result = upsample(
            volume,
            interpolator,
            factor=options.factor,
            allow_thin=options.allow_thin,
            progress=progress,
        )
    write_volume(result, options.output, overwrite=options.force)
    summary = {
        "output": str(options.output),
        "slices": [volume.slice_count, result.slice_count],
        "slice_spacing_mm": [volume.slice_spacing, result.slice_spacing],
        "provenance": result.provenance,
    }
    _print(
        summary,
        f"{volume.slice_count} slices, {volume.slice_spacing:.4g} mm → {result.slice_count} "
        f"slices, {result.slice_spacing:.4g} mm: {options.output}",
        as_json=options.json,
    )


def _info(options: argparse.Namespace) -> None:
    volume = read_volume(options.input, series=options.series)
    try:
        require_doublable(volume)
        obstacle = None
    except VolumeError as problem:
        obstacle = str(problem)
    low, high = int(volume.hu.min()), int(volume.hu.max())
    rows, columns = volume.slices.shape[1:]
    summary = {
        "slices": volume.slice_count,
        "slice_spacing_mm": volume.slice_spacing,
        "slice_axis": "zyx"[volume.slice_axis],
        "matrix": [columns, rows],
        "pixel_spacing_mm": list(volume.pixel_spacing),
        "origin_lps_mm": list(volume.origin),
        "direction_lps": volume.direction.tolist(),
        "type": str(volume.hu.dtype),
        "hu_range": [low, high],
        "can_be_doubled": obstacle is None,
        "obstacle": obstacle,
    }
    lines = [
        f"{volume.slice_count} slices of {columns}×{rows}, {volume.slice_spacing:.4g} mm apart "
        f"along the file's {'zyx'[volume.slice_axis]} axis",
        "pixels of {:.4g} × {:.4g} mm".format(*volume.pixel_spacing),
        f"{volume.hu.dtype}, {low}…{high} HU",
        f"Cannot be doubled: {obstacle}"
        if obstacle
        else f"×2: {2 * volume.slice_count - 1} slices, {volume.slice_spacing / 2:.4g} mm; "
        f"×4: {4 * volume.slice_count - 3} slices, {volume.slice_spacing / 4:.4g} mm",
    ]
    _print(summary, "\n".join(lines), as_json=options.json)


def _models(options: argparse.Namespace) -> None:
    models = available_models()
    lines = [f"{m.name}: {m.card.get('summary', '')} [{m.card.get('licence')}]" for m in models]
    _print({"models": [m.card for m in models]}, "\n".join(lines), as_json=options.json)


def _benchmark(options: argparse.Namespace) -> None:
    from SliceInterpLib.evaluation.benchmark import benchmark, quality_table, speed_lines
    from SliceInterpLib.evaluation.speed import speed_table

    paths = _scans([options.data])
    chosen = {"model": options.model, "device": options.device}
    if options.methods:
        methods = [make_interpolator(name, **chosen) for name in options.methods]
    else:
        methods = usable_interpolators(**chosen)
    patients = {path.name.split(".")[0]: (lambda path=path: read_volume(path)) for path in paths}
    with _progress("volumes × methods", quiet=options.json) as progress:
        result = benchmark(
            patients,
            methods,
            every=options.every,
            thickness=options.average,
            progress=progress,
        )
    text = f"{result['patients']} patients, {result['protocol']}\n\n{quality_table(result)}"
    if not options.no_speed:
        result["speed"] = speed_table([method.name for method in methods], **chosen)
        text += "\n\n" + speed_lines(result["speed"])
    _print(result, text, as_json=options.json)


def _train(options: argparse.Namespace) -> None:
    from SliceInterpLib.training.session import train_model

    train_model(
        name=options.name,
        volumes=[read_volume(path) for path in _scans(options.data)],
        validation=[read_volume(path) for path in _scans(options.valid)],
        folder=options.output,
        steps=options.steps,
        minutes=options.minutes,
        seed=options.seed,
        device=options.device,
        start=find_model(options.start) if options.start else None,
        command="sliceinterp " + " ".join(sys.argv[1:]),
        log=lambda record: print(json.dumps(record), flush=True),
    )


def _demo(options: argparse.Namespace) -> None:
    from SliceInterpLib.phantom import head_phantom
    from SliceInterpLib.report.demo import make_demo

    if options.input:
        volume = read_volume(options.input, series=options.series)
        name = options.input.name.split(".")[0]
    else:
        _say("Drawing the head phantom…")
        volume, name = head_phantom().volume, "phantom"
    files = make_demo(volume, name, options.output, device=options.device, say=_say)
    print("\n".join(str(path) for path in files))


def _scans(places: Sequence[Path]) -> list[Path]:
    """Files as they are; of folders, every volume file below them, or the folder itself (DICOM)."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            files = sorted(
                path
                for path in place.rglob("*")
                if path.name.endswith((".nii", ".nii.gz", ".nrrd", ".mha"))
            )
            found += files or [place]
        else:
            found.append(place)
    return found


def _method_list(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(unknown)}; choose from {', '.join(METHODS)}"
        )
    return names


@contextlib.contextmanager
def _progress(unit: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left on a terminal, a line every tenth otherwise, nothing if quiet."""
    if quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(unit=f" {unit}") as bar:

            def update(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield update
    else:
        told = 0

        def tell(done: int, total: int) -> None:
            nonlocal told
            if done * 10 // total > told:
                told = done * 10 // total
                _say(f"{done} of {total} {unit}")

        yield tell


def _print(summary: dict, text: str, *, as_json: bool) -> None:
    print(json.dumps(summary) if as_json else text)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _one_line(problem: BaseException) -> str:
    if isinstance(problem, ImportError):
        return (
            f"this command needs {problem.name}, which is not installed; "
            "pip install 'sliceinterp[evaluation,report,training]' brings all there is"
        )
    return " ".join(str(problem).split()) or type(problem).__name__


if __name__ == "__main__":
    sys.exit(main())
