"""The panel's choices: what there is to choose, and what is chosen and saved with the scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import slicer
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper

from SliceInterpLib.fineness import ISOTROPIC, MOST_TIMES
from SliceInterpLib.networks.registry import DEFAULT_MODEL, INTERPOLATOR, available_models
from SliceInterpLib.scene.words import choice_in_words, parameter_in_words
from SliceInterpLib.tasks import MethodSettings

METHODS = {
    "Learned": "learned",
    "Linear": "linear",
    "Cubic": "cubic",
    "Sinc": "sinc",
    "Nearest": "nearest",
}
"""Methods by their names in the scene."""

COMPARED = ("Linear", "Cubic", "Sinc", "Nothing")
"""What the result can be compared with."""


def _model_names() -> list[str]:
    """The models that are shipped, the default first."""
    names = [model.name for model in available_models(INTERPOLATOR)]
    return sorted(names or [DEFAULT_MODEL], key=lambda name: name != DEFAULT_MODEL)


_CHOICES: dict[str, Sequence[Any]] = {
    "method": list(METHODS),
    "compareWith": list(COMPARED),
    "factor": [*map(str, range(2, MOST_TIMES + 1)), ISOTROPIC],
    "model": _model_names(),
    "device": ["auto", "cuda", "cpu"],
    "allowThin": [False, True],
    "tellError": [True, False],
    "showResult": [True, False],
}
"""What each parameter can be, its default first."""


@parameterNodeWrapper
class Parameters:
    """What is chosen. Of a node that `mend` has seen, since any other text raises ValueError."""

    inputVolume: slicer.vtkMRMLScalarVolumeNode  # noqa: N815
    outputVolume: slicer.vtkMRMLScalarVolumeNode  # noqa: N815
    method: Annotated[str, Choice(_CHOICES["method"])] = _CHOICES["method"][0]
    compareWith: Annotated[str, Choice(_CHOICES["compareWith"])] = _CHOICES["compareWith"][0]  # noqa: N815
    factor: Annotated[str, Choice(_CHOICES["factor"])] = _CHOICES["factor"][0]
    model: Annotated[str, Choice(_CHOICES["model"])] = _CHOICES["model"][0]
    device: Annotated[str, Choice(_CHOICES["device"])] = _CHOICES["device"][0]
    allowThin: bool = _CHOICES["allowThin"][0]  # noqa: N815
    tellError: bool = _CHOICES["tellError"][0]  # noqa: N815
    showResult: bool = _CHOICES["showResult"][0]  # noqa: N815


def settings_of(chosen: Parameters) -> MethodSettings:
    """The methods, and how they are to run."""
    methods = [METHODS[chosen.method]]
    if chosen.compareWith in METHODS:
        # The quick one first, so that progress is that of the slow one.
        methods.insert(0, METHODS[chosen.compareWith])
    return MethodSettings(
        methods=tuple(dict.fromkeys(methods)),
        factor=ISOTROPIC if chosen.factor == ISOTROPIC else int(chosen.factor),
        model=chosen.model,
        device=chosen.device,
        allow_thin=chosen.allowThin,
        expected_error=chosen.tellError,
    )


def mend(node: slicer.vtkMRMLScriptedModuleNode) -> str:
    """Take the default for whatever is not chosen, or cannot be here: a scene of another version.

    Args:
        node: a parameter node, of a new scene or of one that was saved.

    Returns:
        A sentence that says what was not available, and what was taken; '' if there is nothing to
        say.
    """
    is_new = not any(map(node.HasParameter, _CHOICES))
    replaced = []

    def tell(name: str, asked: str, given: str) -> None:
        words = {"choice": parameter_in_words(name), "asked": asked, "given": given}
        replaced.append(_("{choice} {asked} by {given}").format(**words))

    with slicer.util.NodeModify(node):
        for name, values in _CHOICES.items():
            text = node.GetParameter(name)
            if text not in map(str, values):
                node.SetParameter(name, str(values[0]))
                asked = f"'{text:.40}'" if text else _("(not in the scene)")
                tell(name, asked, f"'{choice_in_words(values[0])}'")
        for name in ("inputVolume", "outputVolume"):
            chosen = node.GetNodeReference(name)
            if chosen and not chosen.IsA("vtkMRMLScalarVolumeNode"):
                node.SetNodeReferenceID(name, None)
                tell(name, f"'{chosen.GetName():.40}'", _("none"))
    if is_new or not replaced:
        return ""
    return _("Not available here, and replaced: {choices}.").format(choices=", ".join(replaced))
