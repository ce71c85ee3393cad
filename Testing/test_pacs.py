"""A derived series in a real archive: stored, found beside its source, and retrieved unchanged."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from dicom_head import write_head
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage

pynetdicom = pytest.importorskip("pynetdicom")

from pynetdicom import AE, build_role, evt  # noqa: E402
from pynetdicom.sop_class import (  # noqa: E402
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from SliceInterpLib.errors import OutputError  # noqa: E402
from SliceInterpLib.files import read_dicom  # noqa: E402
from SliceInterpLib.files.dicom_sending import send  # noqa: E402
from SliceInterpLib.files.dicom_writing import write_dicom  # noqa: E402
from SliceInterpLib.interpolators import make_interpolator  # noqa: E402
from SliceInterpLib.upsampling import upsample  # noqa: E402

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Orthanc with an empty storage of its own, that talks to this machine alone; its port."""
    if not shutil.which("Orthanc"):
        pytest.skip("Orthanc is not installed: Testing/debian-packages.txt lists it")
    folder = tmp_path_factory.mktemp("orthanc")
    port = free_port()
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpServerEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomCheckCalledAet": True,
        "DicomModalities": {"tests": ["SLICEINTERP", HOST, 104]},
        "DicomCheckModalityHost": True,
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowStore": False,
        "DicomAlwaysAllowFind": False,
        "DicomAlwaysAllowGet": False,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        while not listens(port):
            assert server.poll() is None, (folder / "log").read_text(errors="replace")
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A series, and the one derived from it in the same study."""
    folder = tmp_path_factory.mktemp("series")
    files = write_head(folder / "acquired")
    result = upsample(read_dicom(folder / "acquired"), make_interpolator("linear"))
    write_dicom(result, files, folder / "derived", keep_identity=True)
    return folder / "acquired", folder / "derived"


def find(port: int, level: str, **keys: str) -> list[Dataset]:
    entity = AE("SLICEINTERP")
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    query = Dataset()
    query.QueryRetrieveLevel = level
    for name, value in keys.items():
        setattr(query, name, value)
    link = entity.associate(HOST, port, ae_title="ORTHANC")
    answers = list(link.send_c_find(query, StudyRootQueryRetrieveInformationModelFind))
    link.release()
    return [found for status, found in answers if status.Status == 0xFF00]


def get(port: int, study: str, series: str) -> list[Dataset]:
    received = []

    def store(event: evt.Event) -> int:
        received.append(event.dataset)
        return 0

    entity = AE("SLICEINTERP")
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    entity.add_requested_context(CTImageStorage)
    link = entity.associate(
        HOST,
        port,
        ae_title="ORTHANC",
        ext_neg=[build_role(CTImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, store)],
    )
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID, query.SeriesInstanceUID = study, series
    answers = list(link.send_c_get(query, StudyRootQueryRetrieveInformationModelGet))
    link.release()
    assert answers[-1][0].Status == 0
    return received


def test_round_trip(archive: int, folders: tuple[Path, Path]) -> None:
    acquired, derived = folders
    assert send(acquired, HOST, archive, called_aet="ORTHANC") == 9
    assert send(derived, HOST, archive, called_aet="ORTHANC") == 17
    written = [pydicom.dcmread(path) for path in sorted(derived.iterdir())]
    one = written[0]
    # One patient with one study, which has both series.
    studies = find(archive, "STUDY", PatientID="P-4711", StudyInstanceUID="", PatientName="")
    assert [found.StudyInstanceUID for found in studies] == [one.StudyInstanceUID]
    series = find(
        archive,
        "SERIES",
        StudyInstanceUID=one.StudyInstanceUID,
        SeriesInstanceUID="",
        SeriesDescription="",
        NumberOfSeriesRelatedInstances="",
    )
    counts = {found.SeriesInstanceUID: found.NumberOfSeriesRelatedInstances for found in series}
    assert len(counts) == 2
    assert counts[one.SeriesInstanceUID] == 17
    back = get(archive, one.StudyInstanceUID, one.SeriesInstanceUID)
    back.sort(key=lambda image: image.InstanceNumber)
    assert [image.PixelData for image in back] == [image.PixelData for image in written]
    assert back == written


@pytest.mark.parametrize("titles", [{"called_aet": "OTHER"}, {"calling_aet": "STRANGER"}])
def test_an_archive_that_does_not_know_us(
    titles: dict, archive: int, folders: tuple[Path, Path]
) -> None:
    with pytest.raises(OutputError, match="refused the connection"):
        send(folders[1], HOST, archive, **{"called_aet": "ORTHANC"} | titles)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (CTImageStorage, r"slice-0003\.dcm was not stored: .* 0xa700. It has 2 of the 17"),
        (MRImageStorage, "does not take images of this kind"),
    ],
)
def test_an_archive_that_does_not_store(kind: str, said: str, folders: tuple[Path, Path]) -> None:
    """A stand-in, for Orthanc does not run full at will."""
    stored = []

    def store(event: evt.Event) -> int:
        stored.append(event.dataset.InstanceNumber)
        return 0 if len(stored) < 3 else 0xA700

    entity = AE("FULL")
    entity.add_supported_context(kind)
    port = free_port()
    server = entity.start_server((HOST, port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        with pytest.raises(OutputError, match=said):
            send(folders[1], HOST, port, called_aet="FULL")
    finally:
        server.shutdown()


def test_no_archive_and_nothing_to_send(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be reached"):
        send(folders[1], HOST, free_port())
    with pytest.raises(OutputError, match="is no port"):
        send(folders[1], HOST, 99999)
    with pytest.raises(OutputError, match="1 to 16 ASCII characters"):
        send(folders[1], HOST, 104, called_aet="AN ARCHIVE WITH A LONG NAME")
    with pytest.raises(OutputError, match="Check the address"):
        send(folders[1], "archive.invalid", 104)
    with pytest.raises(OutputError, match="no DICOM files"):
        send(tmp_path, HOST, 104)
