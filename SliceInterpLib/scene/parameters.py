"""The panel's choices: what there is to choose, and what is chosen and saved with the scene."""

from __future__ import annotations

from typing import Annotated

import slicer
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper

from SliceInterpLib.networks.registry import DEFAULT_MODEL, available_models

METHODS = {
    "Learned": "learned",
    "Linear": "linear",
    "Cubic": "cubic",
    "Sinc": "sinc",
    "Nearest": "nearest",
}
"""Methods by their names in the panel."""

COMPARED = ("Linear", "Cubic", "Sinc", "Nothing")
"""What the result can be compared with."""


def _model_names() -> list[str]:
    """The models that are shipped, the default first."""
    names = [model.name for model in available_models()]
    return sorted(names or [DEFAULT_MODEL], key=lambda name: name != DEFAULT_MODEL)


_MODELS = _model_names()


@parameterNodeWrapper
class Parameters:
    """What is chosen."""

    inputVolume: slicer.vtkMRMLScalarVolumeNode  # noqa: N815
    outputVolume: slicer.vtkMRMLScalarVolumeNode  # noqa: N815
    method: Annotated[str, Choice(list(METHODS))] = "Learned"
    compareWith: Annotated[str, Choice(list(COMPARED))] = "Linear"  # noqa: N815
    factor: Annotated[int, Choice([2, 4])] = 2
    model: Annotated[str, Choice(_MODELS)] = _MODELS[0]
    device: Annotated[str, Choice(["auto", "cuda", "cpu"])] = "auto"
    allowThin: bool = False  # noqa: N815
    tellError: bool = True  # noqa: N815
