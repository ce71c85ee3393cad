"""A batch: what is to be done in an archive, and the doing of it on Dask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from SliceInterpLib.archive.doubling import Recipe, Task, double
from SliceInterpLib.archive.finding import Series, find_series
from SliceInterpLib.archive.manifest import Manifest, Result
from SliceInterpLib.errors import OutputError, SliceInterpError
from SliceInterpLib.files.sidecar import sidecar
from SliceInterpLib.files.suffixes import is_dicom
from SliceInterpLib.files.whole import private_folder

if TYPE_CHECKING:
    from distributed import Client, Future


@dataclass
class Batch:
    """The series of an archive, with what has become of each by now."""

    archive: Path
    out: Path
    recipe: Recipe
    manifest: Manifest
    settled: list[Result]
    """Those that need no work in this run."""
    to_do: list[tuple[Series, Result]]

    @property
    def results(self) -> list[Result]:
        """One for each series."""
        return self.settled + [self.manifest.results[r.key] for _, r in self.to_do]

    def run(self, client: Client, *, device: str, progress: Callable[[int, int], None]) -> None:
        """Do what is to be done; when this is left, however it is left, nothing goes on for long.

        Args:
            client: of the cluster that does it.
            device: as `make_interpolator` takes it.
            progress: called with the number of series done and the number to do.

        Raises:
            SliceInterpError: if Dask's scheduler is lost.
        """
        from distributed import as_completed

        with private_folder(self.out) as ticket:
            tasks = [
                Task(
                    source=self.archive / series.path,
                    uid=series.uid,
                    target=self.out / result.output,
                    pending=result,
                    recipe=self.recipe,
                    device=device,
                    ticket=ticket,
                )
                for series, result in self.to_do
            ]
            pending = {f"series-{i}": task.pending for i, task in enumerate(tasks)}
            # Futures that are held are computed again when their worker dies: none is held here.
            ready = as_completed(client.map(double, tasks, key=list(pending), pure=False))
            for count, future in enumerate(ready, 1):
                self.manifest.add([_result(future, pending[future.key])])
                progress(count, len(tasks))


def plan(archive: Path, out: Path, recipe: Recipe, suffix: str, manifest: Manifest) -> Batch:
    """Look through the archive and put down in the manifest what is to be done.

    A series is left as it is if it was done or skipped with the same files and recipe; failed ones
    are tried again.

    Args:
        archive: the folder of the series.
        out: the output folder.
        recipe: how the series are doubled.
        suffix: of the results' files, which names their format; empty for derived series.
        manifest: of the output folder.

    Raises:
        OutputError: if the results would lie among the series.
    """
    archive, out = archive.resolve(), out.resolve()
    if archive.is_relative_to(out):
        raise OutputError(
            f"{out}: The archive lies in the output folder, so that results would be taken for "
            "series. Choose another output folder."
        )
    batch = Batch(archive, out, recipe, manifest, settled=[], to_do=[])
    found = [
        (series, _begun(series, archive, recipe, suffix))
        for series in find_series(archive, leave_out=out)
    ]
    names = Counter(result.output.casefold() for _, result in found)
    news: list[Result] = []
    for series, result in found:
        before = manifest.results.get(result.key)
        if result.state == "skipped":
            batch.settled.append(result)
            news += [result] if result != before else []
        elif names[result.output.casefold()] > 1:
            batch.settled.append(_failed(result, _SAME_NAME))
        elif before is None and _is_taken(out / result.output):
            batch.settled.append(_failed(result, _TAKEN))
        elif before and before.is_settled(result.fingerprint, out):
            batch.settled.append(before)
        else:
            batch.to_do.append((series, result))
    manifest.add([*news, *(result for _, result in batch.to_do)])
    return batch


def _begun(series: Series, archive: Path, recipe: Recipe, suffix: str) -> Result:
    """Pending, or skipped where it can have no result."""
    obstacle = series.obstacle
    if recipe.dicom and not obstacle and not is_dicom(archive / series.path):
        obstacle = _NO_STUDY
    result = Result(str(series.path), series.name + suffix, recipe.fingerprint(series))
    return replace(result, output="", state="skipped", reason=obstacle) if obstacle else result


_NO_STUDY = (
    "A derived series needs the DICOM files of its scan, and this is a volume file. Without "
    "--dicom it is doubled."
)
_SAME_NAME = "Another series in its folder would get a result of the same name. Rename one of them."
_TAKEN = "Something that no batch has made lies where its result belongs. Move that away."
_KILLED = (
    "The process that worked on it ended, each time it was tried: most likely it ran out of "
    "memory. Try with fewer workers."
)
_REFUSED = "The worker could not begin ({}). Install the same SliceInterp on all computers."


def _is_taken(output: Path) -> bool:
    beside = sidecar(output)
    return output.exists() or bool(beside and beside.exists())


def _result(future: Future, pending: Result) -> Result:
    """What the worker found out, or that it did not live to tell."""
    if future.status == "finished":
        return future.result()
    if future.status == "error":
        problem = type(future.exception()).__name__
        return _failed(pending, _KILLED if problem == "KilledWorker" else _REFUSED.format(problem))
    raise SliceInterpError(
        "The connection to Dask's scheduler is lost. What was done is kept; run this again."
    )


def _failed(result: Result, reason: str) -> Result:
    return replace(result, state="failed", reason=reason)
