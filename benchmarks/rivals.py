"""The peers' PGD, called as their documentation shows: [0, 1] images, one eps, random start."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor, from_numpy, nn


@dataclass(frozen=True)
class Rival:
    """A peer's PGD: (model, images, labels, eps, steps) -> adversarial images."""

    package: str
    run: Callable[[nn.Module, Tensor, Tensor, float, int], Tensor]

    def available(self) -> bool:
        """Whether its package is installed."""
        return importlib.util.find_spec(self.package) is not None

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor, eps: float, steps: int) -> Tensor:
        """Attack."""
        return self.run(model, images, labels, eps, steps)


def _torchattacks(model: nn.Module, images: Tensor, labels: Tensor, eps: float, steps: int) -> Tensor:
    import torchattacks

    return torchattacks.PGD(model, eps=eps, alpha=2.5 * eps / steps, steps=steps, random_start=True)(images, labels)


def _foolbox(model: nn.Module, images: Tensor, labels: Tensor, eps: float, steps: int) -> Tensor:
    import foolbox

    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(steps=steps, rel_stepsize=2.5 / steps, random_start=True)
    return attack(wrapped, images, labels, epsilons=eps)[1]


def _art(model: nn.Module, images: Tensor, labels: Tensor, eps: float, steps: int) -> Tensor:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), tuple(images.shape[1:]), 5, clip_values=(0.0, 1.0), device_type="cpu"
    )
    settings = {"eps": eps, "eps_step": 2.5 * eps / steps, "max_iter": steps, "num_random_init": 1}
    attack = ProjectedGradientDescentPyTorch(classifier, batch_size=len(images), verbose=False, **settings)
    return from_numpy(np.asarray(attack.generate(images.numpy(), labels.numpy())))


RIVALS = {
    "torchattacks": Rival("torchattacks", _torchattacks),
    "foolbox": Rival("foolbox", _foolbox),
    "art": Rival("art", _art),
}
