"""The laboratory's commands: sliceinterp lab train, benchmark and so on."""

from __future__ import annotations

from SliceInterpLib.cli.common import Commands
from SliceInterpLib.lab.commands import (
    benchmark,
    expected_error,
    finder,
    loss_study,
    mpr_check,
    noise,
    segmentation,
    training,
    validation,
    volumetry_real,
    volumetry_study,
)


def add_commands(commands: Commands) -> None:
    """Add all of them."""
    for module in (
        benchmark,
        noise,
        validation,
        mpr_check,
        volumetry_study,
        volumetry_real,
        segmentation,
        training,
        loss_study,
        expected_error,
        finder,
    ):
        module.add_commands(commands)
