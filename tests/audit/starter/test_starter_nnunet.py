"""`palpate init` on the folders of nnU-Net v2: a trained folder finds its dataset, and the plan runs unedited."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from palpate.audit.plan.plan import Plan, parse_plan
from palpate.audit.plan.tables import load_table
from palpate.audit.starter.plan import starting_plan, unfinished
from palpate.errors import InputError
from tests.data import layouts

NAME = "Dataset004_Hippo"
TRAINED = "nnUNetTrainer__nnUNetPlans__3d_fullres"
CONFIGURATIONS = {"2d": {}, "3d_fullres": {}, "3d_cascade_fullres": {"previous_stage": "3d_lowres"}}


def trained(
    root: Path, configuration: str = "3d_fullres", *, name: str = NAME, folds: Any = (0, 1), **said: Any
) -> Path:
    """A trained folder whose checkpoints are empty: init does not open them. Keys of dataset.json as told."""
    folder = root / "nnUNet_results" / name / f"nnUNetTrainer__nnUNetPlans__{configuration}"
    told = {"channel_names": {"0": "MR 0"}, "labels": layouts.LABELS, "file_ending": ".nii.gz", **said}
    layouts.dump(folder / "dataset.json", told)
    layouts.dump(folder / "plans.json", {"dataset_name": name, "configurations": CONFIGURATIONS})
    for fold in folds:
        (folder / f"fold_{fold}/validation").mkdir(parents=True)
        (folder / f"fold_{fold}/checkpoint_final.pth").touch()
    return folder


def preprocessed(root: Path, *validated: list[str]) -> None:
    place = root / "nnUNet_preprocessed" / NAME
    layouts.dump(place / "nnUNetPlans.json", {})
    layouts.dump(place / "dataset.json", {"labels": layouts.LABELS, "channel_names": {"0": "MR 0"}})
    layouts.dump(place / "splits_final.json", [{"train": [], "val": cases} for cases in validated])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    layouts.nnunet(tmp_path / "nnUNet_raw" / NAME, cases=4)
    trained(tmp_path)
    return tmp_path


def started(folder: Path) -> tuple[Plan, str]:
    text = starting_plan(folder, folder)
    assert not unfinished(text), "it runs unedited"
    return parse_plan(text, folder / "plan.toml"), text


@pytest.mark.parametrize(
    ("below", "raw"),
    [
        ("", f"nnUNet_raw/{NAME}"),
        ("nnUNet_results", f"../nnUNet_raw/{NAME}"),
        (f"nnUNet_results/{NAME}", f"../../nnUNet_raw/{NAME}"),
        (f"nnUNet_results/{NAME}/{TRAINED}", f"../../../nnUNet_raw/{NAME}"),
        ("nnUNet_raw", NAME),
        (f"nnUNet_raw/{NAME}", "."),
    ],
)
def test_every_folder_of_a_workspace_leads_to_the_network_and_its_images(workspace: Path, below: str, raw: str) -> None:
    preprocessed(workspace, ["c3", "c1"], ["c0"])
    plan, _ = started(workspace / below)
    assert not any(Path(root).is_absolute() for root in plan.data.roots)
    assert (plan.root / str(plan.model.nnunet)).resolve() == workspace / "nnUNet_results" / NAME / TRAINED
    assert (plan.data.nnunet, plan.data.split, plan.model.folds) == (raw, "fold 0", (0,))
    assert plan.model.checkpoint == "checkpoint_final.pth" and plan.task.names == ("front", "back")
    assert [case.name for case in load_table(plan)] == ["imagesTr/c3_0000.nii.gz", "imagesTr/c1_0000.nii.gz"]


def test_labelled_test_images_come_first_and_all_folds_are_used(workspace: Path) -> None:
    preprocessed(workspace, ["c3"])
    layouts.nnunet(workspace / "nnUNet_raw" / NAME, cases=3, split="Ts")
    plan, text = started(workspace)
    assert (plan.data.split, plan.data.splits, plan.model.folds) == ("test", None, None)
    assert plan.data.modality == "mr", "the channel is called MR 0"
    assert "# folds = [0]  # by default all numbered folds are averaged; trained: 0, 1" in text


def test_images_of_the_training_are_called_so(workspace: Path) -> None:
    plan, text = started(workspace)
    assert plan.data.split == "train" and plan.model.folds is None
    assert "# the network was trained on these images (there is no splits_final.json): the figures are too good" in text


def test_a_fold_of_all_images_is_named(tmp_path: Path) -> None:
    layouts.nnunet(tmp_path / "nnUNet_raw" / NAME)
    trained(tmp_path, folds=("all",))
    preprocessed(tmp_path, ["c0"])
    plan, text = started(tmp_path)
    assert plan.model.folds == ("all",) and "fold_all was trained on all of them" in text


def test_several_configurations_are_named_and_a_cascade_is_not_chosen(workspace: Path) -> None:
    trained(workspace, "2d", folds=(3,))
    trained(workspace, "3d_cascade_fullres")
    _, text = started(workspace)
    assert f'{TRAINED}"  # CHECK: this configuration; see above' in text
    assert "# Also there: nnUNetTrainer__nnUNetPlans__2d, fold 3" in text
    assert "# Also there: nnUNetTrainer__nnUNetPlans__3d_cascade_fullres, the second network of a cascade" in text
    assert started(workspace / "nnUNet_results" / NAME / "nnUNetTrainer__nnUNetPlans__2d")[0].model.nnunet == "."


def test_several_datasets_are_a_question(workspace: Path) -> None:
    layouts.nnunet(workspace / "nnUNet_raw/Dataset007_Other")
    trained(workspace, name="Dataset007_Other")
    text = starting_plan(workspace, workspace)
    (asked,) = [question for _, question in unfinished(text)]
    assert asked == "which dataset? There are trained folders of Dataset007_Other too"


def test_images_of_another_hospital_are_paired_by_their_channels_and_labels(workspace: Path) -> None:
    (workspace / "nnUNet_raw" / NAME).rename(workspace / "nnUNet_raw/Dataset107_Abroad")
    plan, text = started(workspace)
    assert plan.data.nnunet == "nnUNet_raw/Dataset107_Abroad" and plan.model.folds is None
    assert f"# Dataset107_Abroad is not {NAME}, which the network was trained on" in text


def test_regions_and_stored_values_give_the_order_of_the_outputs(tmp_path: Path) -> None:
    labels = {"background": 0, "back": 2, "front": 1}
    layouts.nnunet(tmp_path / "nnUNet_raw" / NAME, labels=labels)
    trained(tmp_path, labels=labels)
    assert started(tmp_path)[0].task.names == ("front", "back")
    regions = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    layouts.nnunet(tmp_path / "nnUNet_raw" / NAME, labels=regions)
    layouts.dump(
        tmp_path / "nnUNet_results" / NAME / TRAINED / "dataset.json",
        {"channel_names": {"0": "MR 0"}, "labels": regions, "file_ending": ".nii.gz"},
    )
    plan, _ = started(tmp_path)
    assert plan.task.names == ("whole", "core") and not plan.task.exclusive  # type: ignore[union-attr]


def test_bounds_hold_every_image_and_every_channel(tmp_path: Path) -> None:
    names = {"0": "MR 0", "1": "MR 1"}
    layouts.nnunet(tmp_path / "nnUNet_raw" / NAME, cases=3, channels=2)
    trained(tmp_path, channel_names=names)
    plan, _ = started(tmp_path)
    values = [load_table(plan).image(row) for row in range(3)]
    low, high = plan.model.bounds
    assert low <= min(one.min() for one in values) and high >= max(one.max() for one in values)


def broken(folder: Path, what: str) -> None:
    place = folder / "nnUNet_results" / NAME / TRAINED
    raw = folder / "nnUNet_raw" / NAME
    if what in ("plans.json", "dataset.json"):
        (place / what).unlink()
    elif what == "version 1":
        (place / "plans.json").unlink()
        for fold in (0, 1):
            (place / f"fold_{fold}/checkpoint_final.pth").rename(place / f"fold_{fold}/model_final_checkpoint.model")
    elif what == "checkpoint":
        for fold in (0, 1):
            (place / f"fold_{fold}/checkpoint_final.pth").rename(place / f"fold_{fold}/mine.pth")
    elif what in ("no fold", "empty folds"):
        for fold in (0, 1):
            (place / f"fold_{fold}/checkpoint_final.pth").unlink()
            if what == "no fold":
                shutil.rmtree(place / f"fold_{fold}")
    elif what == "plans that are no JSON":
        (place / "plans.json").write_text("{", encoding="utf-8")
    elif what == "no dataset":
        raw.rename(folder / "elsewhere")
        (folder / "elsewhere/dataset.json").unlink()
    elif what == "cascade":
        place.rename(place.with_name("nnUNetTrainer__nnUNetPlans__3d_cascade_fullres"))
    else:
        layouts.nnunet(raw, channel_names={"0": "T2", "1": "T1"} if what == "order" else {"0": "T1"})
        layouts.dump(place / "dataset.json", {"channel_names": {"0": "T1", "1": "T2"}, "labels": layouts.LABELS})


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("plans.json", r"__3d_fullres holds trained folds and no plans\.json"),
        ("dataset.json", r"__3d_fullres holds trained folds and no dataset\.json"),
        ("version 1", "was trained by nnU-Net version 1, and palpate reads version 2"),
        (
            "checkpoint",
            r"no fold holds checkpoint_final\.pth.*there is mine\.pth.*checkpoint = \"mine\.pth\" in \[model\]",
        ),
        ("no fold", r"__3d_fullres holds plans\.json and no fold_0"),
        ("empty folds", r"__3d_fullres holds plans\.json and no fold_0"),
        ("plans that are no JSON", r"plans\.json is not JSON"),
        ("no dataset", f"was trained on {NAME}, and neither .* holds a labelled raw dataset that fits it"),
        ("cascade", "is the second network of a cascade"),
        ("order", r"names the channels T2 \(0\), T1 \(1\), and .* T1 \(0\), T2 \(1\)"),
        ("missing channel", r"names the channels T1 \(0\), and .* T1 \(0\), T2 \(1\)"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(workspace: Path, what: str, said: str) -> None:
    broken(workspace, what)
    with pytest.raises(InputError, match=said):
        starting_plan(workspace, workspace)


def test_a_workspace_without_a_trained_network_is_no_set_of_classes(tmp_path: Path) -> None:
    layouts.nnunet(tmp_path / "nnUNet_raw" / NAME)
    preprocessed(tmp_path, ["c0"])
    (tmp_path / "nnUNet_results").mkdir()
    plan = parse_plan(starting_plan(tmp_path, tmp_path), tmp_path / "plan.toml")
    assert plan.data.nnunet == f"nnUNet_raw/{NAME}" and plan.model.nnunet is None
