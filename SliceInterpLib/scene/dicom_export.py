r"""Results of the scene as derived DICOM series, beside the scans that they were made from.

Slicer's own export would call every slice ORIGINAL\PRIMARY, as if it had been acquired.
"""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _

from SliceInterpLib.errors import OutputError
from SliceInterpLib.scene import nodes
from SliceInterpLib.tasks import SeriesWriting


def series_writing(
    node: slicer.vtkMRMLScalarVolumeNode,
    source: slicer.vtkMRMLScalarVolumeNode | None,
    folder: str | Path,
    *,
    overwrite: bool = False,
) -> SeriesWriting:
    """The task to write a result as a series of the study that `source` was loaded from.

    `Job` does it in a child process, and then `add_to_database` lists the series in the DICOM
    module.

    Args:
        node: the result.
        source: the volume that the result was made from; None: it is not known.
        folder: a new one, as `write_dicom` takes it.
        overwrite: as `write_dicom` takes it.

    Raises:
        VolumeError: if the node is no result.
        OutputError: if its source does not come from the DICOM database.
    """
    if source is None:
        unknown = _("It is not known which volume {name} was made from. Double the original again.")
        raise OutputError(unknown.format(name=node.GetName()))
    files = _files_of(source)
    return SeriesWriting(nodes.result_from_node(node), files, str(folder), overwrite)


def add_to_database(folder: str | Path) -> None:
    """List a series in Slicer's DICOM database, which refers to the files in the folder.

    Raises:
        OutputError: if that cannot be.
    """
    from DICOMLib import DICOMUtils  # there once Slicer has started

    if not DICOMUtils.importDicom(str(folder)):
        written = _(
            "The series is in {folder}, but could not be added to the DICOM database. Import that "
            "folder in the DICOM module."
        )
        raise OutputError(written.format(folder=folder))


def _files_of(source: slicer.vtkMRMLScalarVolumeNode) -> list[str]:
    """The DICOM files that the node was loaded from."""
    uids = (source.GetAttribute("DICOM.instanceUIDs") or "").split()
    if not uids:
        no_dicom = _(
            "{name} was not loaded from the DICOM database, so there is no study to put the result "
            "into. Import the scan in the DICOM module, load it from there, and double that; or "
            "save the result as NRRD or NIfTI."
        )
        raise OutputError(no_dicom.format(name=source.GetName()))
    files = [slicer.dicomDatabase.fileForInstance(uid) for uid in uids]
    gone = sum(not file for file in files)
    if gone:
        lost = _(
            "{gone} of the {count} images of {name} are no longer in the DICOM database. Import "
            "the scan in the DICOM module once more."
        )
        raise OutputError(lost.format(gone=gone, count=len(files), name=source.GetName()))
    return files
