"""Where training and validation images come from: the table of a plan, or tensors of a notebook."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from palpate.audit.subject.subject import Subject
from palpate.contracts import Limits
from palpate.tensors import Tree, take
from palpate.victim import Victim
from palpate.victim.spacing import placed


class Reader(Protocol):
    """Reads images and annotations by row."""

    @property
    def device(self) -> torch.device:
        """Where the model runs."""

    def name(self, row: int) -> str:
        """A name that no other row has; random numbers are drawn from it."""

    def pixels(self, row: int) -> npt.NDArray[Any]:
        """Stored values (C, *spatial)."""

    def shape_of(self, row: int) -> tuple[int, ...]:
        """Shape (C, *spatial)."""

    def form(self, row: int) -> Hashable:
        """What must be equal in one batch besides the shape, such as the spacing."""

    def prepare(self, victim: Victim, row: int) -> None:
        """Let a victim know the spacing of an image, and what it is given besides the image."""

    def targets(self, rows: Sequence[int]) -> Tree:
        """Annotations of some rows of one shape, as the task expects them, on the device."""

    def limits(self, rows: Sequence[int]) -> Limits:
        """What confines changes of some rows of one shape, on the device."""


@dataclass(frozen=True)
class Table:
    """Images of a plan.

    Attributes:
        subject: the loaded table.
    """

    subject: Subject

    @property
    def device(self) -> torch.device:
        """That of the subject."""
        return self.subject.device

    def name(self, row: int) -> str:
        """The image's name in the table."""
        return self.subject.table[row].name

    def pixels(self, row: int) -> npt.NDArray[Any]:
        """Read from the file."""
        return self.subject.table.image(row)

    def shape_of(self, row: int) -> tuple[int, ...]:
        """From the file's header."""
        return self.subject.shape_of(row)

    def form(self, row: int) -> Hashable:
        """Its spacing, if what the model does depends on it, and what the model is given besides the image."""
        subject = self.subject
        plain, spacing, inferer = subject.preprocess, subject.spacing_of(row), subject.victim.inferer
        same = plain.at(spacing) == plain and placed(inferer, spacing) == placed(inferer, None)
        return None if same else spacing, subject.beside.form(subject.table, row)

    def prepare(self, victim: Victim, row: int) -> None:
        """Set the preprocessing at its spacing, and the other inputs."""
        self.subject.prepare(row, victim)

    def targets(self, rows: Sequence[int]) -> Tree:
        """Read from the files."""
        return self.subject.targets(rows)

    def limits(self, rows: Sequence[int]) -> Limits:
        """The files' stored steps and the plan's region."""
        return self.subject.limits(rows)


@dataclass(frozen=True)
class Tensors:
    """Images of a notebook.

    Attributes:
        images: (N, C, *spatial) in stored values.
        annotations: what the task expects, with a first axis of N.
        confined: what confines their changes; None: nothing.
        prefix: distinguishes the names of training and validation images.
    """

    images: Tensor
    annotations: Tree
    confined: Limits | None = None
    prefix: str = ""

    @property
    def device(self) -> torch.device:
        """That of the images."""
        return self.images.device

    def name(self, row: int) -> str:
        """Its number."""
        return f"{self.prefix}{row}"

    def pixels(self, row: int) -> npt.NDArray[Any]:
        """As an array."""
        values: npt.NDArray[Any] = self.images[row].cpu().numpy()
        return values

    def shape_of(self, row: int) -> tuple[int, ...]:
        """The same for all."""
        return tuple(self.images.shape[1:])

    def form(self, row: int) -> Hashable:
        """The same for all."""
        return None

    def prepare(self, victim: Victim, row: int) -> None:
        """Nothing: the preprocessing is the user's."""

    def targets(self, rows: Sequence[int]) -> Tree:
        """Those rows."""
        return take(self.annotations, torch.tensor(list(rows), device=self.device))

    def limits(self, rows: Sequence[int]) -> Limits:
        """Those rows."""
        if self.confined is None:
            return Limits()
        place = torch.tensor(list(rows), device=self.device)
        return Limits(*(part[place] if isinstance(part, Tensor) else None for part in self.confined))


def read(reader: Reader, rows: Sequence[int]) -> Tensor:
    """Images (B, C, *spatial) of some rows of one shape, float32, on the device."""
    pixels = np.stack([reader.pixels(row).astype(np.float32) for row in rows])
    return torch.from_numpy(pixels).to(reader.device)


def batches(reader: Reader, rows: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    """The rows, at most `size` at once; images of different shape or form are not mixed."""
    forms: dict[Hashable, list[int]] = defaultdict(list)
    for row in rows:
        forms[reader.shape_of(row), reader.form(row)].append(row)
    for same in forms.values():
        for start in range(0, len(same), size):
            yield tuple(same[start : start + size])
