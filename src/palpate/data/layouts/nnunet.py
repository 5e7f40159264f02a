"""nnU-Net raw datasets: `dataset.json`, `imagesTr`, `labelsTr`, `imagesTs`, `labelsTs`; versions 1 and 2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from palpate.data.annotations.labels import LabelKind, MaskLabels
from palpate.data.annotations.mask_coding import Coding
from palpate.data.annotations.mask_table import mask_cases
from palpate.data.cases import listed
from palpate.data.formats.registry import header_of
from palpate.data.json_file import entry, path_from, read_json, unique
from palpate.data.layouts.layout import LabelFields, Layout
from palpate.data.layouts.nnunet_folds import fold_of, validation_cases
from palpate.data.listing import Listing, visible
from palpate.data.rows import Rows
from palpate.data.sheets import Line, Sheet
from palpate.data.stacked import Stacked
from palpate.errors import InputError

__all__ = ["Dataset", "NnUNet", "is_raw", "nnunet_coding", "nnunet_sheet", "nnunet_splits", "read_dataset"]

Files = Mapping[str, tuple[str, ...]]
"""Paths of the channels of each image that has several files, by the first one."""

_FOLDERS = {"test": "Ts", "train": "Tr"}
_BACKGROUND, _IGNORE = "background", "ignore"


@dataclass(frozen=True)
class NnUNet(Layout):
    """An nnU-Net raw dataset, a folder with `dataset.json`.

    With `imagesTr` and `labelsTr`; versions 1 and 2. Files `case_0000`, `case_0001` ... are the channels of one image.
    Labels that are lists are structures that overlap; the label `ignore` does not count.

    Attributes:
        split: `train` (Tr) or `test` (Ts); by default `test` where labelsTs holds files, else `train`. With `splits`
            `fold 0`, `fold 1` ...: the cases of Tr that the network of this fold was not trained on.
        splits: `splits_final.json`, which says what each fold was validated on.
    """

    called: ClassVar[str] = "an nnU-Net folder"
    example: ClassVar[str] = "Dataset001_Hippo"
    reads: ClassVar[LabelFields] = {MaskLabels: ()}

    split: str | None = None
    splits: Path | None = None

    def rows(self, labels: LabelKind) -> Rows:
        """The cases of the split; names are those of `dataset.json`, in its order by default.

        Raises:
            InputError: a key, split, fold, channel or label is missing, or the structures are others.
        """
        assert isinstance(labels, MaskLabels)
        dataset = read_dataset(self.path)
        sheet, files = nnunet_sheet(dataset, self.split if self.splits is None else "train")
        if self.splits is not None:
            sheet = _of_fold(sheet, self.splits, fold_of(self.split))
        coding = nnunet_coding(dataset, labels)
        named = replace(labels, names=tuple(dataset.labels) if labels.names is None else labels.names)
        cases, masks = mask_cases(Listing(sheet, self.path), named, coding=coding)
        return Rows(*cases, Stacked(self.path, channels=files), masks)


@dataclass(frozen=True)
class Dataset:
    """What a `dataset.json` says.

    Attributes:
        folder: where it lies.
        channels: channels of an image.
        channel_names: what they are called, in order.
        labels: stored values of each structure, without background and the ignored one.
        regions: whether structures may overlap: one of them is a list of stored values.
        ignore: stored value that counts for nothing, or None.
        ending: of all files.
        listed: cases that it lists itself, with their files; empty where the folders do.
        current: whether it is of version 2, which nothing but nnU-Net writes.
    """

    folder: Path
    channels: int
    labels: Mapping[str, tuple[int, ...]]
    regions: bool
    ignore: int | None
    ending: str
    listed: Mapping[str, Any]
    current: bool = False
    channel_names: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file itself."""
        return self.folder / "dataset.json"


