"""The networks that can be trained: our own, and peers to measure it against."""

from __future__ import annotations

from SliceInterpLib.lab.peers.networks import FlowGiven, Plain
from SliceInterpLib.lab.peers.reference_unet import ReferenceUNet
from SliceInterpLib.networks import architectures
from SliceInterpLib.networks.architectures import Architectures, Design

ARCHITECTURES: Architectures = {
    **architectures.ARCHITECTURES,
    "plain": Plain,
    "flow-given": FlowGiven,
    "reference-unet": ReferenceUNet,
}
"""What the card of a model may name here."""

DESIGNS = {
    "small": Design(
        "flow-inside-3",
        {
            "coarse_widths": [64, 96],
            "coarse_waists": [32, 32],
            "flow_widths": [48, 64, 96],
            "flow_waists": [32, 48, 48],
            "flow_blocks": 1,
            "residual_widths": [32, 96],
            "residual_waists": [32, 48],
            "residual_blocks": 1,
            "context": 1,
        },
    ),
    "plain": Design("plain", {"widths": [64, 96, 160, 224], "blocks": 2}),
    "flow-given": Design("flow-given", {"widths": [64, 96, 160], "blocks": 2}),
    "reference-unet": Design("reference-unet", {}),
}
"""What `sliceinterp lab train --design` offers."""
