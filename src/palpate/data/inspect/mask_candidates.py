"""Folders of a tree that may be images and their masks, by the names of folders and files. No file is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from palpate.data.annotations.mask_names import mask_owners, stem_of
from palpate.data.image_files import image_files
from palpate.data.inspect.columns import SPLITS
from palpate.data.inspect.mask_rules import naming_of
from palpate.data.layouts.mask_pairs import STEM, Naming, bare_path, files_in, folders_below, mask_files
from palpate.data.listing import visible

__all__ = ["Found", "by_mark", "by_name", "folders_to", "split_rank"]

_IMAGES = (
    *("image", "images", "img", "imgs", "jpegimages", "input", "inputs", "original", "originals", "scans", "frames"),
    *("imaging", "volume", "volumes", "ct", "mri"),
)
_MASKS = (
    *("mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "segmentations", "seg", "segs"),
    *("segmentationclass", "gt", "gts", "truth", "groundtruth", "manual", "target", "targets", "annots"),
)
_FIELDS = ("fov", "field", "roi", "view")
_PARTS = {"tr": "train", "ts": "test"}
_DEEP = 3
_MOST_FOLDERS = 500
_CASES_LOOKED_AT = 20


@dataclass(frozen=True)
class Found:
    """Folders of images, masks and fields of view.

    Attributes:
        images: folder of the images.
        masks: folder of the masks, perhaps the same.
        field: folder of the fields of view.
        others: other possible folders of masks.
        naming: how files are named, if that is known.
    """

    images: Path
    masks: Path
    field: Path | None = None
    others: tuple[str, ...] = ()
    naming: Naming | None = None


def by_name(folder: Path) -> Iterator[Found]:
    """Folders that are named like images next to folders that are named like masks."""
    places = list(islice(folders_to(folder, _DEEP), _MOST_FOLDERS))
    cases: dict[tuple[Path, str, str], list[Found]] = {}
    for place in places:
        for found in _candidates(place, beside=place != folder):
            own = [] if _splits(place) else _few(found.images)
            key = (place.parent, found.images.name, found.masks.name) if len(own) == 1 else None
            if key is None or place == folder:
                yield found
            else:
                cases.setdefault(key, []).append(found)
    for (place, images, masks), several in cases.items():
        if len(several) == 1:
            yield several[0]
        else:  # each image has a separate folder, with a folder of its masks
            yield Found(place, place, naming=Naming(f"{STEM}/{images}/*", f"{STEM}/{masks}/*"))


def by_mark(folder: Path) -> Iterator[Found]:
    """Folders with images and masks: by marks in the names of files, or by equal names in the folders of cases."""
    found = [Found(place, place) for place in _mixed(folder)]
    for place in islice(folders_to(folder, 2), _MOST_FOLDERS) if not found else ():
        naming = _of_cases(place) or _of_beginnings(place)
        if naming is not None:
            found.append(Found(place, place, naming=naming))
    yield from found


def folders_to(folder: Path, depth: int) -> Iterator[Path]:
    """A folder and those below, down to a depth; run folders of palpate are skipped."""
    if not folder.is_dir() or (folder / "run.json").is_file():
        return
    yield folder
    for below in folders_below(folder) if depth else ():
        yield from folders_to(below, depth - 1)


def _few(folder: Path) -> list[Path]:
    return image_files(folder, deep=False)[:2]


def _words_in(name: str) -> list[str]:
    text = re.sub(r"^(images|labels|masks)(tr|ts)$", r"\1 \2", name.lower())  # of nnU-Net
    words = [re.sub(r"\d+$", "", word) or word for word in re.split(r"[\s_\-.]+", text) if word]
    return [_PARTS.get(word, word) for word in words]


def _words(path: Path) -> set[str]:
    return set(_words_in(path.name))


def _candidates(place: Path, *, beside: bool) -> Iterator[Found]:
    """The sets of one folder; `beside` also searches the other splits next to it."""
    if (place / "dataset.json").is_file() or (place / "JPEGImages").is_dir():
        return  # of nnU-Net, Decathlon or VOC, which have their own readers
    folders = _folders(place)
    drawn = [path for path in folders if _words(path) & set(_MASKS)]
    fields = [path for path in folders if _words(path) & set(_FIELDS)]
    # Vessel data sets have manual drawings, and call the field of view `mask`.
    manual = _by_hand(drawn)
    if manual or (beside and any(_by_hand(_folders(split)) for split in _other_splits(place))):
        fields += [path for path in drawn if path not in manual]
        drawn = manual
    for images in _shown(folders, drawn, fields):
        masks = _nearest(images, drawn)
        for one in masks[:1]:
            first = "1st" in one.name.lower()
            others = () if first else tuple(path.name for path in masks[1:])
            yield from _by_split(images, one, _nearest(images, fields), others)


def _folders(place: Path) -> list[Path]:
    return visible(path for path in place.iterdir() if path.is_dir())


def _by_hand(folders: Sequence[Path]) -> list[Path]:
    return [path for path in folders if "manual" in _words(path)]


def _other_splits(place: Path) -> list[Path]:
    return [path for path in _folders(place.parent) if path != place and _splits(path)] if _splits(place) else []


def _shown(folders: Sequence[Path], drawn: Sequence[Path], fields: Sequence[Path]) -> list[Path]:
    """Folders of images: those named so, or the only ones that are not masks (`train` next to `train_masks`)."""
    others = [path for path in folders if path not in drawn and path not in fields]
    shown = [path for path in others if _words(path) & set(_IMAGES)]
    if shown or not drawn:
        return shown
    held = [path for path in others if _few(path)]
    return held if len(held) == 1 or all(_splits(path) for path in held) else []


def _nearest(images: Path, others: Sequence[Path]) -> list[Path]:
    """The folders with most words in common with that of the images: `train_masks` for `train_images`."""
    own = _words(images) - set(_IMAGES)
    shared = {path: len(own & _words(path)) - len(_splits(path) - own) for path in others}
    return [path for path in others if shared[path] == max(shared.values())]


def _splits(path: Path) -> set[str]:
    return _words(path) & set(SPLITS)


def _by_split(images: Path, masks: Path, fields: Sequence[Path], others: tuple[str, ...]) -> Iterator[Found]:
    """The two folders, or those of each split below both."""
    below = {path.name: path for path in visible(images.iterdir()) if path.is_dir() and path.name.lower() in SPLITS}
    both = [name for name in below if (masks / name).is_dir()]
    for name in both:
        yield Found(below[name], masks / name, others=others)
    if not both:
        yield Found(images, masks, fields[0] if len(fields) == 1 else None, others)


def _mixed(folder: Path) -> Iterator[Path]:
    """Folders with masks next to the images, by split if folders are named after splits."""
    if not folder.is_dir():
        return
    owned = mask_owners(mask_files(folder))
    if not owned:
        return
    parts = {path.split("/")[0] for path in owned if "/" in path}
    direct = any("/" not in path for path in owned)
    if not direct and (len(parts) == 1 or all(part.lower() in SPLITS for part in parts)):
        for part in sorted(parts):
            yield from _mixed(folder / part)
    else:
        yield folder


def _of_cases(place: Path) -> Naming | None:
    """The rule of a folder of cases, each with one image and one mask of the same names: `case_1/imaging.nii.gz`."""
    cases = visible(path for path in place.iterdir() if path.is_dir())[:_CASES_LOOKED_AT]
    held = [{stem_of(name) for name in files_in(case)} for case in cases]
    same = set.intersection(*held) if len(held) > 1 else set()
    masks = [stem for stem in same if set(_words_in(stem)) & set(_MASKS)]
    images = [stem for stem in same if stem not in masks]
    if len(masks) != 1 or len(images) != 1:
        return None
    return Naming(f"{STEM}/{images[0]}", f"{STEM}/{masks[0]}")


def _of_beginnings(place: Path) -> Naming | None:
    """The rule of a folder of images and masks that differ in how their names begin: `volume-1`, `segmentation-1`."""
    files = files_in(place)
    masks = [name for name in files if set(_words_in(bare_path(name))) & set(_MASKS)]
    images = [name for name in files if name not in masks]
    if not masks or len(images) != len(masks):
        return None
    naming = naming_of(images, masks)
    return naming if naming is not None and STEM not in (naming.image, naming.mask) else None


def split_rank(path: Path) -> int:
    """The position among splits of a file or folder, by its own name or that of its folder; last without one."""
    named = _splits(path) or _splits(path.parent)
    return min((SPLITS.index(word) for word in named), default=len(SPLITS))
