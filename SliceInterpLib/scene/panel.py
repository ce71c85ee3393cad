"""The module's panel: what it says, when Apply can be pressed, and what a run does to the scene."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import slicer
import vtk

from SliceInterpLib.errors import Cancelled, SliceInterpError
from SliceInterpLib.scene import expected_error, nodes, slots
from SliceInterpLib.scene.check_section import CheckSection, Keep
from SliceInterpLib.scene.comparison import Comparison
from SliceInterpLib.scene.comparison_section import ComparisonSection
from SliceInterpLib.scene.dependencies import Dependencies, device_note
from SliceInterpLib.scene.estimate import Estimate, in_words
from SliceInterpLib.scene.export_section import ExportSection
from SliceInterpLib.scene.jobs import Job, Outcome
from SliceInterpLib.scene.marks import derived_by_others, marks_of
from SliceInterpLib.scene.parameters import METHODS
from SliceInterpLib.scene.results import add_results
from SliceInterpLib.scene.terms import Terms
from SliceInterpLib.scene.volumetry_section import VolumetrySection
from SliceInterpLib.scene.wrapping import say
from SliceInterpLib.tasks import Doubled, Doubling, MethodSettings, Task
from SliceInterpLib.volume import Volume

_DECLINED = (
    "Nothing was started, since the terms of the model were not agreed to. The other methods have "
    "no such terms."
)

_CHOICES = (
    "inputSelector",
    "outputSelector",
    "methodComboBox",
    "compareWithComboBox",
    "factorComboBox",
    "modelComboBox",
    "deviceComboBox",
    "allowThinCheckBox",
    "tellErrorCheckBox",
)
"""The widgets that a run holds fast."""


def choose_first_volume(parameters: Any) -> None:
    """Take the scene's first volume that is no result where none is chosen, to save a click."""
    if not parameters.inputVolume:
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            if not marks_of(node):
                parameters.inputVolume = node
                return


