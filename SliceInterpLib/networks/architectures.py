"""The networks that the cards of models may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from SliceInterpLib.errors import MethodError
from SliceInterpLib.networks.flow_inside import FlowInside
from SliceInterpLib.networks.prediction import Network

Architectures: TypeAlias = Mapping[str, Callable[..., Network]]
"""Networks by name."""

ARCHITECTURES: Architectures = {"flow-inside-3": FlowInside}
"""What SliceInterp itself predicts with; the laboratory knows peers too."""


class Design(NamedTuple):
    """An architecture with its sizes."""

    architecture: str
    configuration: dict[str, Any]

    def build(self, known: Architectures = ARCHITECTURES) -> Network:
        """A new network with random weights. Raises MethodError for an unknown architecture."""
        if self.architecture not in known:
            raise MethodError(
                f"The architecture '{self.architecture}' is not known to this version. The model "
                "is a peer that only sliceinterp lab knows, or of a newer version, or of an older "
                "one whose networks saw their input in another order: update SliceInterp, or train "
                "the model again."
            )
        return known[self.architecture](**self.configuration)
