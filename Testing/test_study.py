"""The loss study runs, goes on where it stopped, and hides nothing that failed."""

import csv
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from matplotlib import image as pictures
from safetensors.torch import load_file
from torch import nn

from SliceInterpLib import cli
from SliceInterpLib.files import write_volume
from SliceInterpLib.lab.training import losses, study, study_run
from SliceInterpLib.lab.training.guard import Guard
from SliceInterpLib.lab.training.study import run_study, steps_within, summary, worst_of
from SliceInterpLib.lab.training.study_figure import save_study_figure
from SliceInterpLib.lab.training.study_run import REMEDIES, Examples, Plan, Run, settings_of
from SliceInterpLib.lab.training.study_tables import markdown
from SliceInterpLib.phantom import head_phantom

TINY = Plan(steps=2, losses=("l1", "ms-ssim+l1"), batches=(2,), seeds=1, default_seeds=2)


@pytest.fixture(scope="module")
def head():
    return head_phantom(matrix=224, pixel_spacing=1.0, slices=12).volume


@pytest.fixture
def examples(head):
    return Examples([head], [head])


def test_the_command_leaves_tables_and_a_picture_and_goes_on_where_it_stopped(
    tmp_path, head, capsys
):
    write_volume(head, tmp_path / "head.nrrd")
    folder = tmp_path / "study"
    command = [
        *("lab", "study", "--data", str(tmp_path), "--valid", str(tmp_path / "head.nrrd")),
        *("-o", str(folder), "--losses", "l1", "ms-ssim+l1", "--batches", "2", "--seeds", "1"),
        *("--seeds-of-default", "2", "--steps", "1", "--device", "cpu"),
    ]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == (folder / "study.md").read_text().strip()
    assert "| ms-ssim+l1 | 2 | on | 2 | " in printed
    assert "0 of 2 runs at batch 2 ended with weights that are not finite" in printed
    rows = list(csv.DictReader((folder / "study.csv").open()))
    assert len(rows) == 4 + len(REMEDIES) + 2
    assert pictures.imread(folder / "study.png").shape[2] in (3, 4)
    lines = (folder / "runs.jsonl").read_text().splitlines()
    assert len(lines) == 5 + len(REMEDIES)

    (folder / "runs.jsonl").write_text("\n".join(lines[:-3]) + "\n")
    assert cli.main([*command, "--jobs", "2"]) == 0
    assert capsys.readouterr().err.count('"loss"') == 3
    again = (folder / "runs.jsonl").read_text().splitlines()
    assert again[:-3] == lines[:-3]
    keys = [{tuple(json.loads(line)[f] for f in Run._fields) for line in x} for x in (lines, again)]
    assert keys[0] == keys[1]

    assert cli.main([*command, "--rate", "0.1"]) == 1
    assert "differs in learning_rate" in capsys.readouterr().err
    write_volume(head.part(range(5)), tmp_path / "another.nrrd")
    assert cli.main(command) == 1
    assert "differs in data." in capsys.readouterr().err


def test_a_run_that_blows_up_is_told_and_the_others_go_on(tmp_path, examples, monkeypatch):
    def harsh(run, plan):
        settings = settings_of(run, plan)
        one = (run.loss, run.guarded, run.seed, run.remedy) == ("l1", False, 1, "")
        return replace(settings, learning_rate=1e6) if one else settings

    monkeypatch.setattr(study_run, "settings_of", harsh)
    records = []
    plan = replace(TINY, losses=("l1",), seeds=2)
    result = run_study(plan, examples, tmp_path / "study", log=records.append)
    bad = [r for r in records if study.not_finite(r)]
    assert [(r["loss"], r["guarded"], r["seed"]) for r in bad] == [("l1", False, 1)]
    assert bad[0]["psnr"] is None
    row = result["rows"][0]
    assert (row["runs"], row["diverged"] >= 1, row["not_finite"]) == (2, True, 1)
    assert row["psnr"] is not None, "the mean is that of the other run"
    assert len(records) == 4
    assert result["remedies"] == [], "there is no similarity to remedy"


