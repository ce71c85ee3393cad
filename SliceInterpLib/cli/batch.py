"""The command on a whole archive."""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from SliceInterpLib.cli.common import (
    Commands,
    add_command,
    add_dicom,
    add_fineness,
    add_json,
    add_method,
    check_dicom,
    print_result,
    progress_bar,
    say,
)
from SliceInterpLib.cli.values import count
from SliceInterpLib.errors import OutputError, VolumeError
from SliceInterpLib.files.whole import TEMPORARY, write_text
from SliceInterpLib.files.writing import WRITABLE

if TYPE_CHECKING:
    from distributed import Client

    from SliceInterpLib.archive.manifest import Result


def add_commands(commands: Commands) -> None:
    """Add batch."""
    sub = add_command(
        commands,
        "batch",
        _batch,
        "Double every head CT below a folder; can be interrupted and resumed.",
    )
    sub.set_defaults(kept="every finished series was")
    sub.add_argument("archive", type=Path, help="folder of volume files and DICOM folders")
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder for the results, their table (results.csv) and what is needed to resume "
        "(manifest.jsonl)",
    )
    add_method(sub)
    add_fineness(sub)
    sub.add_argument("--suffix", choices=WRITABLE, help="format of the results (default: .nrrd)")
    add_dicom(sub, "write a derived series for each of DICOM, in a folder of its own")
    where = sub.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=count(most=1024),
        metavar="N",
        help="processes on this computer (default: one per GPU, or one per core)",
    )
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask cluster instead: tcp://… or tls://…"
    )
    add_json(sub)


def _batch(options: argparse.Namespace) -> None:
    from SliceInterpLib.archive.doubling import make_recipe
    from SliceInterpLib.archive.manifest import open_manifest, results_table
    from SliceInterpLib.archive.running import plan

    if not options.archive.is_dir():
        raise VolumeError(f"{options.archive}: There is no such folder. Check the path.")
    check_dicom(options)
    if options.dicom and options.suffix:
        raise OutputError("Results are either derived series or files: --dicom or --suffix.")
    recipe = make_recipe(
        options.method,
        model=options.model,
        factor=options.factor,
        spacing_mm=options.spacing,
        dicom=options.dicom,
        keep_identity=options.keep_identity,
    )
    suffix = "" if options.dicom else options.suffix or ".nrrd"
    with open_manifest(options.output) as manifest:
        batch = plan(options.archive, options.output, recipe, suffix, manifest)
        if not options.json:
            say(f"{len(batch.results)} series, {len(batch.to_do)} of them still to be doubled")
        try:
            if batch.to_do:
                with (
                    _client(options, len(batch.to_do)) as client,
                    progress_bar("series", quiet=options.json) as progress,
                ):
                    batch.run(client, device=options.device, progress=progress)
        finally:
            write_text(options.output / "results.csv", results_table(batch.results).csv())
    _report(batch.results, options)


def _client(options: argparse.Namespace, series: int) -> AbstractContextManager[Client]:
    from SliceInterpLib.archive.cluster import connected, count_gpus, default_workers, local_cluster

    if options.scheduler:
        return connected(options.scheduler)
    gpus = count_gpus(options.device) if options.method == "learned" else 0
    workers = options.workers or default_workers(series, gpus)
    return local_cluster(workers, gpus, options.output / f"{TEMPORARY}dask")


def _report(results: list[Result], options: argparse.Namespace) -> None:
    counts = Counter(result.state for result in results)
    summary = {state: counts[state] for state in ("done", "skipped", "failed")}
    lines = [f"{r.state}: {r.input}: {r.reason}" for r in results if r.state != "done"]
    lines.append(", ".join(f"{count} {state}" for state, count in summary.items()))
    table = options.output / "results.csv"
    print_result(summary | {"table": str(table)}, "\n".join(lines), as_json=options.json)
    if summary["failed"]:
        raise VolumeError(
            f"{summary['failed']} of {len(results)} series failed; {table} says why. "
            "Run the same command again to try them once more."
        )
