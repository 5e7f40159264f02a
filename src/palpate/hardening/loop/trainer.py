"""Train a model against attacks, or go on where a training was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from palpate.audit.subject.machine import repeatable
from palpate.hardening.contracts import Course, Trained
from palpate.hardening.loop.checkpoint import Checkpoint
from palpate.hardening.loop.interrupts import Interrupts
from palpate.hardening.loop.learner import trainable
from palpate.hardening.loop.progress import Progress, Silence
from palpate.hardening.loop.training import Training
from palpate.hardening.loop.weights import left_as_found
from palpate.hardening.trainable import require_trainable

CHECKPOINT = "checkpoint"
"""Folder of the checkpoint, in that of the training."""
EVERY = 120.0
"""Seconds between two checkpoints inside an epoch."""


def train(
    course: Course,
    folder: Path,
    progress: Progress | None = None,
    *,
    identity: Mapping[str, str] | None = None,
    every: float = EVERY,
) -> Trained:
    """Carry out a training, or continue it; a finished one is given back at once.

    Each step crafts on the bare module in evaluation mode and trains through the wrapped one in training mode. After
    each epoch `course.examiner` scores the averaged weights, or the weights themselves if `settings.average` is 0. The
    best epoch has the highest robust score among those whose clean score is not below the floor. The module is
    afterwards as it was before; the chosen weights are in the result.

    Killed at any moment, the next call with the same course goes on from `folder/checkpoint` and gives the same
    weights, byte for byte, on the same machine. Ctrl-C and SIGTERM end it at the next batch, with a checkpoint.

    Args:
        course: everything that decides the training.
        folder: where the checkpoint is kept, in `checkpoint/`.
        progress: is called as the training proceeds.
        identity: more that decides it, by names that a sentence can use, such as a digest of the training table.
        every: seconds between two checkpoints inside an epoch; one is written at the end of each epoch anyway.

    Returns:
        The chosen weights and all epochs; `finished` is False if the training was interrupted.

    Raises:
        InputError: the model cannot be trained, or the loss does not depend on its weights.
        StorageError: the disk is full, or the checkpoint is damaged or that of another training.
    """
    module = course.victim.module
    require_trainable(module)
    place = next(module.parameters()).device
    cuda = [place] if place.type == "cuda" else []
    with left_as_found(module), torch.random.fork_rng(cuda), repeatable(place), Interrupts() as interrupts:
        training = Training(course, trainable(module), Checkpoint(folder / CHECKPOINT), progress or Silence(), every)
        training.open(dict(identity or {}))
        while not (training.state.finished or interrupts.asked):
            training.epoch(interrupts)
        if not training.state.finished:
            training.say_where_it_stopped()
        return training.result()
