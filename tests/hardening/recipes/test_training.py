"""A few steps with any recipe make a model more robust that leans on a sign which a small change can turn."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from palpate.annotations import Masks
from palpate.attacks.recipes import apgd_margin
from palpate.attacks.recipes_dense import dice_pgd
from palpate.contracts import Limits
from palpate.hardening.contracts import Batch, Situation
from palpate.hardening.losses.default import default_loss
from palpate.hardening.recipes.table import make
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import Linf
from palpate.victim import Victim

EPS, COUNT = 6.0, 32


class Pixels(nn.Module):
    """Each pixel is read from its two channels; classes and findings from the mean over all pixels."""

    def __init__(self, outputs, pooled):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 6, 1), nn.Tanh(), nn.Conv2d(6, outputs, 1))
        self.pooled = pooled

    def forward(self, images):
        maps = self.body((images - 128) / 12)
        return maps.mean((2, 3)) if self.pooled else maps


def drawn(labels, seed, noise):
    """Channel 0 says the label by 15 grey values with noise, channel 1 by 4 without, within reach of an attack of 6."""
    generator = torch.Generator().manual_seed(seed)
    sign = (2.0 * labels - 1).unsqueeze(1)
    strong = 128 + 15 * sign + noise * torch.randn(sign.shape, generator=generator)
    return torch.cat([strong.clamp(0, 255), 128 + 4 * sign + 0 * strong], 1)


def labels_of(kind, seed):
    generator = torch.Generator().manual_seed(seed)
    if kind == "masks":
        labels = torch.zeros(COUNT, 6, 6, dtype=torch.int64)
        for row, place in enumerate(torch.randint(0, 4, (COUNT, 2), generator=generator).tolist()):
            labels[row, place[0] : place[0] + 3, place[1] : place[1] + 3] = 1
        return labels
    return torch.randint(0, 2, (COUNT,), generator=generator)


def lesson(kind, seed):
    """Images, targets and the labels of each pixel."""
    labels = labels_of(kind, seed)
    pixels = labels if kind == "masks" else labels[:, None, None].expand(-1, 3, 3)
    targets = {"masks": lambda: Masks(labels), "findings": lambda: torch.stack([labels, 1 - labels], 1)}
    return drawn(pixels, seed, 15 if kind == "masks" else 35), targets.get(kind, lambda: labels)()


TASKS = {"classes": Classification(2), "findings": MultiLabel(2), "masks": Segmentation(1)}


def trained(kind, module, recipe, steps, rate, threat):
    victim, task = Victim(module, (0.0, 255.0)), TASKS[kind]
    situation = Situation(victim, task, threat, default_loss(task), module)
    optimiser = torch.optim.Adam(module.parameters(), rate)
    for step in range(steps):
        images, targets = lesson(kind, step)
        batch = Batch(images, targets, Limits(), Streams(range(1000 * step, 1000 * step + COUNT)))
        loss = recipe.loss(batch, recipe.craft(batch, situation), situation)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return module


class Plain:
    def craft(self, batch, situation):
        return batch

    def loss(self, batch, crafted, situation):
        return situation.loss(situation.network(crafted.images), crafted.targets).mean()


@cache
def standard(kind):
    """Weights after training on images as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Pixels(1 if kind == "masks" else 2, kind != "masks")
    return trained(kind, module, Plain(), 60, 0.05, Linf(EPS)).state_dict()


def robust(kind, module):
    """Share of the images, or mean Dice, that stays right under an attack that is not trained on."""
    images, targets = lesson(kind, 9999)
    task, victim = TASKS[kind], Victim(module, (0.0, 255.0))
    attack = dice_pgd(Linf(EPS), steps=5, run_to_end=True) if kind == "masks" else apgd_margin(Linf(EPS), steps=5)
    found = attack(victim, task, images, targets, generator=torch.Generator().manual_seed(0))
    with victim:
        clean = task.score(victim.judge(images), targets).mean()
    return float(task.score(found.outputs, targets).mean()), float(clean)


@cache
def robust_before(kind):
    """The same of the model before, and of images as they are."""
    return robust(kind, started(kind))


def started(kind):
    module = Pixels(1 if kind == "masks" else 2, kind != "masks")
    module.load_state_dict(standard(kind))
    return module


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ("classes", "findings", "masks") for name in ("fast", "fgsm", "pgd", "trades", "mart",
     "smia")] + [(kind, name) for kind in ("findings", "masks") for name in ("segpgd", "cospgd")],
)  # fmt: skip
def test_training_with_a_recipe_raises_the_robust_score(kind, name):
    short = {"steps": 2} if name in ("pgd", "trades", "mart", "smia") else {}
    steps = 16
    if (kind, name) == ("masks", "trades"):
        steps, short = 25, {"steps": 2, "beta": 1.0}  # 6 is for the distance of classes, and too much for so few steps
    module = started(kind)
    before, clean = robust_before(kind)
    trained(kind, module, make(name, short, TASKS[kind]), steps, 0.05, Linf(EPS))
    after, still = robust(kind, module)
    assert clean > 0.95
    assert after > before + 0.2
    assert still > clean - 0.25


def test_training_without_an_attack_does_not():
    module = started("classes")
    before, _ = robust_before("classes")
    trained("classes", module, Plain(), 25, 0.05, Linf(EPS))
    assert robust("classes", module)[0] < before + 0.1


def test_training_on_artefacts_raises_the_score_under_artefacts():
    module = started("classes")
    task, recipe = (
        TASKS["classes"],
        make("artefacts", {"names": ["brightness"], "severity": 5.0, "draws": 2}, TASKS["classes"]),
    )
    images, targets = lesson("classes", 9999)

    def score():
        situation = Situation(Victim(module, (0.0, 255.0)), task, Linf(EPS), default_loss(task), module)
        batch = Batch(images, targets, Limits(), Streams(range(COUNT)))
        made = replace(recipe, clean_share=0.0).craft(batch, situation)
        with situation.victim:
            return float(task.score(situation.victim.judge(made.images), targets).mean())

    before = score()
    trained("classes", module, recipe, 15, 0.05, Linf(EPS))
    assert score() > before + 0.15
