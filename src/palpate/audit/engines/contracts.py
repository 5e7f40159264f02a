"""What local and distributed execution share: a job, its outcome, and an engine that turns jobs into outcomes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from palpate.audit.plan.sections.run import Order
from palpate.audit.subject.preflight import AuditFinding
from palpate.audit.subject.subject import Subject
from palpate.errors import InputError, PalpateError, StorageError
from palpate.units import Scale
from palpate.victim import Tuning


class EngineLostError(PalpateError):
    """The workers are gone and do not come back. Finished work is kept, and the same command continues."""


@dataclass(frozen=True)
class Job:
    """One shard of an attack or an artefact. It decides every byte of its outcome, whoever computes it.

    Attributes:
        shard: identity of the shard.
        item: identity of its attack or artefact; empty for a look.
        rows: positions in the table, rising.
        title: for people: `pgd, images 33 to 64`.
        shown: rows whose pictures are drawn.
        part: whether it is a shard of an attack or of an artefact, or a look at clean images: each is checked, and
            the records are JSON: for each attack the rows that it can win.
        learned: the file with what its attack learned before; empty for attacks that do not learn.
        files: contents of the images' files by absolute path, for a worker that cannot see them.
    """

    shard: str
    item: str
    rows: tuple[int, ...]
    title: str
    shown: frozenset[int] = frozenset()
    part: Literal["attack", "artefact", "look"] = "attack"
    learned: bytes = field(default=b"", repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Pause:
    """Between jobs: those behind it are made and given out when all before it have an outcome."""


@dataclass(frozen=True)
class Outcome:
    """What a job gave; nothing of it is stored yet, except files that a job wrote into the run folder itself.

    Attributes:
        job: the job.
        seconds: how long it took.
        records: the shard's Parquet file.
        files: pictures and exports by their path in the run folder.
        notes: what was noticed.
        refused: why images could not be saved, and how many.
        batch: how many images fit into memory at once, as far as known.
        failed: why its attack or artefact cannot run on this model; empty if it can.
        unseen: a file of its images that the worker cannot see; the job must be given again, with its files.
    """

    job: Job
    seconds: float = 0.0
    records: bytes = field(default=b"", repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    notes: tuple[AuditFinding, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)
    batch: int | None = None
    failed: str = ""
    unseen: str = ""


@dataclass(frozen=True)
class Ready:
    """What a worker says when it has loaded the model."""


@dataclass(frozen=True)
class Refused:
    """What a worker says when the whole audit must stop.

    Attributes:
        text: a sentence for the user; the traceback of a fault of palpate itself.
        kind: whose fault it is.
    """

    text: str
    kind: Literal["input", "storage", "fault"] = "input"

    def error(self) -> Exception:
        """What the audit raises."""
        if self.kind == "fault":
            return RuntimeError(f"A worker failed:\n{self.text}")
        return StorageError(self.text) if self.kind == "storage" else InputError(self.text)


@dataclass(frozen=True)
class Gone:
    """A worker has ended without a word; `why` says how, in words."""

    why: str


class Engine(Protocol):
    """Computes jobs."""

    def run(self, jobs: Iterator[Job | Pause]) -> Generator[Outcome, None, None]:
        """The outcome of each job once, as it is finished, in any order; but none overtakes a `Pause`.

        A job is taken from `jobs` when there is somebody to compute it. Closing the iterator ends all workers.

        Raises:
            InputError: a worker cannot be used: it has other versions, or another model.
            EngineLostError: all workers are gone.
        """


@dataclass(frozen=True)
class Setup:
    """What a worker is started with: everything that the jobs of a run share, as plain values.

    Attributes:
        text: the plan.
        origin: its file, absolute.
        root: the folder that its paths start from, absolute.
        curve: its `run.curve`, which may be that of an earlier start.
        scale: what values mean.
        allow_pickle: load a model whose file can run any code.
        subject: the images and what is known of them; its model is left out and loaded by the worker.
        surrogate: identity of the surrogate; None without one.
        tuning: settings of the search.
        draws: draws over which outputs are averaged.
        threshold: of the detector that is the first defence; None without one.
        batch: how many images fit into memory at once, as far as known.
        device: the kind of device to compute on.
        versions: packages that figures depend on.
        elsewhere: whether workers may be on other machines, where a file of the same path may be another one.
        scratch: folder for temporary files; None: that of the worker's machine.
    """

    text: str
    origin: Path
    root: Path
    curve: Order | None
    scale: Scale
    allow_pickle: bool
    subject: Subject
    surrogate: Mapping[str, object] | None
    tuning: Tuning
    draws: int
    threshold: float | None
    batch: int
    device: str
    versions: Mapping[str, str]
    elsewhere: bool
    scratch: Path | None
