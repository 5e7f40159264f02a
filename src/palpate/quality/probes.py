"""The probes, in their order: each attacks the images that the plan's attacks and the probes before it left."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.attacks.budgets import at
from palpate.attacks.square import Square
from palpate.attacks.steps import Fixed
from palpate.contracts import Attack, Limits, Task, Threat
from palpate.quality.agreement import PAIRS, agreement
from palpate.quality.estimated import Estimated
from palpate.quality.surrogate import Surrogate
from palpate.seeds import derive
from palpate.streams import Streams
from palpate.tensors import Tree, take
from palpate.victim import Victim

AGREES = "gradient check"
STEPS, STARTS, WEAK, BLURRED = "more steps", "more starts", "noise and one step", "blurred surrogate"
ESTIMATED, FREE, LARGE = "estimated gradients", "gradient-free search", "large radius"
PROBES = (AGREES, STEPS, STARTS, WEAK, BLURRED, ESTIMATED, FREE, LARGE)
"""Names as stored in run folders, in their order."""
LEAST_STEPS, TIMES, MORE_STARTS, QUERIES = 60, 3, 3, 250
EXPLAINED = 0.1
"""A gradient that explains less than this of the outputs' changes does not describe the model."""


@dataclass(frozen=True)
class Setting:
    """What the probes need to know of an audit.

    Attributes:
        base: the plan's strongest gradient attack; None for a model that gives no gradient.
        threat: the plan's threat, at the budget of the probes.
        extent: highest minus lowest stored value.
        name: of the base attack, for the report.
        done: probes that are left out, because an attack of the plan had done the same on these images.
    """

    base: Attack | None
    threat: Threat
    extent: float
    name: str = ""
    done: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probed:
    """The outcome of one probe.

    Attributes:
        probe: one of `PROBES`.
        attack: what was run, in words.
        tried: positions in the batch of the images that it attacked.
        won: those that it beat.
        forwards: forward passes of all of them.
        backwards: backward passes of all of them.
    """

    probe: str
    attack: str
    tried: tuple[int, ...]
    won: tuple[int, ...]
    forwards: int
    backwards: int


def probe(
    setting: Setting,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Tree,
    seeds: Sequence[int],
    limits: Limits | None = None,
    said: Callable[[str], None] = lambda name: None,
) -> list[Probed]:
    """Run all probes on images that nothing beat. An image that a probe beats is not given to the next ones.

    The large radius is the exception: every image is tried, because nothing small has to win there.

    Args:
        setting: the audit's strongest attack, threat and range.
        victim: the model.
        task: what outputs mean, with the attacks' goal.
        images: (B, C, *spatial) of one shape.
        targets: their annotations.
        seeds: one per image.
        limits: what confines their change.
        said: called with the name of each probe before it runs.
    """
    left = torch.arange(len(images))
    found = []
    if setting.base is not None:
        found.append(_checked(setting, victim, task, images, targets, seeds, limits))
    for name, words, attacks in _made(setting, images[0].numel()):
        rows = torch.arange(len(images)) if name == LARGE else left
        if not len(rows):
            continue
        said(name)
        won = torch.zeros(len(rows), dtype=torch.bool)
        forwards = backwards = 0
        for number, attack in enumerate(attacks):
            open_rows = rows[~won]
            if not len(open_rows):
                break
            on = open_rows.to(images.device)
            result = attack(
                victim,
                task,
                images[on],
                task.take(targets, on),
                generator=Streams([derive(seeds[row], name, number) for row in open_rows.tolist()]),
                limits=take(limits, on),
            )
            won[~won] = result.success.cpu()
            forwards, backwards = forwards + int(result.forwards.sum()), backwards + int(result.backwards.sum())
        found.append(Probed(name, words, tuple(rows.tolist()), tuple(rows[won].tolist()), forwards, backwards))
        if name != LARGE:
            left = rows[~won]
    return found


def _checked(
    setting: Setting,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Tree,
    seeds: Sequence[int],
    limits: Limits | None,
) -> Probed:
    """All images count as won if their outputs change otherwise than the gradients say."""
    streams = Streams([derive(seed, AGREES) for seed in seeds])
    with victim:
        explained = agreement(victim, task, images, targets, setting.threat, streams, limits)
    rows = tuple(range(len(images)))
    won = rows if explained < EXPLAINED else ()
    words = "the gradient compared with differences of outputs"
    return Probed(AGREES, words, rows, won, len(images) * (1 + 2 * PAIRS), len(images))


def planned(setting: Setting) -> int:
    """Forward plus backward passes of all probes on one image, if none beats it before the large radius does."""
    total = 2 * (1 + PAIRS) if setting.base is not None else 0
    for name, _, attacks in _made(setting, 1):
        total += sum(_passes(attack) for attack in attacks[: 1 if name == LARGE else None])
    return total


def _passes(attack: Any) -> int:
    """Passes of one attack of a probe on an image that it does not beat."""
    if isinstance(attack, Ascent):
        return (attack.restarts * (2 * attack.steps + 1)) + 1
    if isinstance(attack, Surrogate):
        return 2 * attack.steps + 2
    if isinstance(attack, Estimated):
        return attack.steps * (2 * attack.pairs + 1) + 1
    return int(getattr(attack, "queries", getattr(attack, "tries", LEAST_STEPS)))


def _made(setting: Setting, values: int) -> Iterator[tuple[str, str, list[Any]]]:
    """Name, words and attacks of each probe that has to be made, for images of so many values."""
    return (one for one in _allowed(setting, values) if one[0] not in setting.done)


def _allowed(setting: Setting, values: int) -> Iterator[tuple[str, str, list[Any]]]:
    """Those that this model and threat allow."""
    base, threat = setting.base, setting.threat
    if base is not None:
        climb = base if isinstance(base, Ascent) else recipes.apgd_margin(threat)
        climb, name = replace(climb, threat=threat), setting.name if isinstance(base, Ascent) else "apgd-margin"
        long, starts = longer(climb), replace(climb, random_start=True, restarts=MORE_STARTS, robust_to=())
        yield STEPS, f"{name} with {long.steps} steps", [long]
        yield STARTS, f"{name} from {MORE_STARTS} random starts", [starts]
        yield WEAK, "10 random images and one full step", [recipes.noise(threat), recipes.fgsm(threat)]
        yield BLURRED, "40 steps on the model behind a blur", [Surrogate(threat)]
    yield ESTIMATED, "a climb along differences of outputs", [Estimated(threat)]
    search = Square(threat, QUERIES)
    yield FREE, f"square with {QUERIES} queries", [search]
    if not getattr(threat, "region", ""):
        radius = largest(threat.norm, setting.extent, values)
        far = base if base is not None else search
        again = [recipes.apgd_margin(at(search, radius).threat, steps=LEAST_STEPS, restarts=2)] if base else []
        yield LARGE, f"{setting.name or 'square'} at eps {radius:g}", [at(far, radius), *again]


def longer(climb: Ascent) -> Ascent:
    """The same climb with three times the steps, at least 60, each short enough to settle."""
    steps = max(TIMES * climb.steps, LEAST_STEPS)
    rule = climb.step
    if isinstance(rule, Fixed):
        # A step that is too short to cross the ball is one way to stop early; one that is too long is another.
        rule = recipes.fixed(None, steps)
    return replace(climb, steps=steps, step=rule, robust_to=())


def largest(norm: str, extent: float, values: int) -> float:
    """The radius of a ball that contains a plain grey image: half the range at every value."""
    per: Callable[[int], float] = {"linf": lambda count: 1.0, "l2": math.sqrt, "l1": float}[norm]
    return extent / 2 * per(values)
