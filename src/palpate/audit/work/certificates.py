"""Certificates of the audited images: one stored file for each image and sigma."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from palpate.audit.plan.certificates import CertificateItem
from palpate.audit.plan.identity import digest
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.audit.work.shards import under_attack
from palpate.certificates.decisions import Decisions
from palpate.certificates.image import Certified, certify_image
from palpate.certificates.opponent import Attacker, unsmoothed
from palpate.seeds import derive
from palpate.storage.certificates import CertificateRow
from palpate.tensors import finite
from palpate.victim import Victim
from palpate.victim.draws import seed_torch

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


@dataclass(frozen=True)
class CertificateShard:
    """One image with one sigma.

    Attributes:
        item: the certificates.
        row: position in the table.
        identity: hash of everything that decides the stored rows; it is the name of the stored file.
    """

    item: CertificateItem
    row: int
    identity: str

    def describe(self) -> str:
        """For progress: `certificates, sigma 12.5, image 33`."""
        return f"{self.item.name}, image {self.row + 1}"


def certificate_shards(plan: Plan, subject: Subject, items: Sequence[CertificateItem]) -> tuple[CertificateShard, ...]:
    """All shards: so many images as the plan wants, from all classes in turn, for one sigma after the other."""
    if not items or plan.certificates is None:
        return ()
    rows = subject.spread(range(len(subject.table)), plan.certificates.images)
    common = {"seed": plan.seed, **({"draws": subject.victim.draws} if subject.victim.draws > 1 else {})}
    subjects = [subject.identity([row]) for row in rows]
    return tuple(
        CertificateShard(item, row, digest({**common, **identified, "item": item.identity}))
        for item in items
        for row, identified in zip(rows, subjects, strict=True)
    )


def require_certifiable(subject: Subject, items: Sequence[CertificateItem]) -> None:
    """Refuse settings with which no image can be certified, before hours are spent: they depend on its pixels.

    Raises:
        InputError: so few samples prove nothing for so many decisions together.
    """
    for item in items:
        decisions = Decisions(item.task, subject.targets([0]))
        item.settings.require_possible(max(1, int(decisions.counted.sum())))


def run_certificate_shard(plan: Plan, subject: Subject, shard: CertificateShard, room: Room) -> list[CertificateRow]:
    """Certify and attack one image; gives its rows, one per radius. Call it inside `with subject.victim:`.

    Raises:
        InputError: the model fails on a noisy copy, or one copy alone does not fit into memory.
    """
    row, item = shard.row, shard.item
    settings = item.settings
    # All sigmas of an image have the same standard normal numbers, so that they can be compared.
    seed = derive(plan.seed, "certificates", subject.table[row].name)
    image, decisions = subject.images([row]), Decisions(item.task, subject.targets([row]))
    victim = unsmoothed(subject.victim)
    seed_torch(seed)
    before = victim.forwards
    with under_attack(), victim:
        clean = _clean(victim, item, image, decisions)
        attacker = Attacker(victim, decisions, settings, seed) if settings.attack else None
        found = certify_image(victim.judge, decisions, image, settings, seed=seed, chunks=room.each, opponent=attacker)
    spent = (victim.forwards - before, 0)
    if attacker is not None:
        spent = (spent[0] + attacker.forwards, attacker.backwards)
    return _rows(subject, shard, found, seed, clean, spent)


def _clean(victim: Victim, item: CertificateItem, image: torch.Tensor, decisions: Decisions) -> tuple[bool, float]:
    """Whether the model without noise has an acceptable result, and its score. NaN or infinity is no result."""
    outputs = victim.judge(image)
    if not bool(finite(outputs)[0]):
        return False, 0.0
    right = bool(item.task.right(outputs, decisions.targets)[0])
    return right, float(item.task.score(outputs, decisions.targets)[0])


def _rows(
    subject: Subject,
    shard: CertificateShard,
    found: Certified,
    seed: int,
    clean: tuple[bool, float],
    spent: tuple[int, int],
) -> list[CertificateRow]:
    case = subject.table[shard.row]
    shared: dict[str, Any] = {
        "image": case.name,
        "row": shard.row,
        "group": case.group,
        "site": case.site,
        "scanner": case.scanner,
        "label": case.label,
        "item": shard.item.identity,
        "sigma": shard.item.settings.sigma,
        "share": found.share,
        "certified": found.radius,
        "prediction": found.prediction,
        "unsettled": found.abstained,
        "clean_right": clean[0],
        "clean_score": clean[1],
        "forwards": spent[0],
        "backwards": spent[1],
        "seed": seed,
    }
    return [
        CertificateRow(
            radius=level.radius,
            least_score=level.least.score,
            least_acceptable=level.least.acceptable,
            least_parts=level.least.parts,
            abstained=level.abstained,
            most_score=level.most.score,
            most_acceptable=level.most.acceptable,
            most_parts=level.most.parts,
            attacked=level.attacked,
            **shared,
        )
        for level in found.levels
    ]
