"""The slices in one DICOM file: its one image, or the frames of an enhanced CT or a SEG."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files import dicom_marks
from SliceInterpLib.files.dicom_pixels import damaged_slice, stored_values

CT, SEG = "CT", "SEG"
"""Modalities that can be asked for."""

_CLASSES = {
    CT: ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"),
    SEG: ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"),
}
"""SOP classes of CT, classic and enhanced, and of segmentations, of which the latter are label
maps."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"

_STATED_CLASS = re.compile(rb"(?:\x02\0\x02\0|\x08\0\x16\0)....([0-9.]+)", re.DOTALL)
"""What a file states of its own class; elsewhere it may name those of the files it refers to."""

_GROUPS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "CTImageFrameTypeSequence": ("FrameType",),
    "FrameContentSequence": ("FrameAcquisitionNumber", "StackID", "TemporalPositionIndex"),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    "CTXRayDetailsSequence": ("KVP",),
    "ContrastBolusUsageSequence": ("ContrastBolusAgentAdministered",),
    "SegmentIdentificationSequence": ("ReferencedSegmentNumber",),
}
"""Where the frames of one file say what a classic image says of itself."""

IDENTITIES = ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID")
"""What all slices of a stack have in common, wherever they lie. Only digests of these are kept."""

SETTINGS = (
    *("AcquisitionNumber", "FrameAcquisitionNumber", "StackID", "TemporalPositionIdentifier"),
    *("TemporalPositionIndex", "ContrastBolusAgent", "ContrastBolusAgentAdministered"),
    *("ConvolutionKernel", "KVP", "ImageType", "FrameType", "SliceThickness"),
    "ReferencedSegmentNumber",
)
"""What tells stacks apart that lie in each other: passes, phases, contrast, reconstructions; in a
SEG its segments."""

_NUMBERS = ("KVP", "SliceThickness")

_FREE_TEXT = ("ContrastBolusAgent",)
"""May tell who the patient is, so only a digest is kept."""

_TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"),
    *("Modality", "RecognitionCode", "ModalityLUTSequence", "RescaleType"),
    *("ConcatenationUID", "InConcatenationNumber", "InConcatenationTotalNumber"),
    *dict.fromkeys((*IDENTITIES, *SETTINGS, *dicom_marks.TAGS)),
    *("NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("RescaleSlope", "RescaleIntercept", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("BitsStored", "PixelRepresentation"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""All that is read of a header. Of comments and descriptions our own words alone are kept."""

_HU_TYPES = ("", "HU", "US", "HOUNSFIELD", "HOUNSFIELD UNITS", "HOUNSFIELD UNIT")
"""Rescale types of values in HU, or not said to be anything else."""

_UNPLACED = "an image without position, orientation or pixel spacing"


@dataclass(frozen=True, eq=False)
class Frame:
    """What a header says of one slice; lengths in mm, LPS."""

    path: Path
    instance: str
    series: str
    unusable: str
    """What the image is instead of a slice with a place in space; empty if it is one."""
    modality: str = ""
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
    padding: tuple[float, float] | None = None
    """The lowest and the highest HU that are padding by the header, right or wrong."""
    mark: dicom_marks.SliceMark = dicom_marks.SliceMark()
    """How the image was made, as far as it tells."""
    facts: Mapping[str, str | float] = field(default_factory=dict)
    """What the header says of IDENTITIES and SETTINGS: texts, digests, numbers."""
    part: tuple[str, int, int] = ("", 1, 1)
    """Of which concatenation the file is part (its UID), which of its files, and of how many (0 if
    that is not said)."""

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


def frames_of(path: Path, modalities: tuple[str, ...] = (CT,)) -> list[Frame]:
    """The frames in a file; none if it is not DICOM.

    Args:
        path: the file.
        modalities: what is looked for, of CT and SEG; anything else is one unusable frame.

    Raises:
        VolumeError: if the file is one of those and was cut off or damaged: leaving it out could
            shorten a series unnoticed.
    """
    classes = tuple(uid for modality in modalities for uid in _CLASSES[modality])
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
            frames = list(_frames(path, header, modalities))
    except VolumeError:
        raise
    except Exception as error:  # pydicom's parsers raise whatever they stumble over
        told = {uid.decode() for uid in _STATED_CLASS.findall(head)}
        if told.intersection(classes) or (
            not told and any(f"{uid}\0".encode() in head for uid in _CLASSES[CT])
        ):
            raise damaged_slice(path) from error
        return []
    if not has_pixels and (kind in classes or (is_dicom and not kind)):
        raise damaged_slice(path)
    return frames


def _unusable_file(path: Path, what: str) -> Frame:
    return Frame(path, instance=path.name, series="", unusable=what)


def _frames(path: Path, header: Dataset, modalities: tuple[str, ...]) -> Iterator[Frame]:
    if "Modality" not in header and "SOPInstanceUID" not in header:
        return
    frames = header.get("PerFrameFunctionalGroupsSequence")
    whole = Frame(
        path,
        instance=str(header.get("SOPInstanceUID", "")),
        # It is shown to the user, so nothing may stand there that is no UID.
        series=re.sub(r"[^0-9A-Za-z.]", "_", str(header.get("SeriesInstanceUID", "")))[:64],
        unusable=_unusable(
            header, modalities, several=not frames and int(header.get("NumberOfFrames") or 1) > 1
        ),
        modality=str(header.get("Modality")),
        part=_part(header),
    )
    if whole.unusable:
        yield whole
    elif not frames:
        yield _placed(whole, header)
    else:
        yield from _placed_frames(whole, header, list(frames))


def _part(header: Dataset) -> tuple[str, int, int]:
    number, total = (int(header.get(f"InConcatenation{name}Number") or 0) for name in ("", "Total"))
    return str(header.get("ConcatenationUID") or ""), number, total


def _placed_frames(whole: Frame, header: Dataset, groups: list[Dataset]) -> list[Frame]:
    """The frames of a file with several.

    Raises:
        VolumeError: if the header does not place each of them: to leave some out would take slices
            out of the stack.
    """
    count = int(header.get("NumberOfFrames") or 1)
    if count != len(groups):
        raise VolumeError(
            f"The file {whole.path.name} cannot be read: by its header it has {count} frames, but "
            f"it says of {len(groups)} where they lie. Export it anew, or as one file a slice."
        )
    shared = _flat(header.get("SharedFunctionalGroupsSequence") or [Dataset()])
    frames = []
    for number, own in enumerate(map(_flat, ([group] for group in groups))):
        attributes = Dataset()
        for source in (header, shared, own):
            attributes.update(source)
        frames.append(_placed(replace(whole, number=number), attributes))
    lost = [frame.number + 1 for frame in frames if frame.unusable == _UNPLACED]
    if lost and any(not frame.unusable for frame in frames):
        raise VolumeError(
            f"The file {whole.path.name} cannot be read as a stack: of its {count} frames, these "
            f"have no position, orientation or pixel spacing: {_listed(lost)}. Export it anew "
            "without them, or as one file a slice."
        )
    return frames


def _listed(numbers: list[int]) -> str:
    beyond = f" and {len(numbers) - 6} more" if len(numbers) > 6 else ""
    return ", ".join(map(str, numbers[:6])) + beyond


def _unusable(header: Dataset, modalities: tuple[str, ...], *, several: bool) -> str:
    modality = str(header.get("Modality"))
    if modality not in modalities:
        known = re.fullmatch("[A-Z]{2,12}", modality)
        return f"an object of modality {modality if known else 'unknown'}"
    if int(header.get("SamplesPerPixel") or 0) == 0:
        return "an object without an image"
    coloured = modality == CT and header.get("PhotometricInterpretation") == "PALETTE COLOR"
    if coloured or int(header.SamplesPerPixel) != 1:
        return "a colour picture"
    recognition = str(header.get("RecognitionCode") or "")
    if "SOPClassUID" not in header and recognition.upper().startswith("ACR-NEMA"):
        return (
            "an ACR-NEMA file, of the standard before DICOM, which has to be converted to DICOM by "
            "the archive or scanner first"
        )
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
        return replace(frame, unusable=_UNPLACED)
    axes = orientation.reshape(2, 3).T
    if not np.linalg.norm(np.cross(*axes.T)) > 0:
        return replace(frame, unusable="an image with an orientation that is none")
    no_hu = _other_values(attributes)
    if no_hu:
        return replace(frame, unusable=no_hu)
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
        padding=_padding(attributes, *rescale),
        mark=dicom_marks.mark_of(attributes),
        facts={name: _fact(attributes, name) for name in (*IDENTITIES, *SETTINGS)},
    )


