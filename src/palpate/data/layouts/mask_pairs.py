"""Folders of images and of masks whose names belong together: which mask is of which image. No image is read here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from palpate.data.annotations.mask_names import mask_owners, stem_of
from palpate.data.cases import listed
from palpate.data.formats.registry import SUFFIXES
from palpate.data.image_files import image_files
from palpate.data.listing import visible
from palpate.data.sheets import Line, Sheet
from palpate.errors import InputError

__all__ = [
    "STEM",
    "Naming",
    "Pairs",
    "Unpaired",
    "bare_path",
    "beside",
    "folders_below",
    "mask_files",
    "paired",
    "pairs_sheet",
    "picture_files",
]

Unpaired = Literal["refuse", "skip", "empty"]
STEM = "{stem}"
MASK_SUFFIXES = tuple(dict.fromkeys((*SUFFIXES, ".gif", ".bmp", ".pgm", ".ppm", ".pbm")))
"""Endings of masks: they are never written, so they may be in formats that images may not."""


@dataclass(frozen=True)
class Naming:
    """How files are named: paths from their folder without the ending, where `{stem}` is what files share.

    Attributes:
        image: of an image.
        mask: of its mask; `*` stands for any text, and then an image may have several masks, taken together.
        field: of its field of view.
    """

    image: str = STEM
    mask: str = STEM
    field: str = STEM


@dataclass(frozen=True)
class Pairs:
    """Images with their masks. All paths start from the folder of their kind.

    Attributes:
        masks: the masks of each image; none where it has no mask.
        fields: the field of view of the images that have one.
        stray: masks without an image.
        unnamed: files in the folder of the images that are not named as the rule for images says.
    """

    masks: dict[str, tuple[str, ...]]
    fields: dict[str, str]
    stray: tuple[str, ...]
    unnamed: tuple[str, ...] = ()

    @property
    def bare(self) -> tuple[str, ...]:
        """Images without a mask."""
        return tuple(name for name, masks in self.masks.items() if not masks)

    def describe(self) -> str:
        """What does not fit, in a sentence; empty where all is paired."""
        whole = f" of {len(self.masks)} images"
        found = (
            (self.bare, whole, "have no mask", "has no mask"),
            (self.stray, "", "masks have no image", "mask has no image"),
            (
                self.unnamed,
                "",
                "files are not named as data.image_name says",
                "file is not named as data.image_name says",
            ),
        )
        parts = [
            f"{len(names)}{head} {single if len(names) == 1 else several} ({listed(names, 3)})"
            for names, head, several, single in found
            if names
        ]
        return "; ".join(parts)


def paired(
    images: Sequence[str],
    masks: Sequence[str],
    naming: Naming,
    *,
    fields: Sequence[str] = (),
    together: bool = False,
) -> Pairs:
    """Which mask is of which image.

    Args:
        images: files in the folder of the images.
        masks: files in the folder of the masks.
        naming: how they are named.
        fields: files in the folder of the fields of view.
        together: whether images and masks lie in one folder, so that the images include masks.

    Raises:
        InputError: a rule is none, or an image has several masks and the rule does not allow it.
    """
    stems, unnamed = _stems(images, naming.image)
    owned = _owned(masks, naming.mask, stems)
    if together:
        # A second annotator's masks are named after the same images, and are no images either.
        drawn = {*owned, *mask_owners(images)}
        stems = {stem: name for stem, name in stems.items() if name not in drawn}
        owned = {mask: stem for mask, stem in owned.items() if stem in stems}
    several: dict[str, list[str]] = {name: [] for name in stems.values()}
    for mask in masks:
        if mask in owned:
            several[stems[owned[mask]]].append(mask)
    if "*" not in naming.mask and (doubled := [(name, own) for name, own in several.items() if len(own) > 1]):
        name, own = doubled[0]
        raise InputError(
            f"{name} has {len(own)} masks: {listed(own, 3)}. Keep one of them, or write '*' in data.mask_name where "
            "all of them together are the mask."
        )
    views = {stems[stem]: view for view, stem in _owned(fields, naming.field, stems).items()}
    stray = () if together else tuple(mask for mask in masks if mask not in owned)
    return Pairs({name: tuple(own) for name, own in several.items()}, views, stray, () if together else tuple(unnamed))


def pairs_sheet(images: Path, masks: Path, field: Path | None, pairs: Pairs, unpaired: Unpaired) -> Sheet:
    """One line an image, with its columns `file`, `mask` (the first one) and `field`; paths start from `images`.

    Raises:
        InputError: something has no counterpart and the plan does not say what that means, or no image is left.
    """
    if unpaired == "refuse" and (what := pairs.describe()):
        raise InputError(
            f"{images} and {masks}: {what}. Correct the names, or data.mask_name and data.image_name; or say in "
            'data.unpaired what it means: "skip" leaves these files out, "empty" takes images without a mask as '
            "images without a structure."
        )
    kept = [name for name, own in pairs.masks.items() if own or unpaired == "empty"]
    if not kept or not any(pairs.masks.values()):
        raise InputError(
            f"{masks}: none of its files is named like a mask of the images in {images}. Correct data.mask_name and "
            "data.image_name."
        )
    to_masks, to_fields = (os.path.relpath(folder, images) for folder in (masks, field or masks))

    def cells(name: str) -> dict[str, str]:
        mask, view = next(iter(pairs.masks[name]), ""), pairs.fields.get(name, "")
        return {"file": name, "mask": beside(to_masks, mask), "field": beside(to_fields, view)}

    return Sheet(masks, ["file", "mask", "field"], [Line(n, cells(name), "image") for n, name in enumerate(kept, 1)])


def picture_files(folder: Path) -> list[str]:
    """Images of a folder and below it, as paths from it; folders of palpate's own runs are passed over."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give the folder of the images.")
    found = [path for place in _places(folder) for path in image_files(place, deep=False)]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def mask_files(folder: Path, what: str = "masks") -> list[str]:
    """Files of a folder and below it that may be masks, as paths from it."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give the folder of the {what}.")
    found = []
    for place in _places(folder):
        below = place.relative_to(folder).as_posix()
        found += [name if below == "." else f"{below}/{name}" for name in files_in(place)]
    return sorted(found)


def files_in(folder: Path) -> list[str]:
    """Sorted names of the files of a folder that may be masks, by their endings or as DICOM without one."""
    with os.scandir(folder) as entries:
        names = sorted(one.name for one in entries if not one.name.startswith((".", "__")) and one.is_file())
    known = [name for name in names if name.lower().endswith(MASK_SUFFIXES)]
    if not any("." not in name or name.rpartition(".")[2].isdigit() for name in names):
        return known
    return sorted({*known, *(path.name for path in image_files(folder, deep=False))})


def _places(folder: Path) -> Iterable[Path]:
    yield folder
    for below in folders_below(folder):
        yield from _places(below)


def folders_below(folder: Path) -> list[Path]:
    """Folders in a folder without hidden ones, palpate's own runs, those that cannot be opened, and links upwards."""

    def fit(path: Path) -> bool:
        if (path / "run.json").is_file() or not os.access(path, os.R_OK | os.X_OK):
            return False
        return not (path.is_symlink() and folder.resolve().is_relative_to(path.resolve()))

    with os.scandir(folder) as entries:
        names = [one.name for one in entries if one.is_dir()]
    return visible(path for path in (folder / name for name in names) if fit(path))


