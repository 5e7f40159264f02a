"""Training images of an nnU-Net: what it makes of each volume before its network, in stored values.

A volume is prepared once, by the code of the audit: axes, crop, normalisation, resampling. Then the normalisation is
undone with the volume's own numbers, and `Patch` does it again, so that attacks work in stored values.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from palpate.annotations import Masks
from palpate.contracts import Limits
from palpate.data.cases import listed
from palpate.errors import InputError
from palpate.hardening.data.augment import Augment, Flips, InTurn
from palpate.hardening.data.reading import Table
from palpate.models.nnunet.folder import read_trained
from palpate.models.nnunet.patches import Patch
from palpate.models.nnunet.pipeline import NnUNet, Surveyed
from palpate.tensors import Tree
from palpate.victim import Victim

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

ROOM = 4 * 2**30
"""Bytes of prepared volumes that are kept in memory; further ones are prepared again in each epoch."""


class _Volume(NamedTuple):
    """A prepared volume: stored values (C, *grid), labels (1, [S,] *grid), and the region (1, 1 or C, *grid)."""

    values: npt.NDArray[Any]
    labels: Tensor
    region: Tensor | None

    @property
    def size(self) -> int:
        """Bytes."""
        return self.values.nbytes + self.labels.nbytes + (0 if self.region is None else self.region.nbytes)


@dataclass
class _Kept:
    """Prepared volumes: those that came first, and the last one, of which several patches are cut."""

    room: int = ROOM
    known: dict[int, Surveyed] = field(default_factory=dict)
    volumes: dict[int, _Volume] = field(default_factory=dict)
    last: tuple[int, _Volume] | None = None


@dataclass(frozen=True)
class OnGrid(Table):
    """Images of a plan on the grid of an nnU-Net. Patches of one batch are all of one volume, whose numbers are held.

    Attributes:
        pipeline: the deployed pipeline.
    """

    pipeline: NnUNet
    _kept: _Kept = field(default_factory=_Kept, repr=False, compare=False)

    def pixels(self, row: int) -> npt.NDArray[Any]:
        """Stored values on the grid."""
        return self._volume(row).values

    def shape_of(self, row: int) -> tuple[int, ...]:
        """On the grid."""
        known = self._surveyed(row)
        return len(known.channels), *known.size

    def form(self, row: int) -> Hashable:
        """The row itself."""
        return row

    def prepare(self, victim: Victim, row: int) -> None:
        """Let the victim normalise by the numbers of this volume."""
        assert isinstance(victim.inferer, Patch)
        victim.inferer = replace(victim.inferer, channels=self._surveyed(row).channels)

    def targets(self, rows: Sequence[int]) -> Tree:
        """Labels on the grid, on the CPU; sizes in mm are left out."""
        return Masks(torch.cat([self._volume(row).labels for row in rows]))

    def limits(self, rows: Sequence[int]) -> Limits:
        """The region on the grid, and the files' steps, counted from each resampled value."""
        regions = [region for row in rows if (region := self._volume(row).region) is not None]
        steps = [step for row in rows if (step := self.subject.headers[row].step) is not None]
        stored = torch.tensor(steps, dtype=torch.float64) if len(steps) == len(rows) else None
        return Limits(torch.cat(regions) if regions else None, stored)

    def _at(self, row: int) -> NnUNet:
        return self.pipeline.at(self.subject.spacing_of(row))

    def _image(self, row: int) -> Tensor:
        return torch.from_numpy(super().pixels(row).astype(np.float32))

    def _surveyed(self, row: int) -> Surveyed:
        kept = self._kept
        if row not in kept.known:
            with self._named(row):
                kept.known[row] = self._at(row).surveyed(self._image(row))
        return kept.known[row]

    def _volume(self, row: int) -> _Volume:
        kept = self._kept
        if (known := kept.volumes.get(row)) is not None:
            return known
        if kept.last is None or kept.last[0] != row:
            kept.last = row, self._prepared(row)
            if kept.last[1].size <= kept.room:
                kept.room -= kept.last[1].size
                kept.volumes[row] = kept.last[1]
        return kept.last[1]

    def _prepared(self, row: int) -> _Volume:
        image, annotated, region = self._image(row), super().targets([row]), super().limits([row]).region
        assert isinstance(annotated, Masks)
        labels = annotated.labels.cpu()
        layers = labels[0] if labels.ndim > image.ndim else labels
        marks = [layers.to(torch.uint8)] if region is None else [layers.to(torch.uint8), region[0].cpu().byte()]
        with self._named(row):
            found = self._at(row).prepared(image, *marks)
        values = found.values.clamp(*self.subject.victim.bounds).numpy()
        made = found.marks[0] if layers is labels else found.marks[0][None]
        return _Volume(values, made, found.marks[1][None].bool() if len(marks) > 1 else None)

    @contextmanager
    def _named(self, row: int) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            text = str(error)
            raise InputError(text if text.startswith("model.") else f"harden.data: {self.name(row)}: {text}") from error


def mirrors(patch: Patch, own: Augment | None) -> Augment:
    """Mirror patches along the axes that the checkpoint mirrors, as nnU-Net trains; then the user's own change."""
    first = len(patch.size) - len(patch.windows.patch)
    mirrored = Flips(tuple(axis + first for axis in patch.windows.mirrors))
    return mirrored if own is None else InTurn((mirrored, own))


def require_one_fold(plan: Plan) -> None:
    """Refuse several folds of an nnU-Net; raises InputError."""
    if plan.model.nnunet is None:
        return
    trained = read_trained(plan.root / plan.model.nnunet, plan.model.folds, plan.model.checkpoint)
    if len(trained.folds) > 1:
        first = trained.folds[0].removeprefix("fold_")
        raise InputError(
            f"model.folds: each fold is a network of its own, and a training changes one; this plan averages "
            f"{listed(trained.folds)}. Name one: folds = [{first}]. A plan for each hardens them all."
        )


def note_of(patch: Patch) -> str:
    """What is approximated in the training, in a sentence for the record."""
    return (
        f"The nnU-Net was trained on {patch.describe()}; crop, mask, mean and deviation were those of the unattacked "
        "volume. Epochs were chosen, and audits are done, with its whole deployed pipeline."
    )
