"""Reformatted views against a scanner's own reformat, made from its thin raw slices.

The reformat is registered rigidly to the axial scan, the axial scan is sampled at the reformat's
planes as it was acquired and as each method fills it, and the two are compared in the brain and
along the skull.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SliceInterpLib.acquired import require_acquired
from SliceInterpLib.errors import Cancelled, VolumeError
from SliceInterpLib.evidence.edges import border_radii, edge_width, roughness
from SliceInterpLib.evidence.metrics import psnr
from SliceInterpLib.hounsfield import BRAIN
from SliceInterpLib.interpolators import Interpolator
from SliceInterpLib.table import Column, Table
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume
from SliceInterpLib.volumetry.intracranial import intracranial_mask

SHOWN_NOW = "acquired, linear"
"""What a viewer shows of the acquired slices: linear interpolation between them."""

STAIRS = "acquired, nearest"
TRUTH = "scanner's own"

RIM_MM = 10.0
"""The rim along the skull reaches this far to both sides of its inner surface."""

BRAIN_MM = 4.0
"""Brain is what lies deeper than this: partial volume of the skull reaches less far."""

_HU = (-1000.0, 1500.0)
"""What is beyond is clipped for the registration, lest metal or padding rule."""

_PLANES = 6
"""Planes whose mean makes a thick one."""

_INNER_TABLE_HU = 200.0
"""The inner table is met where HU rise through this."""

_FAN = np.deg2rad(np.arange(-60.0, 60.5, 0.5))
"""Angles to the upward direction under which rays meet the vault of the skull."""

_MET = 0.9
"""Planes where fewer of the rays meet bone have no vault to measure."""

_LARGE = 0.6
"""Planes that cut at least so much of the largest section's area are measured for the contour."""


