"""The loss study: which losses blow up in training, at which batches, and what helps.

Every loss at several batch sizes, with the guard off and on, then the setting that failed most
with one remedy at a time. Runs are short and equal; each is written down as it ends, so that a
study that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from SliceInterpLib.errors import TrainingError
from SliceInterpLib.lab.training.history import digests_of, together
from SliceInterpLib.lab.training.study_run import (
    MARGIN_DB,
    METRICS,
    REMEDIES,
    Examples,
    Plan,
    Run,
    carry_out,
    mean_of_two,
)

DEFAULT_LOSS = "ms-ssim+l1"

_START = Run("l1", 0, guarded=True, seed=0)
"""The run that the remedy 'start from trained L1' starts from; the batch is the setting's."""

_FEWEST_STEPS = 10

NO_REMEDY = "none"
WHOLE_GUARD = "all: the guard on"
"""How the rows without a remedy are called beside those with one."""


class Setting(NamedTuple):
    """What runs of a row of the tables have in common."""

    loss: str
    batch: int
    guarded: bool
    remedy: str = ""


def run_study(
    plan: Plan,
    examples: Examples,
    folder: Path,
    *,
    jobs: int = 1,
    log: Callable[[dict], None] = lambda record: None,
) -> dict[str, object]:
    """Carry out the runs that `folder` does not have yet, and sum up all.

    Args:
        plan: which runs there are.
        examples: the volumes.
        folder: for the records of the runs, as lines in runs.jsonl.
        jobs: processes side by side, each with one thread and the volumes in its memory.
        log: called with each record of `study_run.carry_out`.

    Returns:
        {"plan": …, "mean_of_two": metrics of the mean of the two slices, "rows": [row], "worst":
        the row of the setting that failed most, "remedies": [row]}, where a row is that of
        `summary`.

    Raises:
        TrainingError: if the folder holds a study by another plan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _keep_to_one_plan(plan, examples, folder)
    baseline = mean_of_two(examples.checked())
    study = _Study(plan, examples, folder, jobs, log)
    rows = summary(study.records(main_runs(plan)), baseline["psnr"])
    worst = worst_of(rows)
    return {
        "plan": asdict(plan),
        "mean_of_two": baseline,
        "rows": rows,
        "worst": worst,
        "remedies": _remedies(study, worst, rows, baseline["psnr"]) if worst else [],
    }


def _remedies(
    study: _Study, worst: dict, rows: Sequence[dict], baseline_db: float
) -> list[dict[str, object]]:
    """Rows of the worst setting with one remedy each, between those without any and with all."""
    loss, batch = worst["loss"], worst["batch"]
    study.make_start(batch)
    runs = [
        Run(loss, batch, guarded=False, seed=seed, remedy=remedy)
        for remedy, seed in product(REMEDIES, range(1, study.plan.seeds + 1))
    ]
    guarded = next(r for r in rows if (r["loss"], r["batch"], r["guarded"]) == (loss, batch, True))
    return [
        worst | {"remedy": NO_REMEDY},
        *summary(study.records(runs), baseline_db),
        guarded | {"remedy": WHOLE_GUARD},
    ]


def main_runs(plan: Plan) -> list[Run]:
    """Every loss, batch, guard and seed."""
    settings = product((False, True), plan.losses, plan.batches)
    return [
        Run(loss, batch, guarded, seed)
        for guarded, loss, batch in settings
        for seed in range(
            1,
            1 + max(plan.seeds, plan.default_seeds if guarded and loss == DEFAULT_LOSS else 0),
        )
    ]


def steps_within(minutes: float, plan: Plan, examples: Examples, jobs: int = 1) -> int:
    """How many steps a run may have for the whole study to end in time.

    A few steps of each batch with and without the guard are timed, and one judgement.

    Args:
        minutes: that the study may take, about.
        plan: which runs there are; its steps do not count.
        examples: the volumes.
        jobs: as `run_study` takes it.
    """
    runs = main_runs(plan)
    a_step = judgement = 0.0
    for batch, guarded in product(plan.batches, (False, True)):
        run = Run(plan.losses[-1], batch, guarded, seed=0)
        longer = carry_out(run, replace(plan, steps=4), examples)["seconds"]
        short = carry_out(run, replace(plan, steps=1), examples)["seconds"]
        of_one = max(longer - short, 0.0) / 3.0
        count: float = sum((r.batch, r.guarded) == (batch, guarded) for r in runs)
        # The remedies come at a batch that is not known yet: their mean over all is counted.
        count += 0 if guarded else plan.seeds * len(REMEDIES) / len(plan.batches)
        a_step += of_one * count
        judgement += max(short - of_one, 0.0) * count
    return max(_FEWEST_STEPS, int((60.0 * minutes * jobs - judgement) / a_step))


def summary(records: Iterable[dict], baseline_db: float) -> list[dict[str, object]]:
    """One row a setting, in order of first appearance.

    Args:
        records: of `study_run.carry_out`.
        baseline_db: PSNR of the mean of two slices.

    Returns:
        Rows with the setting's fields, the number of "runs", of those that "diverged", of these the
        "not_finite", the "stuck" ones, "bad_losses" and "bad_gradients" (steps, summed), the
        earliest "first_bad_loss" (None: none), the lowest "loss_scale", and the metrics' means over
        the runs whose validation in fp32 is finite (None: none).
    """
    groups: dict[Setting, list[dict]] = {}
    for record in records:
        groups.setdefault(Setting(*(record[name] for name in Setting._fields)), []).append(record)
    return [setting._asdict() | _row(group, baseline_db) for setting, group in groups.items()]


def _row(records: Sequence[dict], baseline_db: float) -> dict[str, object]:
    firsts = [r["first_bad_loss"] for r in records if r["first_bad_loss"] is not None]
    row: dict[str, object] = {
        "runs": len(records),
        "diverged": sum(diverged(r, baseline_db) for r in records),
        "not_finite": sum(not_finite(r) for r in records),
        "bad_weights": sum(not r["weights_finite"] for r in records),
        "stuck": sum(r["stuck"] for r in records),
        "bad_losses": sum(r["bad_losses"] for r in records),
        "first_bad_loss": min(firsts, default=None),
        "bad_gradients": sum(r["bad_gradients"] for r in records),
        "loss_scale": min(r["loss_scale"] for r in records),
    }
    for metric in METRICS:
        values = [r[metric] for r in records if r[metric] is not None]
        row[metric] = float(np.mean(values)) if values else None
    return row


def not_finite(record: dict) -> bool:
    """Whether a run ended with weights, batch norm statistics or a validation that is not finite.

    The validation is taken in the run's own numerics, where the reference's NaNs stand, and in
    fp32.
    """
    return not all(record[f"{what}_finite"] for what in ("weights", "statistics", "validation"))


def diverged(record: dict, baseline_db: float) -> bool:
    """Not finite, or far worse than the mean of the two slices.

    Args:
        record: of `study_run.carry_out`.
        baseline_db: PSNR of the mean of two slices.
    """
    return not_finite(record) or record["psnr"] < baseline_db - MARGIN_DB


def worst_of(rows: Sequence[dict]) -> dict | None:
    """The setting to try the remedies on.

    Of those with the guard off and similarity in the loss, that with the largest share of runs
    that are not finite; among equals the largest share that diverged, then the most bad steps.
    None where there is no such setting.
    """
    candidates = [row for row in rows if not row["guarded"] and "ssim" in row["loss"]]
    return max(
        candidates,
        key=lambda row: (
            row["not_finite"] / row["runs"],
            row["diverged"] / row["runs"],
            (row["bad_losses"] + row["bad_gradients"]) / row["runs"],
        ),
        default=None,
    )


class _Study:
    """The runs of one folder: those that are there, and how to carry out the others."""

    def __init__(
        self,
        plan: Plan,
        examples: Examples,
        folder: Path,
        jobs: int,
        log: Callable[[dict], None],
    ) -> None:
        self.plan, self.examples, self.jobs, self.log = plan, examples, jobs, log
        self.file = folder / "runs.jsonl"
        self.start = folder / "start.safetensors"
        self.done = {_key(record): record for record in _lines(self.file)}

    def records(self, runs: Sequence[Run]) -> list[dict]:
        """Those of the runs, in their order."""
        missing = [run for run in runs if run not in self.done]
        for record in self._carry_out(missing):
            with open(self.file, "a", encoding="utf-8") as lines:
                lines.write(json.dumps(record) + "\n")
            self.done[_key(record)] = record
            self.log(record)
        return [self.done[run] for run in runs]

    def make_start(self, batch: int) -> None:
        """Train the network that one of the remedies starts from, unless it is there."""
        if not self.start.exists():
            carry_out(_START._replace(batch=batch), self.plan, self.examples, save=self.start)

    def _carry_out(self, runs: Sequence[Run]) -> Iterable[dict]:
        if self.jobs == 1 or len(runs) < 2:
            for run in runs:
                yield carry_out(run, self.plan, self.examples, self.start)
            return
        with ProcessPoolExecutor(
            min(self.jobs, len(runs)),
            multiprocessing.get_context("spawn"),
            _begin,
            (self.plan, self.examples, self.start),
        ) as pool:
            waiting = [pool.submit(_carry_out_here, run) for run in runs]
            for ready in as_completed(waiting):
                yield ready.result()


_shared: tuple[Plan, Examples, Path | None]
"""In a process of its own: what all its runs share."""


def _begin(plan: Plan, examples: Examples, start: Path | None) -> None:
    """In a new process: keep what all its runs share."""
    global _shared
    _shared = plan, examples, start
    torch.set_num_threads(1)


def _carry_out_here(run: Run) -> dict:
    return carry_out(run, *_shared)


def _key(record: dict) -> Run:
    return Run(*(record[name] for name in Run._fields))


def _lines(path: Path) -> list[dict]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def plan_of(folder: Path) -> dict | None:
    """The plan, as a dictionary, of the study in this folder; None where there is none yet."""
    path = folder / "plan.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _keep_to_one_plan(plan: Plan, examples: Examples, folder: Path) -> None:
    volumes = {
        "data": together(digests_of(examples.training)),
        "valid": together(digests_of(examples.validation)),
    }
    wanted = json.loads(json.dumps(asdict(plan) | volumes))
    known = plan_of(folder)
    if known is None:
        (folder / "plan.json").write_text(json.dumps(wanted), encoding="utf-8")
    elif known != wanted:
        different = ", ".join(name for name in wanted if known.get(name) != wanted[name])
        raise TrainingError(
            f"{folder} holds a study that differs in {different}. Choose another folder."
        )