def record(**values):
    setting = {"loss": "ssim", "batch": 2, "guarded": False, "seed": 1, "remedy": ""}
    finite = {f"{what}_finite": True for what in ("weights", "statistics", "validation")}
    steps = {"bad_losses": 0, "first_bad_loss": None, "bad_gradients": 0, "loss_scale": 1.0}
    metrics = {"psnr": 20.0, "ssim": 0.8, "ms_ssim": 0.8, "mae": 0.1}
    return setting | finite | steps | metrics | {"stuck": False} | values


NOTHING = dict.fromkeys(("psnr", "ssim", "ms_ssim", "mae"))


def test_a_row_counts_what_diverged_and_averages_what_is_finite():
    records = [
        record(seed=1),
        record(seed=2, psnr=15.9, bad_losses=2, first_bad_loss=7, loss_scale=0.5),
        record(seed=3, validation_finite=False, bad_losses=1, first_bad_loss=3),
        record(seed=4, statistics_finite=False, validation_finite=False, **NOTHING),
    ]
    (row,) = summary(records, baseline_db=22.0)
    assert (row["runs"], row["diverged"], row["not_finite"], row["bad_weights"]) == (4, 3, 2, 0)
    assert (row["bad_losses"], row["first_bad_loss"], row["loss_scale"]) == (3, 3, 0.5)
    assert row["psnr"] == pytest.approx((20.0 + 15.9 + 20.0) / 3)


def test_the_remedies_are_tried_on_what_failed_most():
    records = [
        record(loss="l1", validation_finite=False),
        record(loss="ms-ssim", psnr=3.0, bad_gradients=9),
        record(loss="ssim+l1", batch=4, validation_finite=False),
        record(loss="ssim", guarded=True, validation_finite=False, weights_finite=False),
    ]
    assert worst_of(summary(records, 22.0))["loss"] == "ssim+l1"
    assert worst_of(summary(records[:2], 22.0))["loss"] == "ms-ssim"
    # Among equals: the most bad steps.
    equals = [record(loss="ssim", bad_gradients=4), record(loss="ms-ssim", bad_losses=5)]
    assert worst_of(summary(equals, 22.0))["loss"] == "ms-ssim"
    assert worst_of(summary(records[:1], 22.0)) is None


def changes(run, plan):
    """The settings in which a run differs from one without guard and remedy."""

    def leaves(settings):
        nested = asdict(settings)
        return {
            (outer, inner): value
            for outer, values in nested.items()
            for inner, value in (values if isinstance(values, dict) else {"": values}).items()
        }

    one, other = (leaves(settings_of(r, plan)) for r in (run, run._replace(remedy="")))
    return {"/".join(filter(None, path)) for path in one if one[path] != other[path]}


def test_every_remedy_changes_one_thing():
    plan = Plan(steps=500)
    expected = {
        "bf16 rather than fp16": {"precision"},
        "fp32 rather than fp16": {"precision"},
        "similarity in fp32": {"loss/full_precision"},
        "K₂ = 0.4": {"loss/k"},
        "SSIM not below 0": {"loss/nonnegative"},
        "prediction clipped": {"loss/clamp"},
        "learning rate ÷ 4": {"learning_rate"},
        "similarity weight 0.1": {"loss/similarity_weight"},
        "warm-up": {"guard/warm_up_steps"},
        "gradients clipped": {"guard/clip_norm"},
        "bad steps left out": {"guard/skip"},
        "similarity ramped in": {"guard/ramp_from_step", "guard/ramp_steps"},
        "start from trained L1": set(),
        "control: no loss scale": set(),
    }
    found = {name: changes(Run("ssim+l1", 4, False, 1, name), plan) for name in REMEDIES}
    assert found == expected
    alone = Run("ssim", 4, False, 1, "similarity weight 0.1")
    assert settings_of(alone, plan).loss.name == "ssim+l1"


def test_the_guards_schedule_shrinks_with_the_run():
    whole = settings_of(Run("ssim", 4, True, 1), Plan(steps=5000))
    assert whole.guard == Guard()
    assert whole.ema_decay == pytest.approx(0.999)
    short = settings_of(Run("ssim", 4, True, 1), Plan(steps=50)).guard
    assert (short.warm_up_steps, short.ramp_from_step, short.ramp_steps) == (2, 3, 5)


