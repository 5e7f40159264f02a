"""Carry out a plan, attack by attack and shard by shard; every finished shard is stored and stays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from palpate.audit.engines.bench import ready
from palpate.audit.engines.choice import Start, engine_of, require_engine
from palpate.audit.engines.contracts import EngineLostError
from palpate.audit.plan.artefacts import ArtefactItem, artefact_items
from palpate.audit.plan.certificates import CertificateItem
from palpate.audit.plan.items import Item, items
from palpate.audit.plan.lines import unchecked
from palpate.audit.plan.slips import slips
from palpate.audit.plan.tasks import plan_task
from palpate.audit.run.after import After
from palpate.audit.run.artefacts import Artefacts
from palpate.audit.run.attacks import Attacks
from palpate.audit.run.certificates import Certificates, enter_certificates
from palpate.audit.run.earlier import (
    COULD_NOT,
    MEMORY,
    SAVING,
    could_not_run,
    known,
    moved,
    remembered,
)
from palpate.audit.run.gates import Gate, measured
from palpate.audit.run.journal import Journal, now
from palpate.audit.run.lock import locked
from palpate.audit.run.opening import (
    open_run,
    repeated,
    require_own,
    require_same_shards,
    require_same_subject,
    store_plan,
)
from palpate.audit.run.progress import Progress, Silence, loading
from palpate.audit.run.reference import reference_of
from palpate.audit.subject.chance import at_chance
from palpate.audit.subject.detectors import set_thresholds
from palpate.audit.subject.file_findings import file_findings
from palpate.audit.subject.first_look import first_look
from palpate.audit.subject.machine import repeatable
from palpate.audit.subject.preflight import AuditFinding
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject, load_subject
from palpate.audit.work.artefacts import artefact_shards, require_all_fit
from palpate.audit.work.exports import exported, settle
from palpate.audit.work.gallery import gallery, prune
from palpate.audit.work.restoring import expected, named, to_redo
from palpate.audit.work.shards import Complete, shards_of
from palpate.audit.work.survival import Survival
from palpate.audit.work.traces import described
from palpate.errors import InputError
from palpate.metrics.panel import arrange
from palpate.storage.kept import digests
from palpate.storage.runs import RunFolder
from palpate.victim.forms import is_opaque

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

DETECTOR = "detector"
"""Topic of what was recognised in a detector's outputs: said in the terminal too, because all figures depend on it."""
_LOOKED_AT = 16
"""Images on which the model is tried before an audit; more show no more, and cost as much as steps of the attacks."""


@dataclass(frozen=True)
class AuditOutcome:
    """How an audit ended.

    Attributes:
        folder: the run folder.
        status: `finished`, or `unfinished`: the same command continues.
        done: number of stored shards.
        total: number of shards of the plan.
        interrupted: it was stopped from the keyboard.
        failed: attacks that could not run; the findings say why.
        gates: results of the plan's gates; empty if the audit is not finished.
        findings: what was noticed.
    """

    folder: Path
    status: Literal["finished", "unfinished"]
    done: int
    total: int
    interrupted: bool
    failed: tuple[str, ...]
    gates: tuple[Gate, ...]
    findings: tuple[AuditFinding, ...]

    @property
    def passed(self) -> bool:
        """Whether the audit is finished and every gate holds."""
        return self.status == "finished" and all(gate.passed for gate in self.gates)


def audit(
    plan: Plan,
    folder: Path,
    *,
    update: bool = False,
    allow_pickle: bool = False,
    progress: Progress | None = None,
    given_up: Callable[[str], None] | None = None,
) -> AuditOutcome:
    """Carry out a plan in a run folder, or continue it; finished work is never done again.

    An audit may be stopped at any moment, by Ctrl-C or by force. The next call continues and gives the same records,
    byte for byte, on the same machine. An attack that cannot run on this model is a finding; the others continue.

    Args:
        plan: the plan.
        folder: the run folder; made if it is missing.
        update: continue although plan, model or images changed since the run was started; what still fits is kept.
        allow_pickle: load a pickled model. Such a file can run any code on this machine.
        progress: is called as the audit proceeds.
        given_up: called from another thread, with a sentence, if a call of the model takes far longer than
            `run.timeout` and cannot be interrupted; it should end the process. The failure is stored before.

    Raises:
        InputError: the model or the images cannot be audited.
        NotAskedError: the budget of the service is spent. The next call continues.
        StorageError: the folder is in use, belongs to another plan, or cannot be read or written.
    """
    require_own(folder, plan)
    require_engine(plan)
    with locked(folder):
        run, before = open_run(folder, plan, update=update)
        progress = progress or Silence()
        subject = load_subject(plan, allow_pickle=allow_pickle, say=partial(loading, progress))
        plan = plan.calibrated(subject.scale)
        first = repeated(run, plan) if before is None else before
        if first is not None:
            plan = plan.begun_as(first.get("tuning", {}).get("curve"))
        if before is not None and not update:
            require_same_subject(run, before, subject)
        room = Room(plan.run.batch)
        watchdog = subject.victim.watchdog
        if watchdog is not None and given_up is not None:
            end, late = given_up, f"{watchdog.describe()}. It could not be interrupted."
            watchdog.given_up = lambda: end(late)
        journal = _begin(run, plan, subject, before, room, first)
        if before is not None and not update:
            require_same_shards(run, before, plan, journal.listed())
        store_plan(run, plan)
        start = engine_of(plan, subject, room, run, allow_pickle=allow_pickle)
        with repeatable(subject.device):
            one = _Audit(journal, progress, room, start)
            if watchdog is not None and given_up is not None:
                watchdog.given_up = lambda: one.give_up(late, end)
            return one.go(before)


