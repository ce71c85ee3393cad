"""What child processes are asked to do for Slicer.

A task is made and pickled in Slicer, so that what a run alone needs is imported in `run`.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from SliceInterpLib.errors import MethodError
from SliceInterpLib.volume import Volume

if TYPE_CHECKING:
    from SliceInterpLib.fineness import Factor
    from SliceInterpLib.interpolators import Interpolator
    from SliceInterpLib.worker import Owner


class Task(ABC):
    """Something to do in a child process; it is pickled, and so is what it gives."""

    judges: ClassVar[bool] = False
    """Whether methods are judged, which takes packages besides those of the methods."""
    answers: ClassVar[bool] = False
    """Whether it does nothing until it is asked, and then answers."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it runs."""
        return ()

    @abstractmethod
    def run(self, owner: Owner) -> Any:
        """Do it, in the child.

        Args:
            owner: is told of the progress, and asked whether the task was cancelled.

        Raises:
            Cancelled: soon after it was.
        """

    def check(self, result: Any) -> None:  # noqa: B027
        """Raise an error, in Slicer, for a result that cannot be one; by default any can."""


@dataclass(frozen=True)
class MethodSettings:
    """How slices are put between. The fields are those of `upsample` and `make_interpolator`."""

    methods: tuple[str, ...]
    factor: Factor = 2
    spacing_mm: float | None = None
    model: str | None = None
    device: str = "auto"
    allow_thin: bool = False
    expected_error: bool = False
    """Also how far voxels may be off, where the method can tell it."""

    def interpolator(self, method: str) -> Interpolator:
        """One of the methods."""
        from SliceInterpLib.interpolators import make_interpolator

        return make_interpolator(method, model=self.model, device=self.device)


@dataclass(frozen=True)
class Doubled:
    """What `Doubling` gives, by method."""

    volumes: dict[str, Volume]
    """In the order asked for."""
    expected_errors: dict[str, Volume]
    """HU, 0 in acquired slices; of the methods that tell it, if it was asked for."""


@dataclass(frozen=True)
class _WithMethods(Task):
    """A task that runs methods on a volume."""

    volume: Volume
    settings: MethodSettings

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it runs."""
        return self.settings.methods


@dataclass(frozen=True)
class Doubling(_WithMethods):
    """Put slices between those of a volume, by each of the methods."""

    def run(self, owner: Owner) -> Doubled:
        """The doubled volumes."""
        doubled = Doubled({}, {})
        for method in self.methods:
            owner.heed()
            result, error = self._by(method, owner)
            doubled.volumes[method] = result
            if error is not None:
                doubled.expected_errors[method] = error
        return doubled

    def _by(self, method: str, owner: Owner) -> tuple[Volume, Volume | None]:
        """The doubled volume and, if it was asked for and is known, its expected error."""
        from SliceInterpLib.evidence.expected_error import upsample_with_expected_error
        from SliceInterpLib.interpolators import tells_error
        from SliceInterpLib.upsampling import upsample

        def progress(done: int, total: int) -> None:
            owner.progress(method, done, total)

        settings = self.settings
        interpolator = settings.interpolator(method)
        how: dict[str, Any] = {
            "factor": settings.factor,
            "spacing_mm": settings.spacing_mm,
            "allow_thin": settings.allow_thin,
            "progress": progress,
            "cancelled": owner.cancelled,
        }
        if settings.expected_error and tells_error(interpolator):
            try:
                return upsample_with_expected_error(self.volume, interpolator, **how)
            except MethodError as problem:  # of most models it was never measured
                warnings.warn(str(problem), stacklevel=2)
        return upsample(self.volume, interpolator, **how), None

    def check(self, result: Doubled) -> None:
        """The acquired slices must be there, bit for bit and in their places."""
        for doubled in result.volumes.values():
            _check_doubled(self.volume, doubled)
        for method, error in result.expected_errors.items():
            _check_error(result.volumes[method], error)


@dataclass(frozen=True)
class Checked:
    """What `Checking` gives."""

    rows: dict[str, list[dict[str, float | None]]]
    """Metrics of every hidden slice by method: {"slice": index, "psnr": …, …}."""
    without_head: int
    """How many slices were not hidden since they show no head."""


@dataclass(frozen=True)
class Checking(_WithMethods):
    """Hide each slice in turn, and predict it by each of the methods."""

    judges = True

    def run(self, owner: Owner) -> Checked:
        """The metrics of the hidden slices."""
        from SliceInterpLib.evidence.holdout import to_hide
        from SliceInterpLib.evidence.scan_check import hidden_slices

        hidden = to_hide(self.volume)
        found = {}
        for method in self.methods:
            owner.heed()

            def progress(done: int, method: str = method) -> None:
                owner.progress(method, done, len(hidden.indices))

            found[method] = hidden_slices(
                self.volume,
                self.settings.interpolator(method),
                progress=progress,
                cancelled=owner.cancelled,
            )
        return Checked(found, hidden.without_head)


@dataclass(frozen=True)
class Reporting(_WithMethods):
    """Tell how far to trust the second of two methods, beside the first."""

    judges = True
    seeds: Sequence[Sequence[float]] = ()
    """As `make_report` takes them."""

    def run(self, owner: Owner) -> str:
        """The page."""
        from SliceInterpLib.report.html import make_report

        classical, method = self.methods
        return make_report(
            self.volume,
            method=method,
            model=self.settings.model,
            device=self.settings.device,
            classical=classical,
            factor=self.settings.factor,
            allow_thin=self.settings.allow_thin,
            seeds=self.seeds,
            say=owner.step,
            cancelled=owner.cancelled,
        )


@dataclass(frozen=True)
class Drawing(Task):
    """Draw the built-in head: the arguments of `sample_head`."""

    matrix: int
    slice_spacing: float

    def run(self, owner: Owner) -> Volume:
        """The scan of it."""
        from SliceInterpLib.phantom import sample_head

        def progress(done: int, total: int) -> None:
            owner.progress("phantom", done, total)

        return sample_head(self.matrix, self.slice_spacing, progress)


@dataclass(frozen=True)
class SeriesWriting(Task):
    """Write a result as DICOM, in its patient's study: the arguments of `write_dicom`."""

    result: Volume
    sources: Sequence[str]
    folder: str
    overwrite: bool = False

    def run(self, owner: Owner) -> None:
        """The series is all that it gives."""
        from SliceInterpLib.files.dicom_writing import write_dicom

        write_dicom(
            self.result,
            self.sources,
            self.folder,
            keep_identity=True,
            overwrite=self.overwrite,
            progress=lambda done, total: owner.progress("DICOM", done, total),
            cancelled=owner.cancelled,
        )


def _check_doubled(volume: Volume, doubled: Volume) -> None:
    acquired, places = ~doubled.synthetic, doubled.slice_origins
    if doubled.slices.dtype != volume.slices.dtype:
        raise ValueError("its type does not fit")
    if not np.array_equal(doubled.slices[acquired], volume.slices):
        raise ValueError("its acquired slices are not those of the input")
    if not np.allclose(places[acquired], volume.slice_origins, atol=1e-6):
        raise ValueError("its acquired slices do not lie where those of the input do")


def _check_error(doubled: Volume, error: Volume) -> None:
    hu = error.slices
    if hu.dtype != np.float32 or hu.shape != doubled.slices.shape:
        raise ValueError("the size or type of its expected error does not fit")
    if hu[~doubled.synthetic].any() or not (np.isfinite(hu) & (hu >= 0)).all():
        raise ValueError("its expected error has impossible values")
