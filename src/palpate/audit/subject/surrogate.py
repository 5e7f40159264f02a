"""The surrogate of a plan, loaded: another model of the same task, whose gradients the attack `transfer` uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from palpate.audit.plan.identity import encode
from palpate.contracts import Task
from palpate.errors import InputError
from palpate.models.loading import load_noted, weights_digest
from palpate.preprocess import Preprocessing
from palpate.tensors import Tree
from palpate.usercode import ModelError
from palpate.victim import Victim

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


@dataclass(frozen=True)
class Surrogate:
    """Another model of the same task.

    Attributes:
        victim: the model with its bounds and preprocessing, on its device.
        preprocess: from stored values to its input.
        identity: hashes of its code, files and weights, and its settings, as JSON.
    """

    victim: Victim
    preprocess: Preprocessing
    identity: dict[str, Any]

    def prepare(self, spacing: tuple[float, ...] | None) -> None:
        """Expect images of this spacing."""
        self.victim.preprocess = self.preprocess.at(spacing)

    def check(self, task: Task, images: Tensor, targets: Tree) -> None:
        """Refuse a surrogate that cannot take the images, or whose outputs are not those of the task.

        Raises:
            InputError: one sentence with the fix.
        """
        shape = list(images.shape[1:])
        try:
            with self.victim, torch.no_grad():
                task.validate(self.victim.judge(images), targets)
        except (ModelError, InputError, RuntimeError) as error:
            said = " ".join(str(getattr(error, "cause", error)).split())[:200].rstrip(".")
            raise InputError(
                f"surrogate: it cannot be attacked with images of shape {shape} ({said}). Give a model of the same "
                "task, and its input in [surrogate.preprocess], such as size."
            ) from error


def load_surrogate(plan: Plan, device: torch.device, *, allow_pickle: bool) -> Surrogate | None:
    """The surrogate of a plan; None if it has none. Raises InputError if it cannot be loaded."""
    section = plan.surrogate
    if section is None:
        return None
    source = section.source()
    try:
        module = load_noted(source, plan.root, allow_pickle=allow_pickle).module
    except InputError as error:
        raise InputError(f"surrogate: {error}") from error
    preprocess, inferer = section.preprocess.build(plan.root), section.inferer.build()
    identity = {
        "model": source.digest(plan.root),
        "weights": weights_digest(module),
        "preprocess": encode(preprocess),
        "inferer": encode(inferer),
    }
    victim = Victim(module.to(device), section.bounds, preprocess=preprocess, inferer=inferer)
    return Surrogate(victim, preprocess, identity)