def read_dataset(folder: Path) -> Dataset:
    """What the `dataset.json` of a folder says, in version 1 (Task001_...) or 2 (Dataset001_...).

    Raises:
        InputError: the file is missing or no JSON, a key is missing, or labels contradict each other.
    """
    path = folder / "dataset.json"
    document = read_json(path)
    labels: dict[str, Any] = dict(entry(path, "", document, "labels", dict))
    if labels and all(key.isdigit() and isinstance(name, str) for key, name in labels.items()):
        unique(path, "the label", labels.values())
        labels = {name: int(number) for number, name in labels.items()}  # version 1
    stored = {name: _values(path, name, held) for name, held in labels.items()}
    if stored.get(_BACKGROUND, (0,)) != (0,):
        raise InputError(f"{path}: 'background' is {labels[_BACKGROUND]}, and nnU-Net stores it as 0. Correct it.")
    ignore = stored.pop(_IGNORE, None)
    structures = {name: held for name, held in stored.items() if name != _BACKGROUND}
    if not structures or any(0 in held for held in structures.values()):
        raise InputError(f"{path}: its labels are {labels}. Name each structure with values above 0.")
    regions = any(isinstance(labels[name], list) for name in structures)
    if not regions:
        unique(path, "the value", [held[0] for held in structures.values()])
    channels = entry(path, "", document, "channel_names" if "channel_names" in document else "modality", dict)
    ending = entry(path, "", document, "file_ending", str) if "file_ending" in document else ".nii.gz"
    cases = entry(path, "", document, "dataset", dict) if "dataset" in document else {}
    ignored = ignore[0] if ignore else None
    named = tuple(str(channels[key]) for key in sorted(channels, key=lambda key: (len(key), key)))
    current = "channel_names" in document
    return Dataset(folder, len(channels), structures, regions, ignored, ending, cases, current, named)


def is_raw(folder: Path) -> bool:
    """Whether a folder is a raw dataset, and not what nnU-Net made of one or trained on it: those have plans too."""
    return (folder / "dataset.json").is_file() and not any(folder.glob("*[pP]lans*.json"))


def _of_fold(sheet: Sheet, splits: Path, fold: int) -> Sheet:
    wanted = validation_cases(splits, fold)
    lines = {line.cells["case"]: line for line in sheet.lines}
    if missing := [name for name in wanted if name not in lines]:
        raise InputError(
            f"{splits}: fold {fold} was validated on {listed(missing)}, and {sheet.path.parent} has no such cases in "
            "imagesTr. Give the dataset and the splits of one training."
        )
    return sheet._replace(lines=[lines[name] for name in wanted])


def nnunet_coding(dataset: Dataset, labels: MaskLabels) -> Coding:
    """How the masks are stored, for structures in the model's order; in that of `dataset.json` by default.

    Raises:
        InputError: the structures are not those of the dataset, or overlap where they must not.
    """
    names = tuple(dataset.labels) if labels.names is None else tuple(labels.names)
    if set(names) != set(dataset.labels):
        raise InputError(
            f"{dataset.path} names the structures {listed(dataset.labels)}, and the task {listed(names)}. "
            "Give task.structures these names, in the order of the model's outputs."
        )
    if labels.exclusive and dataset.regions:
        raise InputError(
            f"{dataset.path} defines regions that overlap ({listed(dataset.labels)}), and the task gives each pixel "
            "one structure. Set task.exclusive = false."
        )
    values = tuple(dataset.labels[name] for name in names)
    alone = not dataset.regions if labels.exclusive is None else labels.exclusive
    first = tuple(held[0] for held in values)
    regions = () if alone else values
    return Coding(("label",), False, first, None, dataset.ignore, regions=regions, exclusive=alone)


def nnunet_splits(dataset: Dataset) -> tuple[str, ...]:
    """Splits that are there with labels, `test` before `train`."""
    found = [split for split, end in _FOLDERS.items() if _names(dataset.folder / f"labels{end}", dataset.ending)]
    return tuple(dict.fromkeys([*found, *(["train"] if dataset.listed else [])]))


def nnunet_sheet(dataset: Dataset, split: str | None) -> tuple[Sheet, Files]:
    """One line a case, with its columns `case`, `file` and `label`; and the files of images of several channels.

    Args:
        dataset: what `dataset.json` says.
        split: `train` or `test`; the first that is there with labels by default: test, then train.

    Raises:
        InputError: the split is not there, or a channel or label is missing.
    """
    there = nnunet_splits(dataset)
    if not there or split not in (None, *there):
        known = f"Those there are: {listed(there)}." if there else _without(dataset)
        raise InputError(f"{dataset.folder} has no labelled split '{split or 'train'}'. {known}")
    split = split or there[0]
    cases = _own_list(dataset) if dataset.listed and split == "train" else _in_folders(dataset, _FOLDERS[split])
    lines = [
        Line(number, {"case": name, "file": images[0], "label": label}, "case")
        for number, (name, (images, label)) in enumerate(cases.items(), start=1)
    ]
    several = {images[0]: images for images, _ in cases.values() if len(images) > 1}
    return Sheet(dataset.path, ["case", "file", "label"], lines), several


