"""Compositions: the order of physics, null parts, and masks that move through all parts."""

from __future__ import annotations

import pytest
import torch

from palpate.annotations import Masks
from palpate.artefacts import apply
from palpate.artefacts.artefact import Scene
from palpate.artefacts.catalog import make
from palpate.artefacts.composed import Composed
from palpate.artefacts.general import Brightness, GaussianNoise, Position
from palpate.artefacts.moving import moved
from palpate.artefacts.parameter import free, theta_at
from palpate.artefacts.search import Ladder
from palpate.errors import InputError, PlanError
from palpate.streams import Streams
from tests.artefacts.search.planted import SCENE, Lifted, Slid, Spot, flat, mean_value, one_pixel, searched


def pattern(size: int = 24) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.rand(1, 1, size, size, generator=random, dtype=torch.float64) * 150 + 50


def test_parts_are_in_the_order_of_physics_and_named_so():
    whole = Composed((GaussianNoise(), Brightness(), Position()))
    assert whole.name == "position+noise+brightness" and whole.stage == 0 and whole.gradient
    assert [parameter.name for parameter in whole.parameters][2:4] == [
        "position shift right",
        "noise standard deviation",
    ]
    assert whole.dimensions == (2, 3) and whole.moves and not Composed((Lifted(), GaussianNoise())).moves
    assert whole == Composed((Position(), Composed((GaussianNoise(), Brightness()))))
    assert hash(whole) == hash(make("brightness + position+noise"))


def test_the_result_is_one_part_after_the_other():
    image, whole = pattern(), Composed((Brightness(), Position()))
    unit = torch.tensor([[0.9, 0.2, 0.7, 1.0]], dtype=torch.float64)
    theta = theta_at(whole.parameters, unit, 4.0)
    turned = Position()(image, theta[:, :3], SCENE)
    assert torch.equal(whole(image, theta, SCENE), Brightness()(turned, theta[:, 3:], SCENE))


@pytest.mark.parametrize("null", [0, 1])
def test_a_part_at_its_null_gives_what_came_in(null):
    image, whole = pattern(), Composed((Position(), Brightness()))
    theta = theta_at(whole.parameters, torch.full((1, 4), 0.8, dtype=torch.float64), 3.0)
    parts = (theta[:, :3], theta[:, 3:])
    parts[null].zero_()
    alone = (Brightness(), Position())[null](image, parts[1 - null], SCENE)
    assert torch.equal(whole(image, theta, SCENE), alone) and not torch.equal(alone, image)
    assert torch.equal(whole(image, theta * 0, SCENE), image)


def test_candidates_alone_and_together_are_the_same_and_repeat():
    image, whole = pattern()[0], Composed((Position(), GaussianNoise()))
    theta = theta_at(whole.parameters, torch.rand(4, 4, generator=torch.Generator().manual_seed(1)).double(), 3.0)
    bound = whole.bind(image, SCENE, Streams([5]))
    again = whole.bind(image, SCENE, Streams([5]))
    assert torch.equal(bound(theta), torch.cat([again(row[None]) for row in theta]))
    assert not torch.equal(whole.bind(image, SCENE, Streams([6]))(theta), bound(theta))


def test_masks_move_through_all_parts():
    size = 32
    labels = torch.zeros(1, size, size, dtype=torch.int64)
    labels[:, 12:18, 14:20] = 1
    image = labels[:, None].double() * 100

    class Back(Slid):
        name = "back"

    whole = Composed((Slid(), Back()))
    theta = torch.tensor([[0.25, -0.125]], dtype=torch.float64)
    made = whole(image, theta, SCENE)
    grid = whole.grid((size, size), theta, SCENE)
    assert torch.equal(moved(Masks(labels), grid).labels[:, None].double() * 100, made)
    assert torch.equal(made, image.roll(4, 2))
    # Far down, then back: what left the image in between does not come back.
    away = whole.grid((size, size), torch.tensor([[0.5, -0.5]], dtype=torch.float64), SCENE)
    assert int(moved(Masks(labels), away).labels.sum()) == int(labels[:, : size // 2].sum())
    assert Composed((Brightness(), GaussianNoise())).grid((size, size), torch.zeros(1, 3), SCENE) is None


def test_a_composition_is_searched_and_is_worse_than_its_parts():
    ladder = Ladder(draws=1, tries=8, evolution=30, polish=6, bisection=0)
    parts = [searched(one, mean_value(75.0), flat(2), ladder) for one in (Spot(), Lifted())]
    whole = searched(Composed((Spot(), Lifted())), mean_value(75.0), flat(2), ladder)
    for part in parts:
        assert bool((whole.worst.margin < part.worst.margin).all())
    assert whole.blocked is None and whole.backwards.tolist() == [6, 6]


def test_the_gradient_of_the_first_part_passes_the_second():
    whole, image = Composed((Spot(), Lifted())), flat(1)[0]
    unit = torch.tensor([[0.3, 0.7, 0.4]], dtype=torch.float64, requires_grad=True)
    made = whole.bind(image, SCENE, Streams([0]))(theta_at(whole.parameters, unit, 3.0))
    (gradient,) = torch.autograd.grad(one_pixel()(made)[0, 0], unit)
    moved_by = torch.zeros(3, dtype=torch.float64)
    for place in range(3):
        step = torch.eye(3, dtype=torch.float64)[place] * 1e-6
        ends = [
            one_pixel()(
                whole.bind(image, SCENE, Streams([0]))(theta_at(whole.parameters, unit.detach() + sign * step, 3.0))
            )
            for sign in (1, -1)
        ]
        moved_by[place] = ((ends[0] - ends[1])[0, 0] / 2e-6).detach()
    assert torch.allclose(gradient[0], moved_by, rtol=1e-4, atol=1e-6)


def test_a_composition_in_a_notebook():
    image = pattern()
    made = apply("position+brightness", image, bounds=(0, 255), severity=0)
    assert torch.equal(made.images, image) and "position rotation 0 degrees" in made.words[0]
    made = apply(
        "position+brightness", image, bounds=(0, 255), severity=1, parameters={"brightness offset": 0.1}, step=1.0
    )
    assert not torch.equal(made.images, image) and free(make("position+brightness").parameters) == 4


def test_compositions_that_cannot_be():
    with pytest.raises(InputError, match="two artefacts"):
        Composed((Brightness(),))
    with pytest.raises(InputError, match="'brightness' is named twice"):
        make("brightness+brightness")
    with pytest.raises(PlanError, match="There is no artefact 'brigtness'"):
        make("noise+brigtness")

    class Flat(Brightness):
        name = "flat"
        dimensions = (3,)

    with pytest.raises(InputError, match="different numbers of spatial axes"):
        Composed((Lifted(), Flat()))
    with pytest.raises(InputError, match="'position\\+lifted' acts on images"):
        Composed((Lifted(), Position())).check((1, 4, 4, 4), Scene((0, 1)))
