"""One change for many images: what it is on a linear model, what it may be, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from palpate import catalog
from palpate.attacks.curve import curve
from palpate.attacks.universal import learning
from palpate.attacks.universal.attack import Changes, Universal
from palpate.attacks.universal.learning import Batch, learn, learn_universal
from palpate.checks import victims
from palpate.checks.scenarios import SCENARIOS
from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.storage.records import ATTACKED
from palpate.tasks.classification import Classification
from palpate.threats.ball import L1, L2, Linf
from palpate.threats.confined import Confined
from palpate.victim import Victim

TASK = Classification(2)


def linear(seed: int = 0, count: int = 40) -> tuple[Victim, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A linear model of two classes, images of class 0, their labels, and its normal w: the margin is w x + b."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(16, generator=generator, dtype=torch.float64)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 2).double())
    with torch.no_grad():
        module[1].weight.copy_(torch.stack([normal, torch.zeros_like(normal)]))
        module[1].bias.copy_(torch.stack([0.2 - 0.5 * normal.sum(), torch.zeros(()).double()]))
    images = 0.5 + 0.2 * torch.randn(count * 3, 1, 4, 4, generator=generator, dtype=torch.float64).clamp(-1.5, 1.5)
    right = (images.flatten(1) @ normal + module[1].bias[0] > 0).nonzero().flatten()[:count]
    return Victim(module), images[right], torch.zeros(len(right), dtype=torch.int64), normal.view(1, 4, 4)


@pytest.mark.parametrize(
    ("threat", "best"),
    [(Linf(0.05), lambda w: -0.05 * w.sign()), (L2(0.3), lambda w: -0.3 * w / w.norm())],
    ids=["linf", "l2"],
)
def test_on_a_linear_model_it_is_the_steepest_direction_and_transfers(threat, best):
    victim, images, labels, normal = linear()
    attack = learn_universal(victim, TASK, images[:20], labels[:20], threat, passes=40)
    change = attack.changes.values[0, 0]
    assert torch.nn.functional.cosine_similarity(change.flatten(), best(normal).flatten(), dim=0) > 0.97
    unseen = attack(victim, TASK, images[20:], labels[20:])
    wanted = victim.module(images[20:] + best(normal))[:, 0] <= 0
    assert wanted.any() and not wanted.all() and (unseen.success == wanted).double().mean() >= 0.9
    assert (unseen.forwards == 2).all() and not unseen.backwards.any()


@pytest.mark.parametrize(
    "threat",
    [Linf(30.0), L2(150.0), L1(900.0), Confined(eps=30.0, lattice=True, region="inside body", tied=True)],
    ids=["linf", "l2", "l1", "confined"],
)
def test_the_change_and_every_image_keep_the_threat(threat):
    victim, images = Victim(victims.small_net().double(), (0.0, 255.0)), victims.images(12).double().round()
    with victim:
        labels = victim.judge(images).argmax(1)
    limits = None
    if isinstance(threat, Confined):
        region = torch.zeros(12, 1, *images.shape[2:], dtype=torch.bool)
        region[:, :, :5] = True
        limits = Limits(region, torch.ones(12, dtype=torch.float64))
    attack = learn_universal(victim, Classification(4), images, labels, threat, passes=4, batch=5, limits=limits)
    change = attack.changes.values[0]
    size = {"linf": change.abs().max(), "l2": change.norm(), "l1": change.abs().sum()}[threat.norm]
    assert 0 < size <= threat.eps * (1 + 1e-9)
    found = attack(victim, Classification(4), images, labels, limits=limits)
    assert (found.distance <= threat.eps * (1 + 1e-9)).all() and found.images.min() >= 0 and found.images.max() <= 255
    assert found.success.any()
    if limits is not None:
        moved = found.images - images
        assert torch.equal(moved, moved.round()) and not moved[:, :, 5:].any() and not moved.std(1).any()


def bent(count: int = 24) -> tuple[Victim, Classification, torch.Tensor, torch.Tensor]:
    """A small network, and images that it is right about."""
    victim, images = Victim(victims.small_net().double(), (0.0, 255.0)), victims.images(count).double()
    with victim:
        return victim, Classification(4), images, victim.judge(images).argmax(1)


def test_how_images_are_cut_into_parts_does_not_matter_and_the_seed_does():
    victim, task, images, labels = bent()

    def learned(size: int, seed: int = 0):
        def load(numbers):
            for start in range(0, len(numbers), size):
                rows = torch.tensor(numbers[start : start + size])
                yield Batch(images[rows], labels[rows])

        attack = Universal(L2(60.0), passes=3, batch=8)
        return learn(victim, task, attack, range(24), load, torch.Generator().manual_seed(seed))

    whole, parts, other = learned(24), learned(3), learned(24, seed=1)
    assert torch.allclose(whole.change, parts.change, atol=1e-9) and whole.beaten == parts.beaten
    assert whole.forwards == parts.forwards and not torch.allclose(whole.change, other.change, atol=1e-3)


def test_the_pass_that_beats_most_learning_images_is_kept(monkeypatch):
    victim, task, images, labels = bent()
    judge, seen = learning._Learner.judge, []

    def judged(self):
        # The last pass loses its way.
        self.change = self.change * (len(seen) < 5)
        judge(self)
        seen.append(int((task.margin(victim.judge((images + self.change).clamp(0, 255)), labels) <= 0).sum()))

    monkeypatch.setattr(learning._Learner, "judge", judged)
    attack = learn_universal(victim, task, images, labels, Linf(12.0), passes=5, batch=4)
    kept = int(attack(victim, task, images, labels).success.sum())
    assert kept == max(seen) > seen[-1]


class TwoKinds(nn.Module):
    """The margin of an image with a bright third value rises with the first; that of others with x2 - 0.9 x1."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first, second, kind = (images - 0.5).flatten(1).unbind(1)
        margin = torch.where(kind > 0, first + 0.2, second - 0.9 * first + 0.01)
        return torch.stack([margin, torch.zeros_like(margin)], 1)


