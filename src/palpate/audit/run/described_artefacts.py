"""The part of `run.json` about artefacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palpate.artefacts.described import facts
from palpate.artefacts.parameter import WORST, words
from palpate.audit.plan.artefacts import ArtefactItem
from palpate.audit.plan.identity import encode
from palpate.audit.work.artefacts import ArtefactShard


def described_artefacts(
    items: Sequence[ArtefactItem],
    shards: Sequence[ArtefactShard],
    seconds: Mapping[str, float],
    pictures: Sequence[dict[str, Any]],
    modality: str,
    reference: dict[str, Any] | None,
) -> dict[str, Any] | None:
    """The artefacts, their shards and pictures; None if the plan has none.

    Args:
        items: the artefacts.
        shards: all their shards, in the plan's order.
        seconds: identity of a stored shard -> how long it took.
        pictures: of each artefact the image that it harms most.
        modality: the kind of the images; empty if it is not known.
        reference: errors of the plan's reference model; None without one.
    """
    if not items:
        return None
    spent = {item.identity: sum(seconds.get(one.identity, 0.0) for one in shards if one.item is item) for item in items}
    return {
        "modality": modality,
        "reference": reference,
        "shards": [shard.identity for shard in shards],
        "items": [_item(item, spent[item.identity]) for item in items],
        "pictures": list(pictures),
        "seconds": {shard.identity: seconds.get(shard.identity) for shard in shards},
    }


def _item(item: ArtefactItem, seconds: float) -> dict[str, Any]:
    return {
        "name": item.name,
        "item": item.identity,
        "catalog": item.artefact.name,
        "goal": item.goal,
        "summary": " ".join(entry.summary for entry in item.entries),
        "reference": " ".join(entry.reference for entry in item.entries),
        "modalities": list(item.modalities),
        **facts(item.artefact),
        "levels": [_levels(item, severity) for severity in range(1, WORST + 1)],
        "ladder": encode(item.ladder)["fields"],
        "seconds": round(seconds, 3),
    }


def _levels(item: ArtefactItem, severity: int) -> str:
    """The strengths at a named severity, in words."""
    strengths = [parameter for parameter in item.artefact.parameters if parameter.levels is not None]
    return words(strengths, [parameter.level(severity) for parameter in strengths])
