"""Arrays turned so that their axes run to superior, posterior and left, as readers look at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.volume import Volume

_WORLD = (2, 1, 0)
"""Index of superior, posterior and left in LPS."""

_LETTERS = ("SI", "PA", "LR")
"""Where the three axes run to, and where they come from."""


@dataclass(frozen=True)
class PatientOrder:
    """How the slices of a volume are turned: to axes that run to superior, posterior and left."""

    axes: tuple[int, int, int]
    """Which of slice (0), row (1) and column (2) run, as nearly as may be, along these three."""
    flipped: tuple[bool, bool, bool]
    """Which of them run the other way."""

    @classmethod
    def of(cls, volume: Volume) -> PatientOrder:
        """Raises VolumeError for a volume that lies too obliquely to tell."""
        columns, rows = volume.in_plane_axes.T
        towards = np.stack([volume.normal, rows, columns], axis=1)  # rows: L, P, S
        one, two, three = (int(np.abs(towards[world]).argmax()) for world in _WORLD)
        axes = one, two, three
        if sorted(axes) != [0, 1, 2]:
            raise VolumeError(
                "The volume lies too obliquely for axial, coronal and sagittal views. "
                "Resample it along the patient's axes first."
            )
        up, back, left = (bool(towards[w, axis] < 0) for w, axis in zip(_WORLD, axes, strict=True))
        return cls(axes, (up, back, left))

    def turned(self, array: np.ndarray) -> np.ndarray:
        """View of an array that is shaped as `slices`: (superior, posterior, left)."""
        backwards = tuple(axis for axis, flip in enumerate(self.flipped) if flip)
        return np.flip(array.transpose(self.axes), backwards)

    def spacing(self, volume: Volume) -> tuple[float, ...]:
        """mm along the turned axes of an evenly spaced volume."""
        along = (volume.slice_spacing, *volume.pixel_spacing)
        return tuple(along[axis] for axis in self.axes)

    def index(self, volume: Volume, place: tuple[float, float, float]) -> list[int]:
        """The voxel nearest to a place.

        Args:
            volume: the one that was turned.
            place: mm, LPS.

        Returns:
            Its indices along the turned axes.
        """
        found = []
        within = volume.indices(np.array(place))[0]
        for axis, flipped in zip(self.axes, self.flipped, strict=True):
            last = volume.slices.shape[axis] - 1
            nearest = int(np.clip(round(float(within[axis])), 0, last))
            found.append(last - nearest if flipped else nearest)
        return found

    def place(self, volume: Volume, axis: int, index: int) -> str:
        """Where a plane through the volume lies: "S 42.5 mm".

        Args:
            volume: the one that was turned.
            axis: the turned axis that the plane is square to.
            index: the plane's along that axis.
        """
        array_axis = self.axes[axis]
        count = volume.slices.shape[array_axis]
        middle = (np.array(volume.slices.shape) - 1.0) / 2.0
        middle[array_axis] = count - 1 - index if self.flipped[axis] else index
        mm = float(volume.places(middle)[0, _WORLD[axis]])
        return f"{_LETTERS[axis][mm < 0]} {abs(mm):.1f} mm"
