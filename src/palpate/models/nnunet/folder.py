"""What a trained folder of nnU-Net v2 says: its plan, its dataset, its folds. No code of the folder is run."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palpate.data.cases import listed
from palpate.data.json_file import entry, read_json
from palpate.data.layouts.nnunet import Dataset, read_dataset
from palpate.errors import InputError

CHECKPOINT = "checkpoint_final.pth"
_OLDER = ("plans.pkl", "model_final_checkpoint.model")
_READERS = {"SimpleITKIO": "scanner", "NibabelIO": "scanner", "NaturalImage2DIO": "picture"}


@dataclass(frozen=True)
class Trained:
    """A trained folder.

    Attributes:
        folder: where it lies.
        plans: its `plans.json`.
        dataset: its `dataset.json`.
        channels: names of the input's channels, in order.
        painted: for regions: the value that each output paints, in order; otherwise empty.
        folds: names of the folds that are averaged, such as `fold_0`.
        checkpoint: file name of the weights in each of them.
    """

    folder: Path
    plans: Mapping[str, Any]
    dataset: Dataset
    channels: tuple[str, ...]
    painted: tuple[int, ...]
    folds: tuple[str, ...]
    checkpoint: str

    @property
    def files(self) -> tuple[Path, ...]:
        """What decides what the model computes."""
        weights = [self.folder / fold / self.checkpoint for fold in self.folds]
        return (self.folder / "plans.json", self.folder / "dataset.json", *weights)

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of the structures in the order of the outputs, without background."""
        labels = self.dataset.labels
        # Classes are in the order of their values, regions in that of the file.
        return tuple(labels) if self.dataset.regions else tuple(sorted(labels, key=lambda name: labels[name]))

    @property
    def heads(self) -> int:
        """Outputs of the network: one per region, or one per class and one for the background."""
        return len(self.structures) if self.dataset.regions else len(self.structures) + 1

    @property
    def reader(self) -> str:
        """How nnU-Net reads images: `scanner` (axes of the file reversed) or `picture`."""
        return _READERS[str(self.plans["image_reader_writer"])]

    def configuration(self, name: str) -> dict[str, Any]:
        """One configuration of the plan, with what it inherits.

        Raises:
            InputError: it is missing, inherits from itself, or is a stage of a cascade.
        """
        path, configurations = self.folder / "plans.json", self.plans["configurations"]
        found: dict[str, Any] = {}
        seen: list[str] = []
        while name not in seen:
            seen.append(name)
            held = entry(path, "configurations", configurations, name, dict)
            found = {**copy.deepcopy(held), **found}
            if "inherits_from" not in held:
                break
            name = str(held["inherits_from"])
        else:
            raise InputError(f"{path}: the configuration '{name}' inherits from itself. Correct the plan.")
        if found.get("previous_stage"):
            raise InputError(
                f"model.nnunet: {self.folder} is the second stage of a cascade, which needs the masks of its first. "
                "Audit the first stage, or 3d_fullres."
            )
        return found


def is_trained_folder(folder: Path) -> bool:
    """Whether a folder looks like a trained folder of nnU-Net v2."""
    there = (folder / "plans.json").is_file() and (folder / "dataset.json").is_file()
    return there and any(path.is_dir() for path in folder.glob("fold_*"))


def read_trained(folder: Path, folds: Sequence[int | str] | None = None, checkpoint: str | None = None) -> Trained:
    """What a trained folder says.

    Args:
        folder: `.../Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__3d_fullres`.
        folds: numbers of the folds that are averaged, or `all`; all numbered ones that have weights by default.
        checkpoint: file of the weights in each fold; `checkpoint_final.pth` by default.

    Raises:
        InputError: it is not such a folder, of another version, a fold is missing, or it uses parts of nnU-Net that
            palpate does not rebuild.
    """
    _require_folder(folder)
    plans = read_json(folder / "plans.json")
    _require_known(folder / "plans.json", plans)
    dataset = read_dataset(folder)
    described = read_json(folder / "dataset.json")
    painted = _painted(folder / "dataset.json", described, dataset)
    if not dataset.regions and sorted(held[0] for held in dataset.labels.values()) != [
        number + 1 for number in range(len(dataset.labels))
    ]:
        raise InputError(
            f"{folder / 'dataset.json'}: the values of its labels are not 0, 1, 2, ... without a gap, and nnU-Net's "
            "outputs are. Correct them."
        )
    file = checkpoint or CHECKPOINT
    return Trained(folder, plans, dataset, channel_names(described), painted, _folds(folder, folds, file), file)


