"""The stored values of a DICOM image: found by pydicom, checked, and decompressed by GDCM.

GDCM gets a file with nothing in it but what decompressing needs, so that it parses no header which
came from outside: deep sequences would end the process, and for pixels that are missing it makes
some up.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    generate_uid,
)

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.files.checks import check_size

LARGEST_SIDE = 8192
"""Pixels. CT has 512 to 2048; a header that claims more than this is wrong."""

_LAYOUT = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PixelRepresentation"),
    *("BitsAllocated", "BitsStored", "HighBit"),
)
_PIXELS = ("NumberOfFrames", "PixelData")


def read_planes(path: Path) -> np.ndarray:
    """(frames, rows, columns): all stored values in a file, decompressed but not rescaled.

    Raises:
        VolumeError: if the file is damaged, or packed in a way that can be read in several ways.
    """
    # Takes its time to import, and who asks for headers only has no use for it.
    import SimpleITK as sitk

    from SliceInterpLib.files.quiet import quiet_itk

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote what stands in the header
            bare = _bare(path)
            bits = _bits_to_take(path, bare)
        with TemporaryDirectory(prefix="sliceinterp-") as folder:
            part = str(Path(folder, "pixels.dcm"))
            pydicom.dcmwrite(part, bare, enforce_file_format=True)
            del bare
            reader = sitk.ImageFileReader()
            reader.SetImageIO("GDCMImageIO")
            reader.SetFileName(part)
            with quiet_itk():
                planes = sitk.GetArrayFromImage(reader.Execute())
        return stored_values(planes, *bits) if bits else planes
    except (OSError, VolumeError):
        raise
    except Exception as error:  # pydicom's parsers raise whatever they stumble over
        raise damaged_slice(path) from error


def read_bits(path: Path, numbers: Sequence[int]) -> np.ndarray:
    """(len(numbers), rows, columns) bool: some frames of a file that has one bit a pixel.

    The bits of all frames follow on each other, the lowest of a byte first, so that a frame may
    begin within a byte (PS3.5 8.1.1).

    Raises:
        VolumeError: if there are not as many as the header says, or they are compressed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote what stands in the header
            image = pydicom.dcmread(path, specific_tags=["Rows", "Columns", *_PIXELS])
            area = image.Rows * image.Columns
            length = -(-int(image.NumberOfFrames) * area // 8)
            syntax = image.file_meta.TransferSyntaxUID
            if syntax.is_compressed:
                raise VolumeError(
                    f"The frames of {path.name} are compressed single bits, which are not "
                    "supported. Export it uncompressed."
                )
            packed = np.frombuffer(image.PixelData, np.uint8)
            if not syntax.is_little_endian or len(packed) - length not in (0, length % 2):
                raise ValueError("packed in another way")
            check_size((len(numbers), image.Rows, image.Columns))
            planes = np.empty((len(numbers), area), bool)
            for plane, number in zip(planes, numbers, strict=True):
                first, skipped = divmod(number * area, 8)
                part = packed[first : first + area // 8 + 2]
                plane[:] = np.unpackbits(part, bitorder="little")[skipped : skipped + area]
            return planes.reshape(len(numbers), image.Rows, image.Columns)
    except (OSError, VolumeError):
        raise
    except Exception as error:  # pydicom's parsers raise whatever they stumble over
        raise damaged_slice(path) from error


def damaged_slice(path: Path) -> VolumeError:
    """The error for a file that cannot be read to its end."""
    return VolumeError(
        f"The slice {path.name} cannot be read: it is damaged or cut off, or packed in a way that "
        "is not known here. Copy the series again, or export it uncompressed."
    )


def _bare(path: Path) -> Dataset:
    """The image with nothing but its pixels and their layout; raises if it lacks some."""
    tags = [*_LAYOUT, *_PIXELS]
    source = pydicom.dcmread(path, force=True, specific_tags=tags)
    image = Dataset()
    for name in _LAYOUT:
        setattr(image, name, source[name].value)
    image.NumberOfFrames = int(source.get("NumberOfFrames") or 1)
    if image.PhotometricInterpretation in ("MONOCHROME1", "PALETTE COLOR"):
        # How values are shown is a matter of display alone (PS3.3 C.7.6.3.1.2): HU and labels are
        # the values as they are stored, but GDCM would invert or colour these.
        image.PhotometricInterpretation = "MONOCHROME2"
    _check_layout(image)
    syntax = UID(source.file_meta.get("TransferSyntaxUID") or _guessed(source))
    stored = image.NumberOfFrames * image.Rows * image.Columns * image.BitsAllocated // 8
    if not syntax.is_compressed and len(source.PixelData) < stored:
        raise ValueError("pixels are missing")
    image.PixelData = source.PixelData
    image["PixelData"].VR = source["PixelData"].VR
    image["PixelData"].is_undefined_length = syntax.is_compressed
    image.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    image.SOPInstanceUID = generate_uid()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    return image


def _check_layout(image: Dataset) -> None:
    """Raise an error unless the pixels can be as the header says."""
    if max(image.Rows, image.Columns) > LARGEST_SIDE:
        raise ValueError("no CT is so large")
    check_size((image.NumberOfFrames, image.Rows, image.Columns))
    bits, highest = image.BitsStored, image.HighBit
    if (
        image.BitsAllocated not in (8, 16, 32)
        or not 1 <= bits <= highest + 1 <= image.BitsAllocated
    ):
        raise ValueError("the numbers of bits contradict each other")


def _bits_to_take(path: Path, image: Dataset) -> tuple[int, int, bool] | None:
    """Where in each word the stored bits lie, if they are not the lowest, as old headers allow.

    `image` then has whole words for values, as GDCM knows the lowest bits only.

    Returns:
        The number of the lowest bit, how many there are, and whether they have a sign; else None.

    Raises:
        VolumeError: if the pixels are compressed, for then decoders do not agree.
    """
    bits, lowest = image.BitsStored, image.HighBit + 1 - image.BitsStored
    if not lowest:
        return None
    if image.file_meta.TransferSyntaxUID.is_compressed:
        raise VolumeError(
            f"The slice {path.name} has {bits} bits a pixel of which the highest is bit "
            f"{image.HighBit}, and is compressed: programs read that in different ways. Export the "
            "series uncompressed."
        )
    signed = bool(image.PixelRepresentation)
    image.BitsStored, image.HighBit = image.BitsAllocated, image.BitsAllocated - 1
    image.PixelRepresentation = 0
    return lowest, bits, signed


def stored_values(words: np.ndarray, lowest: int, bits: int, signed: bool) -> np.ndarray:
    """The values that some bits of each word are, of any shape; int64."""
    values = (words.astype(np.int64) >> lowest) & ((1 << bits) - 1)
    return values - ((values >> (bits - 1)) << bits) if signed else values


def _guessed(source: Dataset) -> UID:
    """The transfer syntax of a file that does not say: old ones have no preamble."""
    implicit, _ = source.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
