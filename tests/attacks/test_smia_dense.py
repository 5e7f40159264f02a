"""SMIA pixel by pixel and box by box: where it is BIM, where mixed pixels part it from BIM, and what a goal does."""

import pytest
import torch
import torch.nn.functional as F

from palpate.annotations import Masks
from palpate.attacks import recipes
from palpate.attacks.objectives import Deviation, Stabilised
from palpate.attacks.smoothing import gaussian
from palpate.checks import victims
from palpate.checks.scenarios import LOST, boxes
from palpate.contracts import ObjectiveInputs
from palpate.tasks.masks.goals import Erase
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import Linf
from palpate.victim import Victim


def net(classes=3):
    """A victim, smooth images, and their decided masks: three classes, or one structure from one logit."""
    victim = Victim(victims.small_masks(classes=classes).double(), (0, 255))
    images = gaussian(victims.images(6, seed=4).double(), 5, 2.0)
    with victim:
        outputs = victim.judge(images)
    return victim, images, outputs.argmax(1) if classes > 1 else (outputs[:, 0] > 0).long()


def moved(images, length):
    return images + length * torch.randn(images.shape, generator=torch.Generator().manual_seed(2), dtype=images.dtype)


def value_and_gradient(objective, victim, task, place, previous, targets, forward_no_grad=None):
    with victim:
        place = place.clone().requires_grad_()
        outputs = victim.search(place)
        looks = (victim.search, forward_no_grad or victim.forward_no_grad)
        inputs = ObjectiveInputs(place, previous, previous, outputs, outputs, targets, task, 0.0, *looks)
        value = objective.value(inputs)
        return value.detach(), victim.gradient(value, place)


@pytest.mark.parametrize("classes", [1, 3])
def test_weight_zero_is_bim(classes):
    victim, images, labels = net(classes)
    arguments = (victim, Segmentation(max(classes - 1, 1)), images, labels)
    smia = recipes.smia(Linf(6.0), weight=0.0, run_to_end=True)(*arguments)
    bim = recipes.bim(Linf(6.0), run_to_end=True)(*arguments)
    assert bim.distance.any() and torch.equal(smia.images, bim.images)


@pytest.mark.parametrize("classes", [1, 3])
def test_same_steps_as_bim_until_a_pixels_smoothed_decision_flips(classes):
    victim, images, labels = net(classes)
    task, place = Segmentation(max(classes - 1, 1)), moved(images, 1e-3)
    with victim:
        assert torch.equal(task.predict(victim.judge(images + gaussian(place - images, 3, 1.0))), labels)
    _, ours = value_and_gradient(Stabilised(0.6), victim, task, place, images, labels)
    _, bim = value_and_gradient(Deviation(), victim, task, place, images, labels)
    torch.testing.assert_close(ours, 0.4 * bim, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("classes", [1, 3])
def test_pixels_of_which_some_have_flipped_part_it_from_bim(classes):
    victim, images, labels = net(classes)
    task, place = Segmentation(max(classes - 1, 1)), moved(images, 20.0)
    _, ours = value_and_gradient(Stabilised(0.9), victim, task, place, images, labels)
    _, bim = value_and_gradient(Deviation(), victim, task, place, images, labels)
    assert (F.cosine_similarity(ours.flatten(1), bim.flatten(1)) < 0.99).all()
    arguments = (victim, task, images, labels)
    smia, plain = (attack(Linf(8.0), run_to_end=True)(*arguments) for attack in (recipes.smia, recipes.bim))
    assert not torch.equal(smia.images, plain.images)


@pytest.mark.parametrize("agreement", ["label", "distribution"])
def test_it_is_cross_entropy_minus_disagreement_pixel_by_pixel(agreement):
    victim, images, labels = net()
    place = moved(images, 20.0)
    with victim:
        outputs = victim.judge(place)
        smoothed = victim.judge(images + gaussian(place - images, 3, 1.0))
    value, _ = value_and_gradient(
        Stabilised(0.7, agreement=agreement), victim, Segmentation(2), place, images, Masks(labels)
    )
    deviation = F.cross_entropy(outputs, labels, reduction="none").flatten(1).mean(1)
    if agreement == "label":
        apart = F.cross_entropy(outputs, smoothed.argmax(1), reduction="none").flatten(1).mean(1)
    else:
        q, p = smoothed.softmax(1), outputs.softmax(1)
        apart = (q * (q / p).log()).sum(1).flatten(1).mean(1)
    torch.testing.assert_close(value, deviation - 0.7 * apart)


def test_boxes_that_the_smoothed_image_keeps_make_it_bim_and_others_do_not():
    world = boxes()
    with world.victim:
        clean = world.victim.judge(world.images)
    place = moved(world.images, 5.0).clamp(0, 255)
    arguments = (world.victim, world.task, place, world.images, world.targets)
    _, bim = value_and_gradient(Deviation(), *arguments)
    _, kept = value_and_gradient(Stabilised(0.6), *arguments, forward_no_grad=lambda _: clean)
    right = [row for row in range(len(place)) if row != LOST]
    torch.testing.assert_close(kept[right], 0.4 * bim[right], rtol=1e-9, atol=1e-15)
    _, other = value_and_gradient(Stabilised(0.6), *arguments)
    assert (F.cosine_similarity(other[right].flatten(1), bim[right].flatten(1)) < 0.9999).all()


def test_towards_a_goal_agreement_pulls_a_fallen_pixel_back_while_its_smoothed_decision_stands():
    """J = log p_w - weight * CE(p, other class) rises with the logit once p_other < weight / (1 + weight)."""
    images = torch.full((1, 1, 2, 2), victims.LEVEL, dtype=torch.float64)
    victim = Victim(victims.PixelLinear(torch.tensor([[[3.0, 0.1], [-0.1, -3.0]]], dtype=torch.float64)), (0, 255))
    task, labels = Segmentation(1, goal=Erase(0)), torch.ones(1, 2, 2, dtype=torch.int64)
    standing = torch.ones(1, 1, 2, 2, dtype=torch.float64)
    arguments = (victim, task, images, images, labels)
    _, ours = value_and_gradient(Stabilised(0.5), *arguments, forward_no_grad=lambda _: standing)
    assert ours.sign().flatten().tolist() == [-1, -1, -1, 1]
    _, bim = value_and_gradient(Deviation(), *arguments)
    assert (bim < 0).all()
