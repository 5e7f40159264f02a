"""The part of `run.json` about certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palpate.audit.plan.certificates import CertificateItem
from palpate.audit.work.certificates import CertificateShard
from palpate.certificates.bounds import largest_radius


def described_certificates(
    items: Sequence[CertificateItem], shards: Sequence[CertificateShard], seconds: Mapping[str, float], unattacked: str
) -> dict[str, Any] | None:
    """The certificates and their shards; None if the plan has none.

    Args:
        items: one for each sigma.
        shards: all their shards.
        seconds: identity of a stored shard -> how long it took.
        unattacked: why the smoothed model is not attacked; empty if it is.
    """
    if not items:
        return None
    return {
        "shards": [shard.identity for shard in shards],
        "images": len({shard.row for shard in shards}),
        "parts": [list(pair) for pair in items[0].parts],
        "unattacked": unattacked,
        "items": [_item(item, [one for one in shards if one.item is item], seconds) for item in items],
        "seconds": {shard.identity: seconds.get(shard.identity) for shard in shards},
    }


def _item(item: CertificateItem, shards: Sequence[CertificateShard], seconds: Mapping[str, float]) -> dict[str, Any]:
    settings = item.settings
    masks = bool(item.parts) and item.parts[0][0] == "pixel accuracy"
    return {
        "item": item.identity,
        "sigma": settings.sigma,
        "samples": settings.samples,
        "select": settings.select,
        "confidence": settings.confidence,
        "radii": list(settings.levels(masks=masks)),
        "tau": settings.tau if masks else None,
        "tau_radius": settings.tau_radius if masks else None,
        "largest": largest_radius(settings.sigma, settings.samples, settings.alpha),
        "attack": settings.attack,
        "steps": settings.steps,
        "draws": settings.draws,
        "seconds": round(sum(seconds.get(shard.identity, 0.0) for shard in shards), 3),
    }