def _begin(
    run: RunFolder,
    plan: Plan,
    subject: Subject,
    before: dict[str, Any] | None,
    room: Room,
    first: dict[str, Any] | None,
) -> Journal:
    """Check the model, choose the settings of the search as the first start of the run did, and enter what is known."""
    sample = subject.like_first(subject.spread(range(len(subject.table)), min(plan.run.batch, _LOOKED_AT)))
    findings = set_thresholds(subject, room)
    looked, tuning = room.some(
        sample,
        lambda rows: first_look(plan, subject, rows, first),
        lambda count: subject.spread(sample, count),
    )
    findings += looked
    findings += at_chance(
        subject,
        plan_task(plan, "untargeted"),
        room,
        plan.run.at_chance,
        logits="outputs" in plan.model.model_fields_set,
        names=getattr(plan.task, "classes", ()),
        weights=plan.model.factory is None or plan.model.weights is not None,
    )
    findings += file_findings(plan, subject)
    findings += [AuditFinding("note", "weights", text) for text in subject.notes]
    findings += [AuditFinding("note", DETECTOR, text) for text in subject.reads]
    findings += [AuditFinding("warning", "plan", text) for text in slips(plan)]
    if (listed := unchecked(plan.text)) is not None:
        findings.append(AuditFinding("note", "plan", listed))
    subject.victim.tuning = tuning
    made, survival = items(plan, subject.grid), Survival.of(plan, subject, run.path)
    shards = shards_of(plan, survival, made)
    journal = Journal(run, plan, survival, made, shards, tuning, findings=findings)
    journal.artefacts = artefact_items(plan, subject.grid)
    journal.modality = require_all_fit(plan, subject, journal.artefacts)
    journal.reference = reference_of(plan, subject, journal.artefacts)
    journal.artefact_shards = artefact_shards(plan, subject, journal.artefacts)
    enter_certificates(journal, before)
    if before is not None:
        journal.created = before.get("created", journal.created)
        journal.seconds = known(before.get("shard_seconds", {}))
        journal.quality = before.get("quality")
        journal.artefact_seconds = known((before.get("artefacts") or {}).get("seconds", {}))
        traced = (before.get("stability") or {}).get("items", [])
        journal.trace_seconds = known({entry["identity"]: entry["seconds"] for entry in traced})
        journal.files = expected(before, plan)
        changed = settle(run, before.get("export"), plan.export)
        if any(run.has(shard.identity) for shard in shards):
            findings += dict.fromkeys([*remembered(before, plan), *changed])
    journal.stability = described(plan, made, (), run, {}, is_opaque(subject.victim.module))
    return journal


