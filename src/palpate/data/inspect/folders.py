"""Inspect a folder: images with masks whose names belong together, without a table. A guess is a proposal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import permutations
from pathlib import Path

from palpate.data.annotations.mask_images import is_mask_image, mask_size
from palpate.data.cases import Case
from palpate.data.formats.images import is_jpeg
from palpate.data.image_files import folders_in
from palpate.data.inspect.columns import MOST_CLASSES, spread
from palpate.data.inspect.found_annotations import FoundAnnotations
from palpate.data.inspect.mask_candidates import Found, by_mark, by_name, split_rank
from palpate.data.inspect.mask_rules import marked_rules, naming_of, rule_for
from palpate.data.inspect.mask_values import stored_values
from palpate.data.inspect.prompts import prompt_columns
from palpate.data.inspect.seen import OtherKindError, UnreadError, look_at, reading
from palpate.data.inspect.sheet_look import SheetLook
from palpate.data.inspect.table_look import TABLE_SUFFIXES
from palpate.data.layouts.mask_pairs import Naming, Pairs, bare_path, files_in, mask_files, paired, picture_files
from palpate.data.listing import locate, visible
from palpate.data.sheets import read_csv
from palpate.data.source import Folder
from palpate.errors import InputError

__all__ = ["find_folders"]

_MASKS_LOOKED_AT = 10
_MOST_STRUCTURES = 20
_VOID = 255


def find_folders(folder: Path, unread: list[UnreadError] | None = None) -> tuple[FoundAnnotations, ...]:
    """Folders of images next to folders of masks, and folders with both, down to three levels below.

    Those of the split to audit come first, then the larger ones. What could not be read is added to `unread`.
    """
    found = list(_tried(folder, by_name, UnreadError, unread))
    # Files that are named like masks may be something else, and then their folder may have classes.
    found = found or list(_tried(folder, by_mark, OtherKindError, unread))
    found = found or list(_tried(folder, _by_values, OtherKindError, unread))
    return tuple(sorted(found, key=lambda layout: (split_rank(layout.images), -layout.count)))


def _by_values(folder: Path) -> Iterator[Found]:
    """Two folders of equal names: a table lists the pictures in one, and the other stores few values, as masks do."""
    held = {place: names for place in folders_in(folder) if (names := files_in(place))} if folder.is_dir() else {}
    if len(held) != 2:
        return
    listed = _listed(folder)
    for images, masks in permutations(held):
        alike = {bare_path(name) for name in held[images]} == {bare_path(name) for name in held[masks]}
        if images in listed and masks not in listed and alike and _stores_few(masks, held[masks]):
            yield Found(images, masks)


def _listed(folder: Path) -> set[Path]:
    """The folders of the images that the tables in a folder list."""
    found = set()
    for path in visible(folder.iterdir()):
        if path.suffix.lower() in TABLE_SUFFIXES:
            with suppress(InputError):
                sheet = SheetLook(path, numbers=prompt_columns(read_csv(path).header), repeated=True)
                names = (locate(sheet.images, line.cells[sheet.file]) for line in spread(sheet.lines))
                found |= {(sheet.images / name).parent for name in names if name}
    return found


def _stores_few(folder: Path, names: Sequence[str]) -> bool:
    """Whether files store the numbers of a few structures, as far as some of them show."""
    few = spread(names)[:_MASKS_LOOKED_AT]
    return 1 <= len(stored_values(folder, few).values) <= _MOST_STRUCTURES


def _tried(
    folder: Path,
    look: Callable[[Path], Iterator[Found]],
    refusal: type[UnreadError],
    unread: list[UnreadError] | None,
) -> Iterator[FoundAnnotations]:
    for candidate in look(folder):
        try:
            yield _layout(candidate)
        except InputError as error:
            if unread is not None:
                unread.append(refusal(str(error)))


def _layout(found: Found) -> FoundAnnotations:
    """The images and masks of two folders.

    Raises:
        InputError: no image has a mask by its name, or files cannot be read as masks.
    """
    together = found.images == found.masks
    images, masks = picture_files(found.images), mask_files(found.masks)
    if not images or not masks:
        raise InputError(f"{found.images if not images else found.masks} holds no images that palpate reads.")
    marked = [Naming(mask=rule) for rule in marked_rules(masks)] if together and found.naming is None else []
    naming = found.naming or next(iter(marked), None) or (None if together else naming_of(images, masks))
    if naming is None:
        raise InputError(
            f"{found.images} and {found.masks}: no mask is named after an image (first {images[0]} and {masks[0]}). "
            'Write in the plan how they are named, such as data.mask_name = "{stem}_mask".'
        )
    fields = mask_files(found.field) if found.field else []
    view = rule_for(images, fields, naming.image) if fields else None
    if view is not None:
        naming = Naming(naming.image, naming.mask, view)
    pairs = paired(images, masks, naming, fields=fields if view else (), together=together)
    return _described(
        found,
        naming,
        pairs,
        found.field if view else None,
        [] if "1st" in naming.mask.lower() else [rule.mask for rule in marked[1:]],
    )


def _described(
    found: Found, naming: Naming, pairs: Pairs, field: Path | None, rules: Sequence[str]
) -> FoundAnnotations:
    drawn = {name: own for name, own in pairs.masks.items() if own}
    if len(drawn) < max(1, len(pairs.masks) // 10):
        raise InputError(f"{found.images} and {found.masks}: {pairs.describe()}. Correct their names.")
    few = [mask for own in spread(list(drawn.values()))[:_MASKS_LOOKED_AT] for mask in own]
    values, threshold, doubt = stored_values(found.masks, few)
    if not values and any(is_jpeg(found.masks / name) for name in few):
        raise InputError(
            f"{found.masks / few[0]}: JPEG has changed the values of the masks, and several structures cannot be "
            "separated in them. Save the masks as PNG from their source, or one file of 0 and 255 for each structure."
        )
    if not 1 <= len(values) <= MOST_CLASSES:
        raise InputError(
            f"{found.masks}: the files hold {len(values) or 'no'} different whole values besides 0 (first {few[0]}), "
            "and masks hold one for each structure. Save each structure with a separate value."
        )
    # 255 with small numbers is the void label of Pascal VOC and Cityscapes, not a structure.
    void = _VOID if len(values) > 1 and values[-1] == _VOID and max(values[:-1]) < _VOID // 2 else None
    values = tuple(value for value in values if value != void)
    seen = look_at([found.images / name for name in spread(list(drawn))])
    name = (
        found.masks.name
        if found.masks != found.images
        else re.sub(r"[^\w]+", " ", naming.mask.replace("{stem}", "")).strip(" _")
    )
    return FoundAnnotations(
        "masks", found.masks, found.images, "", (name,) if len(values) == 1 else tuple(map(str, values)),
        len(pairs.masks), seen.form, seen.equal, values=values, threshold=threshold, layout="masks",
        seen=seen, naming=naming, doubt=doubt,
        view=field, ignore_value=void, unmatched=pairs.describe(), others=(*found.others, *rules),
        notes=_notes(found, drawn),
    )  # fmt: skip


def _notes(found: Found, drawn: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
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
    return (f"{len(differ)} of {len(looked)} masks that were checked differ in size from their image: {differ[0]}",)


def _size(root: Path, name: str) -> tuple[int, ...]:
    path = root / name
    return mask_size(path) if is_mask_image(path) else Folder(root).header(Case(name, -1, name, 0)).shape[1:]


def _times(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))
