"""Derived CT images: the slices of a result with what they take from their sources."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat

from SliceInterpLib.errors import OutputError
from SliceInterpLib.files.dicom_marks import (
    ACQUIRED,
    CHANGED,
    DENOISED,
    EQUIPMENT,
    MADE_UPRIGHT,
    PREDICTED,
    PROCESSED,
    SYNTHETIC,
    UNCHANGED,
)
from SliceInterpLib.files.dicom_sources import FACTS, IDENTITY, WINDOW, Source, agreed
from SliceInterpLib.padding import credible, is_padding
from SliceInterpLib.volume import Volume

_MUST_BE_THERE = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber", "SeriesNumber", "Manufacturer"),
    *("PositionReferenceIndicator", "PatientPosition", "KVP", "AcquisitionNumber"),
)
"""Attributes of type 2 and 2C: empty where they are not known."""

_PROCESSING = {
    "upright": (MADE_UPRIGHT, codes.cid7203.SpatialResampling),
    "uniform": (DENOISED, codes.cid7203.Smoothing),
}
"""By their names in the provenance: what can have been done to acquired slices."""


def processing(result: Volume) -> list[tuple[str, Code]]:
    """What was done to the acquired slices, in words and as a code."""
    return [how for name, how in _PROCESSING.items() if result.provenance.get(name)]


def derived_images(
    result: Volume,
    parents: Sequence[Sequence[Source]],
    unchanged: np.ndarray,
    *,
    keep_identity: bool,
) -> Iterator[Dataset]:
    """The images of a series in order, complete but for the file itself.

    Args:
        result: the volume that the series shows.
        parents: the sources of each slice.
        unchanged: (n,) bool, which slices are bit for bit their source's.
        keep_identity: as `write_dicom` takes it.

    Yields:
        An image a slice.

    Raises:
        OutputError: if 16 bits cannot hold their HU exactly.
    """
    rescale = rescale_for(result, parents, unchanged)
    # Positive towards the side of the normal, as readers compute it.
    locations = result.slice_origins @ np.cross(*result.in_plane_axes.T)
    salt, now = secrets.token_hex(16), datetime.now()
    uid = str if keep_identity else lambda uid: generate_uid(entropy_srcs=[salt, uid])
    series = _series(result, parents, uid, now if keep_identity else None)
    for index, around in enumerate(parents):
        image = _copied(around, keep_identity)
        if result.provenance.get("upright") and "GantryDetectorTilt" in image:
            del image.GantryDetectorTilt  # readers would correct it once more
        image.update(series)
        for name in _MUST_BE_THERE:
            if name not in image:
                setattr(image, name, None)
        image.SOPInstanceUID = generate_uid()
        image.InstanceNumber = index + 1
        image.ImagePositionPatient = list(map(_ds, result.slice_origins[index]))
        image.SliceLocation = _ds(locations[index])
        thickness = [one.frame.thickness for one in around if one.frame.thickness > 0]
        image.SliceThickness = _ds(max(thickness)) if thickness else None
        if result.is_even:
            image.SpacingBetweenSlices = _ds(result.slice_spacing)
        _set_derivation(image, result, around, index, unchanged[index], uid)
        _set_pixels(image, result.slices[index], rescale)
        _set_padding(image, result.slices[index], around, rescale)
        yield image


def _copied(sources: Sequence[Source], keep_identity: bool) -> Dataset:
    """What an image takes from its sources."""
    image = Dataset()
    for name in (*(IDENTITY if keep_identity else ()), *FACTS):
        element = agreed(sources, name)
        if element is not None:
            image.add(element)
    if "BodyPartExamined" not in image:
        image.Laterality = None  # needed then, for the part may be one of a pair
    if image.get("PatientIdentityRemoved") == "YES" and not (
        "DeidentificationMethod" in image or "DeidentificationMethodCodeSequence" in image
    ):
        image.DeidentificationMethod = "not stated by the source"  # which owes it
    first = sources[0].attributes
    for name in WINDOW:  # of two windows, one is better than none
        if name in first:
            image.add(first[name])
    kind, plane = first.get("ImageType"), ""
    if isinstance(kind, MultiValue) and len(kind) > 2 and not sources[0].multiframe:
        plane = kind[2]
    image.ImageType = ["DERIVED", "SECONDARY", plane or "AXIAL"]
    # Once lossy is lossy for ever, and what was burned in still is.
    if any(one.attributes.get("LossyImageCompression") == "01" for one in sources):
        image.LossyImageCompression = "01"
    burned = any(one.attributes.get("BurnedInAnnotation") == "YES" for one in sources)
    image.BurnedInAnnotation = "YES" if burned else "NO"
    return image


def _series(
    result: Volume,
    parents: Sequence[Sequence[Source]],
    uid: Callable[[str], str],
    now: datetime | None,
) -> Dataset:
    """What all images have in common; `now` is None in a series without identity."""
    every = [source for around in parents for source in around]
    first = every[0].attributes
    made = f"×{result.provenance.get('factor')} synthetic"
    series = Dataset()
    series.SpecificCharacterSet = "ISO_IR 192"
    series.SOPClassUID = CTImageStorage
    series.Modality = "CT"
    series.SeriesInstanceUID = generate_uid()
    series.StudyInstanceUID = uid(first.StudyInstanceUID)
    series.FrameOfReferenceUID = uid(first.get("FrameOfReferenceUID") or generate_uid())
    number = agreed(every, "AcquisitionNumber")  # some readers split a series by it
    if number is not None:
        series.add(number)
    if first.get("SeriesNumber") is not None:
        series.SeriesNumber = int(first.SeriesNumber) + 1000
    if now:
        description = str(first.get("SeriesDescription") or "")
        series.SeriesDescription = f"{description[: 63 - len(made)]} {made}".strip()
        for event in ("InstanceCreation", "Series", "Content"):
            setattr(series, f"{event}Date", now.strftime("%Y%m%d"))
            setattr(series, f"{event}Time", now.strftime("%H%M%S"))
    else:
        series.SeriesDescription = f"SliceInterp {made}"
        series.PatientID = f"SliceInterp-{secrets.token_hex(6)}"
        series.PatientName = series.PatientID.replace("-", "^")
        series.PatientIdentityRemoved = "YES"
        series.DeidentificationMethod = "SliceInterp: geometry and acquisition facts only, new UIDs"
    series.ImageOrientationPatient = list(map(_ds, result.in_plane_axes.T.ravel()))
    series.PixelSpacing = list(map(_ds, result.pixel_spacing))
    series.ContributingEquipmentSequence = [_software(result.provenance)]
    return series


def _software(provenance: Mapping[str, object]) -> Dataset:
    """SliceInterp, as an item of the Contributing Equipment Sequence."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [_code(codes.cid7005.ProcessingEquipment)]
    item.Manufacturer = item.ManufacturerModelName = EQUIPMENT
    item.SoftwareVersions = str(provenance.get("version"))
    item.ContributionDescription = f"Slices between the acquired ones. {_made_by(provenance)}"
    return item


