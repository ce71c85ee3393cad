"""The slices in one DICOM file: its one image, or the frames of an enhanced CT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset

from SliceInterpLib.errors import VolumeError

_CT_CLASSES = (b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.5.1.4.1.1.2.1\0")
"""SOP classes of CT, classic and enhanced, as they stand in a file."""

_GROUPS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "CTImageFrameTypeSequence": ("FrameType",),
}
"""Where the frames of an enhanced CT say what a classic image says of itself."""

_TAGS = (
    *("SOPInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "AcquisitionNumber"),
    *("NumberOfFrames", "SamplesPerPixel", "Rows", "Columns"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""All that is read of a header: nothing that tells who the patient is."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What a header says of one slice; lengths in mm, LPS."""

    path: Path
    instance: str
    series: str
    acquisition: int
    unusable: str
    """What the image is instead of a CT slice with a place in space; empty if it is one."""
    number: int = 0
    """Which frame of the file, from 0."""
    size: tuple[int, int] = (0, 0)
    """Rows and columns."""
    pixel_spacing: tuple[float, float] = (1.0, 1.0)
    """Between rows, between columns."""
    origin: np.ndarray = field(default_factory=lambda: np.zeros(3))
    in_plane_axes: np.ndarray = field(default_factory=lambda: np.eye(3)[:, :2])
    """(3, 2): where the column index and the row index grow."""
    thickness: float = np.nan
    rescale: tuple[float, float] | None = None
    """Slope and intercept of a frame of an enhanced CT."""
    first_rescale: tuple[float, float] | None = None
    """Those of the file's first frame."""

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit vector at right angles to the slice."""
        normal = np.cross(*self.in_plane_axes.T)
        return normal / np.linalg.norm(normal)

    def hu(self, planes: np.ndarray) -> np.ndarray:
        """(rows, columns) HU of this frame out of its file's `read_planes`."""
        plane = planes[self.number]
        if self.rescale == self.first_rescale:
            return plane
        # GDCM rescales every frame of an enhanced CT as the first one says.
        stored = (plane - self.first_rescale[1]) / self.first_rescale[0]
        return stored * self.rescale[0] + self.rescale[1]


def frames_of(path: Path) -> list[Frame]:
    """The frames in a file; none if it is not DICOM.

    Raises VolumeError if the file is a CT that was cut off or damaged: leaving it out could
    shorten a series unnoticed.
    """
    with path.open("rb") as file:
        head = file.read(1024)
    # Old files have no preamble and begin with their first group, 2 or 8.
    if head[128:132] != b"DICM" and head[:2] not in (b"\2\0", b"\10\0"):
        return []
    try:
        header = pydicom.dcmread(
            path, stop_before_pixels=True, force=True, specific_tags=list(_TAGS)
        )
        return list(_frames(path, header))
    except Exception as error:  # pydicom's parsers raise whatever they stumble over
        if any(uid in head for uid in _CT_CLASSES):
            raise damaged_slice(path) from error
        return []


def read_planes(path: Path) -> np.ndarray:
    """(frames, rows, columns): all values in a file, decompressed, rescaled as its header says.

    Raises VolumeError if the file is damaged.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        return sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise damaged_slice(path) from error


def damaged_slice(path: Path) -> VolumeError:
    """The error for a file that cannot be read to its end."""
    return VolumeError(
        f"The slice {path.name} cannot be read: it is damaged or cut off. Copy the series anew."
    )


def _frames(path: Path, header: Dataset) -> Iterator[Frame]:
    if "Modality" not in header and "SOPInstanceUID" not in header:
        return
    frames = header.get("PerFrameFunctionalGroupsSequence")
    whole = {
        "path": path,
        "instance": str(header.get("SOPInstanceUID", "")),
        "series": str(header.get("SeriesInstanceUID", "")),
        "acquisition": int(header.get("AcquisitionNumber") or 0),
    }
    unusable = _unusable(header, several=not frames and int(header.get("NumberOfFrames") or 1) > 1)
    if unusable:
        yield Frame(**whole, unusable=unusable)
    elif not frames:
        yield Frame(**whole, **_place(header))
    else:
        shared = _flat(header.get("SharedFunctionalGroupsSequence") or [Dataset()])
        places = [_flat([frame]) for frame in frames]
        first_rescale = _rescale(shared, places[0])
        for number, own in enumerate(places):
            attributes = Dataset()
            for source in (header, shared, own):
                attributes.update(source)
            yield Frame(
                **whole,
                **_place(attributes),
                number=number,
                rescale=_rescale(shared, own),
                first_rescale=first_rescale,
            )


def _unusable(header: Dataset, *, several: bool) -> str:
    modality = str(header.get("Modality") or "unknown")
    if modality != "CT":
        return f"an object of modality {modality}"
    if int(header.get("SamplesPerPixel") or 0) == 0:
        return "an object without an image"
    if int(header.SamplesPerPixel) != 1:
        return "a colour picture"
    if several:
        return "a multi-frame image without the places of its frames"
    return ""


def _place(attributes: Dataset) -> dict[str, object]:
    """Where a slice lies and how large it is, or what it is instead."""
    kind = [*attributes.get("ImageType", ()), *attributes.get("FrameType", ())]
    if "LOCALIZER" in map(str.upper, kind):
        return {"unusable": "a localizer"}
    wanted = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
    numbers = [_numbers(attributes.get(name), count) for name, count in wanted.items()]
    if any(found is None for found in numbers) or min(numbers[2]) <= 0:
        return {"unusable": "an image without position, orientation or pixel spacing"}
    axes = numbers[1].reshape(2, 3).T
    if not np.linalg.norm(np.cross(*axes.T)) > 0:
        return {"unusable": "an image with an orientation that is none"}
    thickness = _numbers([attributes.get("SliceThickness") or np.nan], 1)
    return {
        "unusable": "",
        "size": (int(attributes.Rows), int(attributes.Columns)),
        "pixel_spacing": tuple(numbers[2].tolist()),
        "origin": numbers[0],
        "in_plane_axes": axes / np.linalg.norm(axes, axis=0),
        "thickness": np.nan if thickness is None else float(thickness[0]),
    }


def _flat(groups: list[Dataset]) -> Dataset:
    """The attributes of the functional groups that matter here, in one data set."""
    flat = Dataset()
    for sequence, names in _GROUPS.items():
        for name in names:
            if groups[0].get(sequence) and name in groups[0][sequence].value[0]:
                flat[name] = groups[0][sequence].value[0][name]
    return flat


def _rescale(shared: Dataset, own: Dataset) -> tuple[float, float]:
    source = own if "RescaleSlope" in own else shared
    return float(source.get("RescaleSlope", 1.0)), float(source.get("RescaleIntercept", 0.0))


def _numbers(values: object, count: int) -> np.ndarray | None:
    """`values` as `count` finite numbers; None if they are not that."""
    try:
        numbers = np.array([float(value) for value in values])
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None
