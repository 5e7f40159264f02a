"""A look at a folder: images with masks whose names belong together, and no table. A guess is a proposal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from palpate.data.annotated import AnnotatedLayout
from palpate.data.cases import Case
from palpate.data.columns import MOST_CLASSES, SPLITS, spread
from palpate.data.listing import visible
from palpate.data.mask_images import is_mask_image, mask_size
from palpate.data.mask_names import mask_owners
from palpate.data.mask_pairs import Naming, Pairs, mask_files, paired, picture_files
from palpate.data.mask_rules import marked_rules, naming_of, rule_for
from palpate.data.mask_values import stored_values
from palpate.data.seen import OtherKindError, UnreadError, look_at, reading
from palpate.data.source import Folder
from palpate.errors import InputError

__all__ = ["find_folders", "folders_to", "split_rank"]

_IMAGES = (
    "image",
    "images",
    "img",
    "imgs",
    "jpegimages",
    "input",
    "inputs",
    "original",
    "originals",
    "scans",
    "frames",
)
_MASKS = (
    *("mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "segmentations", "seg", "segs"),
    *("segmentationclass", "gt", "gts", "truth", "groundtruth", "manual", "target", "targets", "annots"),
)
_FIELDS = ("fov", "field", "roi", "view")
_PARTS = {"tr": "train", "ts": "test"}
_DEEP = 3
_MASKS_LOOKED_AT = 10
_VOID = 255


@dataclass(frozen=True)
class _Found:
    """Folders of images, masks and fields of view, and whether other folders of masks are as good."""

    images: Path
    masks: Path
    field: Path | None = None
    others: tuple[str, ...] = ()


def find_folders(folder: Path, unread: list[UnreadError] | None = None) -> tuple[AnnotatedLayout, ...]:
    """Folders of images beside folders of masks, and folders that hold both, down to three levels below.

    Those of the split to audit come first, then the larger ones. To `unread` is added what could not be read.
    """
    found = list(_tried(folder, _by_name, UnreadError, unread))
    # Files that are named like masks may be something else, and then their folder holds classes.
    found = found or list(_tried(folder, _by_mark, OtherKindError, unread))
    return tuple(sorted(found, key=lambda layout: (split_rank(layout.images), -layout.count)))


def _tried(
    folder: Path,
    look: Callable[[Path], Iterator[_Found]],
    refusal: type[UnreadError],
    unread: list[UnreadError] | None,
) -> Iterator[AnnotatedLayout]:
    for candidate in look(folder):
        try:
            yield _layout(candidate)
        except InputError as error:
            if unread is not None:
                unread.append(refusal(str(error)))


def _by_name(folder: Path) -> Iterator[_Found]:
    for place in folders_to(folder, _DEEP):
        yield from _candidates(place)


def _by_mark(folder: Path) -> Iterator[_Found]:
    for place in _mixed(folder):
        yield _Found(place, place)


def folders_to(folder: Path, depth: int) -> Iterator[Path]:
    """A folder and those below, down to a depth; folders of palpate's own runs are passed over."""
    if not folder.is_dir() or (folder / "run.json").is_file():
        return
    yield folder
    for below in visible(path for path in folder.iterdir() if path.is_dir())[:200] if depth else ():
        yield from folders_to(below, depth - 1)


def _words(path: Path) -> list[str]:
    text = re.sub(r"^(images|labels|masks)(tr|ts)$", r"\1 \2", path.name.lower())  # of nnU-Net
    return [_PARTS.get(word, word) for word in re.split(r"[\s_\-.]+", text) if word]


def _candidates(place: Path) -> Iterator[_Found]:
    folders = visible(path for path in place.iterdir() if path.is_dir())
    drawn = [path for path in folders if set(_words(path)) & set(_MASKS)]
    fields = [path for path in folders if set(_words(path)) & set(_FIELDS)]
    # Sets of vessels draw by hand, and call the field of view `mask`.
    if manual := [path for path in drawn if "manual" in _words(path)]:
        fields += [path for path in drawn if path not in manual]
        drawn = manual
    shown = [path for path in folders if path not in drawn + fields and set(_words(path)) & set(_IMAGES)]
    for images in shown:
        masks = _nearest(images, drawn)
        for one in masks[:1]:
            first = "1st" in _words(one)
            others = () if first else tuple(path.name for path in masks[1:])
            yield from _by_split(images, one, _nearest(images, fields), others)


def _nearest(images: Path, others: Sequence[Path]) -> list[Path]:
    """The folders that share most words with that of the images: `train_masks` for `train_images`."""
    own = set(_words(images)) - set(_IMAGES)
    shared = {path: len(own & set(_words(path))) - len(_splits(path) - own) for path in others}
    return [path for path in others if shared[path] == max(shared.values())]


