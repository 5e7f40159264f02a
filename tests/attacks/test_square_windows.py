"""Square attack in L2 and L1: its hills against the published loops, its lengths, and its optimum on paper."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.black_box.windows import SquaresL1, SquaresL2, Windows, hills_and_valleys, seen_values
from palpate.attacks.square import Square
from palpate.checks import victims
from palpate.contracts import Limits
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.ball import L1, L2
from palpate.threats.confined import Confined
from palpate.victim import Victim

BOUNDS = (0.0, 255.0)


def published_rectangle(rows: int, columns: int) -> Tensor:
    """`eta_rectangles` of the published code, in its loops."""
    delta = torch.zeros(rows, columns, dtype=torch.float64)
    x_c, y_c = rows // 2 + 1, columns // 2 + 1
    x, y = x_c - 1, y_c - 1
    for counter in range(max(x_c, y_c)):
        wide = 2 * counter + 1
        delta[max(x, 0) : min(x + wide, rows), max(y, 0) : min(y + wide, columns)] += 1.0 / (counter + 1) ** 2
        x, y = x - 1, y - 1
    return delta / delta.square().sum().sqrt()


def published_eta(side: int) -> Tensor:
    """`eta` of the published code, cut along the rows."""
    delta = torch.zeros(side, side, dtype=torch.float64)
    delta[: side // 2] = published_rectangle(side // 2, side)
    delta[side // 2 :] = -published_rectangle(side - side // 2, side)
    return delta / delta.square().sum().sqrt()


def one_window(side: int, cut: int, spatial: int = 2, power: float = 2.0) -> Tensor:
    shape = (1, 1, *[side] * spatial)
    places = []
    for axis in range(spatial):
        along = [-1 if other == axis else 1 for other in range(spatial)]
        places.append(torch.arange(side).reshape(1, 1, *along))
    sides = torch.full((1, spatial), side)
    inside = torch.ones(shape, dtype=torch.bool)
    return hills_and_valleys(places, inside, sides, torch.tensor([cut]), torch.ones(1), power)[0, 0]


@pytest.mark.parametrize("side", [2, 3, 5, 8, 13])
def test_hills_are_the_published_ones(side):
    wanted = published_eta(side)
    assert torch.allclose(one_window(side, 0), wanted)
    assert torch.allclose(one_window(side, 1), wanted.T)


def test_hills_in_3d_have_the_published_heights_in_the_middle_slice():
    found = one_window(5, 0, spatial=3)
    assert found.square().sum() == pytest.approx(1.0)
    for half in (slice(0, 2), slice(2, 5)):
        assert found[half].square().sum() == pytest.approx(0.5)
        middle, flat = found[half, :, 2], published_eta(5)[half]
        assert torch.allclose(middle / middle.norm(), flat / flat.norm())
    assert (found[:2] > 0).all() and (found[2:] < 0).all()


def state(threat, images: Tensor, limits: Limits | None = None) -> Windows:
    victim = Victim(victims.small_net().double(), BOUNDS)
    with victim:
        labels = victim.judge(images).argmax(1)
        best = BestSoFar(victim, Classification(4), threat, images, labels, limits=limits)
    streams = Streams(range(len(images)))
    kind = SquaresL1 if threat.norm == "l1" else SquaresL2
    return kind(Square(threat).share, 10, best, torch.arange(len(images)), streams)


@pytest.mark.parametrize(("ball", "power"), [(L2, 2), (L1, 1)])
def test_every_change_has_the_length_of_the_radius_and_two_windows(ball, power):
    images = torch.full((3, 3, 9, 12), 110.0, dtype=torch.float64)
    found = state(ball((5.0, 9.0, 1.0)), images)
    radius = torch.tensor([5.0, 9.0, 1.0], dtype=torch.float64)
    found.change = found.first()
    assert torch.allclose(found.change.flatten(1).norm(power, dim=1), radius)
    after = found.squares(0.05)
    assert torch.allclose(after.flatten(1).norm(power, dim=1), radius)
    differs = ((after - found.change).abs() > 1e-9).any(1)
    # Each side is round(sqrt(0.05 * 9 * 12)) = 2, so at least 3; two windows hold at most 18 values.
    assert (differs.flatten(1).sum(1) <= 18).all() and differs.flatten(1).any(1).all()


@pytest.mark.parametrize(("ball", "eps", "power"), [(L2, 30.0, 2), (L1, 600.0, 1)])
def test_a_window_gets_the_length_of_both_and_what_the_box_cut_off(ball, eps, power):
    images = torch.full((1, 1, 9, 9), 110.0, dtype=torch.float64)
    images[..., :5] = 255.0
    found = state(ball(eps), images.expand(1, 3, 9, 9).clone())
    found.change = found.first()
    before = found.change.abs().pow(power).flatten(2).sum(2)
    after = found.squares(0.05).abs().pow(power).flatten(2).sum(2)
    spare = eps**power - float(before.sum())
    assert spare > 0.1 * eps**power
    # Every channel gains the same part of what was free, unless the box cuts it off again.
    assert (after - before).sum() <= spare * (1 + 1e-9)
    assert float(after.sum()) > float(before.sum())


def test_only_what_the_model_sees_has_a_part_in_the_length():
    images = torch.full((2, 3, 8, 8), 110.0, dtype=torch.float64)
    region = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    region[..., 2:7, 1:5] = True
    limits = Limits(region=region)
    found = state(Confined(20.0, "l2", region="here", channels=(1.0, 1.0, 0.0)), images, limits)
    assert torch.equal(found.seen, region & torch.tensor([True, True, False]).reshape(1, 3, 1, 1))
    assert found.low.tolist() == [[2, 1]] * 2 and found.extent.tolist() == [[5, 4]] * 2
    for change in (found.first(), found.squares(0.3)):
        assert torch.allclose(change.flatten(1).norm(dim=1), torch.full((2,), 20.0, dtype=torch.float64))
        assert not change[~found.seen].any()
    assert seen_values(L2(1.0).around(images, BOUNDS)).all()


@pytest.mark.parametrize(("spatial", "near"), [(2, 0.6), (3, 0.35)])
def test_it_comes_near_the_optimum_of_a_linear_model(spatial, near):
    # An edge in one corner of the image: windows must gather their length there.
    shape = (1, *[8] * spatial)
    weights = torch.zeros(shape)
    corner = weights[:, :6, :5] if spatial == 2 else weights[:, :6, :5, :5]
    corner[:, :3], corner[:, 3:] = 0.01, -0.01
    reach = float(weights.square().sum().sqrt()) * 40
    images = torch.full((3, *shape), victims.LEVEL)
    labels = torch.zeros(3, dtype=torch.int64)
    for share, wins in ((near, True), (0.999, False)):
        victim = Victim(victims.Linear(weights, share * reach), BOUNDS)
        found = Square(L2(40.0), queries=200)(victim, Classification(2), images, labels)
        assert bool(found.success.all()) == wins and bool(found.success.any()) == wins


def test_halves_of_a_window_in_l1_are_of_one_sum():
    found = one_window(7, 0, power=1.0)
    assert float(found.abs().sum()) == pytest.approx(1.0)
    assert float(found[:3].sum()) == pytest.approx(0.5) and float(found[3:].sum()) == pytest.approx(-0.5)


def test_in_l1_it_beats_a_model_that_sees_a_bright_spot():
    weights = torch.zeros(1, 8, 8)
    weights[:, 2:5, 2:5] = 0.01
    images, labels = torch.full((3, 1, 8, 8), victims.LEVEL), torch.zeros(3, dtype=torch.int64)
    # All of the radius in one value would move the score by 0.01 * 60.
    for share, wins in ((0.4, True), (1.01, False)):
        victim = Victim(victims.Linear(weights, share * 0.01 * 60), BOUNDS)
        found = Square(L1(60.0), queries=200)(victim, Classification(2), images, labels)
        assert bool(found.success.all()) == wins and bool(found.success.any()) == wins