def channel_names(described: Mapping[str, Any]) -> tuple[str, ...]:
    """The channels of a `dataset.json`, in their order."""
    names = described.get("channel_names", described.get("modality", {}))
    return tuple(str(names[key]) for key in sorted(names, key=lambda key: int(key) if key.isdigit() else 0))


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"model.nnunet: {folder} is not a folder. Give the one that holds plans.json and fold_0.")
    if missing := [name for name in ("plans.json", "dataset.json") if not (folder / name).is_file()]:
        if any((folder / name).exists() or list(folder.glob(f"fold_*/{name}")) for name in _OLDER):
            raise InputError(
                f"model.nnunet: {folder} is of nnU-Net v1, and palpate reads v2. Train it with v2, or give the network "
                "and its weights: factory and weights."
            )
        inner = [path.name for path in sorted(folder.iterdir()) if (path / "plans.json").is_file()]
        hint = f"Give a folder in it: {listed(inner)}." if inner else "Copy it from where the model was trained."
        raise InputError(f"model.nnunet: {folder} has no {missing[0]}. {hint}")


def _require_known(path: Path, plans: Any) -> None:
    """Refuse plans that name parts which palpate does not rebuild."""
    for key in ("configurations", "transpose_forward", "transpose_backward", "image_reader_writer"):
        if not isinstance(plans, dict) or key not in plans:
            raise InputError(f"model.nnunet: {path} has no '{key}', which plans of nnU-Net v2 have. Is it of v2?")
    reader, manager = plans["image_reader_writer"], plans.get("label_manager", "LabelManager")
    if reader not in _READERS:
        raise InputError(
            f"model.nnunet: {path} reads images with {reader}, and palpate knows {', '.join(_READERS)}. Use a model of "
            "one of these."
        )
    if manager != "LabelManager":
        raise InputError(f"model.nnunet: {path} decides with {manager}, and palpate knows LabelManager only.")


def _painted(path: Path, described: Mapping[str, Any], dataset: Dataset) -> tuple[int, ...]:
    if not dataset.regions:
        return ()
    order = entry(path, "", described, "regions_class_order", list)
    if len(order) != len(dataset.labels) or not all(isinstance(value, int) for value in order):
        raise InputError(
            f"{path}: regions_class_order is {order}, and there are {len(dataset.labels)} regions. Give one value per "
            "region."
        )
    return tuple(order)


def _folds(folder: Path, wanted: Sequence[int | str] | None, checkpoint: str) -> tuple[str, ...]:
    there = sorted(path.parent.name for path in folder.glob(f"fold_*/{checkpoint}"))
    numbered = [name for name in there if name != "fold_all"]
    names = numbered if wanted is None else [f"fold_{fold}" for fold in wanted]
    missing = [name for name in names if name not in there]
    if names and not missing:
        return tuple(names)
    files = sorted({path.name for path in folder.glob("fold_*/*.pth")} - {checkpoint})
    hint = f"Those there are: {listed(there)}." if there else ""
    if not there and files:
        hint = f"Name another file: checkpoint = {files[0]!r}.".replace("'", '"')
    what = missing[0] if missing else "no numbered fold"
    verb = "lacks" if missing else "has"
    raise InputError(f"model.folds: {folder} {verb} {what} with {checkpoint}. {hint or 'Train it to the end.'}")