def test_only_images_that_still_resist_pull():
    """Three images that fall at once would hold the first value up, which the fourth one needs down."""
    images = torch.tensor([[0.5, 0.5, 0.1]] * 3 + [[0.5, 0.5, 0.9]], dtype=torch.float64).view(4, 1, 1, 3)
    labels = torch.zeros(4, dtype=torch.int64)
    attack = learn_universal(Victim(TwoKinds()), TASK, images, labels, Linf(0.25), passes=20)
    assert attack(Victim(TwoKinds()), TASK, images, labels).success.all()


@pytest.mark.parametrize("name", SCENARIOS)
def test_findings_masks_and_boxes_are_attacked(name):
    scene = SCENARIOS[name]()
    count = len(scene.images)
    threat = Linf(0.2 * (scene.victim.bounds[1] - scene.victim.bounds[0]))
    attack = learn_universal(scene.victim, scene.task, scene.images, scene.targets, threat, passes=8, batch=count)
    found = attack(scene.victim, scene.task, scene.images, scene.targets)
    assert attack.changes.values.shape[2:] == scene.images.shape[1:] and attack.changes.values.any()
    assert found.eligible.any() and found.margin[found.eligible].sum() < found.clean_margin[found.eligible].sum()


def test_each_group_has_its_change_and_every_budget_its_own():
    victim, images, labels, normal = linear()
    up, down = 0.2 * normal.sign()[None], -0.2 * normal.sign()[None]
    changes = Changes(
        (0.1, 0.2), torch.stack([torch.stack([up, down]) / 2, torch.stack([up, down])])[:, :, 0], {7: 0, 9: 1}
    )
    attack = Universal(Linf(0.1), changes=changes)
    limits = Limits(samples=torch.tensor([7, 9, 9, 7]))
    budgets = curve(attack, victim, TASK, images[:4], labels[:4], (0.2, 0.1), order="bisect", limits=limits)
    assert [budget.eps for budget in budgets] == [0.1, 0.2]
    for budget in budgets:
        assert set(budget.evidence) == {ATTACKED} and (budget.result.forwards == 2).all()
        moved = (budget.result.images - images[:4])[[1, 2]]
        assert torch.allclose(moved.abs().amax(), torch.tensor(budget.eps, dtype=torch.float64))
        # The change of the other group would raise the margin, so the clean image is the better one.
        assert not (budget.result.images - images[:4])[[0, 3]].any()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"share": 0.0}, "share: 0 must be above 0 and below 1"),
        ({"share": 1.0}, "some unseen ones"),
        ({"by": "hospital"}, "by: 'hospital' is not one of all, class, site, scanner"),
        ({"passes": 0}, "passes: 0 must be at least 1"),
    ],
)
def test_settings_that_leave_nothing_to_learn_or_to_test_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        catalog.make("universal", Linf(1.0), **settings)


def test_what_does_not_fit_a_change_is_refused():
    victim, images, labels, _ = linear()
    attack = learn_universal(victim, TASK, images[:4], labels[:4], Linf(0.05), passes=1)
    with pytest.raises(InputError, match=r"eps: a change was learned at 0\.05, for all images alike"):
        Universal(Linf(0.1), changes=attack.changes)(victim, TASK, images, labels)
    with pytest.raises(InputError, match="one change has one radius"):
        learn_universal(victim, TASK, images[:2], labels[:2], Linf((0.1, 0.2)))
    with pytest.raises(InputError, match="there are none"):
        learn_universal(victim, TASK, images[:0], labels[:0], Linf(0.1))
    with pytest.raises(InputError, match=r"their shape \[1, 2, 8\] is not that of the learned change, \[1, 4, 4\]"):
        attack(victim, TASK, images[:2].reshape(2, 1, 2, 8), labels[:2])

    def load(rows):
        return [Batch(images[:2], labels[:2]), Batch(images[2:4].reshape(2, 1, 2, 8), labels[2:4])]

    with pytest.raises(InputError, match="one change fits images of one size, and these have 2 sizes"):
        learn(victim, TASK, attack, range(4), load, torch.Generator())
    named = Universal(Linf(0.05), changes=attack.changes._replace(groups={0: 0}))
    with pytest.raises(InputError, match="samples must name the images"):
        named(victim, TASK, images, labels)