def _splits(path: Path) -> set[str]:
    return set(_words(path)) & set(SPLITS)


def _by_split(images: Path, masks: Path, fields: Sequence[Path], others: tuple[str, ...]) -> Iterator[_Found]:
    """The two folders, or those of each split below both."""
    below = {path.name: path for path in visible(images.iterdir()) if path.is_dir() and path.name.lower() in SPLITS}
    both = [name for name in below if (masks / name).is_dir()]
    for name in both:
        yield _Found(below[name], masks / name, others=others)
    if not both:
        yield _Found(images, masks, fields[0] if len(fields) == 1 else None, others)


def _mixed(folder: Path) -> Iterator[Path]:
    """Folders whose images have masks beside them, by split where folders are named after splits."""
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


def _layout(found: _Found) -> AnnotatedLayout:
    """What two folders hold.

    Raises:
        InputError: no image has a mask by its name, or files cannot be read as masks.
    """
    together = found.images == found.masks
    images, masks = picture_files(found.images), mask_files(found.masks)
    if not images or not masks:
        raise InputError(f"{found.images if not images else found.masks} holds no images that palpate reads.")
    rules = [Naming(mask=rule) for rule in marked_rules(masks)] if together else [naming_of(images, masks)]
    naming = next(iter(rules), None)
    if naming is None:
        raise InputError(
            f"{found.images} and {found.masks}: no mask is named after an image (first {images[0]} and {masks[0]}). "
            'Say in the plan how they are named, such as data.mask_name = "{stem}_mask".'
        )
    fields = mask_files(found.field) if found.field else []
    view = rule_for(images, fields, naming.image) if fields else None
    if view is not None:
        naming = Naming(naming.image, naming.mask, view)
    pairs = paired(images, masks, naming, fields=fields if view else (), together=together)
    return _described(found, naming, pairs, found.field if view else None, [rule.mask for rule in rules[1:] if rule])


def _described(
    found: _Found, naming: Naming, pairs: Pairs, field: Path | None, rules: Sequence[str]
) -> AnnotatedLayout:
    drawn = {name: own for name, own in pairs.masks.items() if own}
    if len(drawn) < max(1, len(pairs.masks) // 10):
        raise InputError(f"{found.images} and {found.masks}: {pairs.words()}. Correct their names.")
    few = [mask for own in spread(list(drawn.values()))[:_MASKS_LOOKED_AT] for mask in own]
    values, threshold = stored_values(found.masks, few)
    if not 1 <= len(values) <= MOST_CLASSES:
        raise InputError(
            f"{found.masks}: the files hold {len(values) or 'no'} different whole values besides 0 (first {few[0]}), "
            "and masks hold one for each structure. Save each structure with a value of its own."
        )
    # 255 beside small numbers is the void of Pascal VOC and Cityscapes, and no structure.
    void = _VOID if len(values) > 1 and values[-1] == _VOID and max(values[:-1]) < _VOID // 2 else None
    values = tuple(value for value in values if value != void)
    seen = look_at([found.images / name for name in spread(list(drawn))])
    name = found.masks.name if found.masks != found.images else naming.mask.replace("{stem}", "").strip("_- .*")
    return AnnotatedLayout(
        "masks", found.masks, found.images, "", (name,) if len(values) == 1 else tuple(map(str, values)),
        len(pairs.masks), seen.form, seen.equal, values=values, threshold=threshold, layout="masks",
        seen=seen, naming=naming,
        view=field, ignore_value=void, unmatched=pairs.words(), others=(*found.others, *rules),
        notes=_notes(found, drawn),
    )  # fmt: skip


def _notes(found: _Found, drawn: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Masks of another size than their images, in a sentence."""
    differ = []
    looked = spread(list(drawn.items()))
    for name, own in looked:
        with reading():
            sizes = [_size(found.images, name), *(_size(found.masks, mask) for mask in own)]
        if len(set(sizes)) > 1:
            differ.append(f"{name} is {_times(sizes[0])} and its mask {_times(sizes[-1])}")
    if not differ:
        return ()
    return (f"{len(differ)} of {len(looked)} masks that were looked at differ in size from their image: {differ[0]}",)


def _size(root: Path, name: str) -> tuple[int, ...]:
    path = root / name
    return mask_size(path) if is_mask_image(path) else Folder(root).header(Case(name, -1, name, 0)).shape[1:]


def _times(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))


def split_rank(path: Path) -> int:
    """The place among splits of what a file or folder is named after, by itself or by its folder; last without one."""
    words = [word for part in (path, path.parent) for word in _words(part)]
    return min((SPLITS.index(word) for word in words if word in SPLITS), default=len(SPLITS))
