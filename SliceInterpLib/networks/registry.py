"""Trained models: a JSON card and a safetensors file each. Weights are checked before use.

A card says what the model is for (`kind`, where it is no interpolator), what the network is
(`architecture`, `configuration`), where its weights are (`weights`, a file beside the card, with
its `sha256`), what it was trained on and on what terms, and how it measured. Nothing is
ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SliceInterpLib.errors import MethodError

if TYPE_CHECKING:
    from SliceInterpLib.networks.architectures import Architectures, Design
    from SliceInterpLib.networks.prediction import Network

INTERPOLATOR, FINDER = "interpolator", "finder"
"""Kinds of models: what predicts slices, and what marks where a hematoma may be."""

DEFAULT_MODEL, DEFAULT_FINDER = "small", "finder"

_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "Models", _PACKAGE.parent / "Resources" / "Models")
"""Where models are found: inside an installed package, or beside it in a source checkout."""

LARGEST_WEIGHTS = 1 << 30
"""Bytes. Models have some million parameters."""

LARGEST_SETTING = 1024
"""Of the numbers in a configuration, and of their count: a network beyond it would fill memory."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained network that can be loaded."""

    card: dict[str, Any]
    """The whole card, as it stands in its file."""
    weights: Path
    """The safetensors file."""

    @property
    def name(self) -> str:
        """The name by which it is asked for."""
        return self.card["name"]

    @property
    def kind(self) -> str:
        """INTERPOLATOR or FINDER."""
        return str(self.card.get("kind", INTERPOLATOR))

    @property
    def sha256(self) -> str:
        """Hexadecimal digest that the weights must have."""
        return self.card["sha256"]

    @property
    def licence(self) -> str:
        """On what terms the weights may be used."""
        return str(self.card.get("licence") or "Not said in its card")


def available_models(kind: str | None = None) -> list[TrainedModel]:
    """The models that are shipped, by name: those of a kind, or all."""
    cards = [path for folder in _FOLDERS for path in folder.glob("*.json")]
    models = [model for model in map(read_card, cards) if kind in (None, model.kind)]
    return sorted(models, key=lambda model: model.name)


def find_model(name: str | None = None, kind: str = INTERPOLATOR) -> TrainedModel:
    """A shipped model by its name, any model by its card's path (….json), or the default.

    Raises:
        MethodError: if there is no such model, or if it is one of another kind.
    """
    name = name or {INTERPOLATOR: DEFAULT_MODEL, FINDER: DEFAULT_FINDER}[kind]
    if name.endswith(".json"):
        model = read_card(Path(name))
    else:
        models = {model.name: model for model in available_models()}
        if name not in models:
            known = ", ".join(model.name for model in models.values() if model.kind == kind)
            raise MethodError(
                f"There is no model '{name}'. Shipped: {known or 'none'}. "
                "A model of your own is named by the path of its card (a .json file)."
            )
        model = models[name]
    if model.kind != kind:
        raise MethodError(
            f"The model '{name}' is of the kind '{model.kind}', and one of the kind '{kind}' is "
            "needed here. sliceinterp models tells which is which."
        )
    return model


def read_card(path: Path) -> TrainedModel:
    """The model that a card describes.

    Raises:
        MethodError: if the card cannot be read or lacks what loading needs.
    """
    try:
        card = json.loads(_content(path))
    except (OSError, ValueError, RecursionError) as problem:
        raise MethodError(f"The model card {path} cannot be read: {problem}") from problem
    texts = dict.fromkeys(("name", "architecture", "weights", "sha256"), str)
    for key, kind in (texts | {"configuration": dict}).items():
        if not isinstance(card, dict) or not isinstance(card.get(key), kind):
            raise MethodError(f"The model card {path} is not valid: it has no proper '{key}'.")
    if not _is_modest(list(card["configuration"].values())):
        raise MethodError(
            f"The model card {path} is not valid: its configuration may hold only whole "
            f"numbers up to {LARGEST_SETTING}."
        )
    if Path(card["weights"]).name != card["weights"]:
        raise MethodError(f"The model card {path} names weights outside its own folder.")
    return TrainedModel(card=card, weights=path.parent / card["weights"])


def load_network(model: TrainedModel, known: Architectures | None = None) -> Network:
    """The network with its weights, in evaluation mode, on the CPU.

    Args:
        model: what to load.
        known: the architectures that the card may name; by default those that are shipped.

    Raises:
        MethodError: if torch is missing, or the weights are missing, are not those that the card
            describes (sha256) or do not fit the architecture.
    """
    try:
        from safetensors.torch import load
    except ImportError as missing:
        absent = [name for name in ("torch", "safetensors") if find_spec(name) is None]
        if not absent:
            raise  # it is there, and broken
        raise MethodError(
            f"The model '{model.name}' needs {' and '.join(absent)}. "
            f"Install it with: pip install {' '.join(absent)}"
        ) from missing
    from SliceInterpLib.networks.architectures import ARCHITECTURES, Design

    design = Design(model.card["architecture"], model.card["configuration"])
    data = read_weights(model)
    try:
        network = _without_weights(design, known or ARCHITECTURES)
        network.load_state_dict(load(data), assign=True)
    except MethodError:
        raise
    except Exception as problem:
        raise MethodError(
            f"The weights of '{model.name}' do not fit its card: {problem}"
        ) from problem
    return network.float().eval()


def read_weights(model: TrainedModel) -> bytes:
    """The file of the weights; raises MethodError unless it is the one that the card describes."""
    try:
        data = _content(model.weights)
    except (OSError, ValueError) as problem:
        raise MethodError(f"The weights of '{model.name}' cannot be read: {problem}") from problem
    if hashlib.sha256(data).hexdigest() != model.sha256:
        raise MethodError(
            f"The weights of '{model.name}' are not those of its card (sha256 differs): the file "
            f"{model.weights.name} is damaged or was changed. Install SliceInterp again."
        )
    return data


def _without_weights(design: Design, known: Architectures) -> Network:
    """The network, taking no memory for weights that its file may not have."""
    import torch
    from torch.overrides import TorchFunctionMode

    class LeavingNormal(TorchFunctionMode):
        """On the meta device normal_ does nothing, but brings in the whole of torch's compiler."""

        def __torch_function__(
            self,
            func: Callable[..., Any],
            types: Sequence[type],
            args: tuple = (),
            kwargs: dict[str, Any] | None = None,
        ) -> object:
            return args[0] if func is torch.Tensor.normal_ else func(*args, **(kwargs or {}))

    with torch.device("meta"), LeavingNormal():
        return design.build(known)


def _content(path: Path) -> bytes:
    """What is in a file; raises OSError or ValueError for what is none, or is too large for us."""
    if not path.is_file():
        raise FileNotFoundError("there is no such file")
    if path.stat().st_size > LARGEST_WEIGHTS:
        raise ValueError("it is too large to be that of a model")
    return path.read_bytes()


def _is_modest(value: object) -> bool:
    """Whether it is made of whole numbers, not too large and not too many."""
    if isinstance(value, list):
        return len(value) <= LARGEST_SETTING and all(map(_is_modest, value))
    return isinstance(value, int) and abs(value) <= LARGEST_SETTING
