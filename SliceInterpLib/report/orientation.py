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
    """How a volume's array is turned: to axes that run to superior, posterior and left."""

    axes: tuple[int, int, int]
    """The array's axes that run, as nearly as may be, along these three."""
    flipped: tuple[bool, bool, bool]
    """Which of them run the other way."""

    @classmethod
    def of(cls, volume: Volume) -> PatientOrder:
        """Raises VolumeError for a volume that lies too obliquely to tell."""
        towards = volume.direction[:, ::-1]  # rows: L, P, S; columns: the array's axes
        axes = tuple(int(np.abs(towards[world]).argmax()) for world in _WORLD)
        if sorted(axes) != [0, 1, 2]:
            raise VolumeError(
                "The volume lies too obliquely for axial, coronal and sagittal views. "
                "Resample it along the patient's axes first."
            )
        flipped = tuple(bool(towards[w, axis] < 0) for w, axis in zip(_WORLD, axes, strict=True))
        return cls(axes, flipped)

    def turned(self, array: np.ndarray) -> np.ndarray:
        """View of an array that is shaped as the volume's `hu`: (superior, posterior, left)."""
        backwards = tuple(axis for axis, flip in enumerate(self.flipped) if flip)
        return np.flip(array.transpose(self.axes), backwards)

    def place(self, volume: Volume, axis: int, index: int) -> str:
        """Where, along one of the turned axes, a plane through the volume lies: "S 42.5 mm"."""
        array_axis = self.axes[axis]
        count = volume.hu.shape[array_axis]
        middle = (np.array(volume.hu.shape[::-1]) - 1.0) / 2.0
        middle[2 - array_axis] = count - 1 - index if self.flipped[axis] else index
        point = np.array(volume.origin) + volume.direction @ (middle * volume.spacing)
        mm = float(point[_WORLD[axis]])
        return f"{_LETTERS[axis][mm < 0]} {abs(mm):.1f} mm"
