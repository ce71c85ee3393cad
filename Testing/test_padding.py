"""What is around the reconstructed region is no HU: it stays, and nothing is mixed with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from derived_series import assert_valid, images_in
from dicom_files import write_enhanced, write_slice
from dicom_head import write_head
from pydicom.uid import ImplicitVRLittleEndian

from SliceInterpLib.acquired import acquired_only
from SliceInterpLib.evidence.scan_check import check_scan
from SliceInterpLib.files import read_dicom
from SliceInterpLib.files.dicom_writing import write_dicom
from SliceInterpLib.grids import evenly_spaced, upright
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.padding import is_padding, without_padding
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.uniform import uniform
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.intracranial import intracranial_mask

LINEAR = make_interpolator("linear")

KINDS = {
    "dark, not declared": (-3024, ()),
    "dark, declared": (-1500, ((-1500.0, -1500.0),)),
    "bright": (3071, ((3071.0, 3071.0),)),
    "of a range": (3000, ((2900.0, 3071.0),)),
    "as water": (0, ((0.0, 0.0),)),
    "of two kinds of slices": (3071, ((0.0, 0.0), (3071.0, 3071.0))),
}
"""The value, and the HU that are declared."""

kinds = pytest.mark.parametrize(("value", "declared"), KINDS.values(), ids=list(KINDS))


def padded_head(
    value: int, declared: tuple[tuple[float, float], ...]
) -> tuple[Volume, Volume, np.ndarray]:
    """A head in the circle that was reconstructed, the same with air around it, and where.

    Everything that may be declared is in the head as well.
    """
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 1500, (6, 40, 40)).astype(np.int16)
    hu[:, 18:23, 15:20], hu[:, 25, 20:24] = 0, 3071
    y, x = np.mgrid[:40, :40] - 19.5
    # The circle moves, so that some pixels are padding in one of two neighbours only.
    outside = np.stack([np.hypot(y, x - k) > 19 for k in range(6)])
    axes = {"origin": (1.0, -2.0, 3.0), "spacing": (0.5, 0.5, 5.0), "direction": np.eye(3)}
    with_air, padded = (
        Volume.from_grid(np.where(outside, around, hu).astype(np.int16), **axes)
        for around in (-1024, value)
    )
    return replace(padded, padding=declared), with_air, outside


# ---- Where it is


def regions() -> Iterator[np.ndarray]:
    """Convex regions that scanners and reformats fill, as masks."""
    y, x = np.mgrid[:64, :48] - np.array([31.5, 23.5])[:, None, None]
    for radius in (9.3, 20.0, 23.5, 24.2, 30.0, 36.0):
        yield np.hypot(y, x) <= radius
        yield np.hypot(y, x - 11) <= radius
    for degrees in range(0, 90, 7):
        across, down = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        yield (np.abs(across * x + down * y) < 17) & (np.abs(across * y - down * x) < 23)


def test_what_surrounds_a_convex_region_is_found_to_the_pixel() -> None:
    for region in regions():
        tissue = np.where(region, 40, 3071).astype(np.int16)
        np.testing.assert_array_equal(is_padding(tissue, ((3071.0, 3071.0),)), ~region)
        rng = np.random.default_rng(0)
        noisy = np.where(region, rng.integers(-8, 9, region.shape), 0).astype(np.int16)
        found = is_padding(noisy, ((0.0, 0.0),))
        assert found[~region].all()
        # Of some 6 % of the pixels that are 0 HU by chance, hardly any beside the padding.
        assert found[region].mean() < 0.02


def test_tissue_that_has_the_value_is_no_padding() -> None:
    head = head_phantom(matrix=64, pixel_spacing=3.6, slices=4).volume
    metal = head.slices.copy()
    metal[:, 30:36, 30:36] = 3071
    assert not is_padding(metal, ((3071.0, 3071.0),)).any()


# ---- Predicted slices


@kinds
@pytest.mark.parametrize("method", ["nearest", "linear", "cubic", "sinc", "optical-flow"])
def test_padding_stays_padding_and_nothing_else_changes(
    method: str, value: int, declared: tuple
) -> None:
    padded, with_air, outside = padded_head(value, declared)
    interpolator = make_interpolator(method)
    found, expected = (upsample(volume, interpolator).slices for volume in (padded, with_air))
    np.testing.assert_array_equal(found[::2], padded.slices)
    both = outside[:-1] & outside[1:]
    assert both.any() and (outside[:-1] != outside[1:]).any()
    assert (found[1::2][both] == value).all()
    np.testing.assert_array_equal(found[1::2][~both], expected[1::2][~both])


@kinds
def test_padding_is_not_moved_or_blurred_later(value: int, declared: tuple) -> None:
    padded, with_air, _ = padded_head(value, declared)
    results = [upsample(volume, LINEAR) for volume in (padded, with_air)]
    padding = is_padding(results[0].slices, declared)
    assert padding.any()
    found, expected = (uniform(result).slices for result in results)
    assert (found[padding] == value).all()
    np.testing.assert_array_equal(found[~padding], expected[~padding])
    moved, expected = (evenly_spaced(volume, 3.0).slices for volume in (padded, with_air))
    padding = is_padding(moved, declared)
    assert (moved[padding] == value).all()
    np.testing.assert_array_equal(moved[~padding], expected[~padding])


@kinds
@pytest.mark.parametrize("fill", [None, -1024.0])
def test_padding_is_not_blurred_by_making_a_tilted_scan_upright(
    fill: float | None, value: int, declared: tuple
) -> None:
    padded, with_air, _ = padded_head(value, declared)
    step = np.arange(6)[:, None] * [0.0, 0.73, 0.0]
    tilted, tilted_air, outside = (
        upright(replace(volume, slice_origins=volume.slice_origins + step), fill=around).slices
        for volume, around in (
            (padded, fill),
            (with_air, -1024.0),
            (replace(padded, slices=is_padding(padded.slices, declared) * 1.0, padding=()), 1.0),
        )
    )
    padding = np.isclose(outside, 1.0)
    changed = tilted != tilted_air
    assert (tilted[changed] == value).all()
    assert changed.any() and not (changed & (outside < 0.2)).any()
    assert (tilted[padding & changed] == value).all()


# ---- Measures


def padded_phantom(value: float) -> tuple[Volume, Volume]:
    """A head with padding around a circle, and with the darkest air there."""
    head = head_phantom(matrix=96, pixel_spacing=2.5, slices=14).volume
    darkest = int(head.slices.min())
    y, x = np.mgrid[:96, :96] - 47.5
    outside = np.hypot(y, x) > 46
    padded, with_air = (
        replace(head, slices=np.where(outside, around, head.slices).astype(np.int16))
        for around in (value, darkest)
    )
    return replace(padded, padding=((value, value),)), with_air


@pytest.mark.parametrize("value", [-2000.0, 60.0, 3071.0])
def test_measures_take_it_for_air(value: float) -> None:
    padded, with_air = padded_phantom(value)
    np.testing.assert_array_equal(without_padding(padded).slices, with_air.slices)
    np.testing.assert_array_equal(intracranial_mask(padded), intracranial_mask(with_air))
    assert check_scan(padded, [LINEAR]) == check_scan(with_air, [LINEAR])


def test_a_scan_without_padding_is_not_copied() -> None:
    head = head_phantom(matrix=48, pixel_spacing=5.0, slices=3).volume
    assert without_padding(head) is head


# ---- DICOM


def outside_circle(stored: np.ndarray, value: int) -> np.ndarray:
    """The stored values with others outside the circle."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in stored.shape)
    outside = np.hypot(y[:, None], x) > max(stored.shape) / 2
    return np.where(outside, value, stored).astype(stored.dtype)


