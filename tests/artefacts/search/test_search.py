"""The search as a whole: its steps add up, it repeats, and no image depends on another one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from palpate.artefacts.search import STEPS, Ladder
from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.victim import Tuning, Victim
from tests.artefacts.search.planted import (
    BOUNDS,
    SCENE,
    TASK,
    Darker,
    Grainy,
    Spot,
    flat,
    mean_value,
    one_pixel,
    searched,
    streams,
    tensors,
)

SHORT = Ladder(draws=2, tries=6, evolution=16, polish=3, bisection=4)
WORST_OF_200 = Ladder(draws=0, tries=200, evolution=0, polish=0, bisection=0)


def test_evolution_covers_the_pixel_where_as_many_random_spots_do_not():
    images = flat(6)
    random = searched(Spot(), one_pixel(4.0), images, WORST_OF_200)
    found = searched(Spot(), one_pixel(4.0), images, Ladder(draws=0, tries=40, evolution=160, polish=0, bisection=0))
    assert int(random.forwards[0]) == int(found.forwards[0]) == 201
    assert bool((found.worst.margin <= 0).all())
    assert int((random.worst.margin <= 0).sum()) <= 2


def test_the_gradient_only_adds_and_finds_the_middle_of_the_spot():
    images = flat(2)
    without, found = (
        searched(Spot(), one_pixel(), images, Ladder(draws=0, tries=40, evolution=16, polish=polish, bisection=0))
        for polish in (0, 15)
    )
    assert bool((found.worst.margin <= without.worst.margin).all())
    assert found.worst.step.tolist() == [STEPS.index("gradient")] * 2
    # The middle of pixel (11, 23) of 32.
    best = torch.tensor([11.5 / 32, 23.5 / 32], dtype=torch.float64)
    assert bool(((found.worst.theta[:, 1:] - best).abs() < 0.01).all())


def test_the_steps_ask_what_the_ladder_says_and_the_victim_counts_the_same():
    module = one_pixel()
    victim = Victim(module, BOUNDS)
    found = searched(Spot(), module, flat(3), SHORT, victim=lambda *_: victim)
    asked = {step: counts.tolist() for step, counts in found.queries.items()}
    assert asked["clean"] == [1] * 3 and asked["draws"] == [4 * 2 + 6] * 3
    assert asked["evolution"] == [16] * 3 and asked["gradient"] == [3] * 3 and asked["judge"] == [0] * 3
    assert int(found.forwards.sum()) == victim.forwards
    # Where the gradient is blocked is looked up with passes that are not counted.
    assert module.seen - victim.forwards <= 2
    assert found.backwards.tolist() == [3] * 3 and victim.backwards == 9


@pytest.mark.parametrize("artefact", [Spot(), Grainy(), Darker()])
def test_an_image_depends_neither_on_its_neighbours_nor_on_the_size_of_the_batch(artefact):
    images, module = flat(3), one_pixel(105.0)
    together = tensors(searched(artefact, module, images, SHORT, batch=64))
    small = tensors(searched(artefact, module, images, SHORT, batch=5))
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(together, small, strict=True))
    for row in range(3):
        alone = searched(artefact, module, images[row : row + 1], SHORT, streams=Streams([row]))
        whole = searched(artefact, module, images, SHORT)
        for a, b in zip(tensors(alone.worst), tensors(whole.worst), strict=True):
            assert torch.equal(a[0], b[row])
        assert torch.equal(alone.draws.margin[0], whole.draws.margin[row])
        assert float(alone.failing_severity[0]) == float(whole.failing_severity[row])
        assert {step: int(counts[0]) for step, counts in alone.queries.items()} == {
            step: int(counts[row]) for step, counts in whole.queries.items()
        }


def test_the_same_seeds_give_the_same_result_and_other_seeds_another():
    results = [searched(Grainy(), one_pixel(), flat(2), SHORT, streams=streams(2, seed)) for seed in (0, 0, 1)]
    assert all(torch.equal(a, b) for a, b in zip(tensors(results[0].worst), tensors(results[1].worst), strict=True))
    assert not torch.equal(results[0].worst.theta, results[2].worst.theta)


def test_model_images_and_global_random_numbers_stay_as_they_were():
    module, images = one_pixel().train(), flat(2)
    weights, before = module.weights.detach().clone(), images.clone()
    state, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
    searched(Grainy(), module, images, SHORT)
    assert torch.equal(torch.get_rng_state(), state) and np.array_equal(np.random.get_state()[1], numbers)
    assert torch.equal(images, before) and torch.equal(module.weights, weights)
    assert module.training and module.weights.requires_grad and module.weights.grad is None


def test_what_was_found_is_made_again_from_the_seeds_and_is_stored_values():
    images, artefact = flat(3).round(), Grainy()
    limits = Limits(step=torch.ones(3, dtype=torch.float64))
    found = searched(artefact, one_pixel(), images, SHORT, limits=limits)
    for worst in (found.worst, found.worst_of_k):
        again = artefact(images, worst.theta, SCENE, streams=streams(3), limits=limits)
        assert torch.equal(again, worst.images) and torch.equal(worst.images, worst.images.round())
        margin = TASK.margin(one_pixel()(worst.images).detach(), torch.zeros(3, dtype=torch.int64))
        assert torch.equal(margin, worst.margin)


def test_readings_belong_to_their_draws():
    found = searched(
        Spot(), one_pixel(), flat(2), SHORT, read=lambda outputs, targets: (outputs[:, 0] * 2).tolist(), batch=3
    )
    assert torch.equal(torch.tensor(found.draws.readings, dtype=torch.float64), found.draws.margin)
    assert found.draws.severity.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5, 5, 5]
    assert found.draws.theta[0, :, 0].tolist() == pytest.approx((found.draws.severity / 5).tolist())


def test_worst_of_k_is_the_smallest_of_its_draws():
    found = searched(Spot(), one_pixel(), flat(2), SHORT)
    here = found.draws.severity == 5
    assert torch.equal(found.worst_of_k.margin, found.draws.margin[:, here].amin(1))
    assert bool((found.worst.margin <= found.worst_of_k.margin).all())


class Opaque(nn.Module):
    """A network outside of torch."""

    opaque = True

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.inner(images).detach()
        return outputs


def test_a_black_box_is_searched_without_gradient_and_says_why():
    found = searched(Spot(), Opaque(one_pixel()), flat(2), SHORT)
    assert found.queries["gradient"].tolist() == [0, 0] and "black box" in str(found.blocked)
    assert found.queries["evolution"].tolist() == [16, 16]
    assert searched(Spot(), one_pixel(), flat(2), SHORT).blocked is None


class Broken(nn.Module):
    """NaN once the mean falls below 80."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(1, keepdim=True)
        return torch.cat([mean, -mean], 1).where(mean >= 80, torch.nan)


