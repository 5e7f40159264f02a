"""The steps of the search one by one: choices, the failing severity, moving masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from palpate.annotations import Masks
from palpate.artefacts.moving import moved
from palpate.artefacts.search import Ladder
from palpate.artefacts.search.evolution import Evolution
from palpate.errors import InputError
from palpate.tasks.masks.goals import Wanted
from palpate.tasks.masks.reading import AimedMasks
from palpate.tasks.segmentation import Segmentation
from tests.artefacts.search.planted import (
    SCENE,
    SIZE,
    Darker,
    Slid,
    Spot,
    Tinted,
    flat,
    mean_value,
    one_pixel,
    searched,
)


def test_the_failing_severity_is_that_on_paper():
    images = flat(4, 100.0, 130.0)
    found = searched(Darker(), mean_value(75.0), images, Ladder(draws=1, tries=1, bisection=12))
    # 1 - depth = 75 / value, and the depth is a tenth of the severity.
    paper = 10 * (1 - 75 / images[:, 0, 0, 0])
    late = found.failing_severity - paper
    assert bool((late >= 0).all()) and bool((late < 5 / 2**10).all())
    depth = found.failing_theta[:, 0]
    assert torch.allclose(depth * 10, found.failing_severity)


def test_the_failing_severity_where_nothing_fails_and_where_all_is_wrong_from_the_start():
    images = torch.cat([flat(1, 100.0, 100.0), flat(1, 200.0, 200.0)])
    found = searched(Darker(), mean_value(150.0), images, Ladder())
    assert found.failing_severity.tolist() == [0.0, pytest.approx(2.5, abs=0.03)]
    none = searched(Darker(), mean_value(10.0), images, Ladder())
    assert none.failing_severity.tolist() == [torch.inf] * 2 and bool(none.failing_theta.isnan().all())
    assert none.queries["bisection"].tolist() == [0, 0]


def test_a_failing_draw_of_a_lower_severity_is_taken_up():
    class Narrow(nn.Module):
        """Fails only while the mean is between 76 and 84."""

        def forward(self, images: Tensor) -> Tensor:
            margin = (images.flatten(1).mean(1, keepdim=True) - 80).abs() - 4
            return torch.cat([margin, -margin], 1) / 2

    found = searched(Darker(), Narrow(), flat(1, 100.0, 100.0), Ladder(draws=1, tries=1, bisection=12))
    # At severity 2 the mean is 80, at 5 it is 50: only the draw of severity 2 fails. Fails from 84 on, severity 1.6.
    assert found.worst.margin[0] > 0
    assert 1.6 <= float(found.failing_severity[0]) < 1.602


def test_the_worst_found_is_tried_where_a_draw_failed_first():
    images = flat(3)
    found = searched(Spot(), one_pixel(40.0), images, Ladder(draws=8, tries=32, bisection=10))
    # The best spot fails from depth 1 - 40 / value on; the spot's middle is found nearly exactly.
    paper = 5 * (1 - 40 / images[:, 0, 0, 0])
    assert bool((found.failing_severity >= paper).all()) and bool((found.failing_severity < paper + 0.1).all())
    assert bool((found.queries["bisection"] == 10).all())


def test_every_choice_is_tried():
    ladder = Ladder(draws=0, tries=1, evolution=40, polish=5, bisection=0)
    found = searched(Tinted(), mean_value(0.0), flat(6), ladder)
    assert found.worst.theta[:, 0].floor().tolist() == [1.0] * 6
    assert bool(((found.worst.theta[:, 2] - 0.8).abs() < 0.05).all())
    assert "gives no gradient" in str(found.blocked) and found.queries["evolution"].tolist() == [40] * 6


@pytest.mark.parametrize("choices", [(0, 0), (0, 3), (4, 0, 2), (3,)])
@pytest.mark.parametrize("budget", [0, 1, 5, 60])
def test_evolution_spends_its_questions_inside_the_cube(choices, budget):
    starts = np.random.RandomState(0).rand(5, len(choices))
    search, asked = Evolution(starts, choices, 0, budget), []
    best = starts[0]
    while len(points := search.ask(best)):
        asked.append(points)
        search.tell(points, np.arange(len(points)))
    total = np.concatenate(asked) if asked else np.empty((0, len(choices)))
    assert len(total) == (budget if any(count == 0 for count in choices) else min(budget, 2))
    assert ((total >= 0) & (total <= 1)).all()


def test_a_search_that_became_narrow_starts_from_another_draw():
    starts = np.array([[0.1, 0.1], [0.15, 0.1], [0.9, 0.9]])
    search, asked = Evolution(starts, (0, 0), 0, 600), []
    while len(points := search.ask(starts[0])):
        asked.append(points)
        far = np.abs(points - np.where(points[:1].mean() > 0.5, 0.9, 0.1)).sum(1)
        search.tell(points, far.argsort())
    total = np.concatenate(asked)
    assert (np.abs(total - 0.9).max(1) < 0.05).sum() > 20


class Bright(nn.Module):
    """Decides that a pixel belongs to the structure if it is brighter than 50."""

    def forward(self, images: Tensor) -> Tensor:
        return images - 50


def scene_with_a_square(first: int) -> tuple[Tensor, Masks]:
    labels = torch.zeros(1, SIZE, SIZE, dtype=torch.int64)
    labels[:, first : first + 6, 10:20] = 1
    return labels[:, None].double() * 100, Masks(labels)


def test_masks_move_along():
    images, targets = scene_with_a_square(13)
    found = searched(Slid(), Bright(), images, Ladder(draws=2, tries=8, evolution=20), targets, Segmentation(1))
    # Everything moves by whole pixels, and what the model decides moves with it: Dice stays 1, the margin 1/2.
    kept = found.draws.margin[torch.isfinite(found.draws.margin)]
    assert len(kept) and bool((kept == 0.5).all()) and float(found.worst.margin[0]) == 0.5
    grid = Slid().grid((SIZE, SIZE), found.worst.theta, SCENE)
    assert torch.equal(found.worst.targets.labels, moved(targets, grid).labels)
    assert torch.equal(found.worst.targets.labels[:, None].double() * 100, found.worst.images)
    plain = searched(Slid(), Bright(), images, Ladder(draws=1, tries=4, evolution=0), targets.labels, Segmentation(1))
    assert float(plain.worst.margin[0]) == 0.5 and isinstance(plain.worst.targets, Masks)


def test_wanted_masks_and_moving_anatomy_are_refused():
    images, targets = scene_with_a_square(13)
    aimed = AimedMasks(targets.labels, targets.labels * 0)
    task = Segmentation(1, goal=Wanted())
    with pytest.raises(InputError, match=r"^goal: .* moves anatomy"):
        searched(Slid(), Bright(), images, Ladder(), aimed, task)
    assert len(searched(Spot(), Bright(), images, Ladder(draws=0, tries=2, evolution=0, polish=0), aimed, task)) == 1


def test_candidates_that_lose_what_is_annotated_are_not_allowed():
    images, targets = scene_with_a_square(25)
    ladder = Ladder(draws=8, tries=32, evolution=0, polish=0)
    found = searched(Slid(), Bright(), images, ladder, targets, Segmentation(1))
    # Rows 25 to 30 of 32: more than 4 rows down, less than half is left.
    lost = found.draws.theta[0, :, 0] > 4.5 / SIZE
    assert torch.equal(torch.isinf(found.draws.margin[0]), lost) and int(found.left[0]) == int(lost.sum()) > 0
    assert int(found.queries["draws"][0]) == 64 - int(lost.sum())
    assert float(found.worst.theta[0, 0]) <= 4.5 / SIZE
