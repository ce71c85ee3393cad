"""The loss study as text: Markdown tables with their legend, and CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from SliceInterpLib.lab.training.study import DEFAULT_LOSS
from SliceInterpLib.lab.training.study_run import DEAD, MARGIN_DB
from SliceInterpLib.table import Column, Table

_COLUMNS = (
    Column("runs"),
    Column("diverged"),
    Column("not_finite", "not finite"),
    Column("stuck"),
    Column("first_bad_loss", "first bad loss"),
    Column("bad_losses", "bad losses"),
    Column("bad_gradients", "bad gradients"),
    Column("loss_scale", "loss scale", "", ".3g"),
    Column("psnr", "PSNR", "dB", ".2f"),
    Column("ssim", "SSIM", "", ".3f"),
    Column("ms_ssim", "MS-SSIM", "", ".3f"),
    Column("mae", "MAE", "", ".4f"),
)


def markdown(result: Mapping) -> str:
    """A study's result as its legend and two tables."""
    parts = [_legend(result), _table(result["rows"], ("loss", "batch", "guard")).markdown()]
    if result["worst"]:
        worst = result["worst"]
        parts += [
            f"One remedy at a time, for {worst['loss']} at batch {worst['batch']}, which failed "
            "most: the largest share of runs that were not finite; among equals the largest "
            "share that diverged, then the most bad steps.",
            _table(result["remedies"], ("remedy",)).markdown(),
            "With bf16 or fp32, and in the control, there is no loss scale: nothing leaves a bad "
            "step out.",
        ]
    return "\n\n".join([*parts, _sentence(result)]) + "\n"


def whole_table(result: Mapping) -> Table:
    """The rows of both tables with all that is known of them, for CSV."""
    rows = [*result["rows"], *result["remedies"]]
    return Table([Column(key) for key in rows[0]], rows)


def _table(rows: Sequence[Mapping], names: Sequence[str]) -> Table:
    shown = [{**row, "guard": "on" if row["guarded"] else "off"} for row in rows]
    return Table([*map(Column, names), *_COLUMNS], shown)


def _legend(result: Mapping) -> str:
    plan, mean = result["plan"], result["mean_of_two"]
    network = "the reference's network" if plan["full"] else "a small U-Net like the reference's"
    half = (
        "fp16 autocast"
        if plan["device"] == "cuda"
        else "fp16 autocast, in which the sums inside the network's convolutions alone are taken "
        "in fp32, as a GPU's tensor cores do (real fp16 convolutions are too slow on a CPU)"
    )
    return f"""\
{plan["steps"]} steps a run, crop {plan["crop"]}, learning rate {plan["learning_rate"]:g}, \
{network} with batch normalisation.

- Guard off: {half}, with a loss scale that starts at 65536 and is halved by every step whose \
gradient is not finite, which is left out; similarity in fp16 too, with its library's defaults; \
weight 0.5 beside L1.
- Guard on: bf16 where the hardware has it, similarity in fp32, clipped and not below 0; warm-up, \
ramp, clipping, skipping and rollback, their schedules shortened to the run.
- diverged: weights, batch norm statistics or validation not finite, or PSNR more than \
{MARGIN_DB:g} dB below that of the mean of the two slices, which is {mean["psnr"]:.2f} dB. Short \
as the runs are, one that merely learned too little counts as well.
- not finite: those of the diverged with weights, statistics or validation (in the run's own \
numerics or in fp32) not finite.
- stuck: similarity alone is the loss, and 1 − similarity never fell below {DEAD:g}.
- first bad loss: the earliest step, from 0, with a loss that was not finite. Bad losses, bad \
gradients: how many steps of all the row's runs had a loss, or with a finite loss a gradient, \
that was not finite. A few bad gradients are the loss scale finding its level.
- loss scale: the lowest of the row's runs at their end; 1: none was used.
- PSNR, SSIM, MS-SSIM, MAE: brain window, held-out slices, predicted in fp32 after the last step, \
mean over the runs where that is finite."""


def _sentence(result: Mapping) -> str:
    rows = [row for row in result["rows"] if row["guarded"] and row["loss"] == DEFAULT_LOSS]
    runs = sum(row["runs"] for row in rows)
    if not runs:
        return ""
    batches = ("batch " if len(rows) == 1 else "batches ") + ", ".join(
        str(row["batch"]) for row in rows
    )
    bad = sum(row["bad_weights"] for row in rows)
    return (
        f"{DEFAULT_LOSS} with the guard on: {bad} of {runs} runs at {batches} ended with "
        "weights that are not finite."
    )
