"""CT slices and where each of them lies in the patient: what all of SliceInterp works on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.gaps import (
    GAP_TOLERANCE,
    gaps_in_words,
    missing_slices,
    stretches_of,
    through_plane_axis,
)
from SliceInterpLib.hounsfield import Ranges
from SliceInterpLib.volume_checks import (
    ORTHONORMAL,
    check_array,
    check_axes,
    check_spacing,
    check_unit,
    numbers,
    slanted_axes,
)

STEEPEST_TILT = 45.0
"""Degrees. Gantries tilt by up to 30; a header that says more than this is wrong."""

DRIFT_TOLERANCE = 0.15
"""mm by which slices may leave the line through the first and the last one: what positions that are
written with one decimal explain."""


def _unknown() -> np.ndarray:
    return np.empty(0)


@dataclass(frozen=True, eq=False)
class Volume:
    """CT slices of one orientation, one after the other, and the place of each; checked when made.

    Slices may lie at uneven gaps, and each shifted within its plane against the one before, as by
    a tilted gantry. Where gaps are even, `spacing` and `direction` follow from the places; where
    they are not, asking for these raises VolumeError, and whoever needs an even grid resamples the
    volume first (see `grids`).

    Raises VolumeError, with cause and way out, for what is no stack of parallel slices in order.
    """

    slices: np.ndarray
    """(n, rows, columns) HU, real numbers; a view will do."""
    slice_origins: np.ndarray
    """(n, 3) mm, LPS: the centre of each slice's first pixel."""
    pixel_spacing: tuple[float, float]
    """mm between rows and between columns."""
    in_plane_axes: np.ndarray
    """(3, 2): the unit vectors along which the column and the row index of a slice grow, LPS. The
    order is that of DICOM's Image Orientation (Patient)."""
    thickness: np.ndarray = field(default_factory=_unknown)
    """(n,) mm, NaN where it is not known; by default nowhere."""
    synthetic: np.ndarray = field(default_factory=_unknown)
    """(n,) bool, True where a slice was predicted rather than acquired; by default nowhere."""
    provenance: Mapping[str, object] = field(default_factory=dict)
    """How a derived volume was made; empty for an acquired one."""
    padding: Ranges = ()
    """HU that the files declare as padding; `padding.is_padding` tells where they are."""
    slice_axis: int = 0
    """Axis of the array in the file or node that runs through-plane: how `hu` is laid out."""
    files: tuple[Path, ...] = ()
    """The DICOM file of each slice, where it was read from one."""

    def __post_init__(self) -> None:
        """Normalise the fields and check them."""
        slices = np.asarray(self.slices)
        check_array(slices)
        count = len(slices)
        pixel = numbers("pixel spacing", self.pixel_spacing, 2)
        check_spacing(pixel)
        origins = numbers("slice positions", self.slice_origins, 3 * count)
        marks = self.synthetic if len(self.synthetic) else np.zeros(count)
        known = self.thickness if len(self.thickness) else np.full(count, np.nan)
        for name, value in (
            ("slices", slices),
            ("slice_origins", origins.reshape(-1, 3)),
            ("pixel_spacing", tuple(pixel.tolist())),
            ("in_plane_axes", numbers("orientation", self.in_plane_axes, 6).reshape(3, 2)),
            ("thickness", np.array(known, dtype=np.float64)),
            ("synthetic", np.array(marks, dtype=bool)),
            ("files", tuple(self.files)),
        ):
            object.__setattr__(self, name, value)
        if not len(self.thickness) == len(self.synthetic) == count:
            raise ValueError(f"thickness and synthetic must have {count} values, one a slice")
        check_axes(self.in_plane_axes)
        self._check_order()

    def _check_order(self) -> None:
        """Raise VolumeError unless there is one slice after the other."""
        if self.slice_count < 2:
            return
        gaps = self.gaps
        # Of microscopic slices, whose gaps are all small, a half.
        again = np.count_nonzero(gaps < min(GAP_TOLERANCE, max(0.5 * gaps.max(), 1e-6)))
        if again:
            raise VolumeError(
                f"{again} of the series' {self.slice_count} slices lie where another one lies "
                "already: duplicates, or several phases in one series. Leave one slice for each "
                "position."
            )
        if self.tilt_degrees > STEEPEST_TILT:
            raise slanted_axes()

    @classmethod
    def from_grid(
        cls,
        hu: np.ndarray,
        origin: tuple[float, float, float] | np.ndarray,
        spacing: tuple[float, float, float] | np.ndarray,
        direction: np.ndarray,
        *,
        slice_axis: int | None = None,
    ) -> Volume:
        """The volume that an evenly spaced array makes, as files and MRML nodes hold it.

        Args:
            hu: (z, y, x) real numbers, as SimpleITK's GetArrayFromImage gives them.
            origin: centre of the first voxel, (x, y, z) in mm, LPS.
            spacing: mm along the array's x, y and z index axes.
            direction: 3×3, or nine numbers; its columns are the unit vectors of those three axes
                in LPS (a left-handed set, from negative strides, is fine). They are at right
                angles, but that the through-plane one may slant.
            slice_axis: axis of the array (0, 1 or 2) that runs through-plane; by default
                `through_plane_axis` finds it from the spacings.

        Raises:
            VolumeError: where array or geometry is not that of a stack of slices.
        """
        array = np.asarray(hu)
        check_array(array)
        first = numbers("origin", origin, 3)
        steps = numbers("spacing", spacing, 3)
        axes = numbers("direction", direction, 9).reshape(3, 3)
        check_spacing(steps)
        check_unit(axes)
        through = through_plane_axis(steps) if slice_axis is None else slice_axis
        rows, columns = (2 - axis for axis in range(3) if axis != through)
        slices = np.moveaxis(array, through, 0)
        step = axes[:, 2 - through] * steps[2 - through]
        single = len(slices) == 1  # whose places tell no spacing
        return cls(
            slices=slices,
            slice_origins=first + np.arange(len(slices))[:, None] * step,
            pixel_spacing=(steps[rows], steps[columns]),
            in_plane_axes=axes[:, [columns, rows]],
            thickness=steps[[2 - through]] if single else _unknown(),
            slice_axis=through,
        )

    @property
    def slice_count(self) -> int:
        """Number of slices."""
        return len(self.slices)

    @property
    def is_derived(self) -> bool:
        """Whether it was made by SliceInterp rather than acquired."""
        return bool(self.provenance)

    @cached_property
    def normal(self) -> np.ndarray:
        """(3,) unit vector at right angles to the slices, on the side of the later ones, LPS."""
        normal = np.cross(*self.in_plane_axes.T)
        normal /= np.linalg.norm(normal)
        onwards = (self.slice_origins[-1] - self.slice_origins[0]) @ normal
        return -normal if onwards < 0 else normal

    @cached_property
    def positions(self) -> np.ndarray:
        """(n,) mm from the first plane to each, along their normal."""
        return (self.slice_origins - self.slice_origins[0]) @ self.normal

    @cached_property
    def gaps(self) -> np.ndarray:
        """(n − 1,) mm between the planes of neighbouring slices."""
        return np.diff(self.positions)

    @cached_property
    def stretches(self) -> list[range]:
        """The evenly spaced stretches, as `gaps.stretches_of` gives them."""
        return stretches_of(self.gaps)

    @property
    def missing(self) -> np.ndarray:
        """(n − 1,) bool: gaps of an uneven volume that are so wide that slices must be missing."""
        if self.is_even:
            return np.zeros(len(self.gaps), bool)
        return missing_slices(self.gaps, np.fmax(self.thickness[:-1], self.thickness[1:]))

    @property
    def is_even(self) -> bool:
        """Whether all gaps are the same."""
        return len(self.stretches) == 1

    @property
    def slab_mm(self) -> np.ndarray:
        """(n,) mm along the normal that each slice stands for.

        From midway to the slice before to midway to the slice after; an outermost one reaches as
        far outwards as inwards. With even gaps that is the slice spacing.
        """
        return np.diff(self.slab_edges)

    @property
    def slab_edges(self) -> np.ndarray:
        """(n + 1,) mm along the normal: where what each slice stands for begins and ends."""
        if self.slice_count == 1:
            return np.array([-0.5, 0.5]) * self._single_mm
        middles = self.positions[:-1] + 0.5 * self.gaps
        first, last = -0.5 * self.gaps[0], self.positions[-1] + 0.5 * self.gaps[-1]
        return np.concatenate([[first], middles, [last]])

    @property
    def voxel_mm3(self) -> np.ndarray:
        """(n,) mm³ that a voxel of each slice stands for."""
        return float(np.prod(self.pixel_spacing)) * self.slab_mm

    @property
    def tilt_degrees(self) -> float:
        """Angle between the line of the slices and their normal; 0 for a straight stack."""
        line = self.slice_origins[-1] - self.slice_origins[0]
        length = float(np.linalg.norm(line))
        within = float(np.linalg.norm(line @ self.in_plane_axes)) / length if length else 0.0
        if within <= math.sqrt(2) * ORTHONORMAL:
            return 0.0  # rounding of the axes explains it
        return math.degrees(math.asin(min(within, 1.0)))

    def require_line(self) -> None:
        """Raise VolumeError unless the slices lie along one line."""
        if self.slice_count < 3:
            return
        along = self.positions / self.positions[-1]
        line = np.outer(along, self.slice_origins[-1] - self.slice_origins[0])
        drift = np.linalg.norm(self.slice_origins - self.slice_origins[0] - line, axis=1)
        if drift.max() > DRIFT_TOLERANCE:
            worst = int(drift.argmax())
            raise VolumeError(
                f"The slices do not lie along one line: slice {worst + 1} is {drift[worst]:.1f} mm "
                "beside the line from the first to the last. Several stacks may be mixed in one "
                "series: leave one in the folder."
            )

    # Of even volumes alone

    @property
    def off_grid_mm(self) -> float:
        """mm by which a slice lies beside the even grid, at most; VolumeError unless even."""
        on_grid = self.slice_origins[0] + np.arange(self.slice_count)[:, None] * self._step
        return float(np.linalg.norm(self.slice_origins - on_grid, axis=1).max())

    def require_even(self) -> None:
        """Raise VolumeError, with the cause, unless all slices lie evenly along one line."""
        self.require_line()
        if not self.is_even:
            raise VolumeError(
                f"The gaps between the slices are uneven: {gaps_in_words(self.gaps)}, and an "
                "evenly spaced volume is needed here. `sliceinterp upsample --gaps even` fills "
                "each gap by itself and then spaces the slices evenly, `--gaps longest` takes the "
                "longest even stretch, `--dicom` writes them where they are (in Python "
                "grids.evenly_spaced, and volume.part)."
            )

    @property
    def slice_spacing(self) -> float:
        """mm between the planes of neighbouring slices; VolumeError unless even."""
        self.require_even()
        if self.slice_count == 1:
            return self._single_mm
        return float(self.positions[-1]) / (self.slice_count - 1)

    @property
    def origin(self) -> tuple[float, float, float]:
        """Centre of the first voxel, (x, y, z) in mm, LPS."""
        x, y, z = self.slice_origins[0].tolist()
        return x, y, z

    @property
    def spacing(self) -> tuple[float, float, float]:
        """mm along the x, y and z index axes of `hu`; VolumeError unless even."""
        along = list(self.pixel_spacing)
        along.insert(self.slice_axis, float(np.linalg.norm(self._step)))
        z, y, x = along
        return x, y, z

    @property
    def direction(self) -> np.ndarray:
        """3×3, the unit vectors of the x, y and z index axes of `hu`; VolumeError unless even.

        The through-plane one slants where the gantry was tilted.
        """
        columns, rows = self.in_plane_axes.T
        axes = [rows, columns]
        axes.insert(self.slice_axis, self._step / np.linalg.norm(self._step))
        return np.stack(axes[::-1], axis=1)

    @property
    def _step(self) -> np.ndarray:
        self.require_even()
        if self.slice_count == 1:
            return self._single_mm * self.normal
        return (self.slice_origins[-1] - self.slice_origins[0]) / (self.slice_count - 1)

    @property
    def _single_mm(self) -> float:
        """mm that the only slice stands for."""
        if np.isnan(self.thickness[0]):
            raise VolumeError(
                "The volume has one slice only, of unknown thickness. Give the whole series."
            )
        return float(self.thickness[0])

    @property
    def hu(self) -> np.ndarray:
        """View of the slices as the array lies in the file or node, (z, y, x)."""
        return self.as_stored(self.slices)

    def as_stored(self, array: np.ndarray) -> np.ndarray:
        """View of an array that is shaped as `slices`, with its axes in the order of `hu`."""
        return np.moveaxis(array, 0, self.slice_axis)

    def in_slices(self, array: np.ndarray) -> np.ndarray:
        """View of an array that is shaped as `hu`, with its axes in the order of `slices`."""
        return np.moveaxis(array, self.slice_axis, 0)

    # Places in the patient

    def slice_at(self, positions: np.ndarray) -> np.ndarray:
        """The slice that stands for each of some positions in mm along the normal; −1 for none.

        Midway between two slices it is the earlier one.
        """
        found = np.searchsorted(self.slab_edges, np.asarray(positions) - 1e-6) - 1
        return np.where((found >= 0) & (found < self.slice_count), found, -1)

    def places(self, indices: np.ndarray) -> np.ndarray:
        """(m, 3) mm, LPS, of fractional (m, 3) indices (slice, row, column).

        Between two slices a place moves straight from one to the other; beyond the outermost it
        goes on as in the gap beside.
        """
        index = np.atleast_2d(np.asarray(indices, dtype=np.float64))
        within = index[:, :0:-1] * self.pixel_spacing[::-1]
        return self._origins_at(index[:, 0]) + within @ self.in_plane_axes.T

    def indices(self, places: np.ndarray) -> np.ndarray:
        """(m, 3) fractional (slice, row, column) of (m, 3) places in mm, LPS: as `places`, back."""
        points = np.atleast_2d(np.asarray(places, dtype=np.float64))
        position = (points - self.slice_origins[0]) @ self.normal
        if self.slice_count == 1:
            number = position / self._single_mm
        else:
            first = np.searchsorted(self.positions, position, side="right") - 1
            first = np.clip(first, 0, self.slice_count - 2)
            number = first + (position - self.positions[first]) / self.gaps[first]
        # Least squares, as axes may be off right angles by the rounding of a header.
        within = (points - self._origins_at(number)) @ np.linalg.pinv(self.in_plane_axes).T
        return np.column_stack([number, (within / self.pixel_spacing[::-1])[:, ::-1]])

    def _origins_at(self, number: np.ndarray) -> np.ndarray:
        """(m, 3) mm, LPS: where the first pixel would lie at fractional slice numbers (m,)."""
        if self.slice_count == 1:
            return self.slice_origins[0] + number[:, None] * self._step
        first = np.clip(np.floor(number).astype(int), 0, self.slice_count - 2)
        one, other = self.slice_origins[first], self.slice_origins[first + 1]
        return one + (number - first)[:, None] * (other - one)

    def part(self, slices: range) -> Volume:
        """The volume that some slices in a row make, or every second of them and so on."""
        part = slice(slices.start, slices.stop, slices.step)
        return replace(
            self,
            slices=self.slices[part],
            slice_origins=self.slice_origins[part],
            thickness=self.slab_mm[part] if len(slices) == 1 else self.thickness[part],
            synthetic=self.synthetic[part],
            files=self.files[part],
        )


def spacing_in_words(volume: Volume) -> str:
    """How far apart the slices are: '5 mm apart', or 'unevenly spaced (2.50 mm (23 times), …)'."""
    if volume.is_even:
        return f"{volume.slice_spacing:.4g} mm apart"
    return f"unevenly spaced ({gaps_in_words(volume.gaps)})"