Change = Callable[[pydicom.Dataset], None]


def declares(value: int, limit: int | None = None, **others: object) -> Change:
    """Attributes for each image."""

    def change(image: pydicom.Dataset) -> None:
        vr = "SS" if image.PixelRepresentation else "US"
        image.add_new("PixelPaddingValue", vr, value)
        if limit is not None:
            image.add_new("PixelPaddingRangeLimit", vr, limit)
        for name, other in others.items():
            setattr(image, name, other)

    return change


def with_vr(tag: str, vr: str, value: int) -> Change:
    """An attribute in a VR that is not the pixels'."""

    def change(image: pydicom.Dataset) -> None:
        image.add_new(tag, vr, value)

    return change


def implicit(image: pydicom.Dataset) -> None:
    declares(4095)(image)
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


DECLARED = {
    "bright": (np.int16, 4095, declares(4095), (3071, 3071)),
    "unsigned": (np.uint16, 4095, declares(4095), (3071, 3071)),
    "a range": (np.int16, 4000, declares(3900, 4095), (2876, 3071)),
    "a range from its end": (np.int16, 4000, declares(4095, 3900), (2876, 3071)),
    "implicit VR": (np.uint16, 4095, implicit, (3071, 3071)),
    "signed, written as unsigned": (
        *(np.int16, -2000, with_vr("PixelPaddingValue", "US", 63536)),
        (-3024, -3024),
    ),
    "unsigned, written as signed": (
        *(np.uint16, 33000, with_vr("PixelPaddingValue", "SS", 33000 - 65536)),
        (31976, 31976),
    ),
    "MONOCHROME1": (
        *(np.int16, 4095, declares(4095, PhotometricInterpretation="MONOCHROME1")),
        (3071, 3071),
    ),
    "as water": (np.int16, 1024, declares(1024), (0, 0)),
}