def mpr_check(
    axial: Volume,
    reformat: Volume,
    methods: Sequence[tuple[Interpolator, int]],
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Compare reformatted views of `axial` with `reformat`, which shows the same head.

    The rows of the figures are SHOWN_NOW, STAIRS, "method ×factor" and TRUTH, which has the last
    two figures alone. PSNR (dB) and SSIM are taken in the window −20…107 HU over brain more than
    4 mm from the skull's inner surface, over that more than 10 mm from it ("deep"), and over what
    lies within 10 mm of it on either side ("rim"). edge_mm and roughness_mm (see `edges`) are those
    of the vault's inner table, medians over planes; rough is what is finer than the axial gap.

    Args:
        axial: the volume that is filled and reformatted.
        reformat: what the scanner's own reformats show.
        methods: interpolators with the factor by which each fills `axial`. Their volumes
            are sampled linearly, as a viewer does, and so are the acquired slices, once more as
            nearest.
        progress: called with the number of steps done and their number.
        cancelled: asked after every step and before every pair.

    Returns:
        The figures, {"registration": {"offset_mm", "degrees"}, "rows": {row: {"brain_psnr",
        "brain_ssim", "deep_psnr", "deep_ssim", "rim_psnr", "rim_ssim", "edge_mm",
        "roughness_mm"}}}, and the images: (planes, rows, columns) HU by row, on the reformat's
        grid, NaN beyond the axial stack.

    Raises:
        VolumeError: as `require_acquired` does, and where the two do not overlap or there is no
            brain.
        Cancelled: as soon as `cancelled()` is true.
    """
    for volume in (axial, reformat):
        require_acquired(volume)
    steps = 3 + len(methods)

    def step(done: int) -> None:
        if cancelled and cancelled():
            raise Cancelled("The run was cancelled; nothing was kept.")
        if progress:
            progress(done, steps)

    step(0)
    pose = register(axial, reformat)
    step(1)
    images = {
        SHOWN_NOW: resampled(axial, reformat, pose),
        STAIRS: resampled(axial, reformat, pose, sitk.sitkNearestNeighbor),
    }
    step(2)
    for done, (method, factor) in enumerate(methods, 3):
        filled = upsample(axial, method, factor=factor, cancelled=cancelled)
        images[f"{method.name} ×{factor}"] = resampled(filled, reformat, pose)
        step(done)
    truth = reformat.slices.astype(np.float32)
    rows = _figures(images, truth, axial, reformat, pose)
    images[TRUTH] = truth
    step(steps)
    angle = np.degrees(np.linalg.norm(pose.GetParameters()[:3]))
    offset = np.array(pose.TransformPoint(pose.GetCenter())) - np.array(pose.GetCenter())
    return {
        "registration": {"offset_mm": offset.tolist(), "degrees": float(angle)},
        "rows": rows,
    }, images


def register(axial: Volume, reformat: Volume) -> sitk.Euler3DTransform:
    """The rigid transform that leads from places (LPS, mm) in `reformat` to those in `axial`.

    Mean squares of HU from coarse to fine, starting with the centres of mass on each other, so
    that coordinates may be off by centimetres.

    Raises:
        VolumeError: if the two do not overlap.
    """
    fixed, moving = clamped(reformat), clamped(axial)
    start = sitk.CenteredTransformInitializer(
        fixed + 1000.0,  # as mass, air weighs nothing
        moving + 1000.0,
        sitk.Euler3DTransform(),
        sitk.CenteredTransformInitializerFilter.MOMENTS,
    )
    search = sitk.ImageRegistrationMethod()
    search.SetMetricAsMeanSquares()
    search.SetMetricSamplingStrategy(search.RANDOM)
    search.SetMetricSamplingPercentagePerLevel([0.2, 0.1], seed=1)
    search.SetShrinkFactorsPerLevel([4, 2])
    search.SetSmoothingSigmasPerLevel([4.0, 1.0])
    search.SetInterpolator(sitk.sitkLinear)
    search.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=1e-3, numberOfIterations=100, relaxationFactor=0.6
    )
    search.SetOptimizerScalesFromPhysicalShift()
    search.SetInitialTransform(start)
    search.SetNumberOfThreads(1)  # so that sums are always made in the same order
    try:
        found = search.Execute(fixed, moving)
    except RuntimeError as error:
        raise VolumeError(
            "The reformat could not be registered to the axial scan. Give two series of the same "
            "head that overlap."
        ) from error
    return sitk.Euler3DTransform(sitk.CompositeTransform(found).GetNthTransform(0))


def resampled(
    volume: Volume,
    grid: Volume,
    pose: sitk.Transform,
    interpolator: int = sitk.sitkLinear,
    *,
    thick: bool = True,
) -> np.ndarray:
    """`volume` at the planes of `grid`.

    Args:
        volume: what is sampled.
        grid: the volume that has the planes.
        pose: leads from places of the grid to those of the volume.
        interpolator: ITK's number of one.
        thick: the mean over the thickness of the planes, which is taken to be their distance.

    Returns:
        (planes, rows, columns) float32, NaN where `volume` has nothing.
    """
    image = sitk.Cast(_itk(volume), sitk.sitkFloat32)
    planes = _PLANES if thick else 1
    across = grid.slice_origins[1] - grid.slice_origins[0]
    total = np.zeros(grid.hu.shape, np.float32)
    for part in (np.arange(planes) + 0.5) / planes - 0.5:
        plane = sitk.Resample(
            image,
            grid.hu.shape[::-1],
            pose,
            interpolator,
            (np.array(grid.origin) + part * across).tolist(),
            grid.spacing,
            grid.direction.ravel().tolist(),
            float("nan"),
        )
        total += sitk.GetArrayViewFromImage(plane)
    return grid.in_slices(total / planes)


def _figures(
    images: Mapping[str, np.ndarray],
    truth: np.ndarray,
    axial: Volume,
    grid: Volume,
    pose: sitk.Transform,
) -> dict[str, dict[str, float | None]]:
    space = replace(axial, slices=intracranial_mask(axial).astype(np.uint8))
    inside = resampled(space, grid, pose, thick=False) >= 0.5
    # Rounding lets the stacks end at places that differ by a pixel.
    covered = np.logical_and.reduce([np.isfinite(image) for image in images.values()])
    depth = _depth(inside, grid)
    regions = {
        "brain": covered & (depth > BRAIN_MM),
        "deep": covered & (depth > RIM_MM),
        "rim": covered & (np.abs(depth) <= RIM_MM),
    }
    if not all(region.any() for region in regions.values()):
        raise VolumeError(
            "The reformat shows no brain that the axial scan shows too. Give two series of the "
            "same head that overlap."
        )
    rows: dict[str, dict[str, float | None]] = {}
    for name, image in {**images, TRUTH: truth}.items():
        likeness = {} if name == TRUTH else _likeness(image, truth, regions)
        rows[name] = {**likeness, **_contour(image, inside, grid, axial.slice_spacing)}
    return rows


def _depth(inside: np.ndarray, grid: Volume) -> np.ndarray:
    """Distance in mm from the surface of a mask (planes, rows, columns), negative outside."""
    mask = sitk.GetImageFromArray(inside.astype(np.uint8))
    mask.SetSpacing([*grid.pixel_spacing[::-1], grid.slice_spacing])
    return sitk.GetArrayFromImage(
        sitk.SignedMaurerDistanceMap(
            mask, insideIsPositive=True, squaredDistance=False, useImageSpacing=True
        )
    )


def _likeness(
    image: np.ndarray, truth: np.ndarray, regions: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """PSNR in dB and mean SSIM over regions, in the brain window."""
    one, other = BRAIN.scale(np.nan_to_num(image, nan=_HU[0])), BRAIN.scale(truth)
    squared, ssim = (one - other) ** 2, _ssim_map(one, other)
    found = {}
    for name, region in regions.items():
        error = float(np.mean(squared[region], dtype=np.float64))
        found[f"{name}_psnr"] = psnr(error)
        found[f"{name}_ssim"] = float(np.mean(ssim[region], dtype=np.float64))
    return found


def _ssim_map(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """SSIM (Wang et al. 2004) at every pixel of some planes (n, h, w) in [0, 1].

    As in `metrics`, but before the mean: Gaussian of 1.5 pixels cut to 11, K = 0.01 and 0.03.
    """

    def local(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, (0.0, 1.5, 1.5), radius=(0, 5, 5))

    means = local(one), local(other)
    product, squares = means[0] * means[1], means[0] ** 2 + means[1] ** 2
    covariance = local(one * other) - product
    variances = local(one * one) + local(other * other) - squares
    c1, c2 = 0.01**2, 0.03**2
    return (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))


def _contour(
    image: np.ndarray, inside: np.ndarray, grid: Volume, gap_mm: float
) -> dict[str, float | None]:
    """Edge width and roughness in mm of the vault's inner table, medians over large planes."""
    columns, rows = grid.in_plane_axes[2]  # how steeply they rise
    angles = np.arctan2(rows, columns) + _FAN
    areas = inside.sum(axis=(1, 2))
    widths, rough = [], []
    for index in np.flatnonzero(areas >= _LARGE * areas.max()):
        plane = np.nan_to_num(image[index], nan=_HU[0])
        centre = ndimage.center_of_mass(inside[index])
        radii = border_radii(plane, grid.pixel_spacing, centre, _INNER_TABLE_HU, angles=angles)
        if np.isfinite(radii).mean() > _MET:
            widths.append(edge_width(plane, grid.pixel_spacing, centre, radii, angles=angles))
            rough.append(roughness(radii, angles=angles, smoothing_mm=gap_mm))
    known = [width for width in widths if width is not None]
    return {
        "edge_mm": float(np.median(known)) if known else None,
        "roughness_mm": float(np.median(rough)) if rough else None,
    }


def clamped(volume: Volume) -> sitk.Image:
    """The volume as it is registered: without the HU of metal and padding."""
    return sitk.Clamp(
        sitk.Cast(_itk(volume), sitk.sitkFloat32), lowerBound=_HU[0], upperBound=_HU[1]
    )


def _itk(volume: Volume) -> sitk.Image:
    """The volume as ITK's image, whose axes may slant as those of a tilted gantry do."""
    image = sitk.GetImageFromArray(volume.hu)
    image.SetOrigin(volume.origin)
    image.SetSpacing(volume.spacing)
    image.SetDirection(volume.direction.ravel().tolist())
    return image


def mpr_table(result: Mapping) -> Table:
    """The figures by what is shown."""
    columns = (
        Column("brain_psnr", "brain PSNR", "dB", ".2f"),
        Column("brain_ssim", "SSIM", style=".3f"),
        Column("deep_psnr", "deep brain PSNR", "dB", ".2f"),
        Column("deep_ssim", "SSIM", style=".3f"),
        Column("rim_psnr", "rim PSNR", "dB", ".2f"),
        Column("rim_ssim", "SSIM", style=".3f"),
        Column("edge_mm", "edge", "mm", ".2f"),
        Column("roughness_mm", "roughness", "mm", ".3f"),
    )
    nothing = dict.fromkeys(column.key for column in columns)  # the truth is not compared
    rows = [{"shown": name} | nothing | row for name, row in result["rows"].items()]
    return Table([Column("shown"), *columns], rows)
