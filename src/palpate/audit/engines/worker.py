"""What a worker is started with, and the model that it loads from that: refused if it is not the audit's."""

from __future__ import annotations

import os
import socket
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from palpate.allocator import choose_allocation
from palpate.audit.engines.bench import Bench, ready
from palpate.audit.engines.contracts import Gone, Job, Outcome, Ready, Refused, Setup
from palpate.audit.engines.images import absolute, settled, unhashed
from palpate.audit.plan.artefacts import artefact_items
from palpate.audit.plan.items import items
from palpate.audit.plan.plan import parse_plan
from palpate.audit.subject.machine import repeatable, versions
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject, with_own_model
from palpate.audit.work.survival import Survival
from palpate.defences.reject import Reject
from palpate.errors import InputError, PalpateError, StorageError
from palpate.memory import out_of_memory
from palpate.storage.scratch import temporary_folder
from palpate.storage.writing import storing

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

Said = TypeVar("Said")


def setup_of(
    plan: Plan, subject: Subject, room: Room, *, allow_pickle: bool, device: str, scratch: Path | None
) -> Setup:
    """What the workers of an audit are started with.

    Args:
        plan: the plan, calibrated.
        subject: the loaded model and images, after the first look.
        room: how many images fit into memory.
        allow_pickle: load a model whose file can run any code.
        device: the kind of device that workers compute on.
        scratch: folder for temporary files on this machine; None if workers may be on other machines.
    """
    victim = subject.victim
    first = victim.defences[0] if victim.defences else None
    known = replace(
        subject,
        victim=cast(Any, None),
        preprocess=cast(Any, None),
        surrogate=None,
        table=absolute(subject.table),
    )
    return Setup(
        text=plan.text,
        origin=plan.origin.absolute(),
        root=plan.root.absolute(),
        curve=plan.run.curve,
        scale=plan.scale,
        allow_pickle=allow_pickle,
        subject=known,
        surrogate=None if subject.surrogate is None else subject.surrogate.identity,
        tuning=victim.tuning,
        draws=victim.draws,
        threshold=first.threshold if isinstance(first, Reject) else None,
        batch=room.batch,
        device=device,
        versions=versions(),
        elsewhere=scratch is None,
        scratch=scratch,
    )


def load_bench(setup: Setup, scratch: Path) -> Bench:
    """The model of a worker, loaded and compared with that of the audit. The process computes on one thread.

    Raises:
        InputError: this machine has other versions, another device, or the model is missing or another one.
    """
    _require_versions(setup.versions)
    torch.set_num_threads(1)
    plan = parse_plan(setup.text, setup.origin, setup.root).in_order(setup.curve).calibrated(setup.scale)
    choose_allocation(frugal=plan.model.windowed)
    try:
        subject = with_own_model(setup.subject, plan, allow_pickle=setup.allow_pickle)
    except InputError as error:
        raise InputError(
            f"The worker {here()} cannot load the model: {error} Copy the folder of the plan and the model to the same "
            "path on all machines."
        ) from error
    _require_same(setup, subject)
    victim = subject.victim
    victim.tuning, victim.draws = setup.tuning, setup.draws
    if setup.threshold is not None:
        victim.defences = (replace(cast(Reject, victim.defences[0]), threshold=setup.threshold), *victim.defences[1:])
    if victim.watchdog is not None:
        # A call of the model that hangs ends the worker; the job is then given to another one, but not for ever.
        victim.watchdog.given_up = lambda: os._exit(1)
    room = Room(plan.run.batch)
    room.batch = setup.batch
    known = {item.identity: item for item in items(plan, subject.grid)}
    artefacts = {item.identity: item for item in artefact_items(plan, subject.grid)}
    sent = subject.table
    subject = replace(subject, table=settled(sent, scratch / "copies"))
    own = unhashed(subject.table) if setup.elsewhere and sent.remote is None else None
    return Bench(plan, Survival.of(plan, subject, scratch), known, artefacts, room, sent, own)


class Worker:
    """The work of one process: a model of its own, and one job after the other. It is used from one thread."""

    def __init__(self, setup: Setup):
        self._setup, self._stack = setup, ExitStack()

    def start(self) -> Ready | Refused | Gone:
        """Load the model; call it once, before `compute`."""
        return self._said(self._load)

    def compute(self, job: Job) -> Outcome | Refused | Gone:
        """The outcome of a job; `Gone` if there is too little memory for one image, so that a new worker may try."""
        return self._said(lambda: self._bench.carry_out_apart(job, self._scratch))

    def close(self) -> None:
        """Give the model back, and remove temporary files."""
        self._stack.close()

    def _load(self) -> Ready:
        with storing(self._setup.scratch or Path(os.environ.get("TMPDIR", "/tmp"))):
            self._scratch = Path(self._stack.enter_context(_folder(self._setup.scratch)))
        self._bench = load_bench(self._setup, self._scratch)
        subject = self._bench.survival.subject
        self._stack.enter_context(repeatable(subject.device))
        self._stack.enter_context(ready(subject))
        return Ready()

    @staticmethod
    def _said(work: Callable[[], Said]) -> Said | Refused | Gone:
        try:
            return work()
        except StorageError as error:
            return Refused(f"The worker {here()} cannot go on: {error}", "storage")
        except PalpateError as error:
            return Refused(str(error))
        except Exception as error:
            return Gone("not enough memory") if out_of_memory(error) else Refused(traceback.format_exc(), "fault")


def _folder(place: Path | None) -> tempfile.TemporaryDirectory[str]:
    """A folder for temporary files: in the run folder, or where this machine has them."""
    if place is not None:
        # The name is one of those that are swept out of a run folder, if this process is killed.
        return tempfile.TemporaryDirectory(dir=place, prefix=".saving-", suffix=".tmp")
    return temporary_folder()


def here() -> str:
    """The worker in words: its machine and the number of its process."""
    return f"on {socket.gethostname()} (process {os.getpid()})"


def _require_versions(wanted: Mapping[str, str]) -> None:
    own = versions()
    other = [f"{name} {own.get(name)} instead of {version}" for name, version in wanted.items() if own[name] != version]
    if other:
        raise InputError(
            f"The worker {here()} has other versions than this machine: {', '.join(other)}. Records would differ. "
            "Install the same versions on all machines."
        )


def _require_same(setup: Setup, subject: Subject) -> None:
    known = setup.subject
    surrogate = None if subject.surrogate is None else subject.surrogate.identity
    for what, is_same in (
        ("code or files of the model", subject.model == known.model),
        ("weights of the model", subject.weights == known.weights),
        ("files or weights of the surrogate", surrogate == setup.surrogate),
    ):
        if not is_same:
            raise InputError(
                f"The worker {here()} has other {what} than this machine. Copy the folder of the plan and the model "
                "to the same path on all machines."
            )
    if subject.device.type != setup.device:
        raise InputError(
            f"The worker {here()} computes on {subject.device.type} and should on {setup.device}. Workers of Ray get "
            "GPUs by run.gpus; run.device chooses for all others."
        )
