"""Several attacks in turn: the next one sees only the samples that those before it could not beat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from palpate.attacks.budgets import after, may_attack, merge
from palpate.contracts import Attack, AttackResult, Limits, StageCosts, Task, Threat
from palpate.errors import InputError, NoGradientError
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tasks.kinds import kind_of
from palpate.tensors import Tree, take
from palpate.victim import Victim
from palpate.victim.forms import is_opaque

__all__ = ["Cascade", "Stage"]


@dataclass(frozen=True)
class Stage:
    """One attack of a cascade, and when it runs.

    Attributes:
        name: what records and reports call it.
        attack: the attack; the cascade gives it its own threat.
        tasks: kinds of task that it is for; empty: all.
        without: kinds of task that it is not for.
        norms: norms that it is for; empty: all.
        choices: least number of decisions that fulfil the goal of a classification; with fewer the stage would repeat
            what another one does.
        gradient: whether it needs the model's gradient.
    """

    name: str
    attack: Attack
    tasks: tuple[str, ...] = ()
    norms: tuple[str, ...] = ()
    choices: int = 1
    gradient: bool = True
    without: tuple[str, ...] = ()

    def applies(self, task: Task, norm: str) -> bool:
        """Whether the stage runs on such a task in such a norm."""
        return (
            (not self.tasks or kind_of(task) in self.tasks)
            and kind_of(task) not in self.without
            and (not self.norms or norm in self.norms)
            and (
                self.choices <= 1
                or (isinstance(task, Classification) and task.goal.choices(task.classes) >= self.choices)
            )
        )


@dataclass(frozen=True)
class Cascade:
    """Attacks in turn, each on the samples that are still not beaten; the image of smallest margin counts.

    With S stages, sample i leaves after the first stage that beats it. `AttackResult.stages` says which stage beat it
    first, and what each stage spent. A stage that needs a gradient does not run on a model that
    gives none, nor under a budget of queries, which is for models that are asked for outputs; its costs are then zero.

    Attributes:
        threat: what the attack may do.
        stages: the attacks, the cheapest first.
        run_to_end: give every eligible sample to every stage; the image of smallest margin of all is returned.

    Raises:
        InputError: there is no stage, or two have one name.
    """

    threat: Threat
    stages: tuple[Stage, ...]
    run_to_end: bool = False

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) < len(names):
            raise InputError(f"stages: {', '.join(names) or 'none'}. Give at least one, each with a name of its own.")

    def __call__(
        self,
        victim: Victim,
        task: Task,
        images: Tensor,
        targets: Tree,
        *,
        generator: torch.Generator | Streams | None = None,
        start: Tensor | None = None,
        limits: Limits | None = None,
    ) -> AttackResult:
        """Attack `images` (B, C, *spatial) in stored values; see `palpate.contracts.Attack`.

        Raises:
            InputError: no stage is for this task and norm, or none can run on this model.
        """
        streams = Streams.of(generator, len(images))
        whole: AttackResult | None = None
        with victim:
            blind = is_opaque(victim.module) or (limits is not None and limits.queries is not None)
            for place, stage in enumerate(self.stages):
                left = limits if whole is None else after(limits, whole.forwards)
                rows = torch.arange(len(images), device=images.device) if whole is None else self._open(whole, left)
                if not len(rows):
                    break
                if not stage.applies(task, self.threat.norm) or (blind and stage.gradient):
                    continue
                try:
                    part = self._run(place, victim, task, images, targets, rows, streams, start, left)
                except NoGradientError:
                    blind = True
                    continue
                whole, start = (part if whole is None else _joined(whole, part, rows)), None
        if whole is None:
            raise NoGradientError(
                f"attack: none of its stages ({', '.join(stage.name for stage in self.stages)}) can run on this model "
                f"and task in {self.threat.norm}. Use an attack that needs no gradient: square, noise."
            )
        return whole

    def _open(self, whole: AttackResult, left: Limits | None) -> Tensor:
        going = whole.eligible & (~whole.success | self.run_to_end)
        return (going & may_attack(left, going)).nonzero().flatten()

    def _run(
        self,
        place: int,
        victim: Victim,
        task: Task,
        images: Tensor,
        targets: Tree,
        rows: Tensor,
        streams: Streams,
        start: Tensor | None,
        limits: Limits | None,
    ) -> AttackResult:
        """What one stage finds for some rows."""
        attack: Any = self.stages[place].attack
        found: AttackResult = replace(attack, threat=_of_rows(self.threat, rows))(
            victim,
            task,
            images[rows],
            task.take(targets, rows),
            generator=streams.take(rows),
            start=None if start is None else start[rows],
            limits=take(limits, rows),
        )
        costs = torch.zeros(2, len(rows), len(self.stages), dtype=torch.int64, device=rows.device)
        costs[0, :, place], costs[1, :, place] = found.forwards, found.backwards
        return replace(found, radius=None, stages=StageCosts(torch.where(found.success, place, -1), costs[0], costs[1]))


def _of_rows(threat: Threat, rows: Tensor) -> Threat:
    """The threat with the radii of some rows, where it has one for each sample."""
    if not isinstance(threat.eps, tuple):
        return threat
    eps = tuple(threat.eps[row] for row in rows.tolist())
    changed: Any = threat
    return replace(changed, eps=eps)  # type: ignore[no-any-return]


def _joined(whole: AttackResult, part: AttackResult, rows: Tensor) -> AttackResult:
    """The better image of both for each of `rows`, with the costs and the flags of both, and the first that won."""
    assert whole.stages is not None and part.stages is not None
    places = (part.margin < whole.margin[rows]).nonzero().flatten()
    merged = merge(whole, part, rows[places], places)
    sums = {name: getattr(whole, name).index_add(0, rows, getattr(part, name)) for name in ("forwards", "backwards")}
    flags = {
        name: getattr(whole, name).index_copy(0, rows, getattr(whole, name)[rows] | getattr(part, name))
        for name in ("zero_gradient", "non_finite")
    }
    # No gradient reaches a sample only if it reaches it in no stage that follows one.
    before, now = whole.blocked_gradient[rows], part.blocked_gradient
    both = (whole.backwards[rows] > 0) & (part.backwards > 0)
    blocked = torch.where(both, before & now, before | now)
    flags["blocked_gradient"] = whole.blocked_gradient.index_copy(0, rows, blocked)
    won = whole.stages.won
    stages = StageCosts(
        won.index_copy(0, rows, torch.where(won[rows] < 0, part.stages.won, won[rows])),
        whole.stages.forwards.index_add(0, rows, part.stages.forwards),
        whole.stages.backwards.index_add(0, rows, part.stages.backwards),
    )
    return replace(merged, **sums, **flags, stages=stages)
