"""What a training reports while it runs; the command line shows it."""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

from palpate.hardening.contracts import EpochRow


class News(NamedTuple):
    """After a step of the training.

    Attributes:
        epoch: from 1.
        batch: finished batches of this epoch.
        loss: mean loss of the epoch until now.
        pace: images per second.
        left: seconds until the end, as far as known.
    """

    epoch: int
    batch: int
    loss: float
    pace: float
    left: float


class Progress(Protocol):
    """Is called as a training proceeds."""

    def start(self, epochs: int, batches: int) -> None:
        """The training begins or goes on: so many epochs of so many batches."""

    def step(self, news: News) -> None:
        """A batch was trained on."""

    def epoch(self, row: EpochRow) -> None:
        """An epoch was examined; 0 is the model before training."""

    def message(self, text: str) -> None:
        """A sentence for the user."""


class Silence:
    """Shows nothing."""

    def start(self, epochs: int, batches: int) -> None:
        """Nothing."""

    def step(self, news: News) -> None:
        """Nothing."""

    def epoch(self, row: EpochRow) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""


class Clock:
    """Seconds of this process: of batches and of examinations, for the time left."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._training, self._batches, self._images = 0.0, 0, 0
        self._examining = 0.0

    def lap(self) -> float:
        """Seconds since the last call."""
        now = time.perf_counter()
        taken, self._last = now - self._last, now
        return taken

    def trained(self, images: int) -> float:
        """A batch was trained on; its seconds."""
        taken = self.lap()
        self._training, self._batches, self._images = self._training + taken, self._batches + 1, self._images + images
        return taken

    def examined(self) -> float:
        """A model was examined; its seconds."""
        self._examining = self.lap()
        return self._examining

    @property
    def pace(self) -> float:
        """Images per second of training."""
        return self._images / self._training if self._training else 0.0

    def left(self, batches: int, examinations: int) -> float:
        """Seconds that so many batches and examinations will take."""
        each = self._training / self._batches if self._batches else 0.0
        return batches * each + examinations * self._examining
