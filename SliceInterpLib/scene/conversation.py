"""A child process that is asked about one volume again and again, and keeps what it has found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

from SliceInterpLib.errors import VolumeError
from SliceInterpLib.scene import nodes, slots
from SliceInterpLib.scene.jobs import Job, Outcome
from SliceInterpLib.tasks import Task
from SliceInterpLib.volume import Volume


@dataclass
class _Question:
    kind: str
    request: object
    then: Callable[[Any], None] | None
    """None: nobody wants the answer any more."""


class Conversation:
    """Questions about a volume node, answered one at a time.

    Of a kind the latest counts: one that still waits is given up for it, and the answer to one that
    is being worked on is dropped. So are the answers about a volume that has changed since, and all
    of them when a question is about another volume.

    Args:
        make_task: makes a task that answers requests about a volume.
        failed: called with what went wrong instead of giving an answer, and the kind of question.
        changed: called when there is another number of questions.
    """

    def __init__(
        self,
        make_task: Callable[[Volume], Task],
        failed: Callable[[Exception, str], None],
        changed: Callable[[], None],
    ) -> None:
        self._make_task, self._failed, self._changed = make_task, failed, changed
        self._job: Job | None = None
        self._source: slicer.vtkMRMLScalarVolumeNode | None = None
        self._state: object = None
        self._asked: _Question | None = None
        self._waiting: list[_Question] = []

    @property
    def open(self) -> set[str]:
        """The kinds of questions that are not yet answered."""
        questions = [*self._waiting, *([self._asked] if self._asked else [])]
        return {one.kind for one in questions if one.then}

    def ask(
        self,
        kind: str,
        source: slicer.vtkMRMLScalarVolumeNode,
        request: object,
        then: Callable[[Any], None],
    ) -> None:
        """Ask something.

        Args:
            kind: of question.
            source: what it is about.
            request: as the task takes it.
            then: called with the answer, on the main thread.

        Raises:
            VolumeError: if the node has no volume.
        """
        volume = nodes.volume_from_node(source)
        state = _state(source, volume)
        if self._job is None or state != self._state:
            self.end()
            self._source, self._state = source, state
            self._job = job = Job(
                self._make_task(volume),
                answered=slots.reporting(self._on_answer),
                finished=slots.reporting(lambda outcome: self._on_finished(job, outcome)),
            )
            job.deliver_by_timer()
        self.drop(kind)
        self._waiting.append(_Question(kind, request, then))
        self._go_on()

    def drop(self, kind: str) -> None:
        """Give up what was asked of this kind."""
        self._waiting = [one for one in self._waiting if one.kind != kind]
        if self._asked and self._asked.kind == kind:
            self._asked.then = None
        self._changed()

    def end(self) -> None:
        """Give up whatever was asked, and end the child process."""
        job, self._job = self._job, None
        self._asked, self._waiting = None, []
        if job:
            job.cancel()
            self._changed()

    def _go_on(self) -> None:
        if self._job and self._waiting and not self._asked:
            self._asked = self._waiting.pop(0)
            self._job.send(self._asked.request)
        self._changed()

    def _on_answer(self, answer: Any) -> None:
        question, self._asked = self._asked, None
        assert question  # or there would be no answer
        if self._is_stale():
            self.end()
            changed = _("The volume has changed since this was asked. Do it once more.")
            self._failed(VolumeError(changed), question.kind)
            return
        try:
            if question.then and isinstance(answer, Exception):
                self._failed(answer, question.kind)
            elif question.then:
                question.then(answer)
        finally:
            self._go_on()

    def _on_finished(self, job: Job, outcome: Outcome) -> None:
        if job is not self._job:
            return  # it was ended, and nobody waits for it
        questions, self._job = [self._asked, *self._waiting], None
        self._asked, self._waiting = None, []
        self._changed()
        for question in questions:
            if question and question.then and outcome.error:
                self._failed(outcome.error, question.kind)
                break

    def _is_stale(self) -> bool:
        if not slicer.mrmlScene.IsNodePresent(self._source):
            return True
        return _state(self._source, nodes.volume_from_node(self._source)) != self._state


def _state(source: slicer.vtkMRMLScalarVolumeNode, volume: Volume) -> object:
    """What is another as soon as the node's voxels change, or where they lie."""
    image, axes = source.GetImageData(), volume.in_plane_axes.tolist()
    geometry = (volume.slice_origins.tolist(), volume.pixel_spacing, axes)
    return image, image.GetMTime(), geometry
