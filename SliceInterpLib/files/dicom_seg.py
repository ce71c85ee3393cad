"""DICOM segmentations (SEG): which segments one has, and where one of them lies in a scan.

They have frames for the slices that hold something, in any order, each of one segment and with its
place (PS3.3 C.8.20.2); in a label map, a frame has the numbers of all segments.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.checks import check_size
from SliceInterpLib.files.dicom_frames import CT, SEG, Frame, frames_of
from SliceInterpLib.files.dicom_pixels import damaged_slice, read_bits, read_planes
from SliceInterpLib.files.dicom_reading import check_complete
from SliceInterpLib.files.dicom_stacks import by_shape
from SliceInterpLib.gaps import GAP_TOLERANCE
from SliceInterpLib.volume import Volume

_WAY_OUT = "Load it in Slicer with the scan, and save the segmentation as .seg.nrrd."

_TAGS = (
    *("SegmentationType", "MaximumFractionalValue", "SegmentationFractionalType"),
    *("SegmentSequence", "PixelPaddingValue", "BitsAllocated", "ReferencedSeriesSequence"),
    "SharedFunctionalGroupsSequence",
)


@dataclass(frozen=True, eq=False)
class Seg:
    """A DICOM segmentation; of one in several files, all of them."""

    frames: Sequence[Frame]
    segments: Mapping[int, str]
    """The name of each by its number."""
    kind: str
    """BINARY, FRACTIONAL or LABELMAP."""
    bits: int
    """A pixel."""
    largest: int
    """What stands for all of a voxel in a fractional one."""
    meaning: str
    """Of the fractions: probability or occupancy."""
    series: frozenset[str]
    """UIDs of the series that it says to be made on."""
    spacing: float
    """mm between its slices, as it says; 0 if it does not."""

    def segment(self, number: int) -> Volume:
        """One of the segments, on the planes that the frames of all of them lie in.

        Warns of how fractions are read.

        Args:
            number: a key of `segments`.

        Returns:
            1 where it is, else 0; the thickness is the spacing that the segmentation states.

        Raises:
            VolumeError: if frames contradict each other, or their pixels are not there.
        """
        mine = [index for index, frame in enumerate(self.frames) if self._shows(frame, number)]
        first = self.frames[0]
        origins, plane_of = _planes(self.frames)
        if len(np.unique(plane_of[mine])) < len(mine):
            raise VolumeError(
                f"The segmentation has several frames of segment {number} in one place. Export one "
                "phase of it alone."
            )
        check_size((len(origins), *first.size))
        slices = np.zeros((len(origins), *first.size), np.uint8)
        slices[plane_of[mine]] = self._inside(number, [self.frames[index] for index in mine])
        return Volume(
            slices=slices,
            slice_origins=origins,
            pixel_spacing=first.pixel_spacing,
            in_plane_axes=first.in_plane_axes,
            thickness=np.full(len(origins), self.spacing or np.nan),
        )

    def belongs_to(self, scan: Volume) -> bool:
        """Whether it says that it was made on this series of CT slices; warns if on another one.

        Raises:
            VolumeError: if it lies in another frame of reference.
        """
        theirs = [frame for path in scan.files[:1] for frame in frames_of(path)]
        usable = [frame for frame in theirs if not frame.unusable]
        if not usable:
            return False
        name = "FrameOfReferenceUID"
        ours, other = self.frames[0].facts[name], usable[0].facts[name]
        if ours and other and ours != other:
            raise VolumeError(
                "The segmentation lies in another frame of reference than the scan, so that "
                "positions need not mean the same place. Give the scan that it was made on. If "
                f"anonymising has parted the two: {_WAY_OUT[0].lower()}{_WAY_OUT[1:]}"
            )
        belongs = usable[0].series in self.series
        if self.series and not belongs:
            warnings.warn(
                "The segmentation says that it was made on another series than this scan. Make "
                "sure that it belongs to this one.",
                stacklevel=3,
            )
        return belongs

    def _shows(self, frame: Frame, number: int) -> bool:
        """Whether a frame can have voxels of the segment."""
        if self.kind == "LABELMAP":
            return True
        told = str(frame.facts["ReferencedSegmentNumber"])
        if not told.isdecimal():
            raise VolumeError(
                "The segmentation does not say of which segments its frames are. Export it again."
            )
        return int(told) == number

    def _inside(self, number: int, frames: Sequence[Frame]) -> np.ndarray:
        """(len(frames), rows, columns) bool: where the segment is in some of the frames."""
        if self.kind == "FRACTIONAL":
            warnings.warn(
                f"The segmentation is fractional ({self.meaning}): voxels of at least half of the "
                "largest value count as inside, all others as outside.",
                stacklevel=3,
            )
        inside = np.zeros((len(frames), *self.frames[0].size), bool)
        for path in dict.fromkeys(frame.path for frame in frames):
            here = [index for index, frame in enumerate(frames) if frame.path == path]
            numbers = [frames[index].number for index in here]
            values = read_bits(path, numbers) if self.bits == 1 else read_planes(path)[numbers]
            if self.kind == "FRACTIONAL":
                inside[here] = values >= (self.largest + 1) // 2
            else:
                inside[here] = values == number if self.kind == "LABELMAP" else values != 0
        return inside


def find_seg(path: Path) -> Seg | None:
    """The one DICOM SEG that a path is or, if it is a folder, has; None if it has CT slices only.

    Raises:
        VolumeError: for several, for any other DICOM object, and for what is damaged.
    """
    found = _frames_in(path)
    segs = [frame for frame in found if frame.modality == SEG]
    if not segs and (not found or any(frame.modality == CT for frame in found)):
        return None
    usable = [frame for frame in segs if not frame.unusable]
    if not usable:
        what = (segs or found)[0].unusable
        raise VolumeError(f"This is no segmentation that can be read but {what}. {_WAY_OUT}")
    whole = usable[0].part[0]
    if whole and not path.is_dir():
        usable = [frame for frame in _frames_in(path.parent) if frame.part[0] == whole]
    objects = {frame.part[0] or frame.instance for frame in usable}
    if len(objects) > 1:
        names = sorted({frame.path.name for frame in usable})
        raise VolumeError(
            f"The folder has {len(objects)} segmentations. Give the file of one of them: "
            f"{', '.join(names[:20])}{' …' * (len(names) > 20)}."
        )
    files = {frame.instance: frame.path for frame in usable}  # one of each that is there twice
    return _seg([frame for frame in usable if files[frame.instance] == frame.path])


def _frames_in(path: Path) -> list[Frame]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [frame for file in files if file.is_file() for frame in frames_of(file, (CT, SEG))]


def _seg(frames: Sequence[Frame]) -> Seg:
    """The segmentation that has these frames; raises VolumeError if it can be none."""
    check_complete(frames)
    if len(by_shape(frames)) > 1:
        raise VolumeError(
            "The frames of the segmentation differ in pixel spacing or orientation, so they are no "
            f"stack of slices. {_WAY_OUT}"
        )
    path = frames[0].path
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote what stands in the header
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
            background = int(header.get("PixelPaddingValue") or 0)
            seg = Seg(
                frames=frames,
                segments={
                    int(one.SegmentNumber): str(one.get("SegmentLabel") or "")[:64]
                    for one in header.SegmentSequence
                    if int(one.SegmentNumber) != background
                },
                kind=str(header.SegmentationType),
                bits=int(header.BitsAllocated),
                largest=int(header.get("MaximumFractionalValue") or 0),
                meaning=str(header.get("SegmentationFractionalType") or "").lower(),
                series=frozenset(
                    str(one.SeriesInstanceUID) for one in header.get("ReferencedSeriesSequence", ())
                ),
                spacing=_spacing(header),
            )
    except Exception as error:  # pydicom's parsers raise whatever they stumble over
        raise damaged_slice(path) from error
    contradicts = seg.kind == "FRACTIONAL" and not 0 < seg.largest < 1 << seg.bits
    if contradicts or seg.kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise damaged_slice(path)
    return seg


def _spacing(header: Dataset) -> float:
    """mm between the slices, as a header says; 0 if it does not."""
    groups = header.get("SharedFunctionalGroupsSequence") or [Dataset()]
    measures = groups[0].get("PixelMeasuresSequence") or [Dataset()]
    return abs(float(measures[0].get("SpacingBetweenSlices") or 0))


def _planes(frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
    """The planes in which frames lie.

    Returns:
        (planes, 3) mm, LPS, where each begins, in order along their normal, and (frames,) which of
        them each frame lies in.

    Raises:
        VolumeError: if frames of one plane lie beside each other.
    """
    origins = np.array([frame.origin for frame in frames])
    along = origins @ frames[0].normal
    order = np.argsort(along)
    plane_of = np.empty(len(frames), int)
    plane_of[order] = np.cumsum(np.diff(along[order], prepend=along.min()) > GAP_TOLERANCE)
    planes = origins[np.unique(plane_of, return_index=True)[1]]
    if np.abs(planes[plane_of] - origins).max() > 0.5 * min(frames[0].pixel_spacing):
        raise VolumeError(
            "Frames of the segmentation lie beside each other in one plane (tiles), which is not "
            f"supported. {_WAY_OUT}"
        )
    return planes, plane_of
