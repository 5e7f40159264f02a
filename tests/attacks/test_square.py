"""Square attack: its schedule, its optimum on paper, and that it asks for outputs alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from palpate.attacks.noise import RandomNoise
from palpate.attacks.square import Square
from palpate.checks import victims
from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import Linf
from palpate.threats.confined import Confined
from palpate.threats.neighbourhoods import AroundLinf
from palpate.victim import Victim

BOUNDS = (0.0, 255.0)


class Opaque(nn.Module):
    """A network from whose outputs no gradient comes back."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images).detach()


class OnlyHere(AroundLinf):
    """A ball in which only rows 4 to 6 of columns 1 and 2 may change."""

    def project(self, images: Tensor) -> Tensor:
        inside = super().project(images)
        kept = self.clean.clone()
        kept[..., 4:7, 1:3] = inside[..., 4:7, 1:3]
        return kept


class Patch(Linf):
    def around(self, clean: Tensor, bounds: tuple[float, float], limits: Limits | None = None) -> OnlyHere:
        ball = super().around(clean, bounds)
        return OnlyHere(ball.clean, ball.radius, ball.low, ball.high)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("queries", [10_000, 5_000, 1_000])
def test_squares_shrink_at_the_published_points(queries):
    square = Square(Linf(1.0), queries=queries, p_init=0.8)
    scale = 10_000 // queries
    for halved, point in enumerate((10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)):
        if point % scale == 0:
            assert square.share(point // scale) == 0.8 / 2**halved
            assert square.share(point // scale + 1) == 0.8 / 2 ** (halved + 1)


@pytest.mark.parametrize("spatial", [2, 3])
def test_it_comes_near_the_optimum_of_a_linear_model(spatial):
    # One sign per half of the image: the best image has two pieces, so no single square is it.
    shape = (1, *[8] * spatial)
    weights = torch.full(shape, 0.01)
    weights[:, :4] *= -1
    offset = float(weights.abs().sum()) * 4
    victim = Victim(Opaque(victims.Linear(weights, offset)), BOUNDS)
    images = torch.full((4, *shape), victims.LEVEL)
    labels = torch.zeros(4, dtype=torch.int64)
    near = Square(Linf(4.4), queries=600)(victim, Classification(2), images, labels, generator=generator())
    assert near.eligible.all() and near.success.all()
    below = Square(Linf(3.99), queries=600)(victim, Classification(2), images, labels, generator=generator())
    assert not below.success.any() and (below.forwards == 601).all() and (below.backwards == 0).all()
    assert (below.margin < 0.1 * below.clean_margin).all()
    assert torch.allclose(below.distance, torch.tensor(3.99, dtype=torch.float64), atol=1e-4)


def test_it_beats_noise_at_equal_queries_without_a_gradient():
    images, network = victims.images(24, seed=5), victims.small_net()
    victim = Victim(Opaque(network), BOUNDS)
    with victim:
        labels = victim.judge(images).argmax(1)
    found = Square(Linf(1.5), queries=60)(victim, Classification(4), images, labels, generator=generator())
    noise = RandomNoise(Linf(1.5), tries=60)(victim, Classification(4), images, labels, generator=generator())
    assert found.success.sum() > noise.success.sum()
    assert found.margin.mean() < noise.margin.mean()


def test_where_little_may_change_no_query_is_spent_elsewhere():
    images = torch.full((6, 3, 8, 8), victims.LEVEL)
    weights = torch.zeros_like(images[0])
    # Each value that may change pulls its own way: only squares inside the patch find the signs.
    weights[..., 4:7, 1:3] = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    offset = float(weights.abs().sum()) * 4 * 0.99
    victim = Victim(victims.Linear(weights, offset), BOUNDS)
    labels = torch.zeros(6, dtype=torch.int64)
    result = Square(Patch(4.0), queries=400)(victim, Classification(2), images, labels, generator=generator())
    changed = (result.images != images).flatten(0, 1).any(0).nonzero()
    assert changed[:, 0].min() >= 4 and changed[:, 0].max() <= 6 and changed[:, 1].min() >= 1
    assert result.success.all()


def victim_labels(victim: Victim, images: Tensor) -> Tensor:
    with victim:
        return victim.judge(images).argmax(1)


def test_on_the_lattice_with_tied_channels_in_a_region_it_still_comes_near_the_optimum():
    shape = (3, 8, 8)
    weights = torch.full(shape, 0.01)
    weights[:, :, 4:] *= -1
    region = torch.zeros(4, 1, 8, 8, dtype=torch.bool)
    region[..., 2:6, :] = True
    # 4.4 holds two steps of 2 and no third: what can be delivered is a change of 4.
    reach = float((weights.abs() * region[0]).sum()) * 4
    victim = Victim(Opaque(victims.Linear(weights, reach * 0.9)), BOUNDS)
    images = torch.full((4, *shape), victims.LEVEL)
    labels = torch.zeros(4, dtype=torch.int64)
    threat = Confined(4.4, lattice=True, region="the middle rows", tied=True)
    limits = Limits(region=region, step=torch.full((4,), 2.0))
    result = Square(threat, queries=300)(
        victim, Classification(2), images, labels, generator=generator(), limits=limits
    )
    assert result.success.all()
    change = result.images - images
    assert set(change.unique().tolist()) <= {-4.0, -2.0, 0.0, 2.0, 4.0}
    assert not change[~region.expand_as(change)].any()
    assert torch.equal(change[:, :1].expand_as(change), change)


def test_a_plateau_of_the_margin_is_crossed_by_the_soft_score():
    # Each pixel falls at its own change, so that Dice stays the same until the first ones have fallen.
    offsets = torch.full((1, 8, 8), 3.0)
    victim, task = Victim(Opaque(victims.PixelLinear(offsets)), BOUNDS), Segmentation(1)
    images = torch.full((2, 3, 8, 8), victims.LEVEL)
    labels = torch.ones(2, 8, 8, dtype=torch.int64)
    result = Square(Linf(3.1), queries=400)(victim, task, images, labels, generator=generator())
    assert result.success.all()


def test_a_start_that_wins_is_kept():
    images, network = victims.images(4), victims.small_net()
    victim = Victim(Opaque(network), BOUNDS)
    labels = victim_labels(victim, images)
    attack = Square(Linf(20.0), queries=200)
    won = attack(victim, Classification(4), images, labels, generator=Streams(range(4)))
    assert won.success.any()
    again = attack(victim, Classification(4), images, labels, generator=generator(), start=won.images)
    assert (again.first_success[won.success] == 0).all()


@pytest.mark.parametrize(("settings", "said"), [({"queries": 0}, "at least 1"), ({"p_init": 0.0}, "above 0")])
def test_impossible_settings_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        Square(Linf(1.0), **settings)
