"""The table of an audit: its labelled images, read from a layout. Short forms read the most common ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from palpate.data.annotations.labels import BoxLabels, ClassLabels, FindingLabels, LabelKind, MaskLabels
from palpate.data.layouts.archive import MedMnist
from palpate.data.layouts.class_folders import ClassFolders
from palpate.data.layouts.csv_table import CsvTable
from palpate.data.layouts.layout import Layout
from palpate.data.listing import About
from palpate.data.rows import Rows
from palpate.data.source import Folder, Source
from palpate.errors import InputError

__all__ = ["Folder", "Source", "Table", "read_table"]

_KINDS = {ClassLabels: "classes", FindingLabels: "findings", MaskLabels: "masks", BoxLabels: "boxes"}


def read_table(layout: Layout, labels: LabelKind) -> Table:
    """The labelled images of a layout.

    Args:
        layout: where the images and annotations are, such as `CsvTable(Path("labels.csv"))`; see
            `palpate.data.layouts.registry.LAYOUTS`.
        labels: what they are labelled with, such as `MaskLabels(["liver"])`.

    Raises:
        InputError: the layout has no such labels, or a file, a field or a label is not there or not what it should be.

    Example:
        >>> read_table(Coco(Path("instances.json")), BoxLabels(["polyp"]))  # doctest: +SKIP
    """
    if type(labels) not in layout.reads:
        known = " or ".join(_KINDS[kind] for kind in layout.reads)
        plural = not layout.called.startswith(("a ", "an "))
        no, it = ("do not hold", "They hold") if plural else ("does not hold", "It holds")
        raise InputError(f"{layout.path}: {layout.called} {no} {_KINDS[type(labels)]}. {it} {known}.")
    rows = layout.rows(labels)
    return Table(rows.cases, rows.classes, rows.source, rows.annotations, notes=rows.notes)


@dataclass(frozen=True)
class Table(Rows):
    """The labelled or annotated images of an audit, from any layout. See `Rows` for what it holds and answers.

    The constructors are short forms of `read_table` for the most common cases.
    """

    @classmethod
    def from_csv(
        cls,
        table: Path,
        images: Path,
        file: str = "file",
        label: str | Sequence[str] = "label",
        group: str | None = None,
        where: Mapping[str, object] | None = None,
        classes: Sequence[str] | None = None,
    ) -> Table:
        """Images with classes, from a CSV with one line per image; see `CsvTable` and `ClassLabels`."""
        layout = CsvTable(table, images, file, About(group), where or {})
        return read_table(layout, ClassLabels(classes, label))

    @classmethod
    def from_masks(
        cls,
        table: Path,
        images: Path,
        file: str = "file",
        mask: str | Sequence[str] = "mask",
        *,
        structures: Sequence[str] | None = None,
        values: Sequence[int] | None = None,
    ) -> Table:
        """Images or volumes with masks, from a CSV with one line per image; see `CsvTable` and `MaskLabels`."""
        return read_table(CsvTable(table, images, file), MaskLabels(structures, mask, values=values))

    @classmethod
    def from_boxes(
        cls,
        table: Path,
        images: Path,
        *,
        classes: Sequence[str] | None = None,
        where: Mapping[str, object] | None = None,
    ) -> Table:
        """Images with boxes, from a CSV with one line per box; see `CsvTable` and `BoxLabels`."""
        return read_table(CsvTable(table, images, where=where or {}), BoxLabels(classes))

    @classmethod
    def from_findings(
        cls,
        table: Path,
        images: Path,
        findings: Sequence[str],
        file: str = "file",
        group: str | None = None,
        where: Mapping[str, object] | None = None,
    ) -> Table:
        """Images with findings, from a CSV with one column per finding; see `CsvTable` and `FindingLabels`."""
        return read_table(CsvTable(table, images, file, About(group), where or {}), FindingLabels(findings))

    @classmethod
    def from_folders(cls, root: Path, classes: Sequence[str] | None = None) -> Table:
        """Images with classes, from one folder per class; see `ClassFolders`."""
        return read_table(ClassFolders(root), ClassLabels(classes))

    @classmethod
    def from_medmnist(cls, archive: Path, split: str = "test", classes: Sequence[str] | None = None) -> Table:
        """Images with classes, from one split of a MedMNIST `.npz`; see `MedMnist`."""
        return read_table(MedMnist(archive, split), ClassLabels(classes))
