"""The module's panel: what it says, when Apply can be pressed, and what a run does to the scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from SliceInterpLib.errors import Cancelled
from SliceInterpLib.networks.registry import DEFAULT_FINDER, FINDER
from SliceInterpLib.scene import expected_error, nodes, slots
from SliceInterpLib.scene.check_section import CheckSection
from SliceInterpLib.scene.comparison import Comparison
from SliceInterpLib.scene.comparison_section import ComparisonSection
from SliceInterpLib.scene.dependencies import Dependencies, device_note
from SliceInterpLib.scene.export_section import ExportSection
from SliceInterpLib.scene.jobs import Job, Keep, Outcome
from SliceInterpLib.scene.marks import marks_of
from SliceInterpLib.scene.parameters import settings_of
from SliceInterpLib.scene.plan import Planner
from SliceInterpLib.scene.progress import Progress
from SliceInterpLib.scene.results import add_results
from SliceInterpLib.scene.terms import Terms
from SliceInterpLib.scene.volumetry_section import VolumetrySection
from SliceInterpLib.scene.words import choice_in_words
from SliceInterpLib.scene.wrapping import say
from SliceInterpLib.tasks import Doubled, Doubling, Task

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
        self.check = CheckSection(ui, lambda: settings_of(self._parameters), self.start)
        self.export = ExportSection(ui, self.start)
        self.volumetry = VolumetrySection(ui, self._may_find)
        self.job: Job | None = None
        self._start_job = start_job
        self._parameters: Any = None
        self._source: Any = None
        self._output: Any = None
        self._watched: tuple = (None, [])
        self._planner = Planner()
        self._progress = Progress(ui)
        for selector in (ui.inputSelector, ui.outputSelector, ui.segmentationSelector):
            _let_keyboard_in(selector)
        slots.connect(ui.applyButton, "clicked()", self.on_apply)
        slots.connect(ui.cancelButton, "clicked()", self.cancel)
        self.tell_replaced("")
        self._progress.end()
        self._hold(False)

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
            self._name_choices()
        self.refresh()
        if parameters:
            self.compare.reopen()

    def _name_choices(self) -> None:
        """In the lists stands what is saved with the scene; show it in the user's language."""
        ui = self.ui
        for box in (
            ui.methodComboBox,
            ui.compareWithComboBox,
            ui.factorComboBox,
            ui.deviceComboBox,
        ):
            for index in range(box.count):
                box.setItemText(index, choice_in_words(box.itemText(index)))

    def tell_replaced(self, sentence: str) -> None:
        """Say which of the scene's choices were replaced, until the next run or scene."""
        say(self.ui.replacedLabel, sentence)
        self.ui.replacedLabel.visible = bool(sentence)

    def refresh(self, *_event: object) -> None:
        """Say what Apply would do, or why it cannot; it can observe nodes."""
        if self._parameters is None:
            return
        source = self._parameters.inputVolume
        self._watch(source)
        self.compare.refresh(source)
        plan, obstacle = self._planner.plan(self._parameters, self.dependencies)
        say(self.ui.planLabel, plan or obstacle)
        self.ui.applyButton.enabled = not obstacle and not self.job
        self.ui.applyButton.toolTip = obstacle or (_("A run is in progress.") if self.job else plan)
        volume, _obstacle = self._planner.look_at(source, allow_thin=self._parameters.allowThin)
        self.check.refresh(source, volume, bool(self.job))
        self.export.refresh(source, bool(self.job))
        self.volumetry.refresh(source)
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

    # Runs

    def on_apply(self) -> None:
        """Apply was pressed."""
        volume = nodes.volume_from_node(self._parameters.inputVolume)
        self.start(Doubling(volume, settings_of(self._parameters)), self._add_results)

    def start(self, task: Task, keep: Keep) -> None:
        """Start a run on the input; `keep` takes its result."""
        if self.job:
            return
        if "learned" in task.methods and not self.terms.agreed(self._parameters.model):
            self._progress.tell_end(
                _(
                    "Nothing was started, since the terms of the model were not agreed to. The "
                    "other methods have no such terms."
                )
            )
            return
        self.dependencies.ensure(task.methods, check=task.judges)
        self._source, self._output = self._parameters.inputVolume, self._parameters.outputVolume
        self.job = self._start_job(
            task,
            progress=slots.reporting(self._progress.on_progress, once=True),
            step=self._progress.tell,
            finished=lambda outcome: self._on_finished(outcome, task, keep),
        )
        self._hold(True)
        self.tell_replaced("")
        self._progress.start()
        self.job.deliver_by_timer()

    def _may_find(self) -> bool:
        """As `VolumetrySection` asks before the finder runs."""
        if not self.terms.agreed(DEFAULT_FINDER, FINDER):
            return False
        self.dependencies.ensure(("learned",))
        return True

    def cancel(self) -> None:
        """End the run, if there is one; nothing of it is kept."""
        if self.job:
            self._progress.tell(_("Cancelling…"))
            self.ui.cancelButton.enabled = False
            self.job.cancel()

    def node_removed(self, node: object) -> None:
        """End the run on a volume that was deleted, and let go of it."""
        self._planner.forget()
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

    def _on_finished(self, outcome: Outcome, task: Task, keep: Keep) -> None:
        self.job = None
        self._hold(False)
        self._progress.end()
        source, self._source = self._source, None
        try:
            result = outcome.unwrap()
            if not slicer.mrmlScene.IsNodePresent(source):
                raise Cancelled(_("The volume was deleted."))
            if isinstance(task, Doubling):
                self._planner.estimate.learn(task.volume, task.settings, self._progress.began)
            self._progress.tell_end(keep(result, source))
        except Cancelled:
            self._progress.tell_end(_("Cancelled. Nothing was kept."))
        except Exception as problem:
            self._progress.tell_end(_("Failed. The scene is as it was."))
            slots.report(problem)
        finally:
            self._output = None
            self.refresh()

    def _add_results(self, doubled: Doubled, source: slicer.vtkMRMLScalarVolumeNode) -> str:
        made = list(add_results(doubled, source, self._output).values())
        main, result = made[-1], list(doubled.volumes.values())[-1]
        self.compare.offer((source, *made) if len(made) == 2 else None)
        # Where another module is open, the views are its own.
        if self._parameters and self._parameters.showResult:
            if self.compare.volumes:
                self.compare.open()
            else:
                show_in_views(main)
        return _("{name}: {count} slices.").format(name=main.GetName(), count=result.slice_count)

    def _hold(self, held: bool) -> None:
        """Let go of the choices, or hold them fast while a run goes on."""
        self.ui.cancelButton.enabled = held
        self.ui.applyButton.enabled = False
        for button in (self.ui.checkButton, self.ui.reportButton, self.ui.dicomButton):
            button.enabled = False
        for name in _CHOICES:
            getattr(self.ui, name).enabled = not held
