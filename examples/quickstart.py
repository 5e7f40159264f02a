"""One line, and the same from its parts: `python examples/quickstart.py`. Offline, on phantoms, in half a minute."""

from __future__ import annotations

import torch

import palpate
from palpate.attacks import recipes
from palpate.attacks.directions import Momentum
from palpate.attacks.objectives import Margin, Stabilised
from palpate.attacks.steps import Halving
from palpate.data.phantoms import fundus_set
from palpate.models.demo import fundus as demo
from palpate.tasks.goals import hide_disease

images, grades = fundus_set(16, seed=2026, size=demo.SIZE)
images = torch.from_numpy(images).permute(0, 3, 1, 2).float()  # stored values, 0..255
grades = torch.from_numpy(grades)
network = demo.load()
normalise = palpate.Preprocess(mean=demo.MEAN, std=demo.STD)  # part of the model, so eps stays in stored values

# One line: the evaluation without parameters. A single method takes its own parameters.
shared = {"eps": 1.0, "bounds": (0, 255), "preprocess": normalise}
result = palpate.attack(network, images, grades, "strongest", **shared)
print(f"strongest  success {result.success_rate:.0%}, robust accuracy {result.robust_accuracy:.0%}")
result = palpate.attack(network, images, grades, "smia", steps=20, **shared)
print(f"smia       success {result.success_rate:.0%}, robust accuracy {result.robust_accuracy:.0%}")

# Several attacks and budgets over a loader, or over arrays: a table with intervals.
shared = {"bounds": (0, 255), "preprocess": normalise}
print(palpate.evaluate(network, images, grades, attacks=["fgsm", "smia"], eps=[0.5, 1.0], **shared))

# The parts: a victim, a threat, a task with a clinical goal, and an attack built by hand.
victim = palpate.Victim(network, bounds=(0, 255), preprocess=normalise)
threat = palpate.Linf(2.0)
task = palpate.Classification(5, hide_disease(demo.DISEASE, 5))
by_hand = palpate.Ascent(threat, steps=20, objective=Margin(), directions=(Momentum(0.8),), step=Halving())
hidden = by_hand(victim, task, images, grades, generator=torch.Generator().manual_seed(0))
print(f"by hand    hides disease in {int(hidden.success.sum())} of {int(hidden.eligible.sum())} diseased phantoms")

# A form of SMIA that no recipe names, at four budgets; each image searches for the smallest that beats it.
attack = palpate.Ascent(threat, 20, Stabilised(1.0, "perturbation", "distribution", through=True), random_start=False)
for budget in palpate.curve(attack, victim, palpate.Classification(5), images, grades, [0.5, 1.0, 2.0, 4.0]):
    spent = int(budget.result.forwards.sum() + budget.result.backwards.sum())
    print(f"eps {budget.eps:3.1f}  robust accuracy {budget.result.robust_accuracy:.0%}  passes {spent}")

# Every recipe is such a value: it can be printed, compared and hashed.
print(recipes.smia(threat))
