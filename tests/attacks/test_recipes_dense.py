"""The published attacks on masks and boxes: their parts, their defaults, and whom they climb against."""

import pytest
import torch

from palpate import catalog
from palpate.attacks import recipes_dense
from palpate.attacks.objectives import Own, SoftScore
from palpate.attacks.objectives_pieces import CosPGD, PieceMargin, SegPGD
from palpate.attacks.steps import Fixed, Proportional
from palpate.checks import victims
from palpate.checks.scenarios import masks_2d
from palpate.errors import InputError
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import Linf
from palpate.threats.frequency import Frequency
from palpate.victim import Victim

WITH_REFERENCE = ["dice-pgd", "segpgd", "cospgd", "dag"]


@pytest.mark.parametrize(
    ("name", "objective", "random_start"),
    [
        ("dice-pgd", SoftScore(), True),
        ("segpgd", SegPGD(), True),
        ("cospgd", CosPGD(), True),
        ("asma", PieceMargin(open_only=True), False),
        ("dag", PieceMargin(open_only=True), False),
        ("vafa", SoftScore(), False),
    ],
)
def test_each_recipe_is_its_point_of_the_ascent(name, objective, random_start):
    attack = catalog.make(name, Linf(2.0), steps=5)
    assert (attack.objective, attack.random_start, attack.steps) == (objective, random_start, 5)
    assert attack.step == (Proportional(1.0) if name == "dag" else Fixed(0.5))
    assert attack.threat == (Frequency(2.0, 8) if name == "vafa" else Linf(2.0))


@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_the_reference_is_the_truth_or_the_models_own_decision(name):
    truth, own = (catalog.make(name, Linf(2.0), reference=word) for word in ("truth", "own"))
    assert own.objective == Own(truth.objective)
    with pytest.raises(InputError, match="reference: 'labels' is not one of truth, own"):
        catalog.make(name, Linf(2.0), reference="labels")


@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_against_its_own_decision_the_truth_has_no_say_in_the_step(name):
    world = masks_2d()
    with world.victim:
        own = world.victim.judge(world.images).argmax(1)
    # A truth that is right in all pixels but the last rows, where it says the opposite.
    truth = own.clone()
    truth[:, 7:] = (own[:, 7:] + 1) % 3
    task = Segmentation(2, floor=0.1)
    stepped = {}
    for word in ("truth", "own"):
        attack = catalog.make(name, Linf(4.0), steps=1, step=1.0, run_to_end=True, reference=word)
        results = [attack(world.victim, task, world.images, labels) for labels in (own, truth)]
        assert all(result.eligible.all() for result in results)
        both = (results[0].distance > 0) & (results[1].distance > 0)
        assert both.sum() >= 3
        stepped[word] = [result.images[both] for result in results]
        for result, labels in zip(results, (own, truth), strict=True):
            with world.victim:
                assert torch.allclose(result.margin, task.margin(world.victim.judge(result.images), labels))
    assert torch.equal(*stepped["own"])
    assert not torch.equal(*stepped["truth"])


def test_proportional_steps_follow_the_gradient_and_not_its_sign():
    images = torch.full((2, 1, 2, 2), 100.0, dtype=torch.float64)
    space = Linf((2.0, 4.0)).around(images, (0.0, 255.0))
    gradient = torch.tensor([[4.0, -2.0, 1.0, 0.0], [0.0] * 4], dtype=torch.float64).reshape(2, 1, 2, 2)
    after, _ = Proportional(0.5).advance(images, gradient, torch.zeros(2), None, space, 0, 1)
    assert (after - images).flatten(1).tolist() == [[1.0, -0.5, 0.25, 0.0], [0.0] * 4]


def test_the_frequency_attack_beats_a_mask_and_its_distance_is_that_of_coefficients():
    offsets = torch.full((1, 16, 16), 1.0, dtype=torch.float64)
    victim = Victim(victims.PixelLinear(offsets), (0.0, 255.0))
    images = torch.full((2, 1, 16, 16), victims.LEVEL, dtype=torch.float64)
    labels = torch.ones(2, 16, 16, dtype=torch.int64)
    # A uniform shift by 1 of a block of 8 x 8 is one coefficient of 8.
    result = recipes_dense.vafa(Linf(8.2), steps=40)(victim, Segmentation(1), images, labels)
    assert result.success.all() and (result.distance <= 8.2 * (1 + 1e-6)).all()
    held = recipes_dense.vafa(Linf(1.0), steps=40)(victim, Segmentation(1), images, labels)
    assert not held.success.any()