class _Audit:
    """One start of an audit."""

    def __init__(self, journal: Journal, progress: Progress, room: Room, start: Start | None):
        self.journal, self.progress, self.room = journal, progress, room
        self.run, self.plan, self.subject = journal.run, journal.plan, journal.subject
        self.failed: dict[str, str] = {}
        self.complete = Complete(self.run, journal.shards)
        self.attacks = Attacks(journal, progress, room, self._ready, self._fail, self._working_on, self._note, start)
        self.current: Item | ArtefactItem | CertificateItem | None = None
        self.artefacts = Artefacts(journal, progress, room, self._ready, self._fail_artefact, self._working_on, start)

        self.certificates = Certificates(
            journal, progress, room, self._ready, self._fail_certificates, self._working_on
        )

    def go(self, before: dict[str, Any] | None) -> AuditOutcome:
        journal, interrupted = self.journal, False
        after = After(journal, self.complete, self.progress, self._ready, self._note, self._working_on)
        damaged = to_redo(self.run, self.subject, journal.shards, journal.files)
        again = {shard.identity for shard in damaged.values()}
        missing = self.attacks.missing(again)
        if before is not None and (
            missing or self.artefacts.missing() or self.certificates.missing() or after.missing()
        ):
            journal.findings += moved(before, journal)
        elif before is not None:
            # Nothing is left to run, so the versions and the machine of the earlier start are kept.
            journal.finished = before.get("finished")
            journal.versions = before.get("versions", journal.versions)
            journal.machine = before.get("machine", journal.machine)
            if journal.finished:
                self.progress.message(
                    "This run is finished: nothing is attacked again. Gates and report follow the plan."
                )
        for finding in journal.findings:
            if finding.level != "note" or finding.subject == DETECTOR:
                self.progress.message(f"{finding.subject}: {finding.text}")
        if damaged:
            self.progress.message(
                f"{len(damaged)} pictures or exported images are missing or damaged ({next(iter(damaged))}), so "
                f"{len(again)} finished shards are attacked again to write them again. Their records stay the same."
            )
        # Attacks that could not run at the last start come last, because they may hang.
        late = could_not_run(before)
        missing.sort(key=lambda shard: shard.item.name in late)
        try:
            self.attacks.go(missing)
            self.artefacts.go()
            self.certificates.go()
            after.go()
        except KeyboardInterrupt:
            interrupted = True
        except EngineLostError as error:
            interrupted = True
            self.progress.message(str(error))
        self._close(interrupted)
        return AuditOutcome(
            folder=self.run.path,
            status="finished" if journal.finished else "unfinished",
            done=self._done(),
            total=self._total(),
            interrupted=interrupted,
            failed=tuple(self.failed),
            gates=tuple(journal.gates),
            findings=tuple(journal.findings),
        )

    def _done(self) -> int:
        """How many shards are stored."""
        journal, run = self.journal, self.run
        attacked = sum(run.has(shard.identity) for shard in journal.shards)
        certified = sum(run.has_certificates(shard.identity) for shard in journal.certificate_shards)
        return attacked + certified + sum(run.has_artefacts(shard.identity) for shard in journal.artefact_shards)

    def _total(self) -> int:
        """How many shards there are."""
        journal = self.journal
        return len(journal.shards) + len(journal.artefact_shards) + len(journal.certificate_shards)

    def _ready(self) -> AbstractContextManager[None]:
        return ready(self.subject)

    def _working_on(self, item: Item | ArtefactItem | CertificateItem) -> None:
        self.current = item

    def _note(self, level: Literal["failure", "warning", "note"], subject: str, text: str) -> None:
        """Add a finding, if it is not there yet."""
        finding = AuditFinding(level, subject, text)
        if finding not in self.journal.findings:
            self.journal.findings.append(finding)

    def _fail(self, name: str, error: InputError, said: str = COULD_NOT) -> None:
        self.failed[name] = str(error)
        self.journal.findings.append(AuditFinding("failure", name, f"{said} {error}"))
        self.journal.save()
        self.progress.message(f"'{name}' could not run: {error}")

    def _fail_artefact(self, name: str, error: InputError) -> None:
        self._fail(name, error, "This artefact could not run:")

    def _fail_certificates(self, name: str, error: InputError) -> None:
        self._fail(name, error, "Certificates could not be computed:")

    def give_up(self, text: str, end: Callable[[str], None]) -> None:
        """Store that the current attack could not run, and end; called while its thread hangs inside the model."""
        if self.current is not None:
            self.journal.findings.append(AuditFinding("failure", self.current.name, f"{COULD_NOT} {text}"))
            self.journal.save()
            text = f"'{self.current.name}' could not run: {text}"
        end(text)

    def _close(self, interrupted: bool) -> None:
        journal = self.journal
        if (less := self.room.describe()) is not None:
            self._note("note", MEMORY, less)
        for reason, count in self.attacks.refused.items():
            images = "An adversarial image" if count == 1 else f"{count} adversarial images"
            self._note("warning", SAVING, f"{images} could not be saved, so their survival is not known: {reason}")
        if not interrupted:
            self.artefacts.draw()
            for name, text in self.artefacts.unchanged():
                self._note("warning", name, text)
        if not interrupted and self._done() == self._total():
            # Saved first, because its list of shards decides which records are read; `finished` follows with the gates.
            finished, journal.finished = journal.finished or now(), None
            journal.save()
            frame = self.complete.frame()
            journal.gates = measured(self.plan, arrange(frame), self.run.artefact_frame(), self.run.certificate_frame())
            journal.gallery = gallery(self.run, self.subject, journal.shards, frame)
            journal.finished = finished
            prune(self.run, journal.gallery)
            journal.exports = exported(self.run, journal.shards)
            journal.files = digests(self.run.path, named(journal.gallery, journal.exports))
        journal.save()
