"""The training images in batches: read once, cut, augmented and attacked in an order that the seed decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.hardening.contracts import Batch
from palpate.hardening.data.augment import Augment, Sample
from palpate.hardening.data.reading import Reader
from palpate.hardening.data.windows import cut
from palpate.seeds import derive
from palpate.streams import Streams
from palpate.tensors import Tree, mapped, take
from palpate.victim import Victim

_KEPT = 4 * 2**30
"""Bytes of decoded images that are kept in memory; further ones are read again in each epoch."""


class _Shown(NamedTuple):
    """A row, and how often the epoch has shown it before."""

    row: int
    draw: int


@dataclass(frozen=True)
class TrainingImages:
    """Some images as lessons. Batches hold images of one shape and spacing; none has one image only.

    Attributes:
        reader: reads images and annotations.
        victim: the model in the form that is trained.
        rows: the rows to train on.
        size: images of a batch.
        seed: decides the order, windows, augmentation and the attacks' random numbers.
        augment: changes each image; None: nothing.
        window: size of the windows that are cut; None: whole images.
        draws: how often an epoch shows each image, each time with other random numbers.
    """

    reader: Reader
    victim: Victim
    rows: tuple[int, ...]
    size: int
    seed: int
    augment: Augment | None = None
    window: tuple[int, ...] | None = None
    draws: int = 1
    _cache: dict[int, Any] = field(default_factory=dict, repr=False, compare=False)
    _held: list[int] = field(default_factory=lambda: [0], repr=False, compare=False)

    def __len__(self) -> int:
        return len(self._batches(0))

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from batch `start` on."""
        for shown in self._batches(number)[start:]:
            yield self._batch(shown, number)

    def _batches(self, number: int) -> list[tuple[_Shown, ...]]:
        forms: dict[Any, list[_Shown]] = defaultdict(list)
        for row in self.rows:
            forms[self._form(row)] += [_Shown(row, draw) for draw in range(self.draws)]
        generator = torch.Generator().manual_seed(derive(self.seed, "order", number))
        batches: list[tuple[_Shown, ...]] = []
        for rows in forms.values():
            order = [rows[place] for place in torch.randperm(len(rows), generator=generator).tolist()]
            parts = [tuple(order[at : at + self.size]) for at in range(0, len(order), self.size)]
            # Batch norm cannot learn from one image.
            if len(parts) > 1 and len(parts[-1]) == 1:
                parts[-2:] = [parts[-2] + parts[-1]]
            batches += parts
        return [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]

    def _form(self, row: int) -> tuple[Any, ...]:
        channels, *spatial = self.reader.shape_of(row)
        if self.window is not None:
            spatial = [min(pair) for pair in zip(spatial, self.window, strict=True)]
        return (channels, *spatial), self.reader.form(row)

    def _batch(self, shown: tuple[_Shown, ...], number: int) -> Batch:
        reader, rows = self.reader, [one.row for one in shown]
        reader.prepare(self.victim, rows[0])
        targets = reader.targets(rows) if self.window is None else None
        samples = [self._sample(one, place, targets, number) for place, one in enumerate(shown)]
        _require_one_shape(samples)
        return Batch(
            torch.cat([sample.image for sample in samples]).to(reader.device),
            mapped(lambda *parts: torch.cat(parts).to(reader.device), *(sample.targets for sample in samples)),
            _joined([sample.limits for sample in samples]),
            Streams([self._seed("attack", one, number) for one in shown]),
        )

    def _seed(self, what: str, shown: _Shown, number: int) -> int:
        again = (shown.draw,) if shown.draw else ()
        return derive(self.seed, what, number, self.reader.name(shown.row), *again)

    def _sample(self, shown: _Shown, place: int, targets: Tree | None, number: int) -> Sample:
        row = shown.row
        generator = torch.Generator().manual_seed(self._seed("augment", shown, number))
        own = self.reader.targets([row]) if targets is None else take(targets, torch.tensor([place]))
        sample = Sample(self._image(row), mapped(Tensor.cpu, own), _on_cpu(self.reader.limits([row])))
        if self.window is not None:
            sample = cut(sample, self.window, generator)
        return sample if self.augment is None else self.augment(sample, generator)

    def _image(self, row: int) -> Tensor:
        """The stored values (1, C, *spatial) of one image."""
        values = self._cache.get(row)
        if values is None:
            values = self.reader.pixels(row)
            if self._held[0] + values.nbytes <= _KEPT:
                self._held[0] += values.nbytes
                self._cache[row] = values
        return torch.from_numpy(values.astype(np.float32, copy=not values.flags.writeable))[None]


def _on_cpu(limits: Limits) -> Limits:
    return Limits(*(part.cpu() if isinstance(part, Tensor) else part for part in limits))


def _require_one_shape(samples: Sequence[Sample]) -> None:
    """Refuse an augmentation that makes images of one batch differ in size; raises InputError."""
    first = samples[0].image.shape
    other = next((sample.image.shape for sample in samples if sample.image.shape != first), None)
    if other is not None:
        raise InputError(
            f"harden.augment: it made images of one size into {list(first[2:])} and {list(other[2:])}, and the images "
            "of a batch need one size. Cut or resize them to a fixed one."
        )


def _joined(limits: Sequence[Limits]) -> Limits:
    parts = []
    for entries in zip(*limits, strict=True):
        given = [entry for entry in entries if isinstance(entry, Tensor)]
        parts.append(torch.cat(given) if len(given) == len(entries) and given else None)
    return Limits(*parts)
