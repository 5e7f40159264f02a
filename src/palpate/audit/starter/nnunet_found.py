"""Trained folders of nnU-Net v2 below a folder, and the raw dataset of one. No file of weights is opened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from palpate.audit.plan.toml_words import text_of
from palpate.data.cases import listed
from palpate.data.image_files import is_searched
from palpate.data.json_file import read_json
from palpate.data.layouts.nnunet import Dataset, is_raw, read_dataset
from palpate.data.listing import visible
from palpate.errors import InputError

RAW, RESULTS, PREPROCESSED = "nnUNet_raw", "nnUNet_results", "nnUNet_preprocessed"
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth", "checkpoint_latest.pth")
_FOLD = re.compile(r"fold_(\d+|all)")
_NUMBER = re.compile(r"(?:Dataset|Task)(\d{3})_")
_LIKELY = ("3d_fullres", "2d", "3d_lowres")
_DEEP, _MOST_FOLDERS = 3, 2000
_RAW_DEEP = 2


@dataclass(frozen=True)
class Trained:
    """One configuration that nnU-Net v2 trained.

    Attributes:
        folder: where plans.json, dataset.json and the folds lie.
        dataset: what its dataset.json says.
        name: of its dataset, such as `Dataset004_Hippocampus`.
        configuration: such as `3d_fullres`.
        checkpoint: the file that its folds hold.
        folds: those that hold it: numbers, and `all`.
        cascade: whether it needs the output of another network.
    """

    folder: Path
    dataset: Dataset
    name: str
    configuration: str
    checkpoint: str
    folds: tuple[int | str, ...]
    cascade: bool

    @property
    def home(self) -> Path:
        """The workspace: the folder that holds nnUNet_results, or the one where it would be."""
        above = [path for path in self.folder.resolve().parents if path.name == RESULTS]
        return (above[0] if above else self.folder.resolve().parent.parent).parent


def find_trained(folder: Path) -> tuple[Trained, ...]:
    """The trained folders in a folder and below, the likeliest first; beside a raw dataset, those of its workspace.

    Raises:
        InputError: there are folds with checkpoints, but none of them with its plans and its dataset.json; or plans
            without any fold.
    """
    found, refused = [], []
    places = _places(folder)
    for place in [place for place in places if _folds(place)]:
        try:
            found.append(_trained(place))
        except InputError as error:
            refused.append(error)
    if refused and not found:
        raise refused[0]
    bare = [place for place in places if (place / "plans.json").is_file() and (place / "dataset.json").is_file()]
    if bare and not found:
        raise InputError(
            f"{bare[0]} holds plans.json and no fold_0 with a checkpoint (.pth). Copy its folds from where nnU-Net "
            "trained it, or give a folder without it."
        )
    return tuple(sorted(found, key=_likely))


def raw_datasets(folder: Path, trained: Trained) -> tuple[Path, ...]:
    """Raw datasets in a folder and in the workspace of a trained folder, that of the training first.

    One of the same name comes first, then one of the same number; others are kept if their channels and labels are
    those of the training.

    Raises:
        InputError: the dataset of the training has other channels or labels now.
    """
    places = [folder, trained.home / RAW]
    own = {raw.resolve(): raw for place in places for raw in _below(place, _RAW_DEEP) if is_raw(raw)}
    named = sorted(own.values(), key=lambda raw: (raw.name != trained.name, _number(raw.name) != _number(trained.name)))
    fitting = []
    for raw in named:
        wrong = difference(read_dataset(raw), trained)
        if wrong and _number(raw.name) == _number(trained.name):
            raise InputError(wrong)
        fitting += [] if wrong else [raw]
    return tuple(fitting)


def difference(raw: Dataset, trained: Trained) -> str:
    """What keeps a network from a raw dataset, in a sentence; empty if nothing does."""
    pairs = (
        ("the channels", raw.channel_names, trained.dataset.channel_names),
        ("the labels", dict(raw.labels), dict(trained.dataset.labels)),
    )
    for what, has, wanted in pairs:
        if has != wanted:
            return (
                f"{raw.path} names {what} {_shown(has)}, and {trained.dataset.path} {_shown(wanted)}. Audit a network "
                "on a dataset like that of its training, with the same channels and labels in the same order."
            )
    return ""


def splits_of(trained: Trained, raw: Path) -> Path | None:
    """The file that says which cases each fold was validated on, if it is there and the dataset is its own."""
    places = (trained.home / PREPROCESSED, raw.resolve().parent.parent / PREPROCESSED)
    files = [place / trained.name / "splits_final.json" for place in places]
    same = _number(raw.name) == _number(trained.name)
    return next((path for path in files if path.is_file()), None) if same else None


def _shown(named: Any) -> str:
    pairs = named.items() if isinstance(named, dict) else enumerate(named)
    return listed([f"{value} ({key})" if isinstance(key, int) else f"{key} ({_plain(value)})" for key, value in pairs])


def _plain(value: Any) -> str:
    return ", ".join(map(str, value))


def _likely(one: Trained) -> tuple[bool, str, int, str]:
    place = _LIKELY.index(one.configuration) if one.configuration in _LIKELY else len(_LIKELY)
    return one.cascade, one.name, place, one.folder.name


def _number(name: str) -> str:
    found = _NUMBER.match(name)
    return found[1] if found else name


def _places(folder: Path) -> list[Path]:
    """Folders that may hold folds, each once."""
    places = list(islice(_below(folder, _DEEP), _MOST_FOLDERS))
    for raw in [place for place in places if is_raw(place)]:
        # A raw dataset alone: its network is in the workspace beside it.
        if raw.resolve().parent.name == RAW:
            places += _below(raw.resolve().parent.parent / RESULTS / raw.name, 1)
    # A link may lead to the same place twice.
    return list({place.resolve(): place for place in places}.values())


def _below(folder: Path, depth: int) -> Iterator[Path]:
    if not folder.is_dir() or not is_searched(folder):
        return
    yield folder
    for path in visible(folder.iterdir()) if depth else ():
        if path.is_dir() and not _FOLD.fullmatch(path.name):
            yield from _below(path, depth - 1)


def _folds(folder: Path) -> list[Path]:
    folds = [path for path in folder.iterdir() if path.is_dir() and _FOLD.fullmatch(path.name)]
    return [path for path in folds if any(path.glob("*.pth")) or any(path.glob("*.model"))]


def _trained(folder: Path) -> Trained:
    folds = _folds(folder)
    plans_file, dataset_file = folder / "plans.json", folder / "dataset.json"
    if not plans_file.is_file() and any(True for fold in folds for _ in fold.glob("*.model")):
        raise InputError(f"{folder} was trained by nnU-Net version 1, and palpate reads version 2. Train it again.")
    for path in (plans_file, dataset_file):
        if not path.is_file():
            raise InputError(
                f"{folder} holds trained folds and no {path.name}. Copy the whole folder that nnU-Net version 2 wrote."
            )
    plans = read_json(plans_file)
    held = {name: [_fold(path.name) for path in folds if (path / name).is_file()] for name in CHECKPOINTS}
    checkpoint = next((name for name in CHECKPOINTS if held[name]), "")
    if not checkpoint:
        there = sorted({path.name for fold in folds for path in fold.glob("*.pth")})
        raise InputError(
            f"{folder}: no fold holds {listed(CHECKPOINTS)}; there is {listed(there)}. Rename it, or write a plan with "
            f"nnunet and checkpoint = {text_of(there[0])} in [model]."
        )
    configuration = folder.name.rpartition("__")[2]
    said = plans.get("dataset_name") if isinstance(plans, dict) else None
    name = said if isinstance(said, str) and said else folder.resolve().parent.name
    numbers = sorted(held[checkpoint], key=lambda fold: (isinstance(fold, str), str(fold).zfill(4)))
    cascade = _is_cascade(plans, configuration)
    return Trained(folder, read_dataset(dataset_file.parent), name, configuration, checkpoint, tuple(numbers), cascade)


def _fold(name: str) -> int | str:
    number = name.removeprefix("fold_")
    return int(number) if number.isdecimal() else number


def _is_cascade(plans: Any, configuration: str) -> bool:
    """Whether the plans say that a configuration takes the output of another one."""
    known = plans.get("configurations") if isinstance(plans, dict) else None
    own = known.get(configuration) if isinstance(known, dict) else None
    return isinstance(own, dict) and bool(own.get("previous_stage"))