def _made_by(provenance: Mapping[str, object]) -> str:
    text = f"Method: {provenance.get('method')}."
    if provenance.get("model"):
        text += f" Model: {provenance['model']}, SHA-256 {provenance.get('model_sha256')}."
    return text


def _set_derivation(
    image: Dataset,
    result: Volume,
    sources: Sequence[Source],
    index: int,
    unchanged: bool,
    uid: Callable[[str], str],
) -> None:
    """Say what the image is and what it was made from."""
    image.SourceImageSequence = [_reference(source, uid) for source in sources]
    if unchanged:
        image.ImageComments = f"{ACQUIRED}, {UNCHANGED}, in a series with synthetic slices."
        image.DerivationDescription = f"{UNCHANGED}."
        return
    if result.synthetic[index]:
        image.ImageComments = f"{SYNTHETIC}: predicted from the slices around it, not acquired."
        image.DerivationDescription = f"{PREDICTED} {_made_by(result.provenance)}"
        steps = [codes.cid7203.SpatialResampling]
    else:
        made = processing(result)
        steps = [step for _, step in made]
        words = " and ".join(word for word, _ in made)
        image.DerivationDescription = f"{CHANGED} {words}."
        image.ImageComments = f"{PROCESSED}: {image.DerivationDescription.lower()}"
    image.DerivationCodeSequence = [_code(step) for step in steps]


