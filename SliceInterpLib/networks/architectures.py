"""The networks by name: architectures for the cards of models, designs for new trainings."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from SliceInterpLib.errors import MethodError
from SliceInterpLib.networks.flow_inside import FlowInside
from SliceInterpLib.networks.peers import FlowGiven, Plain
from SliceInterpLib.networks.reference_unet import ReferenceUNet

ARCHITECTURES = {
    "flow-inside-2": FlowInside,
    "plain": Plain,
    "flow-given": FlowGiven,
    "reference-unet": ReferenceUNet,
}
"""What a card may name. Every network takes (n, 2 + 2·context, h, w) HU, gives a Prediction, and
has the attribute `context`."""


class Design(NamedTuple):
    """An architecture with its sizes."""

    architecture: str
    configuration: dict[str, Any]

    def build(self) -> nn.Module:
        """A new network with random weights. Raises MethodError for an unknown architecture."""
        if self.architecture not in ARCHITECTURES:
            raise MethodError(
                f"The architecture '{self.architecture}' is not known to this version. The model "
                "is of a newer one, or of an older one whose networks saw their input in another "
                "order: update SliceInterp, or train the model again."
            )
        return ARCHITECTURES[self.architecture](**self.configuration)


_FLOW = {"flow_widths": [48, 64, 96, 128], "flow_blocks": 1}

DESIGNS = {
    "small": Design(
        "flow-inside-2",
        {**_FLOW, "residual_widths": [32, 96, 160], "residual_blocks": 1, "context": 1},
    ),
    "base": Design(
        "flow-inside-2",
        {
            "flow_widths": [48, 64, 96, 128],
            "flow_blocks": 2,
            "residual_widths": [48, 96, 160],
            "residual_blocks": 2,
            "context": 1,
        },
    ),
    "base-pair": Design(
        "flow-inside-2", {**_FLOW, "residual_widths": [64, 96, 160], "residual_blocks": 2}
    ),
    "plain": Design("plain", {"widths": [64, 96, 160, 224], "blocks": 2}),
    "flow-given": Design("flow-given", {"widths": [64, 96, 160], "blocks": 2}),
    "reference-unet": Design("reference-unet", {}),
}
"""What `sliceinterp train --design` offers."""
