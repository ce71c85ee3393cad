r"""Results of the scene as derived DICOM series, beside the scans that they were made from.

Slicer's own export would call every slice ORIGINAL\PRIMARY, as if it had been acquired.
"""

from __future__ import annotations

from pathlib import Path

import slicer

from SliceInterpLib.errors import OutputError
from SliceInterpLib.files.dicom_writing import write_dicom
from SliceInterpLib.scene import nodes


def export_result(
    node: slicer.vtkMRMLScalarVolumeNode,
    source: slicer.vtkMRMLScalarVolumeNode | None,
    folder: str | Path,
    *,
    overwrite: bool = False,
    add_to_database: bool = True,
) -> None:
    """Write a result into a new folder, as a series of the study that `source` was loaded from.

    Args:
        node: the result.
        source: the volume that the result was made from; None: it is not known.
        folder: as `write_dicom` takes it.
        overwrite: as `write_dicom` takes it.
        add_to_database: list the series in Slicer's DICOM database too, which then refers to the
            files in the folder.

    Raises:
        VolumeError: if the node is no result, and as `write_dicom` does; then nothing is written.
        OutputError: if its source does not come from the DICOM database, and as `write_dicom` does;
            then nothing is written.
    """
    if source is None:
        raise OutputError(
            f"It is not known which volume {node.GetName()} was made from. Double the original "
            "again."
        )
    files = _files_of(source)
    write_dicom(
        nodes.result_from_node(node), files, folder, keep_identity=True, overwrite=overwrite
    )
    if add_to_database:
        _add_to_database(folder)


def _files_of(source: slicer.vtkMRMLScalarVolumeNode) -> list[str]:
    """The DICOM files that the node was loaded from."""
    uids = (source.GetAttribute("DICOM.instanceUIDs") or "").split()
    if not uids:
        raise OutputError(
            f"{source.GetName()} was not loaded from the DICOM database, so there is no study to "
            "put the result into. Import the scan in the DICOM module, load it from there, and "
            "double that; or save the result as NRRD or NIfTI."
        )
    files = [slicer.dicomDatabase.fileForInstance(uid) for uid in uids]
    gone = sum(not file for file in files)
    if gone:
        raise OutputError(
            f"{gone} of the {len(files)} images of {source.GetName()} are no longer in the DICOM "
            "database. Import the scan in the DICOM module once more."
        )
    return files


def _add_to_database(folder: str | Path) -> None:
    """List the series in the DICOM module."""
    from DICOMLib import DICOMUtils  # there once Slicer has started

    if not DICOMUtils.importDicom(str(folder)):
        raise OutputError(
            f"The series is in {folder}, but could not be added to the DICOM database. Import that "
            "folder in the DICOM module."
        )
