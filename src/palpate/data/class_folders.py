"""Images in one folder a class: files, and folders of DICOM slices. No image is read here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from palpate.data.cases import Case, checked_classes, class_number, listed
from palpate.data.formats import SUFFIXES
from palpate.data.listing import Cases, visible
from palpate.errors import InputError, nearest


def folder_cases(root: Path, classes: Sequence[str] | None) -> Cases:
    """The cases of class folders; see `palpate.data.table.Table.from_folders`."""
    if not root.is_dir():
        raise InputError(f"{root} is not a folder. Give the folder that holds one folder a class.")
    folders = visible(path for path in root.iterdir() if path.is_dir())
    if stray := image_files(root, deep=False):
        raise InputError(
            f"{root} holds {len(stray)} images outside any class folder: first {stray[0].name}. "
            "Move them into the folder of their class, or give a CSV."
        )
    found = sorted((path.name for path in folders), key=_natural)
    if not found:
        raise InputError(f"{root} holds no folders. Give one folder a class, or a CSV.")
    names = tuple(found) if classes is None else checked_classes(classes, "classes")
    for name in found:
        if name not in names:
            raise InputError(f"{root / name} is none of the classes {listed(names)}. {nearest(name, names)}")
    cases: list[Case] = []
    for number, name in enumerate(names):
        for path in image_files(root / name, deep=True):
            relative = path.relative_to(root).as_posix()
            cases.append(Case(relative, number, relative, len(cases)))
    if not cases:
        raise InputError(
            f"{root} holds {len(found)} folders without images. Their names must end in {listed(SUFFIXES)}."
        )
    return tuple(cases), names


def image_files(folder: Path, *, deep: bool) -> list[Path]:
    """Sorted images of a folder, by their ending or as DICOM without one; below it too where `deep`.

    A folder below that holds several DICOM files of one series, and nothing else, is one image: a volume.
    """
    found = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    files = [path for path in visible(found) if path.name.lower().endswith(SUFFIXES) or _is_bare_dicom(path)]
    if deep and folder.is_dir():
        for below in visible(path for path in folder.iterdir() if path.is_dir()):
            files += [below] if _is_one_series(below) else image_files(below, deep=True)
    return files


def _is_bare_dicom(path: Path) -> bool:
    """Whether a file is DICOM that has no ending, as scanners and archives name them."""
    from palpate.data.dicom.files import is_image_file

    return (not path.suffix or path.suffix[1:].isdigit()) and is_image_file(path)


def _is_one_series(folder: Path) -> bool:
    from palpate.data.dicom.files import is_image_file, one_sentence, open_header

    files = visible(folder.iterdir())
    if len(files) < 2 or not all(path.is_file() and is_image_file(path) for path in files):
        return False
    series = set()
    for path in files:
        with one_sentence(path):
            series.add(str(open_header(path, ("SeriesInstanceUID",)).dataset.get("SeriesInstanceUID") or path.name))
    return len(series) == 1


def _natural(name: str) -> tuple[int, str]:
    # Grades 0 to 10 in the order of numbers, names in the order of letters.
    number = class_number(name)
    return (-1 if number is None else number, name)
