"""What follows the attacks of one start: probes of what they may have missed, then traces, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Literal

from palpate.audit.plan.items import Item
from palpate.audit.run.journal import Journal
from palpate.audit.run.progress import Progress, doing
from palpate.audit.work.probing import ProbeJob, probe_jobs, run_probe_job
from palpate.audit.work.shards import Complete
from palpate.audit.work.traces import TraceJob, described, kept, run_trace_job, trace_jobs
from palpate.errors import InputError
from palpate.victim.forms import is_opaque

Note = Callable[[Literal["failure", "warning", "note"], str, str], None]


class After:
    """Probes and traces; neither changes a record.

    Args:
        journal: the state of the run.
        complete: the records of finished attacks.
        progress: is called as the work proceeds.
        ready: the model is ready inside this block.
        note: adds a finding.
        working_on: called with what runs next, in case it hangs.
    """

    def __init__(
        self,
        journal: Journal,
        complete: Complete,
        progress: Progress,
        ready: Callable[[], AbstractContextManager[None]],
        note: Note,
        working_on: Callable[[Item], None],
    ):
        self.journal, self.progress = journal, progress
        self.ready, self.note, self.working_on = ready, note, working_on
        self.plan, self.subject, self.run = journal.plan, journal.subject, journal.run
        self.complete = complete

    def missing(self) -> bool:
        """Whether a trace of the stored attacks is not made yet."""
        return any(not kept(self.run, job) for job in self._trace_jobs())

    def go(self) -> None:
        """Probe and trace the finished attacks; what cannot be probed or traced is a finding."""
        self._probe()
        self._trace()

    def _probe(self) -> None:
        journal = self.journal
        if journal.quality is None:
            return
        before: dict[str, dict[str, Any]] = {entry["identity"]: entry for entry in journal.quality["goals"]}
        jobs = probe_jobs(self.plan, self.subject, self.complete, before.keys())
        entries = {job.identity: before.get(job.identity) for job in jobs}
        self._enter_probes(entries)
        if all(entries.values()):
            return
        self.progress.start(sum(len(job.rows) for job in jobs if entries[job.identity] is None))
        with self.ready():
            for job in jobs:
                if entries[job.identity] is None:
                    self._probe_goal(job, entries)

    def _probe_goal(self, job: ProbeJob, entries: dict[str, dict[str, Any] | None]) -> None:
        self.working_on(job.like)
        try:
            entry = run_probe_job(self.plan, self.subject, job, partial(self._say_probe, job))
        except InputError as error:
            self.note("warning", "probes", f"The images that no attack beat could not be probed: {error}")
            return
        entries[job.identity] = entry
        self._enter_probes(entries)
        self.journal.update("quality")
        self.progress.advance(job.describe(), entry["seconds"], len(job.rows))

    def _say_probe(self, job: ProbeJob, name: str) -> None:
        doing(self.progress, f"{job.describe()}: {name}. [quality] images = 0 leaves these probes out")

    def _enter_probes(self, entries: dict[str, dict[str, Any] | None]) -> None:
        known = [entry for entry in entries.values() if entry is not None]
        self.journal.quality = {**self.plan.quality.model_dump(), "goals": known}

    def _trace_jobs(self) -> tuple[TraceJob, ...]:
        return trace_jobs(self.plan, self.subject, self.complete)

    def _trace(self) -> None:
        wanted = self._trace_jobs()
        untraced = [job for job in wanted if not kept(self.run, job)]
        self._enter(wanted)
        if not untraced:
            return
        self.progress.start(sum(len(job.rows) for job in untraced))
        with self.ready():
            for job in untraced:
                begin = time.perf_counter()
                self.working_on(job.item)
                doing(self.progress, job.describe())
                try:
                    run_trace_job(self.plan, self.subject, self.run, job)
                except InputError as error:
                    self.note("warning", job.item.name, f"Its steps could not be traced: {error}")
                    continue
                seconds = time.perf_counter() - begin
                self.journal.trace_seconds[job.identity] = round(seconds, 6)
                self._enter(wanted)
                self.journal.update("stability")
                self.progress.advance(job.describe(), seconds, len(job.rows))

    def _enter(self, wanted: Sequence[TraceJob]) -> None:
        """Enter the stored traces into the journal."""
        journal = self.journal
        done = [job for job in wanted if self.run.has_trace(job.identity)]
        blind = is_opaque(self.subject.victim.module)
        journal.stability = described(self.plan, journal.items, done, self.run, journal.trace_seconds, blind)