def beside(folder: str, name: str) -> str:
    """The path of a file of another folder, from the folder of the images; empty for no file."""
    return Path(os.path.normpath(Path(folder) / name)).as_posix() if name else ""


def _stems(images: Sequence[str], rule: str) -> tuple[dict[str, str], list[str]]:
    before, after = _parts(rule, "image_name")
    pattern = re.compile(f"{_literal(before)}(.+){_literal(after)}")
    stems: dict[str, str] = {}
    unnamed = []
    for name in images:
        match = pattern.fullmatch(bare_path(name))
        if match is None:
            unnamed.append(name)
        elif (other := stems.setdefault(match[1], name)) != name:
            raise InputError(
                f"The images {other} and {name} share the name '{match[1]}', and a mask cannot belong to both. "
                "Rename one of them, or correct data.image_name."
            )
    return stems, unnamed


def _owned(files: Sequence[str], rule: str, stems: dict[str, str]) -> dict[str, str]:
    """The stem that each file is named after; files that are named after none are not there."""
    before, after = _parts(rule, "mask_name")
    head, tail = re.compile(_literal(before)), re.compile(_literal(after))
    owned = {}
    for file in files:
        path = bare_path(file)
        match = head.match(path)
        start = match.end() if match else len(path)
        # The longest stem wins: with the rule {stem}*, `10_a` is of image 10 and not of image 1.
        for end in range(len(path), start, -1):
            if path[start:end] in stems and tail.fullmatch(path, end):
                owned[file] = path[start:end]
                break
    return owned


def _parts(rule: str, field: str) -> tuple[str, str]:
    if rule.count(STEM) != 1:
        raise InputError(f"data.{field}: '{rule}' must hold {STEM} once, such as \"{STEM}_mask\".")
    before, after = rule.split(STEM)
    return before, after


def _literal(text: str) -> str:
    return "[^/]*".join(map(re.escape, text.split("*")))


def bare_path(name: str) -> str:
    """A path without the ending of an image: `x/a` for `x/a.nii.gz`."""
    place, slash, last = name.rpartition("/")
    return f"{place}{slash}{stem_of(last)}"
