"""A model's own description compared with the plan: differences that the figures do not show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palpate.audit.subject.nnunet import sizeless
from palpate.audit.subject.preflight import AuditFinding
from palpate.models.bundle import BundleFacts, bundle_facts
from palpate.models.huggingface import huggingface_facts
from palpate.units import counted
from palpate.victim import Victim

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan
    from palpate.data.table import Table

_SLACK = 0.01
"""Share of the range by which inputs may exceed that of the metadata: resizing overshoots, and people round."""


def model_notes(plan: Plan, victim: Victim, images: Tensor) -> list[AuditFinding]:
    """What to check in a bundle's metadata, a Hugging Face folder's configuration, or an endpoint.

    Args:
        plan: the audit.
        victim: the loaded model with its preprocessing.
        images: some images (B, C, *spatial).
    """
    model = plan.model
    with torch.no_grad():
        inputs = images if victim.preprocess is None else victim.preprocess(images)
    texts: list[str] = []
    if model.bundle is not None:
        facts = bundle_facts(plan.root / model.bundle)
        texts += [*_inputs(facts, inputs), *_windows(plan, facts), *_order(plan.task.names, facts.classes, "bundle")]
        if isinstance(victim.module, torch.jit.ScriptModule):
            texts.append("The bundle's configuration would run code, so its TorchScript (models/model.ts) is audited.")
    if model.huggingface is not None:
        known = huggingface_facts(plan.root / model.huggingface)
        texts += _order(plan.task.names, known.classes, "folder")
        if known.size and known.kind == "classification" and tuple(inputs.shape[2:]) != known.size:
            given = " x ".join(map(str, inputs.shape[2:]))
            texts.append(
                f"The model's image processor gives it {known.size[0]} x {known.size[1]} pixels, and the plan {given}: "
                "preprocess.size."
            )
    if model.endpoint is not None:
        texts.append(
            f"The model is a service, and the model behind {model.named} can change unnoticed. It was asked at "
            f"most {model.endpoint.per_second:g} times a second, and {model.endpoint.budget} times in one start."
        )
    return [AuditFinding("note", "model", text) for text in texts]


def size_note(plan: Plan, table: Table) -> Iterator[AuditFinding]:
    """That an nnU-Net took voxels of unknown size as 1 mm, if there are any."""
    if plan.model.nnunet is None or plan.data.spacing is not None:
        return
    if count := sum(sizeless(table.header(row)) for row in range(len(table))):
        yield AuditFinding(
            "note",
            "data.spacing",
            f"{counted(count, 'image')} of {len(table)} do not give the size of a voxel, so nnU-Net takes 1 mm, and so "
            "does palpate, for mm and ml too. If it is another, write data.spacing.",
        )


def _inputs(facts: BundleFacts, inputs: Tensor) -> Iterator[str]:
    if facts.channels is not None and facts.channels != inputs.shape[1]:
        yield f"The bundle's metadata say {facts.channels} input channels, and the plan gives {inputs.shape[1]}."
    if facts.values is not None:
        (low, high), least, most = facts.values, float(inputs.min()), float(inputs.max())
        slack = _SLACK * (high - low)
        if least < low - slack or most > high + slack:
            yield (
                f"The bundle's metadata say that its inputs are between {low:g} and {high:g}, and the plan gives it "
                f"{least:.4g} to {most:.4g}: check model.preprocess."
            )


def _windows(plan: Plan, facts: BundleFacts) -> Iterator[str]:
    if facts.window is None:
        return
    inferer = plan.model.inferer
    theirs = f"windows of {list(facts.window)} with overlap {facts.overlap:g}, {facts.mode}"
    if inferer.size is None:
        yield f"The bundle evaluates {theirs}, and the plan the whole input at once: model.inferer."
    elif (inferer.size, inferer.overlap, inferer.mode) != (facts.window, facts.overlap, facts.mode):
        ours = f"windows of {list(inferer.size)} with overlap {inferer.overlap:g}, {inferer.mode}"
        yield f"The bundle evaluates {theirs}, and the plan {ours}: model.inferer."


def _order(ours: Sequence[str], theirs: Sequence[str], what: str) -> Iterator[str]:
    """The same names in another order are the most likely mistake, and the figures do not show it."""
    plain = [name.strip().casefold() for name in ours]
    named = [name.strip().casefold() for name in theirs]
    if len(named) == len(plain) + 1:
        named = named[1:]  # the background, which tasks of masks do not name
    if plain != named and sorted(plain) == sorted(named):
        yield f"The {what} names its outputs in the order {', '.join(theirs)}, and the plan as {', '.join(ours)}."
