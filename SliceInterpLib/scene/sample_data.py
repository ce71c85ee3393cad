"""The built-in head phantom as sample data: made here, not downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer

from SliceInterpLib.hounsfield import BRAIN

NAME = "SliceInterp head phantom"


def load_phantom(*, matrix: int = 512, slice_spacing: float = 5.0) -> slicer.vtkMRMLNode:
    """A new volume node with a head CT drawn from formulas, with a hematoma of 30 ml.

    Args:
        matrix: the whole head is drawn with `matrix` × `matrix` pixels.
        slice_spacing: mm.
    """
    from SliceInterpLib.phantom import head_phantom  # brings scipy, and this is imported at start

    phantom = head_phantom(
        matrix=matrix, pixel_spacing=0.47 * 512 / matrix, slice_spacing=slice_spacing
    )
    volume = phantom.volume
    axes = np.diag([*volume.spacing, 1.0])
    axes[:3, 3] = volume.origin
    name = slicer.mrmlScene.GenerateUniqueName(NAME)
    node = slicer.util.addVolumeFromArray(volume.hu, np.diag([-1, -1, 1, 1]) @ axes, name)
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(BRAIN.width, (BRAIN.low + BRAIN.high) / 2)
    return node


def register(thumbnail: str | Path | None = None) -> None:
    """Offer the phantom in Slicer's Sample Data, under SliceInterp, if there is that module.

    Args:
        thumbnail: a PNG; by default Resources/Icons/SampleHeadPhantom.png of the module.
    """
    try:
        import SampleData  # there once Slicer has started, and not before
    except ModuleNotFoundError:
        return

    if thumbnail is None:
        module = Path(slicer.util.modulePath("SliceInterp")).parent
        thumbnail = module / "Resources" / "Icons" / "SampleHeadPhantom.png"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="SliceInterp",
        sampleName=NAME,
        # The source is described by lists of equal length, made from these; nothing is fetched.
        uris="",
        fileNames="",
        nodeNames=NAME,
        customDownloader=lambda _source: [load_phantom()],
        thumbnailFileName=str(thumbnail),
    )
