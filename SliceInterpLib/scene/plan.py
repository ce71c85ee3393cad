"""What Apply would do, and how long it may take; or what stands against it."""

from __future__ import annotations

import warnings

import slicer
from slicer.i18n import tr as _

from SliceInterpLib.errors import SliceInterpError
from SliceInterpLib.scene import nodes, slots
from SliceInterpLib.scene.dependencies import Dependencies
from SliceInterpLib.scene.estimate import Estimate, in_words
from SliceInterpLib.scene.marks import derived_by_others
from SliceInterpLib.scene.parameters import Parameters, settings_of
from SliceInterpLib.volume import Volume


class Planner:
    """Looks at the input, and says what will come of it."""

    def __init__(self) -> None:
        self.estimate = Estimate()
        self._looked_at: tuple = (None, None, "")

    def plan(self, chosen: Parameters, dependencies: Dependencies) -> tuple[str, str]:
        """What will happen by these parameters, or, if nothing can, why."""
        if not chosen.inputVolume:
            return "", _("Choose the volume to double. Sample Data has a head phantom.")
        if chosen.outputVolume and chosen.outputVolume.GetID() == chosen.inputVolume.GetID():
            return "", _("The output must not be the input: the acquired scan would be lost.")
        volume, obstacle = self.look_at(chosen.inputVolume, allow_thin=chosen.allowThin)
        if volume is None or obstacle:
            return "", obstacle
        settings = settings_of(chosen)
        plan = _(
            "{count} slices, {gaps} → {new_count} slices, {new_gaps}, about {time} on {device}"
        ).format(
            count=volume.slice_count,
            gaps=_gaps(volume, 1, ".1f"),
            new_count=(volume.slice_count - 1) * chosen.factor + 1,
            new_gaps=_gaps(volume, chosen.factor, ".2g"),
            time=in_words(self.estimate.seconds(volume, settings)),
            device=self.estimate.device(chosen.device),
        )
        missing = dependencies.missing(settings.methods)
        if missing:
            packages = ", ".join(missing)
            plan = _("{plan}, after installing {packages}").format(plan=plan, packages=packages)
        warning = derived_by_others(chosen.inputVolume)
        return f"{plan}. {warning}" if warning else plan, ""

    def look_at(
        self, node: slicer.vtkMRMLScalarVolumeNode | None, *, allow_thin: bool
    ) -> tuple[Volume | None, str]:
        """The node's volume and what stands against doubling it; kept until the node changes."""
        if not node:
            return None, ""
        # The voxels, the geometry and what lies above them are three things that change.
        parts = (node, node.GetImageData(), node.GetParentTransformNode())
        times = [part.GetMTime() for part in parts if part]
        state = (node.GetID(), times, allow_thin)
        if self._looked_at[0] != state:
            volume, obstacle = None, ""
            try:
                volume = nodes.volume_from_node(node)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    nodes.require_doublable_node(volume, allow_thin=allow_thin)
            except SliceInterpError as problem:
                obstacle = slots.in_words(problem)
            self._looked_at = (state, volume, obstacle)
        return self._looked_at[1:]

    def forget(self) -> None:
        """Let go of the volume that was looked at."""
        self._looked_at = (None, None, "")


def _gaps(volume: Volume, factor: int, style: str) -> str:
    """The gaps between slices after `factor` times as many; of an uneven scan from…to."""
    low, high = (format(gap / factor, style) for gap in (volume.gaps.min(), volume.gaps.max()))
    return f"{low} mm" if volume.is_even else f"{low}–{high} mm"
