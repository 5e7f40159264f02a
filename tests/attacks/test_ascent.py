"""The loop itself: what leaves, what stays, what is kept, what is said."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives import Stabilised
from palpate.attacks.steps import Cosine, Fixed, Halving, checkpoints
from palpate.checks import victims
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.tasks.goals import Towards, hide_disease
from palpate.threats.ball import L2, Linf
from palpate.victim import Victim


class Bowl(nn.Module):
    """Label 0 is weakest at one point inside the ball: m = mean((x - lowest)^2) / width^2 - depth."""

    lowest: Tensor

    def __init__(self, lowest: Tensor, width: float, depth: float):
        super().__init__()
        self.register_buffer("lowest", lowest)
        self.width, self.depth = width, depth

    def forward(self, images: Tensor) -> Tensor:
        """(B, 2)."""
        margin = ((images - self.lowest) / self.width).flatten(1).square().mean(1, keepdim=True) - self.depth
        return torch.cat([margin, -margin], dim=1) / 2


def linear(radius, **settings):
    images = victims.level_images()
    weights = torch.full_like(images[0], 0.01)
    network = victims.Linear(weights, float(weights.sum()) * radius, **settings)
    return Victim(network, (0, 255)), images, torch.zeros(len(images), dtype=torch.int64)


def small(count=16, classes=4):
    victim = Victim(victims.small_net(classes=classes), (0, 255))
    images = victims.images(count, seed=4)
    with victim:
        return victim, images, victim.judge(images).argmax(1)


def test_beaten_samples_leave_the_batch_and_stop_costing():
    victim, images, labels = linear(1.99)
    result = recipes.bim(Linf(4.0), steps=40, step=0.25)(victim, Classification(2), images, labels)
    assert result.first_success.tolist() == [2] * len(images)
    # Judging the clean image, two steps, and the pass that saw the second one win.
    assert result.forwards.tolist() == [4] * len(images)
    assert result.distance.tolist() == pytest.approx([2.0] * len(images))


def test_run_to_end_spends_every_step_and_keeps_the_smallest_margin():
    victim, images, labels = linear(1.99)
    attack = recipes.bim(Linf(4.0), steps=8, step=0.25, run_to_end=True)
    result = attack(victim, Classification(2), images, labels)
    assert result.backwards.tolist() == [8] * len(images)
    assert result.first_success.tolist() == [2] * len(images)
    assert result.distance.tolist() == pytest.approx([4.0] * len(images))


def test_a_success_on_the_way_survives_a_losing_last_iterate():
    images = victims.level_images()
    labels = torch.zeros(len(images), dtype=torch.int64)
    victim, task = Victim(victims.Wave(1.7), (0, 255)), Classification(2)
    # A whole step over the band: bands of cos(1.7 d) < -.6 lie at 1.30 < d < 2.39.
    result = recipes.bim(Linf(4.0), steps=3, step=0.5, run_to_end=True)(victim, task, images, labels)
    with victim:
        last = task.margin(victim.judge(images + 4.0), labels)
    assert (last > 0).all()
    assert result.success.all()
    assert result.distance.tolist() == pytest.approx([2.0] * len(images))


def test_later_restarts_attack_only_what_stands_and_only_add():
    victim, images, labels = small(24)
    once = recipes.pgd(Linf(0.7), steps=4)(victim, Classification(4), images, labels)
    thrice = recipes.pgd(Linf(0.7), steps=4, restarts=3)(victim, Classification(4), images, labels)
    assert once.success.any()
    assert not once.success.all()
    assert (thrice.success >= once.success).all()
    assert torch.equal(thrice.backwards[once.success], once.backwards[once.success])
    assert (thrice.backwards[~thrice.success] == 12).all()


def test_best_iterate_is_chosen_by_the_margin_not_by_the_objective():
    victim, images, labels = small(24)
    task = Classification(4)
    penalised = Ascent(Linf(0.5), 10, Stabilised(8.0, "image", "distribution", True), run_to_end=True)
    result = penalised(victim, task, images, labels)
    with victim:
        assert torch.allclose(task.margin(victim.judge(result.images), labels), result.margin, atol=1e-4)
    assert (result.margin <= result.clean_margin).all()


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_apgd_on_the_margin_is_safe_for_few_classes(classes, scaled):
    victim, images, labels = small(12, classes)
    for goal in (Classification(classes), Classification(classes, Towards((0,)))):
        result = recipes.apgd_margin(Linf(8.0), steps=20, scaled=scaled)(victim, goal, images, labels)
        assert torch.isfinite(result.margin).all()
        assert not result.blocked_gradient.any()
        if bool(result.eligible.any()):
            assert result.success.any()


def test_halving_finds_an_interior_maximum_that_fixed_steps_jump_over():
    images = victims.level_images()
    labels = torch.zeros(len(images), dtype=torch.int64)
    lowest = images[0] * 0 + victims.LEVEL + 0.37
    images = images * 0 + victims.LEVEL
    victim = Victim(Bowl(lowest, 1.0, 0.0005), (0, 255))
    fixed = Ascent(Linf(4.0), 60, step=Fixed(0.1), random_start=False)(victim, Classification(2), images, labels)
    halving = Ascent(Linf(4.0), 60, step=Halving(), random_start=False)(victim, Classification(2), images, labels)
    assert not fixed.success.any()
    assert halving.success.all()


def test_checkpoints_are_those_of_the_paper():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == []


def test_cosine_ends_where_it_should():
    rule = Cosine(0.5)
    assert rule.stride(None, 0, 10) == pytest.approx(0.5)
    assert rule.stride(None, 5, 10) == pytest.approx(0.25)
    assert rule.stride(None, 9, 10) < 0.02


def test_saturated_cross_entropy_falls_back_to_the_margin_and_says_so():
    victim, images, labels = linear(2.0, scale=1e3)
    result = recipes.fgsm(Linf(4.0))(victim, Classification(2), images.float(), labels)
    assert result.zero_gradient.all()
    assert not result.blocked_gradient.any()
    assert result.success.all()


def test_a_nan_gradient_is_no_step_and_is_reported():
    class Root(nn.Module):
        def forward(self, images):
            margin = (images - images.detach()).flatten(1).square().sum(1).sqrt() + 1
            return torch.stack([margin, -margin], 1)

    images = victims.level_images()
    labels = torch.zeros(len(images), dtype=torch.int64)
    result = recipes.bim(Linf(2.0), steps=3)(Victim(Root(), (0, 255)), Classification(2), images, labels)
    assert result.non_finite.all()
    assert torch.isfinite(result.images).all()
    assert not result.success.any()


def test_nan_under_attack_is_reported_and_is_no_success():
    class Fragile(nn.Module):
        def forward(self, images):
            change = images.flatten(1).mean(1) - victims.LEVEL
            margin = torch.where(change.abs() > 1.2, torch.full_like(change, torch.nan), 3 - change)
            return torch.stack([margin, -margin], 1)

    images = victims.level_images()
    labels = torch.zeros(len(images), dtype=torch.int64)
    result = recipes.bim(Linf(2.0), steps=4, step=0.5)(Victim(Fragile(), (0, 255)), Classification(2), images, labels)
    assert result.non_finite.all()
    assert not result.success.any()
    assert torch.isfinite(result.margin).all()


def test_clinical_goal_attacks_only_the_diseased():
    victim, images, labels = small(24)
    task = Classification(4, hide_disease((2, 3), 4))
    result = recipes.bim(Linf(4.0), steps=10)(victim, task, images, labels)
    diseased = labels >= 2
    assert torch.equal(result.eligible, diseased)
    assert result.success.any()
    assert (result.prediction[result.success] < 2).all()
    assert torch.equal(result.images[~diseased], images[~diseased])


def test_radii_are_per_sample():
    victim, images, labels = linear(2.0)
    radii = (1.9, 2.1) * (len(images) // 2)
    result = recipes.fgsm(Linf(radii))(victim, Classification(2), images, labels)
    assert result.success.tolist() == [False, True] * (len(images) // 2)


def test_l2_reaches_its_closed_form():
    victim, images, labels = linear(2.0)
    radius = 2.0 * images[0].numel() ** 0.5
    for share, won in ((0.999, False), (1.001, True)):
        result = recipes.bim(L2(radius * share), steps=10)(victim, Classification(2), images, labels)
        assert result.success.all() == won


@pytest.mark.parametrize(
    ("change", "word"),
    [({"steps": 0}, "steps"), ({"restarts": 0}, "restarts"), ({"restarts": 2, "random_start": False}, "restarts")],
)
def test_impossible_loops_are_refused(change, word):
    with pytest.raises(InputError, match=word):
        dataclasses.replace(recipes.pgd(Linf(1.0)), **change)


def test_no_way_for_a_gradient_is_one_sentence():
    class Blocked(nn.Module):
        def forward(self, images):
            return torch.stack([images.detach().flatten(1).mean(1), images.new_zeros(len(images))], 1)

    images = victims.level_images()
    labels = torch.zeros(len(images), dtype=torch.int64)
    with pytest.raises(InputError, match="no gradient flows"):
        recipes.pgd(Linf(2.0))(Victim(Blocked(), (0, 255)), Classification(2), images, labels)
