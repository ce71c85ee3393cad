"""The stability guard: what keeps a training from blowing up, and what is done if it does."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Guard:
    """Each part can be switched off."""

    clip_norm: float | None = 1.0
    """Gradients are scaled down to this norm; None: never."""
    warm_up_steps: int = 200
    """The learning rate rises linearly over so many steps; 0: at once."""
    ramp_from_step: int = 300
    """Similarity comes in from this step on, the pixel term before."""
    ramp_steps: int = 500
    """Over so many steps; 0: similarity is there from the first step."""
    skip: bool = True
    """Steps whose gradient is not finite, or whose loss is out of all proportion, are left out."""
    spike: float = 20.0
    """Out of proportion: so many times the running mean of the loss."""
    rollback_after: int = 5
    """After so many bad steps in a row go back to the averaged weights; 0: never."""
    rollback_rate: float = 0.5
    """The learning rate is multiplied by this at every rollback."""

    def warm_up(self, step: int) -> float:
        """0…1, the part of the learning rate that is reached at `step`."""
        return min(1.0, (step + 1) / self.warm_up_steps) if self.warm_up_steps else 1.0

    def ramp(self, step: int) -> float:
        """0…1, how far similarity has come in at `step`."""
        if not self.ramp_steps:
            return 1.0
        return min(1.0, max(0.0, (step - self.ramp_from_step) / self.ramp_steps))


UNGUARDED = Guard(clip_norm=None, warm_up_steps=0, ramp_steps=0, skip=False, rollback_after=0)
"""Everything off."""


class Watch:
    """Judges every step of a run by the guard and counts what happened."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.not_finite = 0
        """Steps whose loss or gradient was not finite."""
        self.skipped = 0
        self.rollbacks = 0
        self.rate = 1.0
        """What the learning rate is multiplied by, after rollbacks."""
        self._in_a_row = 0
        self._usual_loss: float | None = None

    def judge(self, loss: float, gradient_norm: float) -> str:
        """'step', 'skip' or 'rollback': what to do with this gradient."""
        finite = math.isfinite(loss) and math.isfinite(gradient_norm)
        self.not_finite += not finite
        if not self.guard.skip:
            return "step"
        usual = self._usual_loss
        if finite and (usual is None or abs(loss) <= self.guard.spike * abs(usual)):
            self._usual_loss = loss if usual is None else 0.98 * usual + 0.02 * loss
            self._in_a_row = 0
            return "step"
        self.skipped += 1
        self._in_a_row += 1
        if self.guard.rollback_after and self._in_a_row >= self.guard.rollback_after:
            self._in_a_row = 0
            self._usual_loss = None
            self.rollbacks += 1
            self.rate *= self.guard.rollback_rate
            return "rollback"
        return "skip"

    def state(self) -> dict[str, object]:
        """For a checkpoint."""
        return {name: value for name, value in vars(self).items() if name != "guard"}

    def restore(self, state: dict[str, object]) -> None:
        """From a checkpoint."""
        vars(self).update(state)
