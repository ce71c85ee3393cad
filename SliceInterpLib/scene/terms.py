"""The terms on which a trained model may be used: shown before it first runs from the panel."""

from __future__ import annotations

from hashlib import sha256

import slicer
from slicer.i18n import tr as _

from SliceInterpLib.networks.registry import INTERPOLATOR, TrainedModel, find_model

_KEY = "SliceInterp/terms-{digest}"
"""Where Slicer's settings remember that the user is not to be asked again."""


class Terms:
    """Asks once a session, and never again where the user says so.

    The same terms are asked for once, whatever the model; terms that have changed, again.
    """

    def __init__(self) -> None:
        self._agreed: set[str] = set()

    def agreed(self, name: str, kind: str = INTERPOLATOR) -> bool:
        """Whether the user takes the terms of the model of that name and kind."""
        model = find_model(name, kind)
        digest = sha256(model.licence.encode()).hexdigest()[:12]
        if digest not in self._agreed and _asked(model, _KEY.format(digest=digest)):
            self._agreed.add(digest)
        return digest in self._agreed


def _asked(model: TrainedModel, key: str) -> bool:
    # In testing mode there is nobody to ask, and Slicer would take that for a no.
    return slicer.app.testingEnabled() or slicer.util.confirmOkCancelDisplay(
        _(
            "The weights of the model '{model}' come with terms:\n\n{terms}.\n\n"
            "Do you use them on these terms?"
        ).format(model=model.name, terms=model.licence),
        windowTitle=_("Terms of the model"),
        detailedText=_details(model),
        dontShowAgainSettingsKey=key,
    )


def _details(model: TrainedModel) -> str:
    """What the model's card says of its training data's terms, and of its limits."""
    trained = model.card.get("training", {}).get("data", [])
    lines = [_("Trained on {name}: {terms}.").format(**one) for one in trained]
    return "\n".join([*lines, "", *model.card.get("limits", [])])
