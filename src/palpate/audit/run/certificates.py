"""The certificates of a plan, computed after its artefacts: image by image, each stored when it is finished."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from palpate.audit.plan.certificates import CertificateItem, certificate_items
from palpate.audit.run.earlier import known
from palpate.audit.run.journal import Journal
from palpate.audit.run.progress import Progress
from palpate.audit.subject.preflight import AuditFinding
from palpate.audit.subject.room import Room
from palpate.audit.work.certificates import (
    CertificateShard,
    certificate_shards,
    require_certifiable,
    run_certificate_shard,
)
from palpate.errors import InputError

_BLOCKED = "The smoothed model is not attacked, so that only lower bounds are known: {why}"


def enter_certificates(journal: Journal, before: dict[str, Any] | None) -> None:
    """Enter the certificates of the plan into the journal, with the times of an earlier start.

    Only outputs are needed to certify a model. One that gives no gradient is certified and not attacked.

    Raises:
        InputError: nothing can be certified with so few samples.
    """
    plan, subject = journal.plan, journal.subject
    items = certificate_items(plan)
    require_certifiable(subject, items)
    if any(item.settings.attack for item in items):
        with subject.victim as victim:
            why = victim.where_blocked(subject.images([0]))
        if why is not None:
            journal.unattacked = _BLOCKED.format(why=why)
            journal.findings.append(AuditFinding("note", "certificates", journal.unattacked))
            items = tuple(item.unattacked() for item in items)
    journal.certificates = items
    journal.certificate_shards = certificate_shards(plan, subject, items)
    stored = (before or {}).get("certificates") or {}
    journal.certificate_seconds = known(stored.get("seconds", {}))


class Certificates:
    """The certificates of one start of an audit.

    Args:
        journal: the state of the run.
        progress: is called as the work proceeds.
        room: how many noisy copies fit into memory.
        ready: the model is ready inside this block.
        failed: called with the name of what could not run, and the reason.
        working_on: called with what runs next, in case it hangs.
    """

    def __init__(
        self,
        journal: Journal,
        progress: Progress,
        room: Room,
        ready: Callable[[], AbstractContextManager[None]],
        failed: Callable[[str, InputError], None],
        working_on: Callable[[CertificateItem], None],
    ):
        self.journal, self.progress, self.room = journal, progress, room
        self.ready, self.failed, self.working_on = ready, failed, working_on
        self.run = journal.run

    def missing(self) -> list[CertificateShard]:
        """The shards that are not stored yet."""
        return [shard for shard in self.journal.certificate_shards if not self.run.has_certificates(shard.identity)]

    def go(self) -> None:
        """Compute what is missing; a sigma that cannot run is a finding, and the others continue."""
        missing, gone = self.missing(), set[str]()
        if not missing:
            return
        self.progress.start(len(missing))
        with self.ready():
            for shard in missing:
                if shard.item.name not in gone and not self._run(shard):
                    gone.add(shard.item.name)

    def _run(self, shard: CertificateShard) -> bool:
        journal, begin = self.journal, time.perf_counter()
        self.working_on(shard.item)
        try:
            rows = run_certificate_shard(journal.plan, journal.subject, shard, self.room)
        except InputError as error:
            self.failed(shard.item.name, error)
            return False
        seconds = time.perf_counter() - begin
        self.run.write_certificates(shard.identity, rows)
        journal.stored(shard, seconds)
        self.progress.advance(shard.describe(), seconds, 1)
        return True
