"""The engine of the audit's own process, with the model that it has loaded."""

from __future__ import annotations

from palpate.audit.engines.bench import Bench
from palpate.audit.engines.contracts import Engine
from palpate.audit.engines.local import Local
from palpate.audit.run.journal import Journal
from palpate.audit.run.progress import Finer, Progress
from palpate.audit.subject.room import Room


def local_engine(journal: Journal, room: Room, progress: Progress) -> Engine:
    """Computes the jobs of a run in this process, and reports each batch."""
    attacks = {item.identity: item for item in journal.items}
    artefacts = {item.identity: item for item in journal.artefacts}
    bench = Bench(journal.plan, journal.survival, attacks, artefacts, room)
    return Local(bench, journal.run, progress.within if isinstance(progress, Finer) else None)
