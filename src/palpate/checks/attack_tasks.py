"""The contracts of an attack on masks, findings and boxes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from palpate.checks import victims
from palpate.checks.attack import Subject, scaled_radius
from palpate.checks.scenarios import LOST, SCENARIO_KINDS, SCENARIOS, Scenario
from palpate.checks.violation import require
from palpate.contracts import Attack, AttackResult, Threat
from palpate.streams import Streams
from palpate.tasks.masks.goals import Degrade, Erase
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import leaves
from palpate.victim import Victim


@dataclass(frozen=True, eq=False)
class Trial:
    """An attack on a scenario. The attack on the whole batch is run once for all contracts.

    Attributes:
        subject: the attack.
        scenario: what it attacks.
    """

    subject: Subject
    scenario: Scenario

    @cached_property
    def radii(self) -> tuple[float, ...]:
        """One radius per sample, so that some are beaten early and some never, not in the order of the batch."""
        return tuple(0.5 + 4.0 * ((3 * row) % 5) for row in range(len(self.scenario.images)))

    @cached_property
    def whole(self) -> tuple[AttackResult, tuple[int, int]]:
        """The attack on all samples, and the passes that the victim counted."""
        victim = self.scenario.victim
        forwards, backwards = victim.forwards, victim.backwards
        result = self.attack(torch.arange(len(self.scenario.images)))
        return result, (victim.forwards - forwards, victim.backwards - backwards)

    def attack(self, rows: Tensor) -> AttackResult:
        """The attack on some samples, each with the random numbers of its row."""
        scenario = self.scenario
        made = self.subject.like_linf(scenario.images, tuple(self.radii[row] for row in rows.tolist()))
        targets = scenario.task.take(scenario.targets, rows)
        return made(scenario.victim, scenario.task, scenario.images[rows], targets, generator=Streams(rows.tolist()))


def budget_and_box(trial: Trial) -> None:
    """Every returned image is in its own ball and in the box, and eligible images were changed."""
    result, _ = trial.whole
    low, high = float(result.images.min()), float(result.images.max())
    name = f"budget and box, {trial.scenario.name}"
    require(low >= 0 and high <= 255, name, f"values reach {low:g} to {high:g}")
    require(result.distance[result.eligible].any(), name, "no image was changed at all")
    if trial.subject.projected or trial.subject.own_threat:
        radii = scaled_radius(trial.subject.norms[0], result.images, trial.radii)
        allowed = torch.tensor(radii, dtype=torch.float64) * (1 + 1e-5) + 255e-6
        require((result.distance <= allowed).all(), name, f"{result.distance.tolist()} of {trial.radii}")


def success_is_rescoring(trial: Trial) -> None:
    """Success and margin are those of the returned images, and no margin is above that of the clean image."""
    (result, _), scenario = trial.whole, trial.scenario
    with scenario.victim, torch.no_grad():
        margin = scenario.task.margin(scenario.victim.judge(result.images), scenario.targets)
    name = f"success is re-scoring, {scenario.name}"
    require(torch.allclose(margin, result.margin, atol=1e-6), name, "margins differ")
    require(torch.equal(result.success, result.eligible & (result.margin <= 0)), name, "success")
    require((result.margin <= result.clean_margin).all(), name, "worse than the clean image")
    require(torch.equal(result.first_success >= 0, result.success), name, "step of first success")


def repeatable(trial: Trial) -> None:
    """The same seeds give the same bytes, and images and targets are not written to."""
    scenario, (result, _) = trial.scenario, trial.whole
    kept = [tensor.clone() for tensor in (scenario.images, *leaves(scenario.targets))]
    again = trial.attack(torch.arange(len(scenario.images)))
    name = f"repeatable, {scenario.name}"
    require(torch.equal(result.images, again.images), name, "one seed gave two results")
    same = all(torch.equal(a, b) for a, b in zip(kept, (scenario.images, *leaves(scenario.targets)), strict=True))
    require(same, name, "images or targets were written to")


def batch_is_one_by_one(trial: Trial) -> None:
    """Each sample gets the same result in a batch as alone, at the same cost."""
    result, _ = trial.whole
    name = f"batch is one by one, {trial.scenario.name}"
    for row in range(len(result)):
        alone = trial.attack(torch.tensor([row]))
        require(torch.allclose(result.images[row], alone.images[0], atol=1e-9), name, f"image {row} differs alone")
        counted = result.forwards[row] == alone.forwards[0] and result.backwards[row] == alone.backwards[0]
        require(counted, name, f"image {row} costs another number of passes alone")


def lost_samples(trial: Trial) -> None:
    """A sample that is already wrong is returned unchanged, is not a success, and costs one pass."""
    (result, _), scenario = trial.whole, trial.scenario
    name = f"lost samples, {scenario.name}"
    require(not result.eligible[LOST], name, "a clean error counts as eligible")
    require(result.eligible.any(), name, "no sample is eligible at all")
    lost = ~result.eligible
    require(
        torch.equal(result.images[lost], scenario.images[lost]), name, "an image that was already wrong was changed"
    )
    require(not result.success[lost].any(), name, "a clean error counts as a success")
    require((result.backwards[lost] == 0).all(), name, "passes were spent on a clean error")


def passes_are_counted(trial: Trial) -> None:
    """The passes in the result are those that the victim counted."""
    result, spent = trial.whole
    reported = (int(result.forwards.sum()), int(result.backwards.sum()))
    require(spent == reported, f"passes are counted, {trial.scenario.name}", f"{reported} in the result, {spent} spent")


ATTACK_TASK_CONTRACTS: dict[str, Callable[[Trial], None]] = {
    check.__name__: check
    for check in (
        budget_and_box,
        success_is_rescoring,
        repeatable,
        batch_is_one_by_one,
        lost_samples,
        passes_are_counted,
    )
}


def mask_oracle(subject: Subject, *, untargeted: bool = True, targeted: bool = True) -> None:
    """On a mask whose pixels change one by one nothing wins below the closed-form radius, and L-inf ascent just above.

    Of n counted pixels, all annotated, k must change so that Dice 2 (n - k) / (2n - k) is at most its floor of 0.5,
    or so that at most the share 0.05 is left; the radius is the k-th smallest offset.
    """
    if subject.own_threat or "linf" not in subject.norms:
        return
    offsets = (torch.arange(64, dtype=torch.float64).mul(37).remainder(64) + 1).reshape(1, 8, 8) / 8
    labels = torch.ones(2, 8, 8, dtype=torch.int64)
    labels[:, 2:4] = 255
    counted = offsets[0, labels[0] == 1].sort().values
    images = torch.full((2, 3, 8, 8), victims.LEVEL, dtype=torch.float64)
    goals: list[tuple[Degrade | Erase, float, bool]] = [
        (Degrade(), 2 / 3, untargeted),
        (Erase(0, left=0.05), 0.95, targeted),
    ]
    for goal, share, asked in goals:
        if not asked:
            continue
        exact = float(counted[math.ceil(share * len(counted) - 1e-9) - 1])
        victim, task = Victim(victims.PixelLinear(offsets), (0.0, 255.0)), Segmentation(1, goal=goal)
        name = f"mask oracle, {goal.describe()}"
        if subject.projected:
            below = subject.at("linf", exact * 0.999)(victim, task, images, labels)
            require(below.eligible.all(), name, "the clean masks are not counted as right")
            require(not below.success.any(), name, "won below the closed-form radius")
        if subject.gradient:
            above = subject.at("linf", exact * 1.001)(victim, task, images, labels)
            require(above.success.all(), name, f"lost at the closed-form radius: {above.margin.tolist()}")


def check_attack_on_tasks(
    make: Callable[[Threat], Attack],
    tasks: tuple[str, ...],
    *,
    gradient: bool = True,
    projected: bool = True,
    own_threat: bool = False,
    targeted_only: bool = False,
) -> None:
    """Check an attack on masks, findings or boxes against every contract, on the CPU, in seconds.

    Args:
        make: builds the attack from a threat; a few steps are enough.
        tasks: kinds that it claims to attack, among `multilabel`, `segmentation` and `detection`.
        gradient: it follows the model's gradient.
        projected: it stays inside the ball.
        own_threat: it uses the radius for its own threat.
        targeted_only: it needs a goal that says what the decision must become.

    Raises:
        ContractError: a contract is broken; the text names it.
    """
    subject = Subject(make, gradient=gradient, projected=projected, own_threat=own_threat)
    for name, (kind, targeted) in SCENARIO_KINDS.items():
        if kind in tasks and (targeted or not targeted_only):
            trial = Trial(subject, SCENARIOS[name]())
            for contract in ATTACK_TASK_CONTRACTS.values():
                contract(trial)
