"""What Apply would do, and how long it may take; or what stands against it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import slicer
from slicer.i18n import tr as _

from SliceInterpLib.errors import SliceInterpError
from SliceInterpLib.fineness import gaps_after, slices_after, times_each
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
        try:
            times = times_each(volume, settings.factor, allow_thin=settings.allow_thin)
        except SliceInterpError as problem:
            return "", slots.in_words(problem)
        plan = _(
            "{count} slices, {gaps} → {new_count} slices, {new_gaps}, about {time} on {device}"
        ).format(
            count=volume.slice_count,
            gaps=_gaps(volume, [1] * len(times), ".1f"),
            new_count=slices_after(volume, times),
            new_gaps=_gaps(volume, times, ".2g"),
            time=in_words(self.estimate.seconds(volume, times, settings)),
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


def _gaps(volume: Volume, times: Sequence[int], style: str) -> str:
    """The gaps between slices after so many times as many in each stretch; if uneven, from…to."""
    low, high = (format(gap, style) for gap in gaps_after(volume, times))
    return f"{low} mm" if low == high else f"{low}–{high} mm"
