"""Networks whose logits are multiplied by 10,000 decide the same, so attacks must beat them as well."""

import pytest
import torch
from torch import nn

from palpate import catalog
from palpate.annotations import Boxes, Candidates
from palpate.attacks.minimum.norm import FMN
from palpate.attacks.recipes_dense import dice_pgd
from palpate.checks import victims
from palpate.checks.scenarios import SCENARIO_KINDS, SCENARIOS
from palpate.quality.agreement import agreement
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.multilabel_goals import AllFindings
from palpate.tasks.saturation import SATURATED, USUAL, Cooling
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import L2, Linf
from palpate.victim import Victim

FACTOR = 1e4


class Loud(nn.Module):
    """Another network's logits times a factor."""

    def __init__(self, network, factor=FACTOR):
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, images):
        outputs = self.network(images)
        if isinstance(outputs, Candidates):
            return outputs._replace(logits=outputs.logits * self.factor)
        return outputs * self.factor


def climbing(kind, targeted):
    """Attacks of the catalogue that follow a gradient."""
    return [
        entry
        for entry in catalog.attacks().values()
        if entry.gradient
        and entry.name != "strongest"
        and kind in entry.tasks
        and (targeted or not entry.targeted_only)
    ]


def left(entry, world, network):
    """Mean share of the clean margin that an attack leaves."""
    threat = Linf(6.0) if "linf" in entry.norms else L2(60.0)
    settings = {"steps": 6} if entry.steps_parameter == "steps" else {}
    result = catalog.make(entry.name, threat, **settings)(
        Victim(network, (0, 255)), world.task, world.images, world.targets
    )
    return float((result.margin / result.clean_margin)[result.eligible].clamp(min=0).mean()), result


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_climb_beats_the_loud_network_as_it_beats_the_network(name):
    world = SCENARIOS[name]()
    for entry in climbing(*SCENARIO_KINDS[name]):
        plain, _ = left(entry, world, world.victim.module)
        loud, result = left(entry, world, Loud(world.victim.module))
        assert loud <= plain + 0.2, (entry.name, plain, loud)
        assert result.zero_gradient[result.eligible].all(), entry.name
        assert not result.blocked_gradient.any(), entry.name


def masks(count=4, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 6, 6, generator=random), torch.randint(0, 3, (count, 6, 6), generator=random)


def test_a_cooled_mask_decides_as_before_and_ordinary_rows_keep_every_bit():
    logits, labels = masks()
    logits[1:3] *= FACTOR
    for task, outputs, truth in (
        (Segmentation(2), logits, labels),
        (Segmentation(1, threshold=0.3), logits[:, :1], (labels > 0).long()),
        (Segmentation(3, exclusive=False, threshold=0.7), logits, torch.randint(0, 2, logits.shape)),
    ):
        cooling = Cooling.of(task, outputs, truth)
        cooled = cooling(outputs)
        assert (cooling.temperature > 1).tolist() == [False, True, True, False]
        assert torch.equal(task.predict(cooled), task.predict(outputs))
        assert torch.equal(cooled[[0, 3]], outputs[[0, 3]])
        assert task.logit_size(cooled, truth)[1:3].tolist() == pytest.approx([USUAL] * 2, rel=1e-3)


def test_a_small_loud_structure_is_enough():
    logits, labels = torch.full((1, 1, 30, 30), -2.0), torch.zeros(1, 30, 30, dtype=torch.int64)
    labels[0, :2, :2], logits[0, 0, :2, :2] = 1, 2 * SATURATED
    assert float(Cooling.of(Segmentation(1), logits, labels).temperature) == pytest.approx(2 * SATURATED / USUAL)
    assert Cooling.of(Segmentation(1), logits / 4, labels).temperature is None


@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
def test_cooled_candidates_are_detected_as_before(head):
    random = torch.Generator().manual_seed(1)
    corners = torch.rand(3, 12, 2, generator=random) * 0.7
    outputs = Candidates(
        torch.randn(3, 12, 2 + (head == "softmax"), generator=random) * 300, torch.cat([corners, corners + 0.25], 2)
    )
    task = Detection(2, confidence=0.3, head=head)
    found = task.own(outputs)
    assert (found.labels >= 0).any(1).all()
    cooled = Cooling.of(task, outputs, found)(outputs)
    assert not torch.equal(cooled.logits, outputs.logits)
    assert torch.equal(task.own(cooled).labels.sort().values, found.labels.sort().values)
    empty = Boxes(torch.zeros(3, 0, 4), torch.zeros(3, 0, dtype=torch.int64))
    assert Cooling.of(task, outputs, empty).temperature is not None


def test_findings_that_are_broken_do_not_keep_the_others():
    class Two(nn.Module):
        def forward(self, images):
            bright = images.flatten(1).mean(1) - victims.LEVEL
            # The first finding is already read wrongly, the second one falls after a change of -2.
            return torch.stack([-5 + 0.1 * bright, bright + 2], 1) * FACTOR

    images = victims.level_images().float()
    labels = torch.ones(len(images), 2, dtype=torch.int64)
    task = MultiLabel(2, AllFindings())
    result = catalog.make("bim", Linf(3.0), steps=4)(Victim(Two(), (0, 255)), task, images, labels)
    assert result.success.all()


def test_a_classification_is_read_as_it_is():
    assert Cooling.of(Classification(3), torch.randn(2, 3) * FACTOR, torch.tensor([0, 1])).temperature is None


def test_the_smallest_change_of_a_loud_mask_is_no_larger_than_that_of_the_mask():
    world = SCENARIOS["masks_2d"]()
    found = [
        FMN(Linf(20.0), 25)(Victim(network, (0, 255)), world.task, world.images, world.targets).radius
        for network in (world.victim.module, Loud(world.victim.module))
    ]
    assert found[0].isfinite().any()
    assert (found[1] <= 1.2 * found[0]).all()


def test_gradients_of_a_loud_mask_describe_what_attacks_climb():
    world = SCENARIOS["masks_2d"]()
    loud = Victim(Loud(world.victim.module), (0, 255))
    with loud:
        streams = Streams.of(None, len(world.images))
        assert agreement(loud, world.task, world.images, world.targets, Linf(2.0), streams, None) > 0.5


def test_soft_dice_of_a_loud_mask_reaches_the_pixel_of_known_distance():
    offsets = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    images = victims.level_images()[:, :1, :2, :2].float() * 0 + victims.LEVEL
    labels = (offsets > 0).long().expand(len(images), 2, 2)
    task = Segmentation(1, floor=0.6)
    for factor in (1.0, FACTOR):
        # Two of three pixels must fall: Dice 2 * 1 / (3 + 1) = .5.
        victim = Victim(Loud(victims.PixelLinear(offsets), factor), (0, 255))
        for eps, falls in ((1.9, False), (2.1, True)):
            attack = dice_pgd(Linf(eps), steps=8, random_start=False)
            assert bool(attack(victim, task, images, labels).success.all()) == falls
