"""The engine that a plan asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from palpate.audit.engines.contracts import Engine
from palpate.audit.engines.worker import setup_of
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.storage.runs import RunFolder

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

Start = Callable[[], Engine]
"""Gives the engine, whose workers start with their first job; called when there is work for it."""


def require_engine(plan: Plan) -> None:
    """Refuse an engine that cannot be used, before anything is loaded.

    Raises:
        InputError: Ray is not installed, or nothing answers at its address.
    """
    if plan.run.engine == "ray":
        from palpate.audit.engines.cluster import require_ray

        require_ray(plan.run.address)


def engine_of(plan: Plan, subject: Subject, room: Room, run: RunFolder, *, allow_pickle: bool) -> Start | None:
    """What starts the engine of a plan; None if all work is done in this process."""
    section = plan.run
    if section.engine == "local":
        return None

    def pool() -> Engine:
        from palpate.audit.engines.pool import Pool

        device = subject.device.type
        setup = setup_of(plan, subject, room, allow_pickle=allow_pickle, device=device, scratch=run.path.absolute())
        return Pool(setup, section.workers)

    def cluster() -> Engine:
        from palpate.audit.engines.cluster import Cluster

        device = "cuda" if section.gpus else "cpu"
        setup = setup_of(plan, subject, room, allow_pickle=allow_pickle, device=device, scratch=None)
        return Cluster(setup, section.workers, section.address, section.gpus)

    return pool if section.engine == "pool" else cluster
