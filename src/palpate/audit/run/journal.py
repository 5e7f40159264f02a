"""`run.json`: the audit, its progress and its findings.

The whole file is written when a start begins, when it ends, and when something happens that is rare. A stored shard is
one line of `run.log` beside it, so that an audit of many shards writes no more for its last shard than for its first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from palpate.audit.plan.artefacts import ArtefactItem
from palpate.audit.plan.certificates import CertificateItem
from palpate.audit.plan.copies import KEY, noted_root
from palpate.audit.plan.identity import digest, encode
from palpate.audit.plan.items import Item
from palpate.audit.plan.tasks import head_words, operating, score_words
from palpate.audit.run.described_artefacts import described_artefacts
from palpate.audit.run.described_certificates import described_certificates
from palpate.audit.run.gates import Gate
from palpate.audit.subject.machine import machine, versions
from palpate.audit.subject.preflight import AuditFinding
from palpate.audit.subject.subject import Subject
from palpate.audit.work.artefacts import ArtefactShard
from palpate.audit.work.certificates import CertificateShard
from palpate.audit.work.shards import Shard
from palpate.audit.work.survival import Survival
from palpate.storage.runs import RunFolder
from palpate.units import amounts, radius
from palpate.victim import Tuning

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Journal:
    """The state of a run, which changes as it proceeds.

    Attributes:
        run: its folder.
        plan: the plan.
        survival: the model, the images, and the post-processing after the attacks.
        items: the attacks.
        shards: all shards of the plan, in its order.
        tuning: the settings of the search; the choice of the first start is kept.
        created: when the run was started.
        seconds: time of each stored shard, from all starts together.
        findings: what was noticed.
        gates: results of the gates of a finished run.
        gallery: its pictures.
        exports: adversarial images as files.
        files: digest of each picture and export, by name.
        trace_seconds: time of each stored trace.
        stability: its traces; None if the plan switches them off.
        quality: the probes of each goal; None for a run that an older palpate started, which is not probed.
        learned: of each attack that learns before the attacks, by its identity: on which images, and with what success.
        artefacts: the artefacts.
        artefact_shards: all shards of the artefacts, in the plan's order.
        artefact_seconds: time of each stored one.
        artefact_pictures: of each artefact the image that it harms most.
        certificates: one for each sigma.
        certificate_shards: all their shards, in the plan's order.
        certificate_seconds: time of each stored one.
        unattacked: why the smoothed model is not attacked; empty if it is.
        modality: the kind of the images; empty if it is not known.
        reference: errors of the plan's reference model under the artefacts; None without one.
        finished: when it was finished.
        versions: packages that the last attack used.
        machine: the machine of the last attack.
    """

    run: RunFolder
    plan: Plan
    survival: Survival
    items: Sequence[Item]
    shards: Sequence[Shard]
    tuning: Tuning
    created: str = field(default_factory=now)
    seconds: dict[str, float] = field(default_factory=dict)
    findings: list[AuditFinding] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    gallery: list[dict[str, Any]] = field(default_factory=list)
    exports: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    trace_seconds: dict[str, float] = field(default_factory=dict)
    stability: dict[str, Any] | None = None
    quality: dict[str, Any] | None = field(default_factory=lambda: {"images": 0, "goals": []})
    learned: dict[str, dict[str, Any]] = field(default_factory=dict)
    artefacts: Sequence[ArtefactItem] = ()
    artefact_shards: Sequence[ArtefactShard] = ()
    artefact_seconds: dict[str, float] = field(default_factory=dict)
    artefact_pictures: list[dict[str, Any]] = field(default_factory=list)
    certificates: Sequence[CertificateItem] = ()
    certificate_shards: Sequence[CertificateShard] = ()
    certificate_seconds: dict[str, float] = field(default_factory=dict)
    unattacked: str = ""
    modality: str = ""
    reference: dict[str, Any] | None = None
    finished: str | None = None
    versions: dict[str, str] = field(default_factory=versions)
    machine: dict[str, Any] = field(default_factory=dict)
    _digest: str = field(default="", init=False, repr=False)
    """Of the `run.json` that this start wrote last; empty before the first."""
    _told: int = field(default=0, init=False, repr=False)
    """How many findings are on the disk."""
    _spent: dict[tuple[str, str], float] = field(default_factory=dict, init=False, repr=False)
    """Part of `run.json` and identity of an item -> time of its stored shards."""

    def __post_init__(self) -> None:
        self.machine = self.machine or machine(self.subject.device)

    @property
    def subject(self) -> Subject:
        """The model and the images."""
        return self.survival.subject

    def save(self) -> None:
        """Write the whole `run.json`.

        Raises:
            StorageError: the disk is full or does not accept the file.
        """
        self._digest = self.run.save_description(self.describe())
        self._told = len(self.findings)
        self._spent.clear()

    def stored(self, shard: Shard | ArtefactShard | CertificateShard, seconds: float) -> None:
        """Remember that a shard is stored, in one line of the log.

        Raises:
            StorageError: the disk is full or does not accept the file.
        """
        part, times, items, shards = self._part(shard)
        if (part, shard.item.identity) not in self._spent:
            mine = (one.identity for one in shards if one.item is shard.item)
            self._spent[part, shard.item.identity] = sum(times.get(identity, 0.0) for identity in mine)
        self._spent[part, shard.item.identity] += round(seconds, 6) - times.get(shard.identity, 0.0)
        times[shard.identity] = round(seconds, 6)
        place = next(number for number, item in enumerate(items) if item is shard.item)
        of_shard, of_items = ((part, "seconds"), (part, "items")) if part else (("shard_seconds",), ("attacks",))
        spent = round(self._spent[part, shard.item.identity], 3)
        self._log(((*of_shard, shard.identity), times[shard.identity]), ((*of_items, place, "seconds"), spent))

    def update(self, part: Literal["stability", "quality"]) -> None:
        """Write one part of `run.json` as it is now, in one line of the log.

        Raises:
            StorageError: the disk is full or does not accept the file.
        """
        self._log(((part,), getattr(self, part)))

    def _log(self, *places: tuple[tuple[str | int, ...], Any]) -> None:
        """Log what these places of `run.json` hold now, with the findings that are new."""
        if not self._digest:
            self.save()
            return
        new = [(("findings",), entry) for entry in self._noticed(self._told)]
        self.run.append_change(self._digest, {"set": places, **({"add": new} if new else {})})
        self._told = len(self.findings)

    def _part(
        self, shard: Shard | ArtefactShard | CertificateShard
    ) -> tuple[str, dict[str, float], Sequence[Any], Sequence[Any]]:
        """The part of `run.json` that a shard belongs to, with the times, items and shards of this part."""
        if isinstance(shard, ArtefactShard):
            return "artefacts", self.artefact_seconds, self.artefacts, self.artefact_shards
        if isinstance(shard, CertificateShard):
            return "certificates", self.certificate_seconds, self.certificates, self.certificate_shards
        return "", self.seconds, self.items, self.shards

    def listed(self) -> dict[str, list[str]]:
        """The identities of all shards, by the part of `run.json` that lists them."""
        return {
            "": [shard.identity for shard in self.shards],
            "artefacts": [shard.identity for shard in self.artefact_shards],
            "certificates": [shard.identity for shard in self.certificate_shards],
        }

    def describe(self) -> dict[str, Any]:
        """The contents of `run.json`."""
        return {
            "status": "finished" if self.finished else "unfinished",
            "title": self.plan.title,
            "palpate": self.versions["palpate"],
            "created": self.created,
            "finished": self.finished,
            "seed": self.plan.seed,
            KEY: noted_root(self.plan.root, self.run.path),
            "shards": [shard.identity for shard in self.shards],
            "task": _task(self.plan, self.items),
            "model": _model(self.plan, self.subject),
            "data": _data(self.plan, self.subject),
            "threat": _threat(self.plan),
            "handlings": self.survival.described,
            "attacks": [self._attack(item) for item in self.items],
            "artefacts": described_artefacts(
                self.artefacts,
                self.artefact_shards,
                self.artefact_seconds,
                self.artefact_pictures,
                self.modality,
                self.reference,
            ),
            "certificates": described_certificates(
                self.certificates, self.certificate_shards, self.certificate_seconds, self.unattacked
            ),
            "findings": self._noticed(),
            "gates": [asdict(gate) for gate in self.gates],
            "tuning": {
                **self.tuning.stored(),
                "precision": self.plan.run.precision,
                "batch": self.plan.run.batch,
                "curve": self.plan.curve,
            },
            "versions": self.versions,
            "machine": self.machine,
            "gallery": self.gallery,
            "export": self.plan.export.model_dump(),
            "exports": self.exports,
            "files": self.files,
            "stability": self.stability,
            "quality": self.quality,
            "shard_seconds": {shard.identity: self.seconds.get(shard.identity) for shard in self.shards},
        }

    def _noticed(self, first: int = 0) -> list[dict[str, Any]]:
        """The findings from this one on, each once: those of an earlier start are remembered as they were written."""
        texts = [replace(finding, text=self._relative(finding.text)) for finding in self.findings[first:]]
        return [asdict(finding) for finding in dict.fromkeys(texts)]

    def _relative(self, text: str) -> str:
        """A text without the folders of plan, data and run on this machine, because records and reports are shared."""
        return _without(text, (self.run.path, self.plan.root, *_roots(self.plan)))

    def _attack(self, item: Item) -> dict[str, Any]:
        spent = sum(self.seconds.get(shard.identity, 0.0) for shard in self.shards if shard.item is item)
        said = _attack(item, spent)
        return {**said, "learned": self.learned[item.identity]} if item.identity in self.learned else said


def _roots(plan: Plan) -> tuple[Path, ...]:
    return tuple(plan.root / root for root in plan.data.roots)


def _without(text: str, folders: Sequence[Path]) -> str:
    for folder in folders:
        for place in (folder.resolve(), folder.absolute(), folder):
            if place != Path():
                text = text.replace(f"{place}/", "")
    return text


def _task(plan: Plan, items: Sequence[Item]) -> dict[str, Any]:
    task = plan.task
    return {
        "kind": task.kind,
        "head": head_words(task),
        "classes": list(task.names),
        "disease": list(task.disease_indices),
        "score": score_words(task),
        "floor": getattr(task, "floor", None),
        "structure": getattr(task, "structure", None) or "",
        "measures": [asdict(measure) for measure in items[0].reader.measures],
        "operating": operating(task),
    }


def _model(plan: Plan, subject: Subject) -> dict[str, Any]:
    model = plan.model
    source = model.named
    arguments = ", ".join(f"{name}={value}" for name, value in model.arguments.items())
    return {
        "source": f"{source}({arguments})" if arguments else source,
        "weights": model.weights,
        "sha256": subject.weights,
        "files_sha256": subject.model,
        "parameters": sum(parameter.numel() for parameter in subject.victim.module.parameters()),
        "preprocess": subject.preprocess.describe(),
        "preprocess_sha256": digest(encode(subject.preprocess)),
        "inferer": _inferer(subject),
        "draws": subject.victim.draws,
        **({"defences": [one.describe() for one in subject.victim.defences]} if subject.victim.defences else {}),
    }


def _inferer(subject: Subject) -> str:
    """How the network is applied to an image, in words."""
    victim = subject.victim
    applied = "the whole input at once" if victim.inferer is None else victim.inferer.describe()
    return applied if victim.draws == 1 else f"{applied}; each output is the mean over {victim.draws} random draws"


def _data(plan: Plan, subject: Subject) -> dict[str, Any]:
    data, table = plan.data, subject.table
    headers, scale = subject.headers, subject.scale
    shapes = {header.shape for header in headers}
    source = _without(data.source, (plan.root, *_roots(plan)))
    if data.where:
        source += ", " + ", ".join(f"{column} = {value}" for column, value in data.where.items())
    if data.limit is not None:
        source += f", at most {data.limit} images"
    return {
        "source": source,
        "images": len(table),
        "per_class": list(subject.counts),
        "shape": list(shapes.pop()) if len(shapes) == 1 else [],
        "spacing": None if subject.spacing is None else list(subject.spacing),
        "bounds": list(subject.victim.bounds),
        "unit": scale.unit,
        "step": scale.step,
        "window": None if scale.window is None else list(scale.window),
        "formats": sorted({header.format for header in headers}),
        "sites": sorted({case.site for case in table} - {""}),
        "scanners": sorted({case.scanner for case in table} - {""}),
        "groups": len({case.group for case in table}),
        "fingerprint": subject.data,
    }


def _threat(plan: Plan) -> dict[str, Any]:
    radii, threat = plan.radii, plan.threat
    return {
        "norm": threat.norm,
        "eps": list(radii),
        "main": None if threat.main is None else radius(threat.main, plan.scale),
        "words": replace(threat.build(radii[0]), eps=radii).describe(),
        "amounts": [list(amounts(eps, plan.scale)) for eps in radii],
        "lattice": threat.lattice,
        "region": list(threat.region),
        "channels": list(threat.channels),
        "tied": threat.tied,
        "smooth": threat.smooth,
    }


def _attack(item: Item, seconds: float) -> dict[str, Any]:
    return {
        "name": item.name,
        "item": item.identity,
        "catalog": item.entry.name,
        "goal": item.goal,
        "summary": _summary(item),
        "parameters": item.parameters,
        "robust_to": list(item.robust_to),
        "stages": list(item.stages),
        "searches": list(item.searches),
        "curve": item.curve,
        "reference": item.entry.reference,
        "eps": list(item.eps),
        "seconds": round(seconds, 3),
    }


def _summary(item: Item) -> str:
    """What the attack does; with its threat, if that is not the plan's ball."""
    if not item.entry.own_threat:
        return item.entry.summary
    threat = replace(item.attack.threat, eps=item.eps)  # type: ignore[type-var]
    return f"{item.entry.summary} Its own threat: {threat.describe()}."