def _padding(attributes: Dataset, slope: float, intercept: float) -> tuple[float, float] | None:
    """The HU that are padding by the header (PS3.3 C.7.5.1.1.2); None if it declares none.

    Only the bits of a stored value count, for writers take these attributes for signed or unsigned
    as they like.
    """
    bits, signed = attributes.get("BitsStored"), bool(attributes.get("PixelRepresentation"))
    value, limit = (
        _numbers([attributes.get(name)], 1)
        for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")
    )
    if value is None or not isinstance(bits, int) or not 1 <= bits <= 32:
        return None
    words = np.array([value[0], (value if limit is None else limit)[0]])
    ends = stored_values(words, 0, bits, signed) * slope + intercept
    return float(ends.min()), float(ends.max())


def _other_values(attributes: Dataset) -> str:
    """What the image holds instead of HU, by its header; empty if it may hold HU."""
    if attributes.get("ModalityLUTSequence"):
        return "an image whose values become HU by a table (Modality LUT), which is not supported"
    kind = str(attributes.get("RescaleType") or "").strip().upper()
    if kind in _HU_TYPES:
        return ""
    known = re.fullmatch("[A-Z_]{1,16}", kind)
    return f"an image with other values than HU (Rescale Type {kind if known else 'unknown'})"


def _fact(attributes: Dataset, name: str) -> str | float:
    """What the header says of an attribute; an empty text if nothing."""
    if name not in attributes:
        return ""
    if name in (*IDENTITIES, *_FREE_TEXT):
        raw = attributes.get_item(name).value  # as it stands, for its character set may be unknown
        stored = raw if isinstance(raw, bytes) else str("" if raw is None else raw).encode()
        stored = stored.strip(b" \0")
        return hashlib.sha256(stored).hexdigest() if stored else ""
    value = attributes[name].value
    if name in _NUMBERS:
        number = _numbers([value], 1)
        return "" if number is None else float(number[0])
    if value is None:
        return ""
    several = not isinstance(value, str) and hasattr(value, "__iter__")
    text = "/".join(map(str, value)) if several else str(value)
    return re.sub(r"[^\w .,+/-]", "_", text.strip(), flags=re.ASCII)[:40]


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
