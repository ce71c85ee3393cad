"""The built-in head phantom as sample data: made here, not downloaded.

Every start of Slicer imports this, so that what takes time is imported where it is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _

from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.scene import slots
from SliceInterpLib.scene.voxels import add_volume

if TYPE_CHECKING:
    from SliceInterpLib.scene.jobs import Job, Outcome
    from SliceInterpLib.volume import Volume

NAME = "SliceInterp head phantom"


def load_phantom(*, matrix: int = 512, slice_spacing: float = 5.0) -> slicer.vtkMRMLNode:
    """A new volume node with a head CT drawn from formulas, with a hematoma of 30 ml.

    For scripts and tests: it blocks until the head is drawn.

    Args:
        matrix: the whole head is drawn with `matrix` × `matrix` pixels.
        slice_spacing: mm.
    """
    from SliceInterpLib.phantom import sample_head

    return _add(sample_head(matrix, slice_spacing))


def start_loading(*, matrix: int = 512, slice_spacing: float = 5.0) -> Job:
    """Draw the head in a child process, and put it into the scene when it is done.

    Meanwhile there is a window with the progress, where it can be cancelled; nothing stands still.
    A scene that is closed cancels it too.

    Args:
        matrix: as of `load_phantom`.
        slice_spacing: as of `load_phantom`.
    """
    from SliceInterpLib.errors import Cancelled
    from SliceInterpLib.scene.jobs import Job
    from SliceInterpLib.tasks import Drawing

    scene = slicer.mrmlScene
    window = slicer.util.createProgressDialog(
        windowTitle=_("Sample Data"), labelText=_("Drawing a head…"), maximum=0, autoClose=False
    )
    window.show()

    def show(_what: str, done: int, total: int) -> None:
        window.maximum, window.value = total, done

    def finish(outcome: Outcome) -> None:
        scene.RemoveObserver(closing)
        window.hide()
        window.deleteLater()
        try:
            _add(outcome.unwrap())
        except Cancelled:
            pass
        except Exception as problem:
            slots.report(problem)

    job = Job(Drawing(matrix, slice_spacing), progress=show, finished=finish)
    closing = slots.observe(scene, scene.StartCloseEvent, lambda *_event: job.cancel())
    slots.connect(window, "canceled()", job.cancel)
    job.deliver_by_timer()
    return job


def _add(volume: Volume) -> slicer.vtkMRMLScalarVolumeNode:
    """The head in the scene, in a brain window."""
    axes = np.diag([*volume.spacing, 1.0])
    axes[:3, 3] = volume.origin
    name = slicer.mrmlScene.GenerateUniqueName(NAME)
    matrix = slicer.util.vtkMatrixFromArray(np.diag([-1, -1, 1, 1]) @ axes)
    return add_volume(volume.hu, matrix, name, (BRAIN.low, BRAIN.high))


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
        customDownloader=lambda _source: start_loading(),
        thumbnailFileName=str(thumbnail),
    )
