"""Masks: one file of labels per image, or one file per structure if structures may overlap. 2D and volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from palpate.data.annotations.annotation import IGNORE, Annotation, Labels
from palpate.data.annotations.dicom_masks import is_segmentation, segments
from palpate.data.annotations.mask_coding import Coding
from palpate.data.annotations.mask_files import stored_mask
from palpate.data.annotations.mask_images import COLOURS
from palpate.data.cases import Case, listed
from palpate.data.formats.forms import Array
from palpate.data.formats.images import is_jpeg
from palpate.data.source import Folder
from palpate.errors import InputError

__all__ = ["MaskFiles", "merged"]


@dataclass(frozen=True)
class MaskFiles:
    """Mask files under the folder of the images.

    Attributes:
        root: folder that all paths start from.
        coding: how the files store masks.
        spacing: mm of a pixel along each axis if the files do not say.
        named: paths of the masks of each case, in the order of `coding.columns`.
        fields: path of the field of view of the cases that have one.
        more: further masks of the cases whose structures are in several files, all with the same coding.
    """

    root: Path
    coding: Coding
    spacing: tuple[float, ...] | None = None
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False, repr=False)
    fields: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False, repr=False)

    def read(self, case: Case) -> Annotation:
        """The mask of one case, checked against the header of its image.

        Raises:
            InputError: a file cannot be read, has another size or position in space than its image, or has a value
                without a structure.
        """
        spacing = self._spacing(case)
        coding = self.coding
        if coding.separate:
            stored = zip(self.named[case.path], coding.values, strict=True)
            labels = np.stack([self._labels(case, name, ((value,),)) for name, value in stored])
        else:
            labels = self._together(case, (*self.named[case.path], *self.more.get(case.path, ())))
        if case.path in self.fields:
            labels[..., stored_mask(self.root, case, self.fields[case.path]) == 0] = IGNORE
        return Annotation(labels=labels, overlapping=not coding.exclusive, spacing=spacing)

    def files(self, case: Case) -> tuple[Path, ...]:
        """Its masks and its field of view."""
        view = [self.fields[case.path]] if case.path in self.fields else []
        return tuple(self.root / name for name in (*self.named[case.path], *self.more.get(case.path, ()), *view))

    def content(self, case: Case) -> bytes:
        """The files as they are, and how they are read."""
        own = (*self.named[case.path], *self.more.get(case.path, ()))
        names = (*own, *([self.fields[case.path]] if case.path in self.fields else ()))
        coding: list[object] = [
            self.coding.separate,
            self.coding.values,
            self.coding.ignore_value,
            case.path in self.fields,
        ]
        if not self.coding.exclusive and not self.coding.separate:
            coding += [self.coding.regions, "overlapping"]
        if any(is_segmentation(self.root / name) for name in own[:1]):
            coding.append(self.coding.structures)
        if self.coding.threshold is not None:
            coding.append(["threshold", self.coding.threshold])
        parts = [json.dumps([coding, self.spacing]).encode()]
        folder = Folder(self.root)
        parts += [folder.content(Case(name, -1, name, 0)) for name in names]
        return b"".join(len(part).to_bytes(8, "big") + part for part in parts)

    def _spacing(self, case: Case) -> tuple[float, ...] | None:
        header = Folder(self.root).header(case)
        given, spatial = self.spacing, header.shape[1:]
        if given is None:
            return header.spacing
        if len(given) != len(spatial):
            raise InputError(
                f"spacing: {len(given)} numbers {given} for {case.name}, which has {len(spatial)} axes. "
                "Give mm along each axis, rows before columns."
            )
        if header.spacing is not None and not np.allclose(given, header.spacing, rtol=0.01):
            raise InputError(
                f"spacing: {given} is given, and {case.name} stores {header.spacing}. Leave it out of the plan."
            )
        return given

    def _together(self, case: Case, names: Sequence[str]) -> Labels:
        """The labels of all files of one image; zeros if it has none."""
        if not names:
            spatial = Folder(self.root).form(case).shape[1:]
            count = () if self.coding.exclusive else (len(self.coding.regions or self.coding.values),)
            return np.zeros((*count, *spatial), dtype=np.int64)
        labels = self._single(case, names[0])
        for name in names[1:]:
            part = self._single(case, name)
            clash = (labels != part) & (labels != 0) & (part != 0)
            if clash.any():
                raise InputError(
                    f"{self.root / name} and another mask of {case.name} have different structures in "
                    f"{int(clash.sum())} pixels. Correct one of the masks."
                )
            labels = np.where(labels == 0, part, labels)
        return labels

    def _single(self, case: Case, name: str) -> Labels:
        """The labels of one file for all structures: (*spatial), or (S, *spatial) if they may overlap."""
        coding, path = self.coding, self.root / name
        if is_segmentation(path):
            stack = segments(path, self.root / case.path, coding.structures, coding.values)
            return merged(stack, coding.structures, str(path)) if coding.exclusive else stack
        regions = coding.regions or tuple((value,) for value in coding.values)
        if coding.exclusive:
            return self._labels(case, name, regions)
        stored = self._stored(case, name, coding.values[0])
        self._check(name, stored, coding.known)
        ignored = stored == coding.ignore_value if coding.ignore_value is not None else np.zeros_like(stored, bool)
        return np.stack([np.where(ignored, IGNORE, np.isin(stored, region)) for region in regions]).astype(np.int64)

    def _labels(self, case: Case, name: str, regions: Sequence[Sequence[int]]) -> Labels:
        """One label per pixel: 1 to S for the structures with these stored values."""
        stored = self._stored(case, name, regions[0][0])
        codes = {0: 0} | {value: number for number, region in enumerate(regions, start=1) for value in region}
        self._check(name, stored, [value for region in regions for value in region])
        if self.coding.ignore_value is not None:
            codes[self.coding.ignore_value] = IGNORE
        known = np.array(sorted(codes))
        place = np.searchsorted(known, stored)
        labels: Labels = np.array([codes[value] for value in known.tolist()], dtype=np.int64)[place]
        return labels

    def _stored(self, case: Case, name: str, present: int) -> Array:
        """The stored values of one file; `present` and 0 if it can only say present or absent."""
        limit = self.coding.threshold
        stored = stored_mask(self.root, case, name, coloured=self.coding.coloured, lossy=limit is not None)
        if limit is not None and stored.dtype != bool:
            stored = stored >= limit
        return np.where(stored, present, 0) if stored.dtype == bool else stored

    def _check(self, name: str, stored: Array, values: Sequence[int]) -> None:
        """Refuse stored values without a structure."""
        ignored = self.coding.ignore_value
        strange = ~np.isin(stored, [0, *values, *([] if ignored is None else [ignored])])
        if strange.any():
            raise InputError(unknown_values(self.root / name, stored, strange, values))


def unknown_values(path: Path, stored: Array, strange: Array, values: Sequence[int]) -> str:
    """The error for a mask with values without a structure, and what to do."""
    coloured = stored.max() >= COLOURS
    word = "0x{:06x}" if coloured else "{:g}"
    numbers = np.unique(stored[strange])
    found = listed([word.format(value) for value in numbers.tolist()], 3)
    text = (
        f"{path} holds {found} in {int(strange.sum())} pixels; structures are stored as "
        f"{listed(map(word.format, values))}, and background as 0 (data.values). "
    )
    low, high = word.format(stored.min()), word.format(stored.max())
    if is_jpeg(path):
        return text + (
            "JPEG changes values. For one structure on black write data.threshold = 128 instead of data.values; "
            "otherwise save masks as PNG."
        )
    if (numbers != np.rint(numbers)).any() or (len(numbers) > 1 and stored.min() < 0):
        return text + (
            f"Its numbers go from {low} to {high}: this is an image, or a mask that was resampled. Resample masks "
            "with the nearest neighbour. "
            "For one structure, data.threshold is the lowest number that counts as the structure."
        )
    every = [word.format(value) for value in np.unique(stored[stored != 0]).tolist()]
    if len(every) == len(values):
        return text + f"If these are the structures, in their order, write data.values = [{', '.join(every)}]."
    return text + "Correct data.values, or the mask."


def merged(stack: Labels, structures: Sequence[str], where: str) -> Labels:
    """Masks (S, *spatial) as one label per pixel (*spatial); pixels that one of them ignores are ignored.

    Raises:
        InputError: two structures overlap, so that one label per pixel is not enough.
    """
    drawn = stack == 1
    several = drawn.sum(axis=0) > 1
    if several.any():
        names = structures or [str(number) for number in range(1, len(stack) + 1)]
        first = [name for name, own in zip(names, drawn, strict=True) if (own & several).any()][:2]
        raise InputError(
            f"{where}: {' and '.join(first)} overlap in {int(several.sum())} pixels, and the task gives each pixel one "
            "structure. Set task.exclusive = false, or correct the masks."
        )
    labels = np.where(drawn.any(axis=0), drawn.argmax(axis=0) + 1, 0)
    labels[(stack == IGNORE).any(axis=0)] = IGNORE
    return labels.astype(np.int64)
