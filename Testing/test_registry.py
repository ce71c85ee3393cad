"""Cards and weights of models: what was changed, lies, is missing or no weights is refused."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
import torch

from SliceInterpLib.errors import MethodError
from SliceInterpLib.interpolators import make_interpolator

pytestmark = pytest.mark.networks


def edit_card(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_changed_weights_are_not_loaded(tiny_model):
    weights = tiny_model.with_name("tiny.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(MethodError, match="sha256 differs"):
        make_interpolator("learned", model=str(tiny_model))


def test_a_pickle_is_not_loaded_even_with_its_right_digest(tiny_model):
    weights = tiny_model.with_name("tiny.safetensors")
    torch.save({"weights": torch.zeros(1)}, weights)
    edit_card(tiny_model, sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
    with pytest.raises(MethodError, match="do not fit its card"):
        make_interpolator("learned", model=str(tiny_model))


def test_a_card_that_lies_is_refused(tiny_model):
    with pytest.raises(MethodError, match="do not fit"):
        make_interpolator(
            "learned", model=str(edit_card(tiny_model, configuration={"flow_widths": [4]}))
        )
    with pytest.raises(MethodError, match="not known"):
        make_interpolator("learned", model=str(edit_card(tiny_model, architecture="other")))
    with pytest.raises(MethodError, match="outside its own folder"):
        make_interpolator("learned", model=str(edit_card(tiny_model, weights="../tiny")))
    with pytest.raises(MethodError, match="no proper 'weights'"):
        make_interpolator("learned", model=str(edit_card(tiny_model, weights=3)))
    tiny_model.write_text("{")
    with pytest.raises(MethodError, match="cannot be read"):
        make_interpolator("learned", model=str(tiny_model))


def test_missing_weights_are_named(tiny_model, tmp_path):
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    shutil.copy(tiny_model, alone)
    with pytest.raises(MethodError, match="cannot be read"):
        make_interpolator("learned", model=str(alone / "tiny.json"))
