"""The acquired DICOM slices that a derived series refers to, and what it may take from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from SliceInterpLib.errors import OutputError
from SliceInterpLib.files.dicom_frames import Frame, frames_of
from SliceInterpLib.gaps import GAP_TOLERANCE

IDENTITY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence"),
    *("PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber"),
    *("IssuerOfAccessionNumberSequence", "ReferringPhysicianName", "ProcedureCodeSequence"),
    *("AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime"),
    *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName"),
    *("DeviceSerialNumber", "ProtocolName", "PositionReferenceIndicator"),
    *("ContrastBolusAgent", "ContrastBolusAgentSequence", "ContrastBolusRoute"),
)
"""Who, when and where, and free text that may tell it."""

FACTS = (
    *("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "BodyPartExamined"),
    *("PatientPosition", "ScanOptions", "KVP", "DataCollectionDiameter", "ReconstructionDiameter"),
    *("DistanceSourceToDetector", "DistanceSourceToPatient", "GantryDetectorTilt", "TableHeight"),
    *("RotationDirection", "FilterType", "FocalSpots", "ConvolutionKernel", "RevolutionTime"),
    *("SingleCollimationWidth", "TotalCollimationWidth", "TableSpeed", "TableFeedPerRotation"),
    "SpiralPitchFactor",
    *("LossyImageCompressionRatio", "LossyImageCompressionMethod"),
)
"""How the sources were acquired. Exposure and dose are not here: nobody was exposed for a derived
series, and whoever adds doses up would count them twice."""

WINDOW = ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction")

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")
_TAGS = (
    *(*IDENTITY, *FACTS, *WINDOW, *_UIDS, *_GROUPS, "SpecificCharacterSet", "FrameOfReferenceUID"),
    *("ImageType", "SeriesNumber", "SeriesDescription", "AcquisitionNumber"),
    *("RescaleSlope", "RescaleIntercept", "BurnedInAnnotation", "LossyImageCompression"),
)


@dataclass(frozen=True, eq=False)
class Source:
    """An acquired slice: where it lies, and its attributes, those of functional groups included."""

    frame: Frame
    attributes: Dataset
    multiframe: bool

    @property
    def rescale(self) -> tuple[float, float]:
        """Slope and intercept from its stored values to HU."""
        slope = float(self.attributes.get("RescaleSlope") or 1)
        return slope, float(self.attributes.get("RescaleIntercept") or 0)


class Sources:
    """The slices in the files, in order along their normal.

    Args:
        paths: single-frame files, or one multi-frame file; a path may occur several times.

    Raises:
        OutputError: unless they are one stack.
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        slices = [source for path in dict.fromkeys(map(Path, paths)) for source in _read(path)]
        if len(slices) < 2:
            raise stranger("The sources have fewer than 2 CT slices.")
        for name in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
            if len({str(one.attributes.get(name, "")) for one in slices}) > 1:
                raise stranger(f"The sources differ in {name}, so they are not one series.")
        self._normal = slices[0].frame.normal
        self.slices = sorted(slices, key=lambda one: float(one.frame.origin @ self._normal))
        self._positions = np.array([one.frame.origin @ self._normal for one in self.slices])

    def place(
        self, origins: np.ndarray, in_plane_axes: np.ndarray, synthetic: np.ndarray
    ) -> list[list[Source]]:
        """For each slice of a result the source in its plane, else the two that enclose it.

        Args:
            origins: (n, 3) mm, LPS.
            in_plane_axes: (3, 2), as `Volume` has them.
            synthetic: (n,) bool; an acquired slice must lie in a source's plane.

        Returns:
            A list of one or two sources for each slice.

        Raises:
            OutputError: if the planes are not parallel to the sources', if an acquired slice lies
                in no source's plane, or a synthetic one not between two.
        """
        if np.linalg.norm(np.cross(np.cross(*in_plane_axes.T), self._normal)) > 2e-3:
            raise stranger("The result's slices are not parallel to those of the sources.")
        return [
            self._around(float(origin @ self._normal), bool(made), number)
            for number, (origin, made) in enumerate(zip(origins, synthetic, strict=True), 1)
        ]

    def _around(self, position: float, synthetic: bool, number: int) -> list[Source]:
        distances = np.abs(self._positions - position)
        nearest = int(distances.argmin())
        # An acquired slice of an evenly spaced volume may lie a little beside its true place.
        tolerance = GAP_TOLERANCE if synthetic else 0.1 * np.median(np.diff(self._positions))
        if distances[nearest] <= tolerance:
            return [self.slices[nearest]]
        after = int(np.searchsorted(self._positions, position))
        if not synthetic or after in (0, len(self.slices)):
            raise stranger(f"Slice {number} of the result lies where there is no source slice.")
        return self.slices[after - 1 : after + 1]


def stranger(what: str) -> OutputError:
    """The error for sources that the result was not made from; `what` shows it."""
    return OutputError(f"{what} Give the DICOM files that the result was made from.")


def agreed(sources: Sequence[Source], name: str) -> DataElement | None:
    """The attribute, if all the sources have a value for it and say the same."""
    first, *others = (source.attributes.get_item(name) for source in sources)
    known = first is not None and not first.is_empty
    return first if known and all(other == first for other in others) else None


def _read(path: Path) -> list[Source]:
    """The CT slices in a file; raises OutputError if it has none, or lacks its UIDs."""
    try:
        frames = [frame for frame in frames_of(path) if not frame.unusable]
        header = Dataset()
        if frames:
            header = pydicom.dcmread(
                path, stop_before_pixels=True, force=True, specific_tags=list(_TAGS)
            )
            header.decode()
        slices = [
            Source(frame, _flat(header, frame.number), _GROUPS[1] in header) for frame in frames
        ]
    except Exception as error:  # pydicom's parsers raise whatever they stumble over
        raise stranger(f"The source file {path.name} cannot be read.") from error
    lacking = [name for name in _UIDS if not header.get(name)]
    if lacking:
        what = f"has no {lacking[0]}" if slices else "is no CT slice with a place in space"
        raise OutputError(
            f"The source file {path.name} {what}, and a derived series must refer to it. "
            "Write NIfTI or NRRD instead."
        )
    return slices


def _flat(header: Dataset, number: int) -> Dataset:
    """The header's attributes and, at the same level, those of the frame's functional groups."""
    flat = Dataset()
    flat.update({one.tag: one for one in header if one.keyword not in _GROUPS})
    for sequence, index in zip(_GROUPS, (0, number), strict=True):
        if header.get(sequence):
            for group in header[sequence].value[index]:
                if group.VR == "SQ" and len(group.value) == 1:
                    flat.update({one.tag: one for one in group.value[0]})
    return flat
