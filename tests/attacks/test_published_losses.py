"""SegPGD and CosPGD on masks in 2D and 3D, away from the truth and towards a mask, against the published sums."""

import pytest
import torch
import torch.nn.functional as F

from palpate.attacks.objectives_pieces import CosPGD, SegPGD
from palpate.checks import victims
from palpate.contracts import ObjectiveInputs
from palpate.tasks.masks.goals import Degrade, Erase
from palpate.tasks.segmentation import Segmentation

IGNORE = 255


def segpgd(logits, labels, progress, targeted):
    """Gu et al.: standing pixels by 1 - lambda, the others by lambda; a targeted loss is descended."""
    loss = F.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORE)
    fallen = (logits.argmax(1) == labels) if targeted else (logits.argmax(1) != labels)
    weighed = torch.where(fallen, progress / 2 * loss, (1 - progress / 2) * loss)
    return -weighed if targeted else weighed


def cospgd(logits, labels, progress, targeted):
    """Agnihotri et al.: the loss times the detached cosine of probabilities and one-hot labels."""
    loss = F.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORE)
    one_hot = F.one_hot(labels.masked_fill(labels == IGNORE, 0), logits.shape[1]).movedim(-1, 1)
    cosine = F.cosine_similarity(logits.softmax(1), one_hot.to(logits), dim=1).detach()
    return -(1 - cosine) * loss if targeted else cosine * loss


@pytest.mark.parametrize(("objective", "published"), [(SegPGD(), segpgd), (CosPGD(), cospgd)])
@pytest.mark.parametrize("goal", [Degrade(), Erase(0)])
@pytest.mark.parametrize("spatial", [2, 3])
def test_value_and_gradient_are_the_published_ones(objective, published, goal, spatial):
    network = victims.small_masks(1, 3, spatial).double()
    images = victims.images(3, 1, spatial).double().requires_grad_()
    truth = torch.randint(0, 3, (3, *[8] * spatial), generator=torch.Generator().manual_seed(1))
    truth[:, :3] = IGNORE
    wanted = truth.masked_fill(truth == 1, 0) if isinstance(goal, Erase) else truth
    outputs = network(images)
    inputs = ObjectiveInputs(
        *[images] * 3, outputs, outputs, truth, Segmentation(2, goal=goal), 0.4, forward=None, forward_no_grad=None
    )
    value = objective.value(inputs)
    (gradient,) = torch.autograd.grad(value.sum(), images, retain_graph=True)
    losses = published(outputs, wanted, 0.4, isinstance(goal, Erase))
    expected = losses.flatten(1).sum(1) / (truth != IGNORE).flatten(1).sum(1)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), images)[0])
