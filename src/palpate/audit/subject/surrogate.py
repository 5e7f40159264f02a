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
from palpate.tasks.heads import Softmax
from palpate.tensors import Tree
from palpate.usercode import said
from palpate.victim import Victim
from palpate.victim.spacing import placed

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
        self.victim.inferer = placed(self.victim.inferer, spacing)

    def check(self, task: Task, images: Tensor, targets: Tree) -> None:
        """Refuse a surrogate that cannot take the images, or whose outputs are not those of the task.

        Raises:
            InputError: one sentence with the fix.
        """
        shape = list(images.shape[1:])
        try:
            with self.victim, torch.no_grad():
                outputs = self.victim.judge(images)
        except (InputError, RuntimeError) as error:
            raise InputError(
                f"surrogate: it cannot be attacked with images of shape {shape}{_said(error)}. Give its input in "
                "[surrogate.preprocess], such as size and channels, or a surrogate that takes such images."
            ) from error
        try:
            task.validate(outputs, targets)
        except InputError as error:
            text = _misfit(task, outputs, error)
            fix = (
                "Check its weights and [surrogate.preprocess]" if "NaN" in text else "Give a surrogate of the same task"
            )
            raise InputError(f"surrogate: {text}. {fix}.") from error


def _said(error: Exception) -> str:
    """What a model or its preprocessing says about its input, in brackets; torch's own words help nobody."""
    cause = getattr(error, "cause", error)
    if isinstance(cause, RuntimeError):
        return ""
    return f" ({str(cause).rstrip('.') if isinstance(cause, InputError) else said(cause)})"


def _misfit(task: Task, outputs: Tree, error: InputError) -> str:
    """How outputs differ from those of the task: by their number of classes or findings, or as the task says it."""
    for noun in ("classes", "findings"):
        wanted, head = getattr(task, noun, None), getattr(task, "head", None)
        one_each = noun == "findings" or isinstance(head, Softmax)
        if wanted is not None and one_each and isinstance(outputs, Tensor) and outputs.ndim == 2:
            given = max(outputs.shape[1], 2) if noun == "classes" else outputs.shape[1]
            if given != wanted:
                return f"it gives {given} {noun}, and the task has {wanted}"
    # The advice that follows is for the model under test.
    return str(error).partition(". ")[0].removeprefix("model: ").replace("the model's output", "its output").rstrip(".")


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
    preprocess = section.preprocess.build(plan.root)
    inferer = section.evaluation(plan.root, allow_pickle=allow_pickle)
    identity = {
        "model": source.digest(plan.root),
        "weights": weights_digest(module),
        "preprocess": encode(preprocess),
        "inferer": encode(inferer),
    }
    victim = Victim(module.to(device), section.bounds, preprocess=preprocess, inferer=inferer)
    return Surrogate(victim, preprocess, identity)
