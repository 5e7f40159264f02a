"""nnU-Net raw datasets: labels and channels as nnU-Net stores them, and what is missing is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palpate.data.annotations.annotation import IGNORE
from palpate.data.annotations.labels import MaskLabels
from palpate.data.layouts.nnunet import NnUNet
from palpate.data.table import Table, read_table
from palpate.errors import InputError
from tests.data.layouts import LABELS, dump, nnunet
from tests.data.pictures import noise, save, shared
from tests.data.volumes import AFFINE, scan, write

pytestmark = pytest.mark.filterwarnings("error")


def drawn(case: int) -> np.ndarray:
    return scan(3, 5, 4, seed=case) % 3


def test_a_dataset_of_one_channel(tmp_path: Path) -> None:
    table = read_table(NnUNet(nnunet(tmp_path)), MaskLabels())
    assert [case.name for case in table] == ["imagesTr/c0_0000.nii.gz", "imagesTr/c1_0000.nii.gz"]
    assert table.classes == ("front", "back") and table.shape() == (1, 3, 5, 4)
    np.testing.assert_array_equal(table.annotation(1).labels, drawn(1))
    np.testing.assert_array_equal(table.image(1)[0], scan(3, 5, 4, seed=10))
    assert table.annotation(0).spacing == table.spacing(0) == pytest.approx((0.5, 2.0, 3.0))


def test_version_1_counts_its_labels_the_other_way_round(tmp_path: Path) -> None:
    old = {"0": "background", "1": "front", "2": "back"}
    folder = nnunet(tmp_path, channel_names=None, file_ending=None, modality={"0": "MR"}, labels=old)
    table = read_table(NnUNet(folder), MaskLabels())
    assert table.classes == ("front", "back")
    np.testing.assert_array_equal(table.annotation(0).labels, drawn(0))


def test_structures_stand_in_the_order_of_the_model(tmp_path: Path) -> None:
    labels = read_table(NnUNet(nnunet(tmp_path)), MaskLabels(("back", "front"))).annotation(0).labels
    np.testing.assert_array_equal(labels, np.array([0, 2, 1])[drawn(0)])


def test_channels_are_stacked_in_their_order(tmp_path: Path) -> None:
    table = read_table(NnUNet(nnunet(tmp_path, channels=3)), MaskLabels())
    assert len(table) == 2 and table.shape() == (3, 3, 5, 4) and table.image(1).dtype == np.float32
    for channel in range(3):
        np.testing.assert_array_equal(table.image(1)[channel], scan(3, 5, 4, seed=10 + channel))
    before = table.fingerprint()
    write(tmp_path / "imagesTr/c1_0002.nii.gz", scan(3, 5, 4, seed=99))
    assert read_table(NnUNet(tmp_path), MaskLabels()).fingerprint() != before


def test_colour_pictures_are_one_file_of_three_channels(tmp_path: Path) -> None:
    dump(tmp_path / "dataset.json", {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": LABELS,
                                     "file_ending": ".png"})  # fmt: skip
    save(tmp_path / "imagesTr/a_0000.png", noise(6, 5, 3))
    save(tmp_path / "labelsTr/a.png", noise(6, 5) % 3)
    table = read_table(NnUNet(tmp_path), MaskLabels())
    assert table.shape() == (3, 6, 5)
    np.testing.assert_array_equal(table.annotation(0).labels, noise(6, 5) % 3)


def test_regions_overlap_and_the_ignored_label_counts_for_nothing(tmp_path: Path) -> None:
    labels = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    folder = nnunet(tmp_path, labels=labels, regions_class_order=[1, 2])
    stored = (scan(3, 5, 4, seed=0) % 4).astype(np.uint8)
    write(folder / "labelsTr/c0.nii.gz", stored)
    table = read_table(NnUNet(folder), MaskLabels())
    annotation = table.annotation(0)
    assert annotation.overlapping and table.classes == ("whole", "core")
    np.testing.assert_array_equal(annotation.labels[0], np.array([0, 1, 1, IGNORE])[stored])  # type: ignore[index]
    np.testing.assert_array_equal(annotation.labels[1], np.array([0, 0, 1, IGNORE])[stored])  # type: ignore[index]
    with pytest.raises(InputError, match=r"regions that overlap .*Set task.exclusive = false"):
        read_table(NnUNet(folder), MaskLabels(exclusive=True))


def test_exclusive_labels_for_a_model_of_sigmoids(tmp_path: Path) -> None:
    annotation = read_table(NnUNet(nnunet(tmp_path)), MaskLabels(exclusive=False)).annotation(0)
    assert annotation.overlapping
    np.testing.assert_array_equal(annotation.labels, [drawn(0) == 1, drawn(0) == 2])


def test_the_labelled_test_set_comes_first(tmp_path: Path) -> None:
    folder = nnunet(nnunet(tmp_path, cases=1, split="Ts"), cases=2)
    assert len(read_table(NnUNet(folder), MaskLabels())) == len(read_table(NnUNet(folder, "test"), MaskLabels())) == 1
    assert len(read_table(NnUNet(folder, "train"), MaskLabels())) == 2


def test_a_list_of_its_own(tmp_path: Path) -> None:
    folder = nnunet(tmp_path, channels=2)
    document = json.loads((folder / "dataset.json").read_text())
    case: dict[str, Any] = {"images": ["imagesTr/c1_0001.nii.gz", "imagesTr/c1_0000.nii.gz"],
                            "label": "./labelsTr/c1.nii.gz"}  # fmt: skip
    dump(folder / "dataset.json", document | {"dataset": {"c1": case}})
    table = read_table(NnUNet(folder), MaskLabels())
    np.testing.assert_array_equal(table.image(0)[0], scan(3, 5, 4, seed=11))
    dump(folder / "dataset.json", document | {"dataset": {"c1": case | {"label": "../elsewhere/c1.nii.gz"}}})
    with pytest.raises(InputError, match=r"\.\./elsewhere/c1\.nii\.gz does not exist"):
        read_table(NnUNet(folder), MaskLabels())


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"labels": None}, r"dataset\.json has no 'labels'"),
        ({"channel_names": None}, r"dataset\.json has no 'modality'"),
        ({"labels": ["front"]}, "'labels' is a list, and must be an object"),
        ({"labels": {"background": 0}}, "Name each structure with values above 0"),
        ({"labels": {"background": 1, "front": 2}}, "nnU-Net stores it as 0"),
        ({"labels": {"background": 0, "front": "one"}}, "the label 'front' is 'one'"),
        ({"labels": {"0": "background", "1": "front", "2": "front"}}, "'front' appears twice"),
        ({"labels": {"background": 0, "front": 1, "back": 1}}, "the value 1 appears twice"),
        ({"file_ending": ".mha"}, r"says that files end in \.mha, and there is \S+\.nii\.gz\. Correct its file_ending"),
        ({"channel_names": {"0": "a", "1": "b"}}, "c0 lacks the channels 0001, and dataset.json names 2"),
    ],
)
def test_what_dataset_json_must_say(tmp_path: Path, document: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_table(NnUNet(nnunet(tmp_path, **document)), MaskLabels())


def test_other_structures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"names the structures front, back, and the task front, rear\. Give task"):
        read_table(NnUNet(nnunet(tmp_path)), MaskLabels(("front", "rear")))


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no labelled split 'test'\. Those there are: train"):
        read_table(NnUNet(nnunet(tmp_path), "test"), MaskLabels())


def test_missing_files(tmp_path: Path) -> None:
    folder = nnunet(tmp_path, channels=2)
    (folder / "labelsTr/c1.nii.gz").unlink()
    with pytest.raises(InputError, match=r"labelsTr lacks 1 of the cases: first c1"):
        read_table(NnUNet(folder), MaskLabels())
    write(folder / "labelsTr/c1.nii.gz", scan(3, 5, 4))
    (folder / "imagesTr/c1_0001.nii.gz").unlink()
    with pytest.raises(InputError, match="c1 lacks the channels 0001"):
        read_table(NnUNet(folder), MaskLabels())
    (folder / "imagesTr/c1_0000.nii.gz").unlink()
    with pytest.raises(InputError, match=r"imagesTr lacks 1 of the cases: first c1"):
        read_table(NnUNet(folder), MaskLabels())


def test_grids_must_agree(tmp_path: Path) -> None:
    folder = nnunet(tmp_path, channels=2, cases=1)
    moved = AFFINE.copy()
    moved[:3, 3] = 7
    write(folder / "imagesTr/c0_0001.nii.gz", scan(3, 5, 4), moved)
    with pytest.raises(InputError, match=r"another channel of the same image. Resample the channels to one grid"):
        read_table(NnUNet(folder), MaskLabels()).image(0)
    write(folder / "imagesTr/c0_0001.nii.gz", scan(3, 5, 5))
    with pytest.raises(InputError, match=r"3 x 5 x 5 voxels.*another channel"):
        read_table(NnUNet(folder), MaskLabels()).shape()
    write(folder / "imagesTr/c0_0001.nii.gz", scan(3, 5, 4))
    write(folder / "labelsTr/c0.nii.gz", (scan(3, 5, 4) % 3).astype(np.uint8), moved)
    with pytest.raises(InputError, match="has another position in space or another spacing than its image"):
        read_table(NnUNet(folder), MaskLabels()).annotation(0)


@pytest.mark.shared
def test_the_hippocampus_as_an_nnunet_dataset(tmp_path: Path) -> None:
    root = shared("seg3d_mr_hippocampus")
    plain = Table.from_masks(root / "labels.csv", root, "image", "label", structures=["anterior", "posterior"])
    few = plain.take(range(0, len(plain), 9))
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    for case in few:
        stem = Path(case.name).name.removesuffix(".nii.gz")
        (tmp_path / f"imagesTr/{stem}_0000.nii.gz").symlink_to((root / case.name).resolve())
        (tmp_path / f"labelsTr/{stem}.nii.gz").symlink_to((root / case.name.replace("images", "labels")).resolve())
    labels = {"background": 0, "anterior": 1, "posterior": 2}
    dump(tmp_path / "dataset.json", {"channel_names": {"0": "MRI"}, "labels": labels, "file_ending": ".nii.gz"})
    table = read_table(NnUNet(tmp_path), MaskLabels(("anterior", "posterior")))
    assert len(table) == len(few) > 5
    for row, case in enumerate(few):
        same = next(number for number, one in enumerate(table) if one.name[9:-12] == Path(case.name).name[:-7])
        np.testing.assert_array_equal(table.annotation(same).labels, few.annotation(row).labels)
        np.testing.assert_array_equal(table.image(same), few.image(row))


def test_the_validation_cases_of_a_fold(tmp_path: Path) -> None:
    folder = nnunet(tmp_path / "set", cases=3)
    splits = dump(tmp_path / "splits_final.json", [{"val": ["c0"]}, {"val": ["c2", "c1"]}])
    table = read_table(NnUNet(folder, "fold 1", splits), MaskLabels())
    assert [case.name for case in table] == ["imagesTr/c2_0000.nii.gz", "imagesTr/c1_0000.nii.gz"]
    np.testing.assert_array_equal(table.annotation(0).labels, drawn(2))


@pytest.mark.parametrize(
    ("document", "split", "said"),
    [
        ([{"val": ["c0"]}], "fold 1", "holds 1 folds, counted from 0, and data.split names fold 1"),
        ([{"val": ["c0"]}], "train", 'with data.splits it is "fold 0"'),
        ([{"val": ["c0"]}], None, 'with data.splits it is "fold 0"'),
        ([{"val": ["c0", "c9"]}], "fold 0", "was validated on c9, and .* has no such cases"),
        ([{"train": ["c0"]}], "fold 0", "fold 0 has no 'val'"),
        ([{"val": []}], "fold 0", "'val' must name cases"),
        ({"val": ["c0"]}, "fold 0", "is not a list of folds"),
    ],
)
def test_splits_that_cannot_be_used(tmp_path: Path, document: Any, split: str | None, said: str) -> None:
    folder = nnunet(tmp_path / "set")
    splits = dump(tmp_path / "splits_final.json", document)
    with pytest.raises(InputError, match=said):
        read_table(NnUNet(folder, split, splits), MaskLabels())
