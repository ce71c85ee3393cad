"""What the panel and the views call things, in the user's language.

What is chosen and saved with a scene stays what it is in every language.
"""

from __future__ import annotations

from slicer.i18n import tr as _

from SliceInterpLib.fineness import ISOTROPIC


def method_in_words(method: str) -> str:
    """A method, by the name that `make_interpolator` knows it by."""
    return _methods().get(method) or method.replace("-", " ").capitalize()


def _methods() -> dict[str, str]:
    return {
        "learned": _("Learned"),
        "linear": _("Linear"),
        "cubic": _("Cubic"),
        "sinc": _("Sinc"),
        "nearest": _("Nearest"),
    }


def parameter_in_words(parameter: str) -> str:
    """One of the panel's parameters, by its name in the scene."""
    return {
        "inputVolume": _("input volume"),
        "outputVolume": _("output volume"),
        "method": _("method"),
        "compareWith": _("compare with"),
        "factor": _("factor"),
        "model": _("model"),
        "device": _("device"),
        "allowThin": _("thin slices"),
        "tellError": _("expected error"),
        "showResult": _("show the result"),
    }[parameter]


def choice_in_words(choice: object) -> str:
    """What a parameter can be, as it is in the scene."""
    methods = {method.capitalize(): word for method, word in _methods().items()}
    others = {
        "Nothing": _("Nothing"),
        "auto": _("auto"),
        ISOTROPIC: _("Isotropic"),
        "True": _("yes"),
        "False": _("no"),
    }
    return {**methods, **others}.get(str(choice), str(choice))
