"""Where a training is: everything beside the tensors that a checkpoint has to hold."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from palpate.hardening.contracts import EpochRow


@dataclass
class Sums:
    """What is summed over the batches of an epoch.

    Attributes:
        loss: of all images.
        images: their number.
        answers: training loss of the answers for the crafted images of the last batches, summed over images.
        constant: training loss of constant answers for the same images.
        compared: their number.
        slope: the largest norm of the weights' gradient.
        seconds: of this epoch.
    """

    loss: float = 0.0
    images: int = 0
    answers: float = 0.0
    constant: float = 0.0
    compared: int = 0
    slope: float = 0.0
    seconds: float = 0.0

    def add(self, loss: float, slope: float, answers: float, constant: float, images: int) -> None:
        """Add a batch, given the means over its images; NaN where answers were not compared."""
        self.loss += loss * images
        self.images += images
        self.slope = max(self.slope, slope)
        if math.isfinite(answers) and math.isfinite(constant):
            self.answers += answers * images
            self.constant += constant * images
            self.compared += images

    @property
    def mean(self) -> float:
        """Mean loss of the images so far."""
        return self.loss / self.images if self.images else float("nan")


@dataclass
class State:
    """Where a training is.

    Attributes:
        epoch: the epoch that is trained now, from 1.
        batch: its finished batches.
        reduction: what rollbacks made of the learning rate, from 1.
        fallen_back: whether the recipe is the fallback.
        rollbacks: rollbacks because of the clean floor, or of catastrophic overfitting under the fallback.
        failures: rollbacks because of NaN or infinity.
        below: epochs in a row below the clean floor.
        since: the epoch whose weights this stretch of training started from; overfitting is looked for from there.
        begun: the first epoch of this stretch.
        learnt: an epoch at the full budget has learnt something.
        best: the chosen epoch.
        last: the epoch that a failed one goes back to.
        finished: nothing is left to do.
        sums: of the epoch that is trained now.
        rows: the finished epochs.
        events: all that happened, in sentences.
        pending: those of the epoch that is trained now.
    """

    epoch: int = 1
    batch: int = 0
    reduction: float = 1.0
    fallen_back: bool = False
    rollbacks: int = 0
    failures: int = 0
    below: int = 0
    since: int = 0
    begun: int = 1
    learnt: bool = False
    best: int = 0
    last: int = 0
    finished: bool = False
    sums: Sums = field(default_factory=Sums)
    rows: list[EpochRow] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)

    def happened(self, event: str) -> None:
        """Note an event of the current epoch."""
        self.events.append(event)
        self.pending.append(event)

    def described(self) -> dict[str, Any]:
        """Plain values, as a checkpoint keeps them."""
        found = asdict(self)
        found["rows"] = [tuple(row) for row in self.rows]
        return found

    @classmethod
    def restored(cls, described: dict[str, Any]) -> State:
        """From what a checkpoint keeps."""
        rows = [EpochRow(*row) for row in described["rows"]]
        return cls(**{**described, "rows": rows, "sums": Sums(**described["sums"])})
