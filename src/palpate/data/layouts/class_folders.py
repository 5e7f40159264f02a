"""Images in one folder a class: files, and folders of DICOM slices. No image is read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from palpate.data.annotations.labels import ClassLabels, LabelKind
from palpate.data.annotations.mask_names import mask_owners, owners_beside
from palpate.data.cases import Case, checked_classes, class_number, listed
from palpate.data.formats.registry import SUFFIXES
from palpate.data.image_files import folders_in, image_files
from palpate.data.layouts.layout import LabelFields, Layout
from palpate.data.rows import Rows
from palpate.data.source import Folder
from palpate.errors import InputError, nearest


@dataclass(frozen=True)
class ClassFolders(Layout):
    """A folder with one folder per class."""

    called: ClassVar[str] = "class folders"
    example: ClassVar[str] = "images"
    reads: ClassVar[LabelFields] = {ClassLabels: ()}

    def rows(self, labels: LabelKind) -> Rows:
        """The images of the class folders, at any depth below; the notes say what was left out.

        Raises:
            InputError: there are no class folders or no images, images are outside, or a class may be misspelt.
        """
        return read_class_folders(self.path, labels.names)


def read_class_folders(root: Path, classes: Sequence[str] | None) -> Rows:
    """The images of class folders.

    A class folder is one that holds images; others (weights, runs, code) are passed over. Where classes are given, only
    their folders are read. Files that are masks of other files, by their names, are left out.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder. Give the folder that holds one folder per class.")
    folders = folders_in(root, produced=classes is not None)
    if stray := image_files(root, deep=False):
        raise InputError(
            f"{root} holds {len(stray)} images outside any class folder: first {stray[0].name}. "
            "Move them into the folder of their class, or give a CSV."
        )
    if not folders:
        raise InputError(f"{root} holds no folders. Give one folder per class, or a CSV.")
    given = None if classes is None else checked_classes(classes, "classes")
    held = {path.name: image_files(path, deep=True) for path in folders}
    found = sorted((name for name, files in held.items() if files), key=_natural)
    if not found:
        raise InputError(
            f"{root} holds {len(folders)} folders without images. Their names must end in {listed(SUFFIXES)}."
        )
    names = tuple(found) if given is None else given
    notes = [*_empty(folders), *_produced(root, folders)] if given is None else _unread(root, given, found, list(held))
    masks: list[str] = []
    cases: list[Case] = []
    for number, name in enumerate(names):
        files = held.get(name, [])
        named = [path.relative_to(root).as_posix() for path in files]
        drawn = mask_owners(named) | owners_beside(named)
        masks += drawn
        for relative in (relative for relative in named if relative not in drawn):
            cases.append(Case(relative, number, relative, len(cases)))
    if masks:
        notes.append(
            f"{len(masks)} files in the class folders are masks of other files by their names, and are left out: "
            f"first {masks[0]}."
        )
    return Rows(tuple(cases), names, Folder(root), notes=tuple(notes))


def _empty(folders: Sequence[Path]) -> list[str]:
    """What to say of folders that hold nothing: they may stand for classes that the model knows."""
    names = [path.name for path in folders if not any(path.iterdir())]
    text = (
        f"Empty folders are not classes here: {listed(names)}. If the model has such a class, add it to task.classes."
    )
    return [text] if names else []


def _produced(root: Path, folders: Sequence[Path]) -> list[str]:
    """What to say of folders with pictures that are no class because of their names."""
    others = [path for path in folders_in(root, produced=True) if path not in folders and image_files(path, deep=True)]
    names = listed([path.name for path in others])
    text = (
        f"Folders named like the output of a training are not read as classes: {names}. "
        "If one of them is a class, list all classes in task.classes."
    )
    return [text] if others else []


def _unread(root: Path, classes: Sequence[str], found: Sequence[str], folders: Sequence[str]) -> list[str]:
    """What to say of classes without images and of folders that are no class.

    Raises:
        InputError: a class has no folder while another folder holds images, which may be a wrong name.
    """
    extra = [name for name in found if name not in classes]
    absent = [name for name in classes if name not in folders]
    if extra and (absent or not set(found) & set(classes)):
        raise InputError(
            f"{root / extra[0]} is not one of the classes {listed(classes)}, and class '{(absent or classes)[0]}' has "
            "no "
            f"folder with images. {nearest(extra[0], classes)}"
        )
    notes = [
        f"Class '{name}' has no images: its folder is empty or not there." for name in classes if name not in found
    ]
    if extra:
        notes.append(f"Folders with images that are none of the classes are left out: {listed(extra)}.")
    return notes


def _natural(name: str) -> tuple[int, str]:
    # Grades 0 to 10 in the order of numbers, names in the order of letters.
    number = class_number(name)
    return (-1 if number is None else number, name)
