"""Attacks in turn: who sees which samples, what each stage costs, and models without a gradient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from palpate.attacks.ascent import Ascent
from palpate.attacks.cascade.stages import Cascade, Stage
from palpate.attacks.cascade.strongest import strongest
from palpate.attacks.curve import curve
from palpate.attacks.noise import RandomNoise
from palpate.attacks.objectives import Margin, TowardsRank
from palpate.attacks.square import Square
from palpate.attacks.steps import Fixed
from palpate.contracts import ObjectiveInputs
from palpate.errors import InputError, NoGradientError
from palpate.tasks.classification import Classification
from palpate.tasks.goals import Towards, Untargeted
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import L1, Linf
from palpate.victim import Victim

BOUNDS = (0.0, 255.0)
THREAT = Linf(4.0)
UNTARGETED = Untargeted()
IMAGES = torch.full((4, 1, 4, 4), 100.0)
LABELS = torch.zeros(4, dtype=torch.int64)


class Offsets(nn.Module):
    """Class 1 wins once the mean rises by the sample's own offset; a sample is known by its first pixel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rise = x[:, 0, 1:].mean((1, 2)) - 100
        return torch.stack([x[:, 0, 0, 0] / 10, rise], 1)


def victim(module: nn.Module | None = None) -> Victim:
    return Victim(module or Offsets(), BOUNDS)


def images(*offsets: float) -> torch.Tensor:
    made = IMAGES[: len(offsets)].clone()
    made[:, 0, 0, 0] = torch.tensor(offsets) * 10
    return made


def climb(steps: int, size: float) -> Ascent:
    return Ascent(THREAT, steps, Margin(), step=Fixed(size), random_start=False)


SHORT = Stage("short", climb(1, 0.5))
LONG = Stage("long", climb(4, 0.5))
BLIND = Stage("blind", RandomNoise(THREAT, 3), gradient=False)


def run(cascade: Cascade, module: nn.Module | None = None, given: torch.Tensor | None = None):
    clean = images(0.5, 1.5, 3, 9) if given is None else given
    return cascade(victim(module), Classification(2), clean, LABELS, generator=torch.Generator().manual_seed(0))


def test_each_stage_sees_what_is_left_and_its_costs_are_its_own() -> None:
    result = run(Cascade(THREAT, (SHORT, LONG, BLIND)))
    assert result.success.tolist() == [True, True, True, False]
    assert result.stages is not None
    assert result.stages.won.tolist() == [0, 0, 1, -1]
    assert (result.stages.forwards > 0).tolist() == [
        [True, False, False],
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert torch.equal(result.stages.forwards.sum(1), result.forwards)
    assert torch.equal(result.stages.backwards.sum(1), result.backwards)
    assert result.stages.backwards[3].tolist() == [1, 4, 0]


def test_of_the_images_that_did_not_win_the_best_one_is_kept() -> None:
    found = run(Cascade(THREAT, (LONG, SHORT)))
    alone = LONG.attack(victim(), Classification(2), images(0.5, 1.5, 3, 9), LABELS)  # type: ignore[operator]
    assert torch.equal(found.images[3], alone.images[3]) and found.margin[3] == alone.margin[3]


def test_run_to_end_gives_every_sample_to_every_stage() -> None:
    ended = Stage("short", replace(SHORT.attack, run_to_end=True)), Stage("long", replace(LONG.attack, run_to_end=True))  # type: ignore[type-var]
    result = run(Cascade(THREAT, ended, run_to_end=True))
    assert result.stages is not None and (result.stages.forwards > 0).all()
    stopped = run(Cascade(THREAT, (SHORT, LONG)))
    assert stopped.stages is not None and result.stages.won.tolist() == stopped.stages.won.tolist() == [0, 0, 1, -1]
    # The image is the best of all stages, also where a cheaper stage had won.
    assert result.margin[0] < stopped.margin[0]


class Detached(Offsets):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.detach())


def test_without_a_gradient_the_other_stages_run() -> None:
    result = run(Cascade(THREAT, (SHORT, LONG, BLIND)), Detached())
    assert result.stages is not None and result.stages.forwards[:, :2].sum() == 0 and result.backwards.sum() == 0
    with pytest.raises(NoGradientError, match=r"none of its stages \(short, long\) can run"):
        run(Cascade(THREAT, (SHORT, LONG)), Detached())


