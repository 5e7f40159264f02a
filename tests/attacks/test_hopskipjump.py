"""HopSkipJump: it sees decisions alone, comes near the optimum on paper, and keeps to its queries."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from palpate import catalog
from palpate.annotations import Boxes
from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.black_box.hopskipjump import HopSkipJump
from palpate.attacks.black_box.walk import Walk
from palpate.checks import victims
from palpate.checks.scenarios import boxes
from palpate.contracts import Limits
from palpate.errors import InputError, PlanError
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.ball import L1, L2, Linf
from palpate.threats.confined import Confined
from palpate.victim import Victim

BOUNDS = (0.0, 255.0)
BALLS = {"linf": Linf, "l2": L2}


class LabelOnly(nn.Module):
    """A network that gives its decision: 1 for the class, 0 for the others."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.inner(images)
        return nn.functional.one_hot(outputs.argmax(1), outputs.shape[1]).to(outputs)


def linear(norm: str, shape: tuple[int, ...], radius: float) -> tuple[Victim, Tensor, Tensor]:
    """A linear model that gives its decision alone, and whose images fall at this radius."""
    weights = torch.linspace(-1, 2, torch.Size(shape).numel(), dtype=torch.float64).reshape(shape) * 0.01
    dual = weights.abs().sum() if norm == "linf" else weights.norm()
    victim = Victim(LabelOnly(victims.Linear(weights, float(dual) * radius)), BOUNDS)
    return victim, torch.full((3, *shape), victims.LEVEL, dtype=torch.float64), torch.zeros(3, dtype=torch.int64)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("shape", [(1, 6, 6), (1, 4, 4, 4)])
def test_from_decisions_alone_it_comes_near_the_optimum_of_a_linear_model(norm, shape):
    radius = 20.0 if norm == "l2" else 5.0
    victim, images, labels = linear(norm, shape, radius)
    for near, wins in ((1.25, True), (0.999, False)):
        found = HopSkipJump(BALLS[norm](radius * near), queries=600)(victim, Classification(2), images, labels)
        assert bool(found.success.all()) == wins and bool(found.success.any()) == wins
        assert (found.forwards <= 601).all() and not found.backwards.any()


@pytest.mark.parametrize("norm", BALLS)
def test_scores_change_nothing(norm):
    images, network = victims.images(4).double(), victims.small_net().double()
    with Victim(network, BOUNDS) as victim:
        labels = victim.judge(images).argmax(1)
    radius = {"linf": 12.0, "l2": 90.0}[norm]
    attack = HopSkipJump(BALLS[norm](radius), queries=200)
    with_scores, alone = (
        attack(Victim(model, BOUNDS), Classification(4), images, labels, generator=Streams(range(4)))
        for model in (network, LabelOnly(network))
    )
    assert with_scores.success.any() and torch.equal(with_scores.success, alone.success)
    assert torch.equal(with_scores.forwards, alone.forwards)
    assert torch.equal(with_scores.images[alone.success], alone.images[alone.success])


def walk(threat, count: int = 1, limits: Limits | None = None) -> Walk:
    """A walk that stands 60 stored values beyond each of the images."""
    victim, images, labels = linear("l2", (1, 4, 4), 20.0)
    with victim:
        best = BestSoFar(victim, Classification(2), threat, images[:count], labels[:count], limits=limits)
    found = Walk(HopSkipJump(threat), best, torch.arange(count), Streams(range(count)))
    found.point = found.space.clean - 60.0
    found.distance = torch.full((count,), 240.0, dtype=torch.float64)
    return found


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("reached", [[True] * 6, [False] * 6, [True, False, True, True, True, False]])
def test_the_direction_is_the_published_estimate(norm, reached, monkeypatch):
    mine = walk(BALLS[norm](2.0))
    same = walk(BALLS[norm](2.0))
    at = torch.tensor([0])
    units = torch.stack([same._unit(at)[0] for _ in reached])
    assert torch.allclose(units.flatten(1).norm(dim=1), torch.ones(6, dtype=torch.float64))
    monkeypatch.setattr(mine, "_ask", lambda at, images: torch.tensor(reached))
    f = torch.tensor([1.0 if one else -1.0 for one in reached], dtype=torch.float64)
    weights = f if all(reached) or not any(reached) else f - f.mean()
    wanted = (weights.reshape(-1, 1, 1, 1) * units).mean(0)
    wanted = wanted.sign() if norm == "linf" else wanted / wanted.norm()
    assert torch.allclose(mine._direction(at, 6, first=False)[0], wanted, atol=1e-6)


