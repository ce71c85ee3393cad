"""The trainer learns, resumes exactly, and writes a model that the library loads."""

import json

import numpy as np
import pytest
import torch

from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.networks.flow_inside import FlowInside
from SliceInterpLib.networks.registry import load_network, read_card
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.training import session
from SliceInterpLib.training.trainer import Settings, Trainer
from SliceInterpLib.training.triplets import Triplets
from SliceInterpLib.volume import Volume

TINY = {"flow_widths": (16, 16), "residual_widths": (16, 16), "residual_blocks": 1}
QUICK = {
    "batch": 2,
    "crop": 192,
    "guided_steps": 2,
    "warm_up_steps": 1,
    "similarity_from_step": 0,
    "checkpoint_every": 3,
}


@pytest.fixture(scope="module")
def head():
    return head_phantom(matrix=224, pixel_spacing=1.0).volume


def trained(folder, head, steps, **settings):
    torch.manual_seed(0)
    trainer = Trainer(
        FlowInside(**TINY), [head], [head], folder, Settings(steps=steps, **(QUICK | settings))
    )
    trainer.run()
    return trainer


def weights(trainer):
    return torch.cat([p.detach().ravel() for p in trainer.network.parameters()])


def test_going_on_from_a_checkpoint_is_the_same_as_never_having_stopped(tmp_path, head):
    whole = trained(tmp_path / "whole", head, steps=6)
    cut_short = tmp_path / "halves"
    torch.manual_seed(0)
    first = Trainer(FlowInside(**TINY), [head], [head], cut_short, Settings(steps=6, **QUICK))
    cut_short.mkdir()
    for _ in range(3):
        first.train_step()
        first.step += 1
    first.save()
    second = trained(cut_short, head, steps=6)
    assert second.step == 6
    torch.testing.assert_close(weights(second), weights(whole), rtol=0, atol=0)


def test_the_loss_falls(tmp_path, head):
    trainer = trained(tmp_path, head, steps=1, batch=4, crop=96 * 2, learning_rate=2e-3)
    trainer.rng = np.random.default_rng(5)
    batches = [trainer.train_step() for _ in range(12)]
    total = [float(sum(term for term in terms.values()).detach()) for terms in batches]
    assert np.mean(total[-4:]) < np.mean(total[:4])


def test_a_run_leaves_a_model_that_loads_and_doubles(tmp_path, head, monkeypatch):
    monkeypatch.setattr(session, "Settings", lambda **kw: Settings(**(kw | QUICK)))
    card = session.train_model(
        name="mine",
        volumes=[head],
        validation=[head],
        folder=tmp_path / "run",
        steps=1,
        minutes=None,
        seed=3,
        device="cpu",
        command="sliceinterp train …",
        log=lambda record: None,
    )
    described = json.loads(card.read_text())
    assert described["training"]["steps"] == 1
    learned = make_interpolator("learned", model=str(card), device="cpu")
    pair = head.slices[15:17][None].astype(np.float32)
    tissue = (pair.mean(1) > 0) & (pair.mean(1) < 100)
    # One step in, the network is still next to the mean of the two slices.
    assert np.abs(learned(pair) - pair.mean(1))[tissue].mean() < 10.0


def ramp(slices, gap):
    """Slice k is k everywhere, with tissue for the crop to find."""
    hu = np.arange(slices, dtype=np.int16)[:, None, None] * np.ones((1, 64, 64), np.int16)
    return Volume(hu=hu, origin=(0, 0, 0), spacing=(0.5, 0.5, gap), direction=np.eye(3))


@pytest.mark.parametrize("gap", [5.0, 2.0, 1.25])
def test_the_middle_slice_of_a_triplet_lies_midway_however_thick(gap):
    """In a volume that is linear in z, the true middle is the mean of the neighbours."""
    triplets = Triplets([ramp(40, gap)], crop=32)
    rng = np.random.default_rng(0)
    steps = set()
    for _ in range(60):
        first, middle, last = triplets.draw(rng).mean(axis=(1, 2))
        assert middle == pytest.approx((first + last) / 2, abs=1e-3)
        steps.add(round(abs(last - middle), 1))
    assert (len(steps) > 3) or gap == 5.0


def test_crops_are_taken_from_small_slices_too():
    assert Triplets([ramp(5, 5.0)], crop=192).batch(np.random.default_rng(0), 3).shape == (
        3,
        3,
        192,
        192,
    )


def test_a_training_can_start_from_a_trained_model(tmp_path, head, monkeypatch):
    monkeypatch.setattr(
        session,
        "CONFIGURATION",
        {k: list(v) if isinstance(v, tuple) else v for k, v in TINY.items()},
    )
    monkeypatch.setattr(session, "Settings", lambda **kw: Settings(**(QUICK | kw)))
    common = {
        "name": "mine",
        "volumes": [head],
        "validation": [],
        "steps": 1,
        "minutes": None,
        "seed": 3,
        "device": "cpu",
        "command": "…",
        "log": lambda record: None,
    }
    first = read_card(session.train_model(folder=tmp_path / "first", **common))
    second = read_card(session.train_model(folder=tmp_path / "second", start=first, **common))
    assert second.card["training"]["start"]["sha256"] == first.sha256
    assert second.card["configuration"] == first.card["configuration"]
    one, other = (load_network(model).state_dict() for model in (first, second))
    # One small step away from where it started, and not from other random weights.
    assert all((one[name] - other[name]).abs().max() < 1e-2 for name in one)
    assert any((one[name] != other[name]).any() for name in one)


def test_volumes_without_a_triplet_are_refused():
    with pytest.raises(ValueError, match="at least 3 slices"):
        Triplets([ramp(2, 5.0)], crop=32)
