"""What a layout is: a value that says where images and their annotations are on a disk, and reads them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from palpate.data.annotations.labels import LabelKind
from palpate.data.rows import Rows

__all__ = ["LabelFields", "Layout"]

LabelFields = Mapping[type[LabelKind], tuple[str, ...]]


@dataclass(frozen=True)
class Layout(ABC):
    """Images and annotations in one layout; the first paragraph of its docstring is the help text in plans.

    Each further field of a layout has the name of the field of `[data]` that sets it. To add a layout, write a subclass
    in a module of this folder and add one row to `palpate.data.layouts.registry`.

    Attributes:
        path: the file or folder that names the images.
        called: what messages call it, with its article.
        example: a path, for the documentation of the plan.
        reads: the kinds of labels that it has; for each the fields that it uses, the others are ignored.
        own_split: the split that is read if none is given and the files do not decide.
        has_texts: whether each image is described in a text file of its own, which messages may quote.
    """

    path: Path
    called: ClassVar[str]
    example: ClassVar[str]
    reads: ClassVar[LabelFields]
    own_split: ClassVar[str | None] = None
    has_texts: ClassVar[bool] = False

    @abstractmethod
    def rows(self, labels: LabelKind) -> Rows:
        """The images, labelled with a kind that is a key of `reads`.

        Raises:
            InputError: a file, a field or a label is not there or not what it should be.
        """