@pytest.mark.parametrize("similarity, stuck", [(0.0, True), (0.5, False), (np.nan, False)])
def test_a_loss_in_its_dead_zone_is_stuck(tmp_path, examples, monkeypatch, similarity, stuck):
    monkeypatch.setattr(losses, "_measure", lambda name, shown, *_: 0.0 * shown.mean() + similarity)
    run = Run("ms-ssim", 2, False, 1)
    found = study_run.carry_out(run, replace(TINY, steps=1), examples)
    assert found["stuck"] == stuck
    assert found["bad_losses"] == np.isnan(similarity)


def test_a_run_starts_from_the_weights_it_is_given(tmp_path, examples):
    """At a learning rate of 0, so that they are what it ends with, whatever its seed."""
    plan, start = replace(TINY, steps=1, learning_rate=0.0), tmp_path / "start.safetensors"
    study_run.carry_out(Run("l1", 2, True, seed=3), plan, examples, save=start)
    run = Run("ms-ssim+l1", 2, False, 1, "start from trained L1")
    study_run.carry_out(run, plan, examples, start, save=tmp_path / "end.safetensors")
    before, after = (load_file(tmp_path / f"{n}.safetensors") for n in ("start", "end"))
    torch.testing.assert_close(after["tail.weight"], before["tail.weight"], rtol=0, atol=0)


def test_convolutions_with_sums_in_fp32_are_those_of_fp16_autocast():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 16, 16)
    results = []
    for quick in (False, True):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 4, 3, groups=4))
        if quick:
            study_run.quick_half(network)
        with torch.autocast("cpu", torch.float16):
            y = network(x)
        y.float().square().sum().backward()
        results.append((y.detach(), *(p.grad for p in network.parameters())))
        assert y.dtype == torch.float16
        with torch.autocast("cpu", torch.float16):
            assert not network(1e6 * x).isfinite().any(), "fp16 ends at 65504"
    for real, quick in zip(*results, strict=True):
        size = float(real.abs().max())
        torch.testing.assert_close(quick, real, rtol=0, atol=4e-3 * size)
    assert network(1e6 * x).isfinite().all(), "without autocast it is fp32 as ever"


def test_the_steps_fill_the_minutes(examples, monkeypatch):
    def carry_out(run, plan, _):
        return {"seconds": 2.0 + run.batch * plan.steps * (2.0 if not run.guarded else 1.0)}

    monkeypatch.setattr(study, "carry_out", carry_out)
    plan = Plan(steps=1, losses=("ssim+l1",), batches=(1, 2), seeds=2)
    steps = steps_within(60.0, plan, examples)
    runs = [(2.0, 1, 2), (2.0, 2, 2), (1.0, 1, 2), (1.0, 2, 2)]
    runs += [(2.0, batch, len(REMEDIES)) for batch in (1, 2)]
    total = sum(count * (2.0 + cost * batch * steps) for cost, batch, count in runs)
    assert 3600.0 - sum(cost * batch * count for cost, batch, count in runs) < total <= 3600.0
    assert steps_within(0.001, plan, examples) == 10


def test_what_was_never_finite_is_shown_as_such(tmp_path):
    bad = record(weights_finite=False, statistics_finite=False, validation_finite=False, **NOTHING)
    rows = summary([bad, record(guarded=True)], 22.0)
    result = {
        "plan": asdict(Plan(steps=2, losses=("ssim",), batches=(2,))),
        "mean_of_two": {"psnr": 22.0},
        "rows": rows,
        "worst": rows[0],
        "remedies": [row | {"remedy": name} for row, name in zip(rows, "ab", strict=True)],
    }
    save_study_figure(tmp_path / "study.png", result)
    picture = pictures.imread(tmp_path / "study.png")
    reds = (picture[..., 0] > 0.4) & (picture[..., 1:3].max(axis=2) < 0.05)
    assert reds.sum() > 1000, "the cell of the setting that diverged is dark red"
    line = next(
        line for line in markdown(result).splitlines() if line.startswith("| ssim | 2 | off")
    )
    assert line.endswith("| – | – | – | – |")
