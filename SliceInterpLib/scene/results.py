"""What a run leaves in the scene, all of it or nothing, and how it is found again."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.scene import nodes
from SliceInterpLib.scene.expected_error import (
    add_expected_error,
    give_to,
    remove_expected_error_of,
)
from SliceInterpLib.scene.marks import provenance_of
from SliceInterpLib.tasks import Doubled
from SliceInterpLib.volume import Volume

_SAME_MM = 1e-3
"""Slices that are no further apart lie in one place."""

Compared = tuple[slicer.vtkMRMLScalarVolumeNode, ...]
"""Original, classical and learned volume."""


def add_results(
    doubled: Doubled,
    source: slicer.vtkMRMLScalarVolumeNode,
    output: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
    """Put all volumes of a run into the scene, each with its map of errors.

    They go along where the source was moved as a whole meanwhile, hardened or not. If anything
    fails, the scene is as it was.

    Args:
        doubled: what the run gave.
        source: the node that it ran on.
        output: a node that the last result goes into.

    Returns:
        The results by method.

    Raises:
        VolumeError: if the source is another scan by now, so that the acquired slices of the
            results would not be its own, and as `add_output_node` does.
    """
    last = list(doubled.volumes)[-1]
    if not _has_slices_of(doubled.volumes[last], nodes.volume_from_node(source)):
        changed = _(
            "{name} has changed while it was doubled, its voxels or where its slices lie. Double "
            "it once more."
        )
        raise VolumeError(changed.format(name=source.GetName()))
    made, maps = {}, {}
    try:
        for method, error in doubled.expected_errors.items():
            maps[method] = add_expected_error(error, source)
        # What fills the output comes last of all: nothing that could fail follows it.
        for method, result in doubled.volumes.items():
            into = output if method == last else None
            name = into.GetName() if into else None
            made[method] = nodes.add_output_node(result, source, name, output=into)
    except Exception:
        for node in (*maps.values(), *made.values()):
            nodes.remove_node(node)
        raise
    if output:
        remove_expected_error_of(output)
    for method, node in maps.items():
        give_to(node, made[method])
    return made


def _has_slices_of(result: Volume, scan: Volume) -> bool:
    """Whether the result's acquired slices are those of the scan, wherever that lies as a whole."""
    acquired = np.flatnonzero(~result.synthetic)
    if (len(acquired), *result.slices.shape[1:]) != scan.slices.shape:
        return False
    return (
        np.allclose(result.pixel_spacing, scan.pixel_spacing, atol=_SAME_MM)
        and np.allclose(_within_stack(result)[acquired], _within_stack(scan), atol=_SAME_MM)
        and all(np.array_equal(result.slices[i], scan.slices[n]) for n, i in enumerate(acquired))
    )


def _within_stack(volume: Volume) -> np.ndarray:
    """(n, 3) mm along columns, rows and normal, from the first slice to each."""
    axes = np.column_stack([volume.in_plane_axes, volume.normal])
    return (volume.slice_origins - volume.slice_origins[0]) @ axes


def earlier_results(source: slicer.vtkMRMLScalarVolumeNode | None) -> Compared | None:
    """Original, classical and learned volume of the last run on `source`, if they are there."""
    made = nodes.results_of(source) if source else []
    # Two in the order in which they were made, but for one that was put into an older node.
    made = sorted(made[-2:], key=lambda node: provenance_of(node)["method"] == "learned")
    return (source, *made) if len(made) == 2 else None
