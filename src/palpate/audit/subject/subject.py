"""The subject of an audit, loaded: the model, its images and labels, and the hashes that identify them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from palpate.annotations import Boxes
from palpate.audit.plan.defences import defences_of
from palpate.audit.plan.identity import encode
from palpate.audit.plan.scales import scale_of
from palpate.audit.plan.sections.tasks import SegmentationSection
from palpate.audit.plan.tables import load_table
from palpate.audit.plan.tasks import Grid
from palpate.audit.subject import collate
from palpate.audit.subject.beside import Beside
from palpate.audit.subject.decoded import Decoded
from palpate.audit.subject.fitting import require_channels, require_lattice
from palpate.audit.subject.machine import device_of
from palpate.audit.subject.nnunet import require_nnunet, with_sizes
from palpate.audit.subject.shipped import TRIED, reader
from palpate.audit.subject.surrogate import Surrogate, load_surrogate
from palpate.contracts import Limits
from palpate.data.formats.scan import Header
from palpate.data.table import Table
from palpate.defences.makers import LoadedNetwork
from palpate.errors import InputError
from palpate.models.inputs.kinds import inputs_of
from palpate.models.inputs.module import shown_by
from palpate.models.loading import load_noted, weights_digest
from palpate.models.source import ModelSource
from palpate.preprocess import Preprocessing
from palpate.tensors import Tree, mapped
from palpate.units import Scale, counted
from palpate.usercode import Watchdog
from palpate.victim import Victim
from palpate.victim.spacing import placed

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


@dataclass(frozen=True)
class Subject:
    """The model under test and the images it is tested on.

    Attributes:
        victim: the model with its bounds and preprocessing, on its device.
        table: the audited images, in order.
        preprocess: from stored values to the network's input.
        model: hash of the model's code and files.
        weights: hash of its loaded weights.
        data: hash of all images, labels and groups.
        device: where the model runs.
        kind: kind of the task, which decides which annotations are read.
        counts: number of images of each class, or with each structure, finding or class of boxes.
        spacings: size of a pixel of each image along each axis in mm; None if it is not known.
        headers: what the files say about the images, one per row.
        scale: what values mean.
        region: where values may change, in the words of the plan.
        structures: names of the annotated structures, for regions.
        notes: remarks about how the model was loaded.
        reads: remarks about how the boxes of a detector are read.
        surrogate: the other model of the plan.
        beside: what the model is given besides each image.
    """

    victim: Victim
    table: Table
    preprocess: Preprocessing
    model: str
    weights: str
    data: str
    device: torch.device
    kind: str
    counts: tuple[int, ...]
    spacings: tuple[collate.Spacing, ...]
    headers: tuple[Header, ...]
    scale: Scale
    region: tuple[str, ...] = ()
    structures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    surrogate: Surrogate | None = None
    beside: Beside = Beside({})
    # Not an argument: a copy with other files, or in another process, begins with none.
    _decoded: Decoded = field(default_factory=Decoded, init=False, repr=False, compare=False)

    @property
    def grid(self) -> Grid:
        """What the units of measures depend on."""
        return Grid(len(self.shape_of(0)) - 1, self.spacing is not None)

    @property
    def spacing(self) -> collate.Spacing:
        """The spacing of all images; empty if they differ, None if one is not known."""
        return collate.shared(self.spacings)

    def shape_of(self, row: int) -> tuple[int, ...]:
        """Shape (C, *spatial) of one row."""
        return self.headers[row].shape

    def spacing_of(self, row: int) -> tuple[float, ...] | None:
        """Size of a pixel of one row along each spatial axis in mm; None if it is not known."""
        return self.spacings[row]

    def limits(self, rows: Sequence[int]) -> Limits:
        """What confines changes of some rows of one shape: their stored steps, and the plan's region."""
        headers = [self.headers[row] for row in rows]
        steps = [header.step for header in headers]
        step = origin = region = None
        if None not in steps:
            step = torch.tensor(steps, dtype=torch.float64, device=self.device)
            origin = torch.tensor([header.intercept for header in headers], dtype=torch.float64, device=self.device)
        if self.region:
            from palpate.audit.plan.regions import regions

            masks = [regions(self.region, self.table, row, self.structures) for row in rows]
            region = torch.from_numpy(np.stack(masks)).to(self.device)
        return Limits(region, step, origin)

    def images(self, rows: Sequence[int]) -> Tensor:
        """Images (B, C, *spatial) of some rows of one shape and spacing in values, float32, on the device.

        The model is prepared for them, as `prepare` says.
        """
        if self.beside.inputs and len({self._form(row) for row in rows}) > 1:
            raise ValueError("images with different inputs cannot be shown to a model together")
        self.prepare(rows[0])
        pixels = np.stack([self._decoded.of(row, self.table.image).astype(np.float32) for row in rows])
        return torch.from_numpy(pixels).to(self.device)

    def prepare(self, row: int, victim: Victim | None = None) -> None:
        """From now on, a model is shown images that are like this one in spacing and in what is given besides them.

        So it treats them as in the clinic. Every image that a model is shown was read, or prepared for, just before.
        `victim` is another one that sees the images; by default the subject's, and its surrogate.
        """
        preprocess, asked = self.preprocess.at(self.spacing_of(row)), victim or self.victim
        asked.preprocess = preprocess
        asked.inferer = placed(asked.inferer, self.spacing_of(row))
        if self.surrogate is not None and victim is None:
            self.surrogate.prepare(self.spacing_of(row))
        for shown in shown_by(asked.module) if self.beside.inputs else ():
            shown.set(self.beside.values(self.table, row, self.headers[row], preprocess))

    def targets(self, rows: Sequence[int]) -> Tree:
        """The annotations of some rows of one shape, as the task expects them, on the device."""
        if self.kind in collate.CLASSES:
            labels = [self.table[row].label for row in rows]
            return torch.tensor(labels, dtype=torch.int64, device=self.device)
        annotations = [self.table.annotation(row) for row in rows]
        if self.kind == "segmentation":
            # Figures in mm for some images and in pixels for others must not be in one column.
            targets: Tree = collate.masks(
                annotations, None if self.spacing is None else [self.spacings[row] for row in rows]
            )
        elif self.kind == "detection":
            targets = collate.boxes(annotations)
        else:
            targets = collate.findings(annotations)
        return mapped(lambda tensor: tensor.to(self.device), targets)

    def batches(self, rows: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
        """The rows in their order, at most `size` at once.

        Images of different shape or spacing, or with different inputs besides them, are not mixed.
        """
        for _, group in groupby(rows, key=self._form):
            same = tuple(group)
            for start in range(0, len(same), size):
                yield same[start : start + size]

    def like_first(self, rows: Sequence[int]) -> tuple[int, ...]:
        """Those of some rows whose images have the shape, the spacing and the other inputs of the first one."""
        first = self._form(rows[0])
        return tuple(row for row in rows if self._form(row) == first)

    def _form(self, row: int) -> tuple[Any, ...]:
        spacing = self.spacing_of(row)
        seen = self.preprocess.at(spacing), placed(self.victim.inferer, spacing)
        return self.shape_of(row), *seen, self.beside.form(self.table, row)

    def identity(self, rows: Sequence[int]) -> dict[str, Any]:
        """The identity of the model and of some images, as JSON."""
        return {
            **self.model_identity,
            "spacings": [self.spacing_of(row) for row in rows],
            "data": self.table.fingerprint(rows),
            "rows": list(rows),
        }

    @property
    def model_identity(self) -> dict[str, Any]:
        """The identity of the model, as JSON."""
        # Without defences a model keeps the identity that it had.
        around = {"defences": encode(self.victim.defences)} if self.victim.defences else {}
        return {
            **around,
            "model": self.model,
            "weights": self.weights,
            "preprocess": encode(self.preprocess),
            "inferer": encode(placed(self.victim.inferer, None)),
            "bounds": list(self.victim.bounds),
        }

    def spread(self, rows: Sequence[int], count: int) -> tuple[int, ...]:
        """At most `count` of some rows, chosen from the classes in turn and given in their order."""
        queues: dict[int, list[int]] = {}
        for row in rows:
            queues.setdefault(self.table[row].label, []).append(row)
        turns = sorted((turn, label, row) for label, queue in queues.items() for turn, row in enumerate(queue))
        return tuple(sorted(row for _, _, row in turns[:count]))


def load_subject(plan: Plan, *, allow_pickle: bool = False, say: Callable[[str], None] = lambda text: None) -> Subject:
    """Load the model and the images of a plan.

    Args:
        plan: names the model and the images.
        allow_pickle: load a model whose file can run any code.
        say: is called with a sentence before each part is loaded.

    Raises:
        InputError: the model or the images cannot be loaded, or a budget is wider than the images' whole space.
    """
    say("Reading the images and their labels.")
    table = load_table(plan)
    headers = with_sizes(plan, [table.header(row) for row in range(len(table))])
    preprocess = plan.model.preprocess.build(plan.root)
    scale = scale_of(plan, headers, [case.name for case in table], preprocess.window)
    plan = plan.calibrated(scale)
    require_channels(plan, headers, [case.name for case in table])
    require_lattice(plan, headers, [case.name for case in table])
    require_nnunet(plan, headers, [case.name for case in table])
    _check_width(plan, max((header.shape for header in headers), key=math.prod))
    counts, spacings = collate.survey(table, headers, plan.task.kind, len(plan.task.names), plan.data.spacing)
    structures = plan.task.names if isinstance(plan.task, SegmentationSection) else ()
    _require_regions(plan.threat.region, table, structures)
    beside = Beside(inputs_of(plan.model.inputs))
    for row in range(len(table)) if beside.inputs else ():
        beside.require(table, row, headers[row])
    say(f"Found {counted(len(table), 'image')}. Loading the model.")
    return Subject(
        table=table,
        preprocess=preprocess,
        data=table.fingerprint(),
        kind=plan.task.kind,
        counts=counts,
        spacings=tuple(spacings),
        headers=headers,
        scale=scale,
        region=plan.threat.region,
        structures=structures,
        beside=beside,
        **_loaded_model(plan, preprocess, allow_pickle, table),
    )


def with_own_model(subject: Subject, plan: Plan, *, allow_pickle: bool) -> Subject:
    """The same images, and what is known of them, with the plan's model loaded anew; it may be another one here.

    Raises:
        InputError: the model cannot be loaded.
    """
    preprocess = plan.model.preprocess.build(plan.root)
    return replace(subject, preprocess=preprocess, **_loaded_model(plan, preprocess, allow_pickle, subject.table))


def _loaded_model(plan: Plan, preprocess: Preprocessing, allow_pickle: bool, table: Table) -> dict[str, Any]:
    """The fields of a `Subject` that the model decides."""
    source, device = model_source(plan), device_of(plan.run.device)
    detector = reader(plan, preprocess, partial(_examples, table, device))
    loaded = load_noted(source, plan.root, allow_pickle=allow_pickle, detector=detector)
    model = source.digest(plan.root)
    return {
        "victim": Victim(
            loaded.module.to(device),
            plan.model.bounds,
            preprocess=preprocess,
            inferer=plan.model.evaluation(plan.root, allow_pickle=allow_pickle),
            watchdog=Watchdog(plan.run.timeout) if plan.run.timeout and plan.model.endpoint is None else None,
            defences=defences_of(plan, partial(_network, plan.root, device, allow_pickle)),
        ),
        # What is read from a shipped detector depends on how it is read.
        "model": hashlib.sha256(f"{model} {loaded.form}".encode()).hexdigest() if loaded.form else model,
        "weights": weights_digest(loaded.module),
        "device": device,
        "notes": loaded.notes,
        "reads": loaded.reads,
        "surrogate": load_surrogate(plan, device, allow_pickle=allow_pickle),
    }


def _examples(table: Table, device: torch.device) -> tuple[Tensor, Boxes]:
    """The first annotated images of one shape, and their boxes, on the device."""

    def form(row: int) -> tuple[Any, ...]:
        return table.header(row).shape, table.header(row).spacing

    classes = ((row, table.annotation(row).classes) for row in range(len(table)))
    first = next((row for row, found in classes if found is not None and len(found)), 0)
    rows = [row for row in range(first, len(table)) if form(row) == form(first)][:TRIED]
    pixels = np.stack([table.image(row).astype(np.float32) for row in rows])
    boxes = collate.boxes([table.annotation(row) for row in rows])
    return torch.from_numpy(pixels).to(device), mapped(lambda tensor: tensor.to(device), boxes)


def _network(root: Path, device: torch.device, allow_pickle: bool, source: ModelSource) -> LoadedNetwork:
    """A network that a defence names, loaded like a model."""
    module = load_noted(source, root, allow_pickle=allow_pickle).module
    names = f"{source.digest(root)} {weights_digest(module)}"
    return LoadedNetwork(module.to(device), hashlib.sha256(names.encode()).hexdigest())


def _require_regions(given: Sequence[str], table: Table, structures: Sequence[str]) -> None:
    """Compute every image's region once, so that an empty one stops an audit before hours are spent."""
    from palpate.audit.plan.regions import regions

    for row in range(len(table)) if given else ():
        regions(given, table, row, structures)


def model_source(plan: Plan) -> ModelSource:
    """Where the model of a plan comes from."""
    return plan.model.source()


def _check_width(plan: Plan, shape: Sequence[int]) -> None:
    low, high = plan.model.bounds
    widest = {"linf": 1.0, "l2": float(np.prod(shape)) ** 0.5, "l1": float(np.prod(shape))}[plan.threat.norm]
    largest = plan.radii[-1]
    if largest > widest * (high - low):
        raise InputError(
            f"threat.eps: {largest:g} is wider than the whole space of images of shape {list(shape)}, which is "
            f"{widest * (high - low):g} in {plan.threat.norm}. Is it in other units than the images?"
        )
