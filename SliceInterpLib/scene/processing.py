"""Doubling from scripts and tests, without the panel."""

from __future__ import annotations

import unittest
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import slicer

from SliceInterpLib.errors import ThinSlicesError
from SliceInterpLib.fineness import Factor
from SliceInterpLib.scene import nodes, sample_data
from SliceInterpLib.scene.jobs import Job
from SliceInterpLib.scene.marks import derived_by_others
from SliceInterpLib.scene.results import add_results
from SliceInterpLib.tasks import Doubling, MethodSettings


def process(
    inputNode: slicer.vtkMRMLScalarVolumeNode,  # noqa: N803
    outputNode: slicer.vtkMRMLScalarVolumeNode | None = None,  # noqa: N803
    method: str = "learned",
    factor: Factor = 2,
    *,
    spacingMm: float | None = None,  # noqa: N803
    model: str | None = None,
    device: str = "auto",
    allowThin: bool = False,  # noqa: N803
    expectedError: bool = False,  # noqa: N803
    progress: Callable[[str, int, int], None] | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Double the slices of a volume node and wait for it.

    Nothing is installed: see SliceInterpLib.scene.dependencies. Nobody is asked about the terms of
    the model's weights: see its `licence` in SliceInterpLib.networks.registry.

    Args:
        inputNode: the volume to double.
        outputNode: what the result goes into; by default a new node.
        method: as `make_interpolator` takes it.
        factor: as `upsample` takes it.
        spacingMm: likewise.
        model: as `make_interpolator` takes it.
        device: as `make_interpolator` takes it.
        allowThin: fill gaps no wider than the pixels too.
        expectedError: the scene also gets how far each synthetic voxel may be off (learned),
            which `expected_error_of` finds.
        progress: called with method, slices done and their number.

    Returns:
        The node with the result.

    Raises:
        SliceInterpError: with a text fit for a user; the scene is as it was.
    """
    volume = nodes.volume_from_node(inputNode)
    try:
        nodes.require_doublable_node(volume, allow_thin=allowThin)
    except ThinSlicesError as thin:
        raise ThinSlicesError(thin.cause, "pass allowThin=True") from None
    warning = derived_by_others(inputNode)
    if warning:
        warnings.warn(warning, stacklevel=2)
    settings = MethodSettings(
        methods=(method,),
        factor=factor,
        spacing_mm=spacingMm,
        model=model,
        device=device,
        allow_thin=allowThin,
        expected_error=expectedError,
    )
    doubled = Job(Doubling(volume, settings), progress=progress).wait().unwrap()
    return add_results(doubled, inputNode, outputNode)[method]


def self_test(case: unittest.TestCase, logic: Any) -> None:
    """SliceInterpTest: the phantom, with a method that needs no packages."""
    slicer.mrmlScene.Clear()
    source = sample_data.load_phantom(matrix=64)
    before = slicer.util.arrayFromVolume(source).copy()
    result = logic.process(source, method="linear")
    after = slicer.util.arrayFromVolume(result)
    case.assertEqual(len(after), 2 * len(before) - 1)
    case.assertTrue(np.array_equal(after[::2], before))
    case.assertAlmostEqual(result.GetSpacing()[2], source.GetSpacing()[2] / 2)
    case.assertTrue(np.array_equal(slicer.util.arrayFromVolume(source), before))