class Ledge(nn.Module):
    """Flat at the clean image and sloped away from it; never beaten."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rise = (x[:, 0] - 101).relu().sum((1, 2))
        return torch.stack([torch.full_like(rise, 1e6), rise], 1)


def test_a_gradient_is_blocked_if_it_is_in_every_stage_that_follows_one() -> None:
    flat, sloped = climb(1, 0.5), replace(climb(1, 0.5), random_start=True)

    def blocked(*attacks: Ascent) -> list[bool]:
        stages = [Stage(str(place), attack) for place, attack in enumerate(attacks)]
        return list(
            run(Cascade(THREAT, (BLIND, *stages, replace(BLIND, name="end"))), Ledge()).blocked_gradient.tolist()
        )

    assert blocked(flat) == blocked(flat, flat) == [True] * 4
    assert blocked(flat, sloped) == blocked(sloped, flat) == [False] * 4


@pytest.mark.parametrize("order", ["rising", "bisect", "each"])
def test_passes_of_stages_add_up_at_every_budget(order) -> None:
    budgets = curve(
        Cascade(THREAT, (SHORT, LONG, BLIND)), victim(), Classification(2), images(0.5, 1.5, 3, 9), LABELS,
        [1.0, 2.0, 4.0], order=order, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    for budget in budgets:
        stages = budget.result.stages
        assert stages is not None
        assert torch.equal(stages.forwards.sum(1), budget.result.forwards)
        assert torch.equal(stages.backwards.sum(1), budget.result.backwards)
        assert torch.equal(stages.won >= 0, budget.result.success)


def test_a_rank_is_of_the_clean_image_among_the_classes_of_the_goal() -> None:
    outputs, clean = torch.tensor([[1.0, 4.0, 2.0, 3.0]]), torch.tensor([[9.0, 2.0, 5.0, 7.0]])

    def value(rank: int, goal: Untargeted | Towards = UNTARGETED) -> float:
        task = Classification(4, goal)
        inputs = ObjectiveInputs(
            IMAGES[:1], IMAGES[:1], IMAGES[:1], outputs, clean, LABELS[:1], task, 0.0, lambda x: x, lambda x: x
        )
        return float(TowardsRank(rank).value(inputs))

    assert [value(rank) for rank in range(3)] == [2.0, 1.0, 3.0]  # classes 3, 2, 1 minus class 0
    assert value(7) == value(2)
    assert value(0, Towards((1, 2))) == 2.0 - 3.0  # class 2 leads the goal; 3 is the best that stays
    with pytest.raises(InputError, match="rank: -1 must be 0 or more"):
        TowardsRank(-1)


def test_which_stages_run() -> None:
    stages = {stage.name: stage for stage in strongest(THREAT).stages}
    two, twelve = Classification(2), Classification(12)
    assert [name for name, stage in stages.items() if stage.applies(two, "linf")] == [
        "margin",
        "smallest change",
        "square",
    ]
    ranks = [name for name, stage in stages.items() if stage.applies(twelve, "l1")]
    assert ranks[:2] == ["margin", "class of rank 2"]
    assert len(ranks) == 14
    assert ranks[-4:] == ["cross-entropy", "smallest change", "other starts", "square"]
    assert "class of rank 3" not in [name for name, one in stages.items() if one.applies(Classification(3), "linf")]
    assert "cospgd" in [name for name, stage in stages.items() if stage.applies(MultiLabel(3), "linf")]
    masks = [name for name, stage in stages.items() if stage.applies(Segmentation(1), "linf")]
    assert masks == ["dice", "pieces", "loss", "more steps", "smallest change", "square"]
    assert Stage("one", Square(THREAT), norms=("l2",)).applies(two, "l2")
    assert isinstance(strongest(L1(3.0)).stages[0].attack.threat, L1)
    assert stages["other starts"].attack.restarts == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("stages", [(), (SHORT, SHORT)])
def test_stages_need_different_names(stages) -> None:
    with pytest.raises(InputError, match="Give at least one, each with a name of its own"):
        Cascade(THREAT, stages)
