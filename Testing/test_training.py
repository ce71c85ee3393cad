"""The trainer learns, resumes exactly, survives bad steps, and writes a model that loads."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from predicting import between
from safetensors.torch import load_file

from SliceInterpLib.cli import main
from SliceInterpLib.errors import TrainingError
from SliceInterpLib.files import write_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.lab.designs import ARCHITECTURES, DESIGNS
from SliceInterpLib.lab.training import checkpoints
from SliceInterpLib.lab.training.guard import UNGUARDED, Guard, Watch
from SliceInterpLib.lab.training.session import grow, train_model
from SliceInterpLib.lab.training.trainer import Trainer, TrainingSettings
from SliceInterpLib.networks.architectures import Design
from SliceInterpLib.networks.flow_inside import FlowInside
from SliceInterpLib.networks.prediction import Network
from SliceInterpLib.networks.registry import load_network, read_card

ROOT = Path(__file__).resolve().parents[1]
TINY = {
    "coarse_widths": [16, 16],
    "flow_widths": [16, 16],
    "residual_widths": [16, 16],
    "residual_blocks": 1,
    "context": 1,
}
AT_ONCE = Guard(warm_up_steps=1, ramp_steps=0)
QUICK = TrainingSettings(batch=2, crop=192, guided_steps=2, guard=AT_ONCE, checkpoint_every=3)


def trainer_for(folder, head, network=None, **settings):
    torch.manual_seed(0)
    return Trainer(
        network or FlowInside(**TINY), [head], [head], folder, replace(QUICK, **settings)
    )


def weights(trainer):
    return torch.cat([p.detach().ravel() for p in trainer.network.parameters()])


def test_the_validation_leaves_out_slices_without_a_head(tmp_path, head):
    air = np.full_like(head.slices, -1000)
    step = 11 * 5.0 + 5.0
    taller = replace(
        head,
        slices=np.concatenate([head.slices, air]),
        slice_origins=np.concatenate([head.slice_origins, head.slice_origins + [0, 0, step]]),
        thickness=(),
        synthetic=(),
    )
    trainer = trainer_for(tmp_path, head)
    trainer.validation = [taller]
    assert 0 < trainer.validate() < 60
    trainer.validation = [replace(head, slices=air)]
    assert trainer.validate() is None


def test_going_on_from_a_checkpoint_is_the_same_as_never_having_stopped(tmp_path, head):
    whole = trainer_for(tmp_path / "whole", head, steps=4)
    whole.run()
    first = trainer_for(tmp_path / "halves", head, steps=2)
    first.run()
    second = trainer_for(tmp_path / "halves", head, steps=4)
    second.run()
    assert second.step == 4
    # The first half decayed its learning rate over two steps rather than four.
    third = trainer_for(tmp_path / "again", head, steps=4)
    third.folder.mkdir()
    batches = third.batches()
    for _ in range(2):
        third.train_step(next(batches))
        third.step += 1
    third.save()
    fourth = trainer_for(tmp_path / "again", head, steps=4)
    fourth.run()
    torch.testing.assert_close(weights(fourth), weights(whole), rtol=0, atol=0)


def test_a_checkpoint_is_in_small_files_and_whole_whenever_the_run_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "LARGEST_FILE", 1000)
    tensors = {f"t{k}": torch.full((200,), float(k)) for k in range(5)} | {"big": torch.ones(999)}
    checkpoints.write(tmp_path, tensors, {"step": 1})
    assert len(list(tmp_path.glob("checkpoint-1-*"))) == 6
    honest = checkpoints.replace_file

    def full_disk(path, write):
        if path.name.endswith("-3.safetensors"):
            raise OSError("no space left")
        honest(path, write)

    monkeypatch.setattr(checkpoints, "replace_file", full_disk)
    later = {name: tensor + 1.0 for name, tensor in tensors.items()}
    with pytest.raises(OSError, match="no space"):
        checkpoints.write(tmp_path, later, {"step": 2})
    assert checkpoints.read_state(tmp_path) == {"step": 1}
    found = checkpoints.read_tensors(tmp_path, torch.device("cpu"))
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    monkeypatch.setattr(checkpoints, "replace_file", honest)
    checkpoints.write(tmp_path, later, {"step": 2})
    found = checkpoints.read_tensors(tmp_path, torch.device("cpu"))
    assert torch.equal(found["big"], later["big"])
    assert not list(tmp_path.glob("checkpoint-1-*"))


def test_a_checkpoint_is_written_after_some_minutes_too(tmp_path, head):
    trainer = trainer_for(
        tmp_path, head, steps=3, batch=1, checkpoint_every=1000, checkpoint_minutes=1e-6
    )
    trainer.run()
    assert [line["step"] for line in lines(tmp_path) if "valid_psnr" in line] == [1, 2, 3, 3]


def test_the_loss_falls(tmp_path, head):
    trainer = trainer_for(tmp_path, head, steps=100, batch=4, learning_rate=2e-3)
    tmp_path.mkdir(exist_ok=True)
    batches = trainer.batches()
    losses = []
    for _ in range(14):
        losses.append(sum(t.item() for t in trainer.train_step(next(batches)).values()))
        trainer.step += 1
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def train(folder, head, design=None, **more):
    return train_model(
        **{
            "name": "mine",
            "design": design or Design("flow-inside-3", TINY),
            "volumes": [head],
            "validation": [head],
            "folder": folder,
            "settings": replace(QUICK, steps=1),
            "device": "cpu",
            "command": "sliceinterp lab train …",
            "log": lambda record: None,
        }
        | more
    )


def test_a_run_leaves_a_model_that_loads_and_doubles(tmp_path, head):
    card = train(tmp_path / "run", head)
    described = json.loads(card.read_text())
    assert described["training"]["steps"] == 1
    learned = make_interpolator("learned", model=str(card), device="cpu")
    assert learned.context == 1
    slices = head.slices[4:8][None].astype(np.float32)
    mean = slices[:, 1:3].mean(1)
    tissue = (mean > 0) & (mean < 100)
    # One step in, the network is still next to the mean of the two slices.
    assert np.abs(between(learned, slices)[:, 0] - mean)[tissue].mean() < 10.0


def stretches(card):
    return json.loads(card.read_text())["training"]["stretches"]


def test_the_card_tells_every_stretch_of_a_training(tmp_path, head):
    """Longer, at another rate, checked on other heads; an interruption alone is no stretch."""
    short, long = (replace(QUICK, steps=steps) for steps in (1, 3))
    train(tmp_path, head, settings=short, command="first")
    again = train(tmp_path, head, settings=short, command="first")
    assert [one["steps"] for one in stretches(again)] == [[0, 1]]
    slow = replace(long, learning_rate=1e-4)
    card = train(tmp_path, head, settings=slow, command="second", validation=[])
    first, second = stretches(card)
    assert (first["steps"], second["steps"]) == ([0, 1], [1, 3])
    assert (first["command"], second["command"]) == ("first", "second")
    assert (first["settings"]["steps"], first["settings"]["learning_rate"]) == (1, 4e-4)
    assert (second["settings"]["steps"], second["settings"]["learning_rate"]) == (3, 1e-4)
    assert (first["validation"]["volumes"], second["validation"]["volumes"]) == (1, 0)
    assert {"device", "threads", "processes", "version", "minutes"} <= set(second)
    training = json.loads(card.read_text())["training"]
    assert (training["steps"], training["data"]["volumes"]) == (3, 1)
    # What was asked for in vain, after the end, is no stretch.
    assert stretches(train(tmp_path, head, settings=short, command="third")) == stretches(card)


def test_a_stretch_that_left_no_checkpoint_is_none(tmp_path, head):
    long = replace(QUICK, steps=3)
    train(tmp_path, head, command="first")

    def killed(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, head, settings=long, command="killed", log=killed)
    card = train(tmp_path, head, settings=long, command="second")
    assert [one["command"] for one in stretches(card)] == ["first", "second"]


def test_a_training_does_not_go_on_with_other_scans_another_network_or_start(tmp_path, head):
    card = train(tmp_path / "run", head)
    before = {path.name: path.read_bytes() for path in card.parent.iterdir()}
    other = replace(head, slices=head.slices + np.int16(1))
    refused = {
        "1 of its 1 are not among these, and 2 of these are not among its own": {
            "volumes": [other, head.part(range(6))]
        },
        "of another network .--design.": {"design": Design("flow-inside-3", TINY | {"context": 0})},
        "from another start .--start.: random weights": {"start": read_card(card)},
    }
    for reason, change in refused.items():
        with pytest.raises(TrainingError, match=rf"{reason}.*or train in another folder"):
            train(card.parent, head, settings=replace(QUICK, steps=2), **change)
    assert {path.name: path.read_bytes() for path in card.parent.iterdir()} == before


def test_the_same_scans_in_another_order_and_of_other_files_are_the_same(tmp_path, head):
    other = replace(head, slices=head.slices + np.int16(1))
    one = train(tmp_path, head, volumes=[head, other])
    turned = train(tmp_path, head, volumes=[replace(other, files=(tmp_path,) * 12), head])
    data = [json.loads(card.read_text())["training"]["data"] for card in (one, turned)]
    assert data[0] == data[1]


def test_what_an_earlier_version_began_is_told_as_far_as_it_is_known(tmp_path, head):
    card = train(tmp_path, head)
    (tmp_path / "run.json").unlink()
    train(tmp_path, head, settings=replace(QUICK, steps=2), command="later")
    first, second = stretches(card)
    assert "did not put down" in first["note"] and first["settings"]["steps"] == 1
    assert (first["steps"], second["command"]) == ([0, 1], "later")


@pytest.mark.parametrize("name", [name for name in DESIGNS if name != "reference-unet"])
def test_every_design_takes_a_training_step(tmp_path, head, name):
    network = DESIGNS[name].build(ARCHITECTURES)
    trainer = trainer_for(tmp_path, head, network, batch=1)
    before = weights(trainer)
    trainer.train_step(next(trainer.batches()))
    assert torch.isfinite(weights(trainer)).all()
    assert (weights(trainer) != before).any()


def test_a_network_that_is_wider_and_deeper_begins_as_the_smaller_one_and_all_of_it_learns():
    torch.manual_seed(1)
    small = FlowInside(**TINY)
    for network in (small.coarse, small.flow, small.residual):
        torch.nn.init.normal_(network.tail.weight, std=0.05)
    large = FlowInside(
        coarse_widths=(24, 32),
        flow_widths=(24, 32),
        flow_blocks=2,
        residual_widths=(32, 24),
        residual_blocks=2,
        context=1,
    )
    grow(small, large)
    slices = 40.0 + 20.0 * torch.randn(2, 4, 64, 64)
    torch.testing.assert_close(large(slices).hu, small(slices).hu, atol=0.01, rtol=0.0)
    optimizer = torch.optim.SGD(large.parameters(), lr=1e-6)
    for _ in range(3):  # what counts for nothing yet must count before what feeds it can learn
        optimizer.zero_grad()
        (large(slices).hu - 40.0).square().mean().backward()
        optimizer.step()
    for name, weight in large.named_parameters():
        channels = weight.grad.flatten(1) if weight.ndim > 1 else weight.grad[:, None]
        idle = (channels == 0.0).all(1).float().mean()
        assert idle < 0.5, f"{idle:.0%} of {name} cannot learn"


def test_a_pair_network_grows_to_four_slices_without_changing_what_it_says(tmp_path, head):
    pair = Design("flow-inside-3", TINY | {"context": 0})
    first = read_card(train(tmp_path / "first", head, pair, settings=replace(QUICK, steps=3)))
    grown = FlowInside(**TINY)
    grow(load_network(first), grown)
    slices = torch.from_numpy(head.slices[4:8, :192, :192][None].astype(np.float32))
    with torch.inference_mode():
        expected = load_network(first)(slices[:, 1:3]).hu
        torch.testing.assert_close(grown.eval()(slices).hu, expected, atol=0.01, rtol=0.0)
    second = read_card(train(tmp_path / "second", head, start=first))
    assert second.card["training"]["start"]["sha256"] == first.sha256


class Stumbling(Network):
    """A network whose prediction, and so its gradient, is NaN at given calls; midway only."""

    context = 0

    def __init__(self, bad_calls):
        super().__init__()
        self.network = FlowInside(**(TINY | {"context": 0}))
        self.bad_calls = bad_calls
        self.calls = 0

    def forward(self, slices):
        if self.training:
            self.calls += 1
        found = self.network(slices)
        if self.training and self.calls in self.bad_calls:
            found = found._replace(view=found.view * math.nan)
        return found


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_bad_steps_are_left_out_counted_and_told(tmp_path, head):
    trainer = trainer_for(tmp_path, head, Stumbling({2, 4}), steps=5)
    trainer.run()
    assert trainer.watch.not_finite == trainer.watch.skipped == 2
    assert trainer.watch.rollbacks == 0
    alarms = [line for line in lines(tmp_path) if "alarm" in line]
    assert [line["step"] for line in alarms] == [1, 3]
    assert all(t.isfinite().all() for t in load_file(tmp_path / "model.safetensors").values())


def test_many_bad_steps_in_a_row_go_back_to_the_averaged_weights(tmp_path, head):
    guard = replace(AT_ONCE, rollback_after=3)
    trainer = trainer_for(tmp_path, head, Stumbling({3, 4, 5}), steps=5, guard=guard)
    trainer.run()
    assert (trainer.watch.rollbacks, trainer.watch.rate) == (1, 0.5)
    average = torch.cat([p.detach().ravel() for p in trainer.average.module.parameters()])
    torch.testing.assert_close(weights(trainer), average, rtol=0, atol=0)
    assert any("learning rate × 0.5" in line.get("alarm", "") for line in lines(tmp_path))


def test_without_the_guard_nan_weights_never_reach_the_disk(tmp_path, head):
    trainer = trainer_for(tmp_path, head, Stumbling({5}), steps=8, guard=UNGUARDED)
    with pytest.raises(TrainingError, match="guard"):
        trainer.run()
    # Those of step 3, before it went wrong.
    assert trainer.step == 6
    assert all(t.isfinite().all() for t in load_file(tmp_path / "model.safetensors").values())
    assert checkpoints.read_state(tmp_path)["step"] == 3
    tensors = checkpoints.read_tensors(tmp_path, torch.device("cpu"))
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_loss_out_of_all_proportion_is_a_bad_step():
    watch = Watch(Guard(spike=20.0, rollback_after=2))
    assert [watch.judge(loss, 1.0) for loss in (1.0, 0.9, 30.0, 0.9)] == [
        "step",
        "step",
        "skip",
        "step",
    ]
    assert [watch.judge(loss, 1.0) for loss in (math.inf, 40.0)] == ["skip", "rollback"]
    assert (watch.not_finite, watch.skipped) == (1, 3)


def test_two_processes_train_as_one_does(tmp_path, head):
    """torchrun with gloo on the CPU: the same examples in two shares give the same weights."""
    write_volume(head, tmp_path / "head.nrrd")
    command = [
        *("lab", "train", "--data", tmp_path / "head.nrrd", "--batch", "2"),
        *("--steps", "2", "--crop", "192", "--seed", "5", "--device", "cpu", "--start", "small"),
    ]
    assert main([*map(str, command), "-o", str(tmp_path / "one")]) == 0
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pair = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    pair += ["-m", "--", "SliceInterpLib.cli"]
    call = [*map(str, [*pair, *command, "-o", tmp_path / "two"])]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert stretches(tmp_path / "two" / "model.json")[0]["processes"] == 2
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=1e-5)


def test_worker_processes_give_the_same_batches(tmp_path, head):
    plain, helped = (
        trainer_for(tmp_path, head, batch=3, workers=workers).batches() for workers in (0, 2)
    )
    for _ in range(2):
        for one, other in zip(next(plain), next(helped), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
