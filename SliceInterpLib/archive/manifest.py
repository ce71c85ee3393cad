"""What has become of each series: a file of JSON lines that survives being killed at any moment."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from SliceInterpLib.errors import OutputError
from SliceInterpLib.files.whole import TEMPORARY
from SliceInterpLib.table import Column, Table

State = Literal["pending", "done", "skipped", "failed"]


@dataclass(frozen=True)
class Result:
    """One series: a line of the manifest and of the table."""

    input: str
    """Path of the file or DICOM folder, from the archive's folder on."""
    output: str
    """Path of the doubled volume or series, from the output folder on; empty if none can be."""
    fingerprint: str
    """Digest of the input's files and of the recipe: the result is good only for these."""
    state: State = "pending"
    reason: str = ""
    """Why it was skipped or failed."""
    remarks: str = ""
    """What a user is warned of, whatever became of it."""
    slices_before: int | None = None
    slices_after: int | None = None
    spacing_before_mm: float | None = None
    spacing_after_mm: float | None = None
    method: str | None = None
    device: str | None = None
    seconds: float | None = None
    output_bytes: int | None = None

    @property
    def key(self) -> str:
        """What tells series apart."""
        return self.output or f"no output: {self.input}"

    def is_settled(self, fingerprint: str, out: Path) -> bool:
        """Whether nothing is left to do for this series.

        Args:
            fingerprint: that the series has now.
            out: the output folder.
        """
        if self.fingerprint != fingerprint:
            return False
        return self.state == "skipped" or (
            self.state == "done" and size_of(out / self.output) == self.output_bytes
        )


class Manifest:
    """The latest result of each series by its key, in a file to which lines are added.

    Only the process that has the lock of the folder writes (see `open_manifest`). A line that was
    cut off when its writer was killed counts for nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.results: dict[str, Result] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        for line in text.splitlines():
            try:
                result = Result(**json.loads(line))
            except (ValueError, TypeError):
                continue
            self.results[result.key] = result
        if text and not text.endswith("\n"):
            self._write("\n")

    def add(self, results: Iterable[Result]) -> None:
        """Put down what has become of these series; on disk when this returns."""
        results = list(results)
        self._write("".join(json.dumps(asdict(result)) + "\n" for result in results))
        self.results |= {result.key: result for result in results}

    def _write(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def open_manifest(out: Path) -> Iterator[Manifest]:
    """The manifest of an output folder, which is made if need be, and is this process's own.

    The lock ends with the process, however it ends; folders that killed runs left are removed.

    Raises:
        OutputError: while another process has the folder.
    """
    from filelock import FileLock, Timeout

    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".sliceinterp.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OutputError(
            f"{out}: Another batch is at work in this folder. Wait for its end, or choose another."
        ) from None
    try:
        _remove_leftovers(out)
        yield Manifest(out / "manifest.jsonl")
    finally:
        _remove_leftovers(out)
        lock.release()


def size_of(output: Path) -> int | None:
    """Bytes of a result: of a file, or of all in a series' folder; None if there is none."""
    try:
        parts = output.iterdir() if output.is_dir() else [output]
        return sum(path.stat().st_size for path in parts)
    except FileNotFoundError:
        return None


def results_table(results: Iterable[Result]) -> Table:
    """The results for people and spreadsheets, sorted by input and output."""
    columns = [Column(field.name) for field in fields(Result) if field.name != "fingerprint"]
    return Table(columns, [asdict(r) for r in sorted(results, key=lambda r: (r.input, r.output))])


def _remove_leftovers(out: Path) -> None:
    for place, folders, _ in os.walk(out):
        for name in folders:
            if name.startswith(TEMPORARY):
                shutil.rmtree(Path(place, name), ignore_errors=True)
        folders[:] = [name for name in folders if not name.startswith(TEMPORARY)]