def _without(dataset: Dataset) -> str:
    """Why there is no label, in a sentence."""
    others = [name for end in _FOLDERS.values() for name in _names(dataset.folder / f"labels{end}", "")]
    if not others:
        return "Neither labelsTr nor labelsTs holds a file."
    return (
        f"{dataset.path} says that files end in {dataset.ending}, and there is {others[0]}. Correct its file_ending, "
        "or save the files so."
    )


def _values(path: Path, name: str, held: Any) -> tuple[int, ...]:
    values = held if isinstance(held, list) and held else [held]
    if not all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values):
        raise InputError(f"{path}: the label '{name}' is {held!r}. Give its stored value, or a list of values.")
    return tuple(values)


def _names(folder: Path, ending: str) -> list[str]:
    files = visible(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return [path.name for path in files if path.name.endswith(ending)]


def _in_folders(dataset: Dataset, end: str) -> dict[str, tuple[tuple[str, ...], str]]:
    images, labels, ending = f"images{end}", f"labels{end}", dataset.ending
    found: dict[str, dict[int, str]] = {}
    for name in _names(dataset.folder / images, ending):
        if match := re.fullmatch(r"(.+)_([0-9]{4})", name.removesuffix(ending)):
            found.setdefault(match[1], {})[int(match[2])] = f"{images}/{name}"
    if not found:
        raise InputError(
            f"{dataset.folder / images} holds no file like case_0000{ending}. Correct file_ending in dataset.json; "
            "where files have no number of the channel, read dataset.json as data.datalist."
        )
    cases = [name.removesuffix(ending) for name in _names(dataset.folder / labels, ending)]
    if missing := [case for case in found if case not in cases] or [case for case in cases if case not in found]:
        place = labels if missing[0] in found else images
        raise InputError(
            f"{dataset.folder / place} lacks {len(missing)} of the cases: first {missing[0]}. "
            "Give each image its label, and each label its image."
        )
    return {
        case: (_channels(dataset, case, channels), f"{labels}/{case}{ending}")
        for case, channels in sorted(found.items())
    }


def _channels(dataset: Dataset, case: str, channels: dict[int, str]) -> tuple[str, ...]:
    ordered = tuple(channels[number] for number in sorted(channels))
    # Colour pictures are one file of three channels.
    coloured = list(channels) == [0] and dataset.channels > 1
    if coloured and header_of(dataset.folder / ordered[0]).shape[0] == dataset.channels:
        return ordered
    if sorted(channels) != list(range(dataset.channels)):
        lacking = [f"{number:04d}" for number in range(dataset.channels) if number not in channels]
        what = f"lacks the channels {listed(lacking)}" if lacking else f"has the channels {listed(sorted(channels))}"
        raise InputError(
            f"{dataset.folder}: {case} {what}, and dataset.json names {dataset.channels}. "
            "Add the files, or correct channel_names."
        )
    return ordered


def _own_list(dataset: Dataset) -> dict[str, tuple[tuple[str, ...], str]]:
    cases = {}
    for name in dataset.listed:
        place = f"case '{name}'"
        held = entry(dataset.path, "", dataset.listed, name, dict)
        images = entry(dataset.path, place, held, "images", list)
        where = f"{dataset.path}, {place}"
        label = path_from(dataset.folder, entry(dataset.path, place, held, "label", str), where)
        paths = tuple(path_from(dataset.folder, path, where) for path in images)
        if missing := [path for path in (*paths, label) if not (dataset.folder / path).is_file()]:
            raise InputError(f"{where}: {missing[0]} does not exist. Put the file there.")
        channels = header_of(dataset.folder / paths[0]).shape[0] if len(paths) == 1 else len(paths)
        if channels != dataset.channels:
            raise InputError(f"{where} lists {channels} channels, and there are {dataset.channels}. Correct it.")
        cases[name] = (paths, label)
    return cases
