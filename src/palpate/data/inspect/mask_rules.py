"""How files of masks are named after their images, guessed from the names. A guess is a proposal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product

from palpate.data.annotations.mask_names import MARK, mask_owners, stem_of
from palpate.data.layouts.mask_pairs import STEM, Naming, bare_path

__all__ = ["marked_rules", "naming_of", "rule_for"]

_LOOKED_AT = 300
_SEPARATORS = " _.-/"


def naming_of(images: Sequence[str], masks: Sequence[str]) -> Naming | None:
    """The rule by which most images find a mask; the simplest of several; None if no rule finds any.

    Args:
        images: paths from the folder of the images.
        masks: paths from the folder of the masks, another folder.
    """
    ours = [bare_path(name) for name in images]
    theirs = [bare_path(name) for name in masks]
    best, most = None, 0
    for image, mask in product(_affixes(ours), _affixes(theirs)):
        stems = _cut(ours, *image)
        found = len(stems & _cut(theirs, *mask))
        if found > most:
            best, most = Naming(STEM.join(image), STEM.join(mask)), found
    for rule in marked_rules(masks, {bare_path(name) for name in images}):
        # Only numbers after the mark mean several masks of one image; a simple rule says more.
        stems = set(ours) & {match["stem"] for path in theirs if (match := MARK.fullmatch(path))}
        if len(stems) > most:
            best, most = Naming(mask=rule), len(stems)
    return best


def rule_for(images: Sequence[str], files: Sequence[str], image_rule: str) -> str | None:
    """The rule by which files of a third folder are named, given how images are named; None if few images have one."""
    before, after = image_rule.split(STEM)
    stems = _cut([bare_path(name) for name in images], before, after)
    theirs = [bare_path(name) for name in files]
    found = [(len(stems & _cut(theirs, *affix)), affix) for affix in _affixes(theirs)]
    count, affix = max(found, key=lambda one: one[0])
    return STEM.join(affix) if count >= len(stems) / 2 else None


def marked_rules(files: Iterable[str], images: Iterable[str] | None = None) -> list[str]:
    """Rules of masks with a mark after the name of their image (`a_mask`, `a_mask_1`), the most frequent first.

    Args:
        files: paths of images and masks of one folder, or of masks alone.
        images: stems of the images if they are elsewhere.
    """
    files = list(files)
    own = set(images) if images is not None else None
    masks = [bare_path(name) for name in (mask_owners(files) if own is None else files)]
    found: Counter[str] = Counter()
    plain: dict[str, bool] = {}
    for path in masks:
        match = MARK.fullmatch(path)
        if match is None or (own is not None and match["stem"] not in own):
            continue
        mark = match["mark"]
        found[mark] += 1
        plain[mark] = plain.get(mark, True) and path == match["stem"] + mark
    return [f"{STEM}{mark}{'' if plain[mark] else '*'}" for mark, _ in found.most_common()]


def _cut(stems: Iterable[str], before: str, after: str) -> set[str]:
    found = (
        stem[len(before) : len(stem) - len(after)] for stem in stems if stem.startswith(before) and stem.endswith(after)
    )
    return {stem for stem in found if stem}


def _affixes(stems: Sequence[str]) -> list[tuple[str, str]]:
    """Beginnings and ends that all names have in common, cut at the end of a word; the simplest first."""
    few = stems[:: max(1, len(stems) // _LOOKED_AT)]
    before = _shared_start(few)
    after = _shared_start([stem[::-1] for stem in few])[::-1]
    starts = {"", re.sub(r"\d+$", "", before), *(before[: place + 1] for place in _separators(before))}
    ends = {"", re.sub(r"^\d+", "", after), *(after[place:] for place in _separators(after))}
    if len(few) == 1:  # one name has everything in common with itself
        ends |= {stem_of(few[0])[len(match["stem"]) :] for match in [MARK.fullmatch(stem_of(few[0]))] if match}
    return sorted(product(starts, ends), key=lambda affix: (len(affix[0]) + len(affix[1]), affix))


def _separators(text: str) -> list[int]:
    return [place for place, letter in enumerate(text) if letter in _SEPARATORS]


def _shared_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    length = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None)
    return first[: min(len(first), len(last)) if length is None else length]