def _reference(source: Source, uid: Callable[[str], str]) -> Dataset:
    """An item of the Source Image Sequence."""
    item = Dataset()
    item.ReferencedSOPClassUID = source.attributes.SOPClassUID
    item.ReferencedSOPInstanceUID = uid(source.attributes.SOPInstanceUID)
    if source.multiframe:
        item.ReferencedFrameNumber = source.frame.number + 1
    item.PurposeOfReferenceCodeSequence = [
        _code(codes.cid7202.SourceImageForImageProcessingOperation)
    ]
    return item


def _code(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def _set_pixels(image: Dataset, hu: np.ndarray, rescale: tuple[float, float]) -> None:
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = hu.shape
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 1
    image.RescaleSlope, image.RescaleIntercept = map(_ds, rescale)
    image.RescaleType = "HU"
    image.PixelData = _stored(hu, rescale).astype("<i2").tobytes()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _set_padding(
    image: Dataset, hu: np.ndarray, sources: Sequence[Source], rescale: tuple[float, float]
) -> None:
    """State the padding of the sources where they agree and no tissue has its value.

    Viewers hide whatever has the value, wherever it lies.
    """
    declared = {source.frame.padding for source in sources}
    padding = credible(declared) if len(declared) == 1 else ()
    if not padding:
        return
    (low, high), (slope, intercept) = padding[0], rescale
    ends = _stored(np.array([low, high]), rescale)
    exact = np.abs(ends * slope + intercept - (low, high)).max() <= 1e-3 * abs(slope)
    tissue = ~is_padding(hu, padding)
    if not exact or (tissue & (hu >= low) & (hu <= high)).any():
        return
    image.add_new("PixelPaddingValue", "SS", int(ends.min()))
    if low < high:
        image.add_new("PixelPaddingRangeLimit", "SS", int(ends.max()))


def rescale_for(
    result: Volume, parents: Sequence[Sequence[Source]], unchanged: np.ndarray
) -> tuple[float, float]:
    """Slope and intercept under which int16 holds all unchanged slices exactly.

    Args:
        result: the volume that is to be stored.
        parents: the sources of each slice.
        unchanged: (n,) bool, which slices have to be exact.

    Raises:
        OutputError: if there are none.
    """
    theirs = dict.fromkeys(source.rescale for around in parents for source in around)
    for rescale in ((1.0, 0.0), *theirs):
        slope, intercept = rescale
        if all(
            np.abs(_stored(hu, rescale) * slope + intercept - hu).max() <= 1e-3 * slope
            for hu, as_acquired in zip(result.slices, unchanged, strict=True)
            if as_acquired
        ):
            return rescale
    raise OutputError(
        "16 bits cannot hold the HU of this scan exactly. Write NIfTI or NRRD instead."
    )


def _stored(hu: np.ndarray, rescale: tuple[float, float]) -> np.ndarray:
    """The values that stand for these HU, rounded and limited to int16's range; float64."""
    slope, intercept = rescale
    return np.clip(np.rint((hu - np.float64(intercept)) / slope), -32768, 32767)


def _ds(value: float) -> DSfloat:
    """A decimal string of at most 16 characters."""
    return DSfloat(float(value), auto_format=True)
