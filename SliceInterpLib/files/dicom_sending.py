"""A DICOM series to an archive (PACS), by C-STORE."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.filereader import read_file_meta_info
from pydicom.misc import is_dicom

from SliceInterpLib.errors import OutputError

if TYPE_CHECKING:
    from pynetdicom.association import Association

_WARNINGS = (0xB000, 0xB006, 0xB007)
"""Statuses of images that were stored, with a remark (PS3.4, B.2.3)."""


def send(
    folder: str | Path,
    host: str,
    port: int,
    *,
    called_aet: str = "ANY-SCP",
    calling_aet: str = "SLICEINTERP",
) -> int:
    """Send every DICOM file of the folder to the archive at host:port.

    Nothing is encrypted: use it within the hospital's network only. Needs pynetdicom.

    Args:
        folder: where the files lie, sub-folders not included.
        host: the archive's name or address.
        port: the archive's DICOM port.
        called_aet: the archive's application entity title.
        calling_aet: our application entity title, as the archive knows it.

    Returns:
        How many files that were.

    Raises:
        OutputError: if there is nothing to send, if the archive cannot be reached or refuses the
            connection, and at the first image that it does not store; the text says how many it has
            then.
    """
    try:
        from pynetdicom import AE
    except ImportError as error:
        raise OutputError(
            "Sending needs pynetdicom. Install it (pip install pynetdicom), or use another tool, "
            "such as DCMTK's storescu."
        ) from error
    files = sorted(path for path in Path(folder).glob("*") if path.is_file() and is_dicom(path))
    if not files:
        raise OutputError(f"{folder}: There are no DICOM files here. Give the folder of a series.")
    if not 0 < port < 65536:
        raise OutputError(
            f"{port} is no port: give the archive's DICOM port, such as 104 or 11112."
        )
    metas = [read_file_meta_info(path) for path in files]
    try:
        entity = AE(ae_title=calling_aet)
        for kind in {(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID) for meta in metas}:
            entity.add_requested_context(*kind)
        archive = entity.associate(host, port, ae_title=called_aet)
    except (OSError, ValueError) as error:  # no such host; a title that is none
        raise OutputError(
            f"Nothing was sent to {called_aet} at {host}:{port} ({error}). Check the address and "
            "the application entity titles, which have 1 to 16 ASCII characters."
        ) from error
    try:
        if not archive.is_established or archive.rejected_contexts:
            raise OutputError(f"The archive {called_aet} at {host}:{port} {_refusal(archive)}")
        for sent, path in enumerate(files):
            status = archive.send_c_store(path).get("Status")
            if status not in (0x0000, *_WARNINGS):
                said = "broke the connection" if status is None else f"answered {status:#06x}"
                raise OutputError(
                    f"{path.name} was not stored: the archive {said}. It has {sent} of the "
                    f"{len(files)} images. Send all again when it can take them."
                )
    finally:
        archive.release()
    return len(files)


def _refusal(archive: Association) -> str:
    """Why nothing can be sent, and what to do."""
    if archive.rejected_contexts:
        return "does not take images of this kind. Ask who runs it."
    if archive.is_rejected:
        return "refused the connection. Check that it knows both application entity titles."
    return "cannot be reached. Check the address."
