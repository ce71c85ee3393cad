"""The slices in one DICOM file: its one image, or the frames of an enhanced CT."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from SliceInterpLib.files import dicom_marks
from SliceInterpLib.files.dicom_pixels import damaged_slice

_CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1")
"""SOP classes of CT, classic and enhanced."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"

_GROUPS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "CTImageFrameTypeSequence": ("FrameType",),
}
"""Where the frames of an enhanced CT say what a classic image says of itself."""

_TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"),
    *("Modality", "AcquisitionNumber", *dicom_marks.TAGS),
    *("NumberOfFrames", "SamplesPerPixel", "Rows", "Columns"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("RescaleSlope", "RescaleIntercept"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""All that is read of a header: nothing that tells who the patient is. Of comments and descriptions
our own words alone are kept."""


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
    rescale: tuple[float, float] = (1.0, 0.0)
    """Slope and intercept."""
    mark: dicom_marks.SliceMark = dicom_marks.SliceMark()
    """How the image was made, as far as it tells."""

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit vector at right angles to the slice."""
        normal = np.cross(*self.in_plane_axes.T)
        return normal / np.linalg.norm(normal)

    def hu(self, planes: np.ndarray) -> np.ndarray:
        """(rows, columns) float64 HU of this frame out of its file's `read_planes`.

        Raises:
            VolumeError: if it is not there in its size.
        """
        if self.number >= len(planes) or planes.shape[1:] != self.size:
            raise damaged_slice(self.path)
        slope, intercept = self.rescale
        return planes[self.number] * np.float64(slope) + intercept


def frames_of(path: Path) -> list[Frame]:
    """The frames in a file; none if it is not DICOM.

    Raises:
        VolumeError: if the file is a CT that was cut off or damaged: leaving it out could shorten a
            series unnoticed.
    """
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        return [_unusable_file(path, "an empty file")]
    # Old files have no preamble and begin with their first group, 2 or 8.
    is_dicom = head[128:132] == b"DICM"
    if not is_dicom and head[:2] not in (b"\2\0", b"\10\0"):
        return []
    if _DEFLATED in head:  # unpacking could fill the memory
        return [_unusable_file(path, "a deflated file, which has to be exported unpacked")]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote what stands in the header
            with path.open("rb") as file:
                header = pydicom.dcmread(
                    file, stop_before_pixels=True, force=True, specific_tags=list(_TAGS)
                )
                has_pixels = bool(file.read(1))
            kind = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
            frames = list(_frames(path, header))
    except Exception as error:  # pydicom's parsers raise whatever they stumble over
        if any(f"{uid}\0".encode() in head for uid in _CT_CLASSES):
            raise damaged_slice(path) from error
        return []
    if not has_pixels and (kind in _CT_CLASSES or (is_dicom and not kind)):
        raise damaged_slice(path)
    return frames


def _unusable_file(path: Path, what: str) -> Frame:
    return Frame(path, instance=path.name, series="", acquisition=0, unusable=what)


def _frames(path: Path, header: Dataset) -> Iterator[Frame]:
    if "Modality" not in header and "SOPInstanceUID" not in header:
        return
    frames = header.get("PerFrameFunctionalGroupsSequence")
    whole = Frame(
        path,
        instance=str(header.get("SOPInstanceUID", "")),
        # It is shown to the user, so nothing may stand there that is no UID.
        series=re.sub(r"[^0-9A-Za-z.]", "_", str(header.get("SeriesInstanceUID", "")))[:64],
        acquisition=int(header.get("AcquisitionNumber") or 0),
        unusable=_unusable(
            header, several=not frames and int(header.get("NumberOfFrames") or 1) > 1
        ),
    )
    if whole.unusable:
        yield whole
    elif not frames:
        yield _placed(whole, header)
    else:
        shared = _flat(header.get("SharedFunctionalGroupsSequence") or [Dataset()])
        places = [_flat([frame]) for frame in frames]
        for number, own in enumerate(places):
            attributes = Dataset()
            for source in (header, shared, own):
                attributes.update(source)
            yield _placed(replace(whole, number=number), attributes)


def _unusable(header: Dataset, *, several: bool) -> str:
    modality = str(header.get("Modality"))
    if modality != "CT":
        known = re.fullmatch("[A-Z]{2,12}", modality)
        return f"an object of modality {modality if known else 'unknown'}"
    if int(header.get("SamplesPerPixel") or 0) == 0:
        return "an object without an image"
    if int(header.SamplesPerPixel) != 1:
        return "a colour picture"
    if several:
        return "a multi-frame image without the places of its frames"
    return ""


def _placed(frame: Frame, attributes: Dataset) -> Frame:
    """The frame with where it lies and how large it is, or what it is instead."""
    kind = f"{attributes.get('ImageType')} {attributes.get('FrameType')}"
    if "LOCALIZER" in kind.upper():
        return replace(frame, unusable="a localizer")
    origin = _numbers(attributes.get("ImagePositionPatient"), 3)
    orientation = _numbers(attributes.get("ImageOrientationPatient"), 6)
    spacing = _numbers(attributes.get("PixelSpacing"), 2)
    if origin is None or orientation is None or spacing is None or spacing.min() <= 0:
        what = "an image without position, orientation or pixel spacing"
        return replace(frame, unusable=what)
    axes = orientation.reshape(2, 3).T
    if not np.linalg.norm(np.cross(*axes.T)) > 0:
        return replace(frame, unusable="an image with an orientation that is none")
    rescale = _numbers(
        [attributes.get("RescaleSlope", 1.0), attributes.get("RescaleIntercept", 0.0)], 2
    )
    if rescale is None or rescale[0] == 0:
        what = "an image whose rescale slope or intercept is no number"
        return replace(frame, unusable=what)
    thickness = _numbers([attributes.get("SliceThickness") or np.nan], 1)
    return replace(
        frame,
        size=(int(attributes.Rows), int(attributes.Columns)),
        pixel_spacing=(float(spacing[0]), float(spacing[1])),
        origin=origin,
        in_plane_axes=axes / np.linalg.norm(axes, axis=0),
        thickness=np.nan if thickness is None else float(thickness[0]),
        rescale=(float(rescale[0]), float(rescale[1])),
        mark=dicom_marks.mark_of(attributes),
    )


def _flat(groups: list[Dataset]) -> Dataset:
    """The attributes of the functional groups that matter here, in one data set."""
    flat = Dataset()
    for sequence, names in _GROUPS.items():
        for name in names:
            if groups[0].get(sequence) and name in groups[0][sequence].value[0]:
                flat[name] = groups[0][sequence].value[0][name]
    return flat


def _numbers(values: Any, count: int) -> np.ndarray | None:
    """`values` as `count` finite numbers; None if they are not that."""
    try:
        numbers = np.array([float(value) for value in values])
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None