def test_an_answer_that_is_not_a_number_is_reported_and_the_worst():
    found = searched(Darker(), Broken(), flat(2, 100, 200), SHORT)
    assert found.non_finite.tolist() == [True, False]
    # At severity 5 the model gives no decision about the first image: a failure, and nothing is worse.
    assert found.worst.step.tolist() == [STEPS.index("draws")] * 2
    assert found.worst.margin[0] == -torch.inf and torch.isfinite(found.worst.margin[1])
    assert found.worst_of_k.margin[0] == -torch.inf and found.failing_severity[0] <= 5


class Rough(nn.Module):
    """In bfloat16 the search sees a smaller margin than the model gives."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32 * 32, 2, bias=False)
        nn.init.constant_(self.layer.weight, 1 / 32**2)
        self.layer.weight.data[1] = 0

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(images.flatten(1))
        return logits if logits.dtype == torch.float32 else logits - torch.tensor([8.0, 0.0])


def test_the_model_as_given_judges_what_a_rough_search_found():
    module = Rough()
    images = flat(2).float()
    found = searched(
        Grainy(), module, images, SHORT, victim=lambda m, b: Victim(m, b, tuning=Tuning(search="bfloat16"))
    )
    with torch.no_grad():
        judged = TASK.margin(module(found.worst.images), torch.zeros(2, dtype=torch.int64)).double()
    # Batches of other sizes round otherwise on some processors; bfloat16 would be a thousand times further off.
    torch.testing.assert_close(found.worst.margin, judged, rtol=1e-5, atol=0)
    assert found.queries["judge"].tolist() == [1, 1] and bool((found.worst.margin <= found.worst_of_k.margin).all())


def test_limits_on_questions_are_obeyed():
    limits = Limits(queries=torch.tensor([12, 25]))
    found = searched(Spot(), one_pixel(), flat(2), SHORT, limits=limits)
    assert found.forwards.tolist() == [12, 25]
    assert bool(torch.isinf(found.draws.margin[0]).any()) and not bool(torch.isinf(found.draws.margin[1]).any())


def test_a_search_that_stops_at_success_asks_less():
    ladder = Ladder(draws=0, tries=40, evolution=160, polish=5, bisection=0, stop_at_success=True)
    found = searched(Spot(), one_pixel(), flat(4), ladder)
    assert bool((found.worst.margin <= 0).all()) and bool((found.queries["evolution"] < 160).all())
    assert found.queries["gradient"].tolist() == [0] * 4


def test_nothing_to_choose():
    fixed = searched(Darker(), mean_value(80.0), flat(2), SHORT)
    assert fixed.draws.severity.tolist() == [1, 2, 3, 4, 5] and fixed.queries["evolution"].tolist() == [0, 0]
    assert "no parameter" in str(fixed.blocked)


@pytest.mark.parametrize(
    ("name", "value"), [("draws", -1), ("tries", 0), ("evolution", -1), ("severity", 0.0), ("severity", 6.0)]
)
def test_settings_that_cannot_be(name, value):
    with pytest.raises(InputError, match=f"^{name}: "):
        Ladder(**{name: value})
