"""What a run leaves in the scene, all of it or nothing, and how it is found again."""

from __future__ import annotations

import slicer

from SliceInterpLib.scene import nodes
from SliceInterpLib.scene.expected_error import (
    add_expected_error,
    give_to,
    remove_expected_error_of,
)
from SliceInterpLib.scene.marks import provenance_of
from SliceInterpLib.tasks import Doubled

Compared = tuple[slicer.vtkMRMLScalarVolumeNode, ...]
"""Original, classical and learned volume."""


def add_results(
    doubled: Doubled,
    source: slicer.vtkMRMLScalarVolumeNode,
    output: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
    """Put all volumes of a run into the scene, each with its map of errors.

    If anything fails, the scene is as it was.

    Args:
        doubled: what the run gave.
        source: the node that it ran on.
        output: a node that the last result goes into.

    Returns:
        The results by method.
    """
    last = list(doubled.volumes)[-1]
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


def earlier_results(source: slicer.vtkMRMLScalarVolumeNode | None) -> Compared | None:
    """Original, classical and learned volume of the last run on `source`, if they are there."""
    made = nodes.results_of(source) if source else []
    # Two in the order in which they were made, but for one that was put into an older node.
    made = sorted(made[-2:], key=lambda node: provenance_of(node)["method"] == "learned")
    return (source, *made) if len(made) == 2 else None