def test_lengths_are_the_published_ones_unless_they_would_be_lost():
    at = torch.tensor([0])
    for threat in (L2(2.0), Linf(2.0)):
        mine = walk(threat)
        # 240 / 16 values; on the way back this is divided by 16 in L-inf, and by its root in L2.
        assert mine._reach(at).item() == 15.0
        assert mine._precision(at).item() == (15.0 / 16 if threat.norm == "linf" else 15.0 / 4)
        mine.distance[:] = 1e-6
        assert mine._reach(at).item() == pytest.approx(255 * 2.0**-14 * 4)
    steps = Limits(step=torch.tensor([7.0], dtype=torch.float64))
    stored = walk(Confined(21.0, "l2", lattice=True), limits=steps)
    # A direction moves each of 16 values by one stored step, and half a step is as fine as the way back needs.
    assert stored._reach(at).item() == 28.0 and stored._precision(at).item() == 28.0 / 4


def test_strides_begin_at_distance_over_root_t_and_are_halved_until_the_goal_is_reached(monkeypatch):
    mine, asked = walk(L2(2.0)), []
    start = mine.point.clone()

    def ask(at: Tensor, images: Tensor) -> Tensor:
        asked.append(float((images - start).norm()))
        mine.left -= 1
        return torch.tensor([len(asked) == 3])

    monkeypatch.setattr(mine, "_ask", ask)
    at = torch.tensor([0])
    mine._advance(at, torch.ones_like(start) / 4, torch.tensor([80.0], dtype=torch.float64))
    assert asked == pytest.approx([80.0, 40.0, 20.0])
    assert torch.allclose(mine.point, start + 5.0)
    assert mine.distance.item() == pytest.approx(float((mine.point - mine.space.clean).norm()))


@pytest.mark.parametrize("norm", BALLS)
def test_the_way_back_ends_just_beyond_the_boundary(norm):
    victim, images, labels = linear(norm, (1, 6, 6), 5.0)
    threat = BALLS[norm](1.0)
    with victim:
        best = BestSoFar(victim, Classification(2), threat, images, labels)
        mine = Walk(HopSkipJump(threat), best, torch.arange(3), Streams(range(3)))
        started = mine._started(30)
        fine = mine._precision(started)
        going = mine._way_back(started)
        assert len(going) == 3 and mine._ask(going, mine.point).all()
        nearer = mine._cut(going, mine.point - images, mine.distance - 1.001 * fine, mine.distance)
        assert not mine._ask(going, nearer).any()


@pytest.mark.parametrize("norm", BALLS)
def test_whole_stored_steps_do_not_stop_it(norm):
    radius = 60.0 if norm == "l2" else 14.0
    victim, images, labels = linear(norm, (1, 6, 6), radius * 0.7)
    limits = Limits(step=torch.full((3,), 2.0, dtype=torch.float64))
    threat = Confined(radius, norm, lattice=True)
    found = HopSkipJump(threat, queries=500)(victim, Classification(2), images, labels, limits=limits)
    assert found.success.all()
    assert ((found.images - images) % 2 == 0).all()


def test_without_a_start_nothing_is_changed_and_the_rest_is_not_spent():
    victim = Victim(victims.Linear(torch.zeros(1, 6, 6), 1.0), BOUNDS)
    images = torch.full((2, 1, 6, 6), victims.LEVEL)
    found = HopSkipJump(L2(5.0), tries=7)(victim, Classification(2), images, torch.zeros(2, dtype=torch.int64))
    assert torch.equal(found.images, images) and found.forwards.tolist() == [8, 8] and not found.success.any()


def test_a_query_budget_is_kept():
    victim, images, labels = linear("l2", (1, 6, 6), 20.0)
    limits = Limits(queries=torch.tensor([2, 40, 150]))
    found = HopSkipJump(L2(1.0))(victim, Classification(2), images, labels, limits=limits)
    assert found.forwards[0] == 2 and (found.forwards <= limits.queries).all() and (found.forwards[1:] > 20).all()


def test_boxes_and_other_norms_are_refused_with_the_reason():
    with pytest.raises(PlanError, match="one decision per image, and each box has a boundary of its own"):
        catalog.check_supports("hopskipjump", "detection", targeted=False)
    scene = boxes()
    assert isinstance(scene.targets, Boxes)
    with pytest.raises(InputError, match="each box has its own"):
        HopSkipJump(Linf(2.0))(scene.victim, scene.task, scene.images, scene.targets)
    victim, images, labels = linear("l2", (1, 6, 6), 20.0)
    with pytest.raises(InputError, match="linf and l2 balls, not l1"):
        HopSkipJump(L1(2.0))(victim, Classification(2), images, labels)
    with pytest.raises(InputError, match="tries: 0 must be at least 1"):
        HopSkipJump(L2(2.0), tries=0)
