"""The parts of a first plan for a network that nnU-Net v2 trained: it brings its whole pipeline and its labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from palpate.audit.plan.toml_words import CHECK, FILL_IN, path_of, plain, text_of, texts
from palpate.audit.starter.nnunet_found import RAW, Trained, find_trained, raw_datasets, splits_of
from palpate.audit.starter.values import Values, numbers
from palpate.data.cases import listed
from palpate.data.inspect.described import nnunet_of
from palpate.data.inspect.found_annotations import FoundAnnotations
from palpate.data.inspect.seen import reading
from palpate.data.layouts.nnunet_folds import validation_cases
from palpate.errors import InputError

_NAMED = (
    ("ct", re.compile(r"\bct\b", re.IGNORECASE)),
    ("mr", re.compile(r"\b(mri?|t[12]\w*|flair|adc|dwi|swi)\b", re.IGNORECASE)),
)
Folds = tuple[int | str, ...] | None


@dataclass(frozen=True)
class Deployed:
    """A trained folder of nnU-Net with the images to audit it on.

    Attributes:
        trained: the folder.
        layout: the images.
        folds: the folds that are evaluated; None for all numbered ones.
        datasets: names of further datasets that have a trained folder.
        others: further configurations of the same dataset.
    """

    trained: Trained
    layout: FoundAnnotations
    folds: Folds
    datasets: tuple[str, ...]
    others: tuple[Trained, ...]


def nnunet_in(folder: Path) -> Deployed | None:
    """The trained folder of nnU-Net that a plan for this folder names; None if there is none.

    Raises:
        InputError: it has no plans, or is a cascade, or no labelled raw dataset fits it.
    """
    found = find_trained(folder)
    if not found:
        return None
    usable = [one for one in found if not one.cascade]
    if not usable:
        raise InputError(
            f"{found[0].folder} is the second network of a cascade, which takes the output of another network, and "
            "palpate does not read cascades. Give a configuration such as 3d_fullres or 2d."
        )
    paired = [(one, raw) for one in usable for raw in raw_datasets(folder, one)[:1]]
    if not paired:
        first = usable[0]
        raise InputError(
            f"{first.folder} was trained on {first.name}, and neither {folder} nor {first.home / RAW} holds a labelled "
            f"raw dataset that fits it. Put {RAW}/{first.name} there, with dataset.json, imagesTs and labelsTs."
        )
    trained, raw = paired[0]
    with reading():
        (read,) = nnunet_of(raw)
    layout, folds = _unseen(trained, raw, read)
    return Deployed(
        trained, layout, folds,
        tuple(dict.fromkeys(one.name for one, _ in paired if one.name != trained.name)),
        tuple(one for one in found if one.folder != trained.folder and one.name == trained.name),
    )  # fmt: skip


def images_in(folder: Path) -> Path:
    """Where the images of a folder are searched: in a workspace of nnU-Net, its raw datasets."""
    return folder / RAW if (folder / RAW).is_dir() else folder


def _unseen(trained: Trained, raw: Path, layout: FoundAnnotations) -> tuple[FoundAnnotations, Folds]:
    """The images that the network was not trained on, as far as there are any; and the folds to evaluate."""
    layout = replace(layout, names=_in_order(trained), exclusive=not trained.dataset.regions)
    fold = next((fold for fold in trained.folds if isinstance(fold, int)), None)
    every: Folds = ("all",) if fold is None else None
    if layout.splits[0][0] != "train":
        return layout, every
    if not _is_own(trained, raw):
        note = f"{raw.name} is not {trained.name}, which the network was trained on, but has its channels and labels"
        return replace(layout, notes=(note,)), every
    splits = splits_of(trained, raw)
    if splits is None or fold is None:
        why = "there is no splits_final.json" if splits is None else "fold_all was trained on all of them"
        note = f"the network was trained on these images ({why}): the figures are too good for new patients"
        return replace(layout, notes=(note,)), every
    count = len(validation_cases(splits, fold))
    note = f"there is no labelsTs: these are the cases that fold {fold} was validated on, and not trained on"
    return replace(layout, splits=((f"fold {fold}", count),), folds=splits, notes=(note,)), (fold,)


def _is_own(trained: Trained, raw: Path) -> bool:
    return raw.name.partition("_")[0] == trained.name.partition("_")[0]


def _in_order(trained: Trained) -> tuple[str, ...]:
    """The structures in the order of the network's outputs: that of stored values, or of the file for regions."""
    held = trained.dataset.labels
    return tuple(held) if trained.dataset.regions else tuple(sorted(held, key=lambda name: held[name]))


def modality_named(found: Deployed) -> str:
    """The kind of the images by the names of the channels, such as `CT`, `MRI` or `T1`; empty if they do not say it."""
    kinds = {kind for name in found.trained.dataset.channel_names for kind, words in _NAMED if words.search(name)}
    return kinds.pop() if len(kinds) == 1 else ""


def nnunet_model(place: Path, found: Deployed, values: Values) -> str:
    """`[model]`; there is no `[model.preprocess]`, because all of nnU-Net's steps belong to the model."""
    trained = found.trained
    asked = ""
    if found.datasets:
        asked = f"  # {FILL_IN}: which dataset? There are trained folders of {plain(listed(found.datasets))} too"
    elif found.others:
        asked = f"  # {CHECK}: this configuration; see above"
    folds = listed(trained.folds)
    every = f"# folds = [0]  # by default all numbered folds are averaged; trained: {folds}"
    chosen = listed([text_of(one) if isinstance(one, str) else one for one in found.folds or ()])
    lines = [
        "[model]  # with its resampling, normalisation, sliding windows and mirroring, as nnUNetv2_predict runs it",
        *(f"# Also there: {plain(_described(one))}" for one in found.others[:4]),
        f"nnunet = {path_of(trained.folder, place)}{asked}",
        every if found.folds is None else f"folds = [{chosen}]  # trained: {folds}",
        f"checkpoint = {text_of(trained.checkpoint)}",
        f"bounds = {numbers(values.bounds)}{f'  # {values.doubt}' if values.doubt else ''}",
    ]
    return "\n".join(lines) + "\n"


def nnunet_task(found: Deployed) -> str:
    """`[task]`, whose structures are those of the trained folder's dataset.json."""
    layout = found.layout
    how = "a softmax over background and structures" if layout.exclusive else "regions: a sigmoid each"
    lines = [
        "[task]",
        'kind = "segmentation"',
        f"structures = {texts(layout.names)}  # of the network's dataset.json",
        f"exclusive = {str(layout.exclusive).lower()}  # {how}",
        f"floor = 0.5  # {CHECK}: the Dice below which a mask is useless",
    ]
    return "\n".join(lines) + "\n"


def _described(one: Trained) -> str:
    if one.cascade:
        return f"{one.folder.name}, the second network of a cascade, which palpate does not read"
    return f"{one.folder.name}, {_counted(one.folds)}"


def _counted(folds: Sequence[int | str]) -> str:
    return f"fold{'' if len(folds) == 1 else 's'} {listed(folds)}"
