"""The pictures of a report: cuts through several volumes of one head, as data URLs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from SliceInterpLib.head_box import has_full_range
from SliceInterpLib.hounsfield import Window
from SliceInterpLib.report.colours import ERROR_HU, difference_colours, error_colours
from SliceInterpLib.report.orientation import PatientOrder
from SliceInterpLib.volume import Volume

SMALLEST_PIXEL_MM = 0.45
"""Finer pixels are averaged to this size, so that a page of 512×512×40 stays below 15 MB."""

_CUTS = 36
"""Coronal and as many sagittal cuts, evenly over the head."""

_MOST_SLICES = 100
"""Of more slices every second, third, … is shown."""

_MARGIN_MM = 5.0
"""Room around the head."""

_JPEG_QUALITY = 80

_ROWS_AND_COLUMNS = ((1, 2), (0, 2), (0, 1))
"""By the axis that an axial, coronal or sagittal view looks along, those of its picture."""

_NAMES = ("axial", "coronal", "sagittal")
_SIDES = (("I", "S"), ("A", "P"), ("R", "L"))
"""Where the three turned axes come from and run to."""


@dataclass(frozen=True, eq=False)
class Shades:
    """How numbers are drawn."""

    window: Window
    colours: np.ndarray | None = None
    """(256, 3) uint8 red, green and blue from the window's low to its high; None for grey."""


HU = Shades(Window(0.0, 80.0))
DIFFERENCE = Shades(Window(-40.0, 40.0), (255 * difference_colours()).astype(np.uint8))
ERROR = Shades(Window(0.0, ERROR_HU), (255 * error_colours()).astype(np.uint8))


@dataclass(frozen=True, eq=False)
class Layer:
    """One column of the montage."""

    title: str
    volume: Volume
    """All layers' volumes begin and end at the same slices."""
    shades: Shades = HU


@dataclass(frozen=True)
class Cut:
    """One place in a view, with a picture of each layer."""

    at: float
    """Place along the axis looked along, 0…1 of what the other views show, to S, P or L."""
    caption: str
    synthetic: bool
    pictures: tuple[int, ...]
    """Indices of `Montage.pictures`, in the order of the layers."""


@dataclass(frozen=True)
class View:
    """All the cuts in one direction, from inferior, anterior or right on."""

    name: str
    size: tuple[int, int]
    """Width and height of its pictures in pixels."""
    sides: tuple[str, str]
    """What lies to the left and to the right: R and L, or A and P."""
    across: str
    """Name of the view whose cuts go along the picture's width, in the picture's direction."""
    down: str
    """The same for its height; cuts of the axial view go up."""
    first: int
    """The cut to show first."""
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Montage:
    """Linked views."""

    views: tuple[View, ...]
    pictures: tuple[str, ...]
    """Data URLs, each picture once."""
    pixel_mm: float
    """Side of the pictures' pixels."""


def make_montage(layers: Sequence[Layer], result: Volume) -> Montage:
    """Coronal, sagittal and axial cuts through all layers.

    Voxels are drawn as they are along the slice axis, each slice as thick as what it stands for, so
    that the stairs between slices are what they are; within slices, pixels finer than
    SMALLEST_PIXEL_MM are averaged.

    Args:
        layers: the columns from left to right; their volumes must be upright.
        result: the upsampled volume, which says which slices are synthetic.

    Raises:
        VolumeError: for a volume that lies too obliquely.
    """
    return _Drawing(layers, result).montage()