def show_in_views(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show one volume in all slice views, as loading it would."""
    logic = slicer.app.applicationLogic()
    logic.GetSelectionNode().SetActiveVolumeID(node.GetID())
    logic.PropagateVolumeSelection()


def _let_keyboard_in(selector: Any) -> None:
    """Give the focus to the list inside, which Slicer's own selectors give back to themselves."""
    for child in selector.children():
        if hasattr(child, "currentIndex"):
            child.setFocusProxy(None)
            selector.setFocusProxy(child)


def _gaps(volume: Volume, factor: int, style: str) -> str:
    """The gaps between slices after `factor` times as many; of an uneven scan from…to."""
    low, high = (format(gap / factor, style) for gap in (volume.gaps.min(), volume.gaps.max()))
    return f"{low} mm" if volume.is_even else f"{low}–{high} mm"


class Panel:
    """The behaviour of the widgets in SliceInterp.ui.

    Args:
        ui: the widgets by name.
        requirements: the module's requirements.txt.
        dependencies: a collaborator that can be replaced.
        terms: another.
        comparison: another.
        start_job: makes a Job; can be replaced too.
    """

    def __init__(
        self,
        ui: Any,
        requirements: str,
        *,
        dependencies: Dependencies | None = None,
        terms: Terms | None = None,
        comparison: Comparison | None = None,
        start_job: Callable[..., Job] = Job,
    ) -> None:
        self.ui = ui
        self.dependencies = dependencies or Dependencies(requirements)
        self.terms = terms or Terms()
        self.compare = ComparisonSection(ui, comparison)
        self.check = CheckSection(ui, self._settings, self.start)
        self.export = ExportSection(ui)
        self.volumetry = VolumetrySection(ui)
        self.job: Job | None = None
        self._start_job = start_job
        self._parameters: Any = None
        self._source: Any = None
        self._output: Any = None
        self._began: dict[str, tuple[int, float]] = {}
        self._watched: tuple = (None, [])
        self._estimate = Estimate()
        self._looked_at: tuple = (None, None, "")
        for selector in (ui.inputSelector, ui.outputSelector, ui.segmentationSelector):
            _let_keyboard_in(selector)
        slots.connect(ui.applyButton, "clicked()", self.on_apply)
        slots.connect(ui.cancelButton, "clicked()", self.cancel)
        self.tell_replaced("")
        self._show_running(False)

    # What the panel says

    def set_parameters(self, parameters: Any) -> None:
        """Show and obey this parameter node; None where the module is not open."""
        self._parameters = parameters
        if parameters is None:
            self.ui.applyButton.enabled = False
            self._watch(None)
            self.volumetry.refresh(None)
        else:
            choose_first_volume(parameters)
        self.refresh()
        if parameters:
            self.compare.reopen()

    def tell_replaced(self, sentence: str) -> None:
        """Say which of the scene's choices were replaced, until the next run or scene."""
        say(self.ui.replacedLabel, sentence)
        self.ui.replacedLabel.visible = bool(sentence)

    def refresh(self, *_: object) -> None:
        """Say what Apply would do, or why it cannot; it can observe nodes."""
        if self._parameters is None:
            return
        self._watch(self._parameters.inputVolume)
        self.compare.refresh(self._parameters.inputVolume)
        plan, obstacle = self._plan()
        say(self.ui.planLabel, plan or obstacle)
        self.ui.applyButton.enabled = not obstacle and not self.job
        self.ui.applyButton.toolTip = obstacle or ("A run is in progress." if self.job else plan)
        volume = self._look_at(self._parameters.inputVolume)[0]
        self.check.refresh(self._parameters.inputVolume, volume, bool(self.job))
        self.export.refresh(self._parameters.inputVolume)
        self.volumetry.refresh(self._parameters.inputVolume)
        self.ui.deviceLabel.text = device_note(self._parameters.device)

    def _watch(self, node: Any) -> None:
        """Refresh when the input changes; a new node gets its voxels only after it was chosen."""
        watched, tags = self._watched
        if node is watched:
            return
        for tag in tags:
            watched.RemoveObserver(tag)
        events = (
            vtk.vtkCommand.ModifiedEvent,
            slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
            slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
        )
        tags = [slots.observe(node, event, self.refresh) for event in events if node]
        self._watched = (node, tags)

    def _plan(self) -> tuple[str, str]:
        """What will happen, or, if nothing can, why."""
        chosen = self._parameters
        if not chosen.inputVolume:
            return "", "Choose the volume to double. Sample Data has a head phantom."
        if chosen.outputVolume and chosen.outputVolume.GetID() == chosen.inputVolume.GetID():
            return "", "The output must not be the input: the acquired scan would be lost."
        volume, obstacle = self._look_at(chosen.inputVolume)
        if volume is None or obstacle:
            return "", obstacle
        count = (volume.slice_count - 1) * chosen.factor + 1
        seconds = self._estimate.seconds(volume, self._settings())
        where = self._estimate.device(chosen.device)
        plan = (
            f"{volume.slice_count} slices, {_gaps(volume, 1, '.1f')} → {count} slices, "
            f"{_gaps(volume, chosen.factor, '.2g')}, about {in_words(seconds)} on {where}"
        )
        missing = self.dependencies.missing(self._settings().methods)
        if missing:
            plan += f", after installing {', '.join(missing)}"
        warning = derived_by_others(chosen.inputVolume)
        return f"{plan}. {warning}" if warning else plan, ""

    def _look_at(self, node: Any) -> tuple[Volume | None, str]:
        """The node's volume and what stands against doubling it; kept until the node changes."""
        if not node:
            return None, ""
        # The voxels, the geometry and what lies above them are three things that change.
        parts = (node, node.GetImageData(), node.GetParentTransformNode())
        times = [part.GetMTime() for part in parts if part]
        state = (node.GetID(), times, self._parameters.allowThin)
        if self._looked_at[0] != state:
            volume, obstacle = None, ""
            try:
                volume = nodes.volume_from_node(node)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    nodes.require_doublable_node(volume, allow_thin=self._parameters.allowThin)
            except SliceInterpError as problem:
                obstacle = slots.in_words(problem)
            self._looked_at = (state, volume, obstacle)
        return self._looked_at[1:]

    def _settings(self) -> MethodSettings:
        chosen = self._parameters
        methods = [METHODS[chosen.method]]
        if chosen.compareWith in METHODS:
            # The quick one first, so that progress is that of the slow one.
            methods.insert(0, METHODS[chosen.compareWith])
        return MethodSettings(
            methods=tuple(dict.fromkeys(methods)),
            factor=chosen.factor,
            model=chosen.model,
            device=chosen.device,
            allow_thin=chosen.allowThin,
            expected_error=chosen.tellError,
        )

    # Runs

    def on_apply(self) -> None:
        """Apply was pressed."""
        volume = nodes.volume_from_node(self._parameters.inputVolume)
        self.start(Doubling(volume, self._settings()), self._add_results)

    def start(self, task: Task, keep: Keep) -> None:
        """Start a run on the input; `keep` takes its result."""
        if self.job:
            return
        if "learned" in task.methods and not self.terms.agreed(self._parameters.model):
            say(self.ui.statusLabel, _DECLINED)
            return
        self.dependencies.ensure(task.methods, check=task.judges)
        self._source, self._output = self._parameters.inputVolume, self._parameters.outputVolume
        self._began = {}
        self.job = self._start_job(
            task,
            progress=slots.reporting(self._on_progress, once=True),
            step=self._on_step,
            finished=lambda outcome: self._on_finished(outcome, task, keep),
        )
        self._show_running(True)
        self.tell_replaced("")
        self.ui.statusLabel.text = "Starting…"
        self.job.deliver_by_timer()

    def cancel(self) -> None:
        """End the run, if there is one; nothing of it is kept."""
        if self.job:
            self.ui.statusLabel.text = "Cancelling…"
            self.ui.cancelButton.enabled = False
            self.job.cancel()

    def node_removed(self, node: object) -> None:
        """End the run on a volume that was deleted, and let go of it."""
        self._looked_at = (None, None, "")
        if self.job and node in (self._source, self._output):
            self.cancel()
        self.compare.node_removed(node)
        if not slicer.mrmlScene.IsClosing():
            expected_error.remove_orphans()
        self.refresh()

    def scene_closing(self) -> None:
        """End what is going on; all volumes are about to go."""
        self.cancel()
        self.tell_replaced("")
        self.compare.offer(None)

    def close(self) -> None:
        """End everything that outlives the panel."""
        self.cancel()
        self.compare.leave()
        self.set_parameters(None)

    def _on_progress(self, method: str, done: int, total: int) -> None:
        self.ui.progressBar.maximum = total
        self.ui.progressBar.value = done
        first, began = self._began.setdefault(method, (done, time.monotonic()))
        name = next(name for name, key in METHODS.items() if key == method)
        text = f"{name}: {done} of {total} slices"
        if done > first:
            left = (time.monotonic() - began) / (done - first) * (total - done)
            text += f", about {in_words(left)} left"
        self.ui.statusLabel.text = text

    def _on_step(self, text: str) -> None:
        self.ui.statusLabel.text = text

    def _on_finished(self, outcome: Outcome, task: Task, keep: Keep) -> None:
        self.job = None
        self._show_running(False)
        source, self._source = self._source, None
        try:
            result = outcome.unwrap()
            if not slicer.mrmlScene.IsNodePresent(source):
                raise Cancelled("The volume was deleted.")
            if isinstance(task, Doubling):
                self._estimate.learn(task.volume, task.settings, self._began)
            keep(result, source)
        except Cancelled:
            self.ui.statusLabel.text = "Cancelled. Nothing was kept."
        except Exception as problem:
            self.ui.statusLabel.text = "Failed. The scene is as it was."
            slots.report(problem)
        finally:
            self._output = None
            self.refresh()

    def _add_results(self, doubled: Doubled, source: slicer.vtkMRMLScalarVolumeNode) -> None:
        made = list(add_results(doubled, source, self._output).values())
        main, result = made[-1], list(doubled.volumes.values())[-1]
        say(self.ui.statusLabel, f"{main.GetName()}: {result.slice_count} slices.")
        self.compare.offer((source, *made) if len(made) == 2 else None)
        if self._parameters is None:
            return  # another module is open, and the views are its own
        if self.compare.volumes:
            self.compare.open()
        else:
            show_in_views(main)

    def _show_running(self, running: bool) -> None:
        self.ui.cancelButton.enabled = running
        self.ui.progressBar.visible = running
        self.ui.progressBar.maximum = 0  # until it is known how much there is to do
        self.ui.applyButton.enabled = False
        self.ui.checkButton.enabled = self.ui.reportButton.enabled = False
        for name in _CHOICES:
            getattr(self.ui, name).enabled = not running
