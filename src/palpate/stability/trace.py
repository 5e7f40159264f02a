"""The trace of an attack: what happened at each step, for each start and each image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.contracts import Attack, AttackResult, Limits, Task
from palpate.errors import InputError
from palpate.seeds import derive
from palpate.stability.path import path, products
from palpate.stability.terms import Terms
from palpate.stability.watch import Recorder
from palpate.streams import Streams
from palpate.tensors import Tree
from palpate.victim import Victim

COLUMNS = (
    "margin",
    "value",
    "loss",
    "penalty",
    "kl_smoothed",
    "kl_final",
    "kl_clean",
    "cos_step",
    "cos_final",
    "linf",
    "l2",
    "plane_x",
    "plane_y",
)
"""The columns of a trace per step, named and defined as in `palpate.storage.traces.TraceRow`."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The steps of an attack on a batch, per start and sample, on the CPU.

    The columns are (starts, B, T + 1) float64, at t = 0 .. T, defined in `storage.traces.TraceRow`.
    Samples that are not eligible are NaN throughout.

    Attributes:
        steps: T.
        draws: whether the attack drew random numbers. If not, all starts are the same and only one was run.
        eligible: (B,) bool, the goal applies and the clean margin is above 0.
        plane_share: (starts, B), share of |d_T|^2 that is in the plane of `plane_x` and `plane_y`.
        last: (starts, B, C, *spatial), the final changes d_T in values.
        results: the result of the attack, per start.
    """

    steps: int
    draws: bool
    eligible: Tensor
    margin: Tensor
    value: Tensor
    loss: Tensor
    penalty: Tensor
    kl_smoothed: Tensor
    kl_final: Tensor
    kl_clean: Tensor
    cos_step: Tensor
    cos_final: Tensor
    linf: Tensor
    l2: Tensor
    plane_x: Tensor
    plane_y: Tensor
    plane_share: Tensor
    last: Tensor
    results: tuple[AttackResult, ...]


@dataclass(frozen=True, eq=False)
class _Start:
    """One start, without the axis of starts."""

    columns: dict[str, Tensor]
    plane_share: Tensor
    last: Tensor
    result: AttackResult


def trace(
    attack: Attack,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Tree,
    *,
    generator: torch.Generator | Streams | None = None,
    limits: Limits | None = None,
    starts: int = 1,
    smoothed: bool = False,
) -> Trace:
    """Run an attack to its end and keep what happens at each step, without changing the attack.

    Every sample runs all steps of one start (`run_to_end=True, restarts=1`), so that curves have one length. Without
    `smoothed` there are no passes in addition to those of the attack. While a start runs, (T + 1) times the attacked
    images and the model's outputs for them are held.

    Args:
        attack: a gradient ascent.
        victim: the model under test.
        task: the meaning of its outputs, and the attack's goal.
        images: clean images (B, C, *spatial) in stored values; never written to.
        targets: targets as the task expects them.
        generator: source of randomness. The first start is the one that the attack alone would make with it; the
            others have separate numbers, derived from the seeds of the first.
        limits: limits of the change of each image, for threats that obey them.
        starts: independent starts; an attack that draws no random numbers is run once, and its start repeated.
        smoothed: also show the smoothed image to the model (`kl_smoothed`), at one forward pass a step.

    Raises:
        InputError: an attack without gradients, `starts` below 1, or an error of the attack.
    """
    if not isinstance(attack, Ascent):
        raise InputError(
            f"attack: {type(attack).__name__} is not a gradient ascent, so it has no steps to trace. "
            "Use a gradient attack such as pgd, apgd-margin or smia."
        )
    if starts < 1:
        raise InputError(f"starts: {starts} must be at least 1.")
    attack = replace(attack, run_to_end=True, restarts=1)
    streams = Streams.of(generator, len(images))
    before = streams.places()
    seen = [_start(attack, victim, task, images, targets, streams, limits, smoothed)]
    draws = any(not torch.equal(one, other) for one, other in zip(before, streams.places(), strict=True))
    for number in range(1, starts):
        own = Streams([derive(seed, "start", number) for seed in streams.seeds])
        seen.append(_start(attack, victim, task, images, targets, own, limits, smoothed) if draws else seen[0])
    return _joined(attack.steps, draws, seen)


def _start(
    attack: Ascent,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Tree,
    streams: Streams,
    limits: Limits | None,
    smoothed: bool,
) -> _Start:
    """One start, from its first iterate to its last."""
    recorder = Recorder(Terms(attack), smoothed)
    result = attack(victim, task, images, targets, generator=streams, limits=limits, watcher=recorder)
    shape = (len(images), attack.steps + 1)
    columns = {name: torch.full(shape, torch.nan, dtype=torch.float64) for name in COLUMNS}
    share = torch.full(shape[:1], torch.nan, dtype=torch.float64)
    last = torch.full(images.shape, torch.nan, dtype=images.dtype)
    if (end := recorder.last) is not None:
        rows = end.rows.cpu()
        inner, largest = products(recorder.images, end.clean)
        course = path(inner)
        for name, values in (recorder.columns | recorder.agreements()).items():
            columns[name][rows] = torch.stack(values, 1).double().cpu()
        for name in ("l2", "cos_step", "cos_final", "plane_x", "plane_y"):
            columns[name][rows] = getattr(course, name).cpu()
        columns["linf"][rows] = largest.cpu()
        share[rows] = course.plane_share.cpu()
        last[rows] = (end.images - end.clean).cpu()
    return _Start(columns, share, last, result)


def _joined(steps: int, draws: bool, seen: list[_Start]) -> Trace:
    """All starts side by side."""
    return Trace(
        steps=steps,
        draws=draws,
        eligible=seen[0].result.eligible.cpu(),
        **{name: torch.stack([start.columns[name] for start in seen]) for name in COLUMNS},
        plane_share=torch.stack([start.plane_share for start in seen]),
        last=torch.stack([start.last for start in seen]),
        results=tuple(start.result for start in seen),
    )