def padded_series(folder: Path, kind: str) -> list[Path]:
    """The phantom with padding as DICOM."""
    dtype, value, change, _ = DECLARED[kind]
    files = write_head(folder)
    for path in files:
        image = pydicom.dcmread(path)
        stored = outside_circle(image.pixel_array.astype(dtype), value)
        image.PixelRepresentation = int(dtype is np.int16)
        image.PixelData = stored.tobytes()
        change(image)
        image.save_as(path)
    return files


@pytest.mark.parametrize("kind", list(DECLARED))
def test_what_a_header_declares_is_padding(kind: str, tmp_path: Path) -> None:
    files = padded_series(tmp_path / "scan", kind)
    volume = read_dicom(tmp_path / "scan")
    dtype, value, _, declared = DECLARED[kind]
    assert volume.padding == (declared,)
    outside = outside_circle(np.zeros(volume.slices.shape[1:]), 1) > 0
    padding = is_padding(volume.slices, volume.padding)
    np.testing.assert_array_equal(padding, np.broadcast_to(outside, volume.slices.shape))
    result = upsample(volume, LINEAR)
    assert (result.slices[:, outside] == value - 1024).all()
    assert np.abs(result.slices[:, ~outside]).max() < 2500

    write_dicom(result, files, tmp_path / "out")
    again = acquired_only(read_dicom(tmp_path / "out"))
    np.testing.assert_array_equal(again.slices, volume.slices)
    assert again.padding == volume.padding
    for image in images_in(tmp_path / "out"):
        hidden = (image.pixel_array >= declared[0]) & (image.pixel_array <= declared[1])
        assert ("PixelPaddingValue" in image) == np.array_equal(hidden, outside)
        if "PixelPaddingValue" in image:
            assert image["PixelPaddingValue"].VR == "SS"
            low = image.PixelPaddingValue
            assert (low, image.get("PixelPaddingRangeLimit", low)) == declared
    if kind == "a range":  # the validator takes its time
        assert_valid(tmp_path / "out")


def test_padding_of_an_enhanced_ct(tmp_path: Path) -> None:
    path = tmp_path / "enhanced.dcm"
    stored = write_enhanced(path, [0, 5, 10], [-1024, -1000, -1024])
    image = pydicom.dcmread(path)
    padded = np.stack([outside_circle(plane, 4000) for plane in stored])
    image.PixelData = padded.tobytes()
    declares(4000)(image)
    image.save_as(path)
    volume = read_dicom(path)
    assert volume.padding == ((2976.0, 2976.0), (3000.0, 3000.0))
    np.testing.assert_array_equal(is_padding(volume.slices, volume.padding), padded == 4000)


@pytest.mark.parametrize(
    "change",
    [declares(0, 2000), declares(1050, 1100), declares(500, 1024)],
)
def test_a_range_of_tissue_is_no_padding(change: Change, tmp_path: Path) -> None:
    for index, path in enumerate(write_head(tmp_path / "scan")):
        image = pydicom.dcmread(path)
        if index < 4:  # of some slices
            change(image)
        image.save_as(path)
    with pytest.warns(UserWarning, match="HU are padding, but that is tissue"):
        volume = read_dicom(tmp_path / "scan")
    assert volume.padding == ()
    write_dicom(upsample(volume, LINEAR), volume.files, tmp_path / "out")
    assert not any("PixelPaddingValue" in image for image in images_in(tmp_path / "out"))


@pytest.mark.parametrize("values", [b"", b"\1", b"\xff\x0f\xff\x0f", b"\0" * 8])
def test_what_cannot_be_read_declares_nothing(values: bytes, tmp_path: Path) -> None:
    for index in range(3):
        path = tmp_path / f"{index}"
        write_slice(path, (0, 0, 5 * index), series="1.2")
        image = pydicom.dcmread(path)
        image.add_new("PixelPaddingValue", "OB", values)
        image.save_as(path)
    assert read_dicom(tmp_path).padding == ()


def test_real_padding(data_dir: Path) -> None:
    """-1500 HU, declared, around a tilted head with uneven gaps."""
    volume = read_dicom(data_dir / "dicom" / "ge-hispeed-human-tilt-variable-gap")
    assert volume.padding == ((-1500.0, -1500.0),)
    result = upsample(volume, LINEAR)
    padding = is_padding(result.slices, volume.padding)
    assert 0.1 < padding.mean() < 0.3
    assert (result.slices[padding] == -1500).all()
    # Between padding and air there is nothing.
    assert result.slices[~padding].min() >= -1100