class _Drawing:
    """The frame in which all layers are drawn, and the pictures so far."""

    def __init__(self, layers: Sequence[Layer], result: Volume) -> None:
        self.result = result
        self.order = PatientOrder.of(result)
        self.layers = layers
        self.turned = [self.order.turned(layer.volume.slices) for layer in layers]
        self.through = self.order.axes.index(0)
        """The turned axis along which the slices lie."""
        along = (np.nan, *result.pixel_spacing)
        self.spacing = [along[axis] for axis in self.order.axes]
        within = [s for axis, s in enumerate(self.spacing) if axis != self.through]
        self.pixel = max(SMALLEST_PIXEL_MM, *within)
        self.box = _head_box(self.order.turned(result.slices), self.spacing, self.through)
        ends = np.array([layer.volume.slab_edges[[0, -1]] for layer in layers])
        low, high = ends.min(), ends.max()
        self.start_mm = self._turned_mm(high if self.order.flipped[self.through] else low)
        self.length_mm = high - low
        self.known: dict[str, int] = {}

    def montage(self) -> Montage:
        views = tuple(self._view(axis) for axis in (1, 2, 0))
        return Montage(views, tuple(self.known), self.pixel)

    def _view(self, axis: int) -> View:
        rows, columns = _ROWS_AND_COLUMNS[axis]
        along_slices = axis == self.through
        indices = self._slices() if along_slices else self._planes(axis)
        cuts = tuple(self._cut(axis, index) for index in indices)
        made = [number for number, cut in enumerate(cuts) if cut.synthetic]
        return View(
            name=_NAMES[axis],
            size=(self._extent(columns), self._extent(rows)),
            sides=_SIDES[columns],
            across=_NAMES[columns],
            down=_NAMES[rows],
            first=made[len(made) // 2] if made else len(cuts) // 2,
            cuts=cuts,
        )

    def _slices(self) -> np.ndarray:
        count = self.result.slice_count
        return np.arange(0, count, -(-count // _MOST_SLICES))

    def _planes(self, axis: int) -> np.ndarray:
        low, high = self.box[axis]
        return np.unique(np.linspace(low, high, 2 * _CUTS + 1)[1::2].astype(int))

    def _extent(self, axis: int) -> int:
        """Pixels along an axis."""
        if axis == self.through:
            return round(self.length_mm / self.pixel)
        low, high = self.box[axis]
        return max(1, round((high - low) * self.spacing[axis] / self.pixel))

    def _cut(self, axis: int, index: int) -> Cut:
        caption, synthetic = self.order.place(self.result, axis, int(index)), False
        if axis == self.through:
            what, synthetic = self._slice_name(int(index))
            caption = f"{what}, {caption}"
            at = (self._turned_mm(self._position(index)) - self.start_mm) / self.length_mm
        else:
            low, high = self.box[axis]
            at = (index + 0.5 - low) / (high - low)
        pictures = tuple(self._picture(n, axis, int(index)) for n in range(len(self.layers)))
        return Cut(round(float(at), 4), caption, synthetic, pictures)

    def _slice_name(self, index: int) -> tuple[str, bool]:
        """What a slice of the result is, by the acquired slices' numbers in the file, from 1."""
        marks = self.result.synthetic
        place = self._turned_index(index, len(marks))
        number = int(np.count_nonzero(~marks[: place + 1]))
        if marks[place]:
            return f"SYNTHETIC, between slices {number} and {number + 1}", True
        return f"slice {number}, acquired", False

    def _picture(self, number: int, axis: int, index: int) -> int:
        """Index of the picture of a layer."""
        volume, shades = self.layers[number].volume, self.layers[number].shades
        if axis == self.through:
            index = int(self._slice_of(volume, self._turned_mm(self._position(index))))
        plane = np.take(self.turned[number], index, axis=axis)
        shape = []
        for side, other in enumerate(_ROWS_AND_COLUMNS[axis]):
            if other != self.through:
                plane = plane.take(range(*self.box[other]), axis=side)
            shape.append(plane.shape[side] if other == self.through else self._extent(other))
        grey = Image.fromarray(shades.window.to_8bit(plane))
        drawn = np.asarray(grey.resize(shape[::-1], Image.Resampling.BOX))
        if axis != self.through:
            side = _ROWS_AND_COLUMNS[axis].index(self.through)
            background = shades.window.to_8bit(np.zeros(1))[0] if shades.colours is not None else 0
            drawn = _spread(drawn, side, self._lookup(volume), background)
        if _ROWS_AND_COLUMNS[axis][0] == 0:
            drawn = drawn[::-1]  # superior at the top
        address = _data_url(drawn, shades.colours, lossy=axis == self.through)
        return self.known.setdefault(address, len(self.known))

    def _lookup(self, volume: Volume) -> np.ndarray:
        """Which of the volume's slices each pixel along the slice axis shows; -1 for none."""
        pixels = self._extent(self.through)
        mm = self.start_mm + (np.arange(pixels) + 0.5) * self.length_mm / pixels
        return self._slice_of(volume, mm)

    # Slices on the turned axis, which may run against the order of the volume's slices

    def _turned_index(self, index: int, count: int) -> int:
        return count - 1 - index if self.order.flipped[self.through] else index

    def _turned_mm(self, position: float) -> float:
        """mm along the turned axis of a position along the slices' normal."""
        last = self.result.positions[-1]
        return float(last - position if self.order.flipped[self.through] else position)

    def _position(self, index: int) -> float:
        """mm along the normal of a slice of the result that is `index` on the turned axis."""
        return float(self.result.positions[self._turned_index(index, self.result.slice_count)])

    def _slice_of(self, volume: Volume, mm: np.ndarray | float) -> np.ndarray:
        """On the turned axis, the slice of a volume that stands for each place; -1 for none.

        All volumes begin and end at the same planes; midway it is the earlier on that axis.
        """
        if not self.order.flipped[self.through]:
            return volume.slice_at(np.asarray(mm))
        found = volume.slice_at(self.result.positions[-1] - np.asarray(mm) + 2e-6)
        return np.where(found >= 0, volume.slice_count - 1 - found, -1)


def _spread(drawn: np.ndarray, side: int, lookup: np.ndarray, background: int) -> np.ndarray:
    """The picture with each of its slices, along `side`, as often as `lookup` has it."""
    there = np.expand_dims(lookup >= 0, 1 - side)
    return np.where(there, drawn.take(np.maximum(lookup, 0), axis=side), np.uint8(background))


def _head_box(hu: np.ndarray, spacing: Sequence[float], through: int) -> list[tuple[int, int]]:
    """First and last index + 1 of the head on each axis, with a margin; all along `through`."""
    box = [(0, count) for count in hu.shape]
    shown = hu.max(axis=through) > (-300 if has_full_range(hu) else 0)
    labels, count = ndimage.label(shown)
    if not count:
        return box
    sizes = np.bincount(labels.ravel())
    head = ndimage.find_objects(labels)[int(sizes[1:].argmax())]
    for axis, found in zip((a for a in range(3) if a != through), head, strict=True):
        margin = round(_MARGIN_MM / spacing[axis])
        box[axis] = max(0, found.start - margin), min(hu.shape[axis], found.stop + margin)
    return box


def _data_url(drawn: np.ndarray, colours: np.ndarray | None, *, lossy: bool) -> str:
    image = Image.fromarray(np.ascontiguousarray(drawn))
    if colours is not None:
        image.putpalette(colours.tobytes())
    file = io.BytesIO()
    if lossy:
        image.convert("L" if colours is None else "RGB").save(file, "JPEG", quality=_JPEG_QUALITY)
    else:
        image.save(file, "PNG", compress_level=9)
    kind = "jpeg" if lossy else "png"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
