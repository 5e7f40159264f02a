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


def engine_of(plan: Plan, subject: Subject, room: Room, run: RunFolder, *, allow_pickle: bool) -> Start | None:
    """What starts the engine of a plan; None if all work is done in this process.

    Raises:
        InputError: Ray is not installed, or nothing answers at its address.
    """
    if plan.run.engine == "local":
        return None

    def start() -> Engine:
        if plan.run.engine == "pool":
            from palpate.audit.engines.pool import Pool

            setup = setup_of(
                plan, subject, room, allow_pickle=allow_pickle, device=subject.device.type, scratch=run.path
            )
            return Pool(setup, plan.run.workers)
        raise NotImplementedError

    return start
