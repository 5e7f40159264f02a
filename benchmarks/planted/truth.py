"""An upper bound of a victim's robust accuracy: attacks on the network inside, and a long search."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

import palpate
from benchmarks.planted import networks
from benchmarks.planted.cases import Case
from benchmarks.planted.victims import SoftVotes, build
from palpate.contracts import Task
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation

_QUERIES = 1000
TASKS: dict[str, Task | None] = {
    "classification": None,
    "segmentation": Segmentation(1),
    "multilabel": MultiLabel(3),
}


def robust_accuracy(case: Case, count: int, seed: int) -> float:
    """Share of the images that stay acceptable under attacks that know what the victim hides."""
    shown, target = networks.DATA[case.task](count, seed)
    victim = build(case.task, case.wrapper, case.adversarial, case.seed)
    standing = torch.ones(count, dtype=torch.bool)
    for candidates in (shown, *_of_network(case, count, seed)):
        standing &= _right(case, victim, candidates, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        left = standing.nonzero().flatten()
        if len(left):
            found = palpate.attack(
                victim, shown[left], target[left], "square", eps=case.eps, bounds=(0, 255),
                outputs="logits", task=TASKS[case.task], queries=_QUERIES,
            )  # fmt: skip
            standing[left] &= ~found.success
    return float(standing.double().mean())


def soft(case: Case) -> torch.nn.Module:
    """The network inside; for votes, the mean of the probabilities over the shifts, which has a gradient."""
    network = networks.trained(case.task, case.adversarial, case.seed)
    return SoftVotes(network).eval() if case.wrapper == "votes" else network


def _of_network(case: Case, count: int, images_seed: int) -> tuple[Tensor, ...]:
    """Adversarial images of the network inside, from attacks that run to their end."""
    shown, target = networks.DATA[case.task](count, images_seed)
    network = soft(case)
    found = []
    for name, parameters in (("pgd", {"steps": 60}), ("apgd-margin", {"steps": 60, "restarts": 3})):
        result = palpate.attack(
            network, shown, target, name, eps=case.eps, bounds=(0, 255), outputs="logits", task=TASKS[case.task],
            run_to_end=True, **parameters,
        )  # fmt: skip
        found.append(result.images)
    return tuple(found)


def _right(case: Case, victim: torch.nn.Module, candidates: Tensor, target: Tensor) -> Tensor:
    """Whether the victim's decision is acceptable; outputs that are not finite decide nothing."""
    task = TASKS[case.task] or palpate.Classification(3)
    with torch.no_grad():
        outputs = victim(candidates)
    finite = torch.isfinite(outputs.flatten(1)).all(1)
    right: Tensor = task.right(outputs, target)
    return right & finite
