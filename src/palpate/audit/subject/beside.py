"""What the model is given besides each image of an audit, as tensors: read and checked before any attack."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from palpate.audit.plan.toml_words import numbered
from palpate.audit.subject.decoded import Decoded
from palpate.data.formats.scan import Header
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.models.inputs.kinds import Columns, Input, Numbers, Prompt, View, Words, columns_of, is_number
from palpate.preprocess import Preprocessing
from palpate.preprocess.coordinates import followed


@dataclass(frozen=True)
class Beside:
    """The inputs of a plan.

    Attributes:
        inputs: keyword of the model -> where it comes from.
    """

    inputs: Mapping[str, Input]
    _decoded: Decoded = field(default_factory=Decoded, init=False, repr=False, compare=False)

    @property
    def columns(self) -> Columns:
        """The columns of the table that are read."""
        return columns_of(self.inputs)

    def form(self, table: Table, row: int) -> Hashable:
        """What is equal for images that the model can be shown together."""
        return table[row].cells, table[row].views

    def require(self, table: Table, row: int, header: Header) -> None:
        """Read the inputs of an image, but not the pixels of others; raises InputError, which names the image."""
        for name, one in self.inputs.items():
            with _named(table, row, name):
                if isinstance(one, View):
                    table.view_header(row, self.columns.views.index(one.columns[0]))
                else:
                    self._numbers(one, table, row, header)

    def values(self, table: Table, row: int, header: Header, preprocess: Preprocessing) -> dict[str, Tensor]:
        """What the model is given besides one image: keyword -> tensor (1, ...), on the CPU.

        Args:
            table: the images.
            row: which one.
            header: of its file.
            preprocess: of the model, at the spacing of the image; other images go through it, and prompts follow it.

        Raises:
            InputError: a cell or another image cannot be read, or a prompt cannot follow the preprocessing.
        """
        found = {}
        for name, one in self.inputs.items():
            with _named(table, row, name):
                if isinstance(one, View):
                    found[name] = self._view(table, row, self.columns.views.index(one.columns[0]), preprocess)
                    continue
                numbers = self._numbers(one, table, row, header)
                if isinstance(one, Prompt):
                    _, height, width = header.shape
                    pairs = followed(preprocess, list(zip(numbers[::2], numbers[1::2], strict=True)), width, height)
                    numbers = tuple(value for pair in pairs for value in pair)
                found[name] = torch.tensor(numbers, dtype=torch.float32).reshape(1, *one.shape)
        return found

    def _numbers(self, one: Numbers | Words | Prompt, table: Table, row: int, header: Header) -> tuple[float, ...]:
        if isinstance(one, Numbers):
            self._require_no_words(one, table, row)
        numbers = one.read(dict(zip(self.columns.cells, table[row].cells, strict=True)))
        if isinstance(one, Prompt):
            if len(header.shape) != 3:
                raise InputError("a prompt is for images of two dimensions, and this is a volume. Audit its slices.")
            one.require_inside(numbers, header.shape[2], header.shape[1])
        return numbers

    def _require_no_words(self, one: Numbers, table: Table, row: int) -> None:
        """Refuse a column whose cells are a few words, each of which may stand for a number; raises InputError."""
        column = one.columns[0]
        place = self.columns.cells.index(column)
        own = table[row].cells[place]
        if not one.alone or not own or is_number(own):
            return
        words = {case.cells[place] for case in table} - {""}
        if len(words) > 1 and not any(map(is_number, words)) and (written := numbered(column, words)):
            raise InputError(
                f"the column '{column}' holds words, such as '{own}', and palpate expects a number. "
                f"Give each word the number that it had in the training: {written}."
            )

    def _view(self, table: Table, row: int, number: int, preprocess: Preprocessing) -> Tensor:
        count = len(self.columns.views)
        pixels = self._decoded.of(row * count + number, lambda place: table.view(place // count, place % count))
        with torch.no_grad():
            return preprocess(torch.from_numpy(pixels.astype(np.float32))[None])


@contextmanager
def _named(table: Table, row: int, name: str) -> Iterator[None]:
    """Errors name the input and the image."""
    try:
        yield
    except InputError as error:
        raise InputError(f"model.inputs.{name}: {table[row].name}: {error}") from error
