"""Masks that belong to images by their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from palpate.data.annotations.annotation import IGNORE
from palpate.data.annotations.labels import MaskLabels
from palpate.data.layouts.mask_folders import MaskFolders
from palpate.data.layouts.mask_pairs import Naming, mask_files, paired, picture_files
from palpate.data.table import read_table
from palpate.errors import InputError
from tests.data.dicom.making import ct_slice, saved
from tests.data.pictures import noise, save


def square(place: int, size: int = 3) -> np.ndarray:
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[place : place + size, place : place + size] = 255
    return pixels


@pytest.mark.parametrize(
    ("image", "mask", "naming"),
    [
        ("7.jpg", "7.png", Naming()),
        ("x.nii.gz", "x_seg.nii.gz", Naming(mask="{stem}_seg")),
        ("21_training.tif", "21_manual1.gif", Naming("{stem}_training", "{stem}_manual1")),
        ("a/b/im.png", "a/b/im.png", Naming()),
        ("7/images/k.png", "7/masks/m.png", Naming("{stem}/images/*", "{stem}/masks/*")),
        ("img_3.png", "mask_3.png", Naming("img_{stem}", "mask_{stem}")),
    ],
)
def test_rules_of_names(image: str, mask: str, naming: Naming) -> None:
    found = paired([image], [mask, "other/9.png"], naming)
    assert found.masks == {image: (mask,)} and found.stray == ("other/9.png",) and found.bare == ()


def test_several_masks_of_an_image_need_a_star() -> None:
    images, masks = ["1.png", "10.png"], ["10_a.png", "1_a.png", "1_b.png"]
    found = paired(images, masks, Naming(mask="{stem}*"))
    assert found.masks == {"1.png": ("1_a.png", "1_b.png"), "10.png": ("10_a.png",)}
    with pytest.raises(InputError, match=r"7\.png has 2 masks: 7\.gif, 7\.png.*data\.mask_name"):
        paired(["7.png"], ["7.gif", "7.png"], Naming())
    with pytest.raises(InputError, match=r"7\.jpg and 7\.png share the name '7'"):
        paired(["7.jpg", "7.png"], ["7.png"], Naming())
    with pytest.raises(InputError, match=r"data\.mask_name: 'x' must hold \{stem\} once"):
        paired(["7.jpg"], ["7.png"], Naming(mask="x"))


def test_masks_among_the_images(tmp_path: Path) -> None:
    for name, pixels in {"b (1)": noise(8, 8), "b (1)_mask": square(0), "b (1)_mask_1": square(5)}.items():
        save(tmp_path / f"benign/{name}.png", pixels)
    table = read_table(MaskFolders(tmp_path, mask_name="{stem}_mask*"), MaskLabels(["lump"], values=[255]))
    assert [case.name for case in table] == ["benign/b (1).png"]
    labels = table.annotation(0).labels  # type: ignore[union-attr]
    assert labels is not None and labels.sum() == 18 and labels[0, 0] == labels[7, 7] == 1 and labels[4, 4] == 0


def test_what_has_no_counterpart_is_refused_or_skipped_or_empty(tmp_path: Path) -> None:
    for name in "abc":
        save(tmp_path / f"images/{name}.png", noise(8, 8))
    for name in "abz":
        save(tmp_path / f"masks/{name}.png", square(2))
    images, masks = tmp_path / "images", tmp_path / "masks"
    with pytest.raises(
        InputError, match=r"1 of 3 images has no mask \(c\.png\); 1 mask has no image \(z\.png\)"
    ) as said:
        read_table(MaskFolders(masks, images), MaskLabels(values=[255]))
    assert "data.unpaired" in str(said.value)
    assert [
        case.name for case in read_table(MaskFolders(masks, images, unpaired="skip"), MaskLabels(values=[255]))
    ] == ["a.png", "b.png"]
    empty = read_table(MaskFolders(masks, images, unpaired="empty"), MaskLabels(values=[255]))
    sums = [int(empty.annotation(row).labels.sum()) for row in range(3)]  # type: ignore[union-attr]
    assert sums == [9, 9, 0] and empty.annotations.content(empty[2])  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"masks: none of its files is named like a mask"):
        read_table(MaskFolders(masks, images, mask_name="{stem}_m", unpaired="skip"), MaskLabels())


def test_masks_of_one_image_that_contradict_each_other(tmp_path: Path) -> None:
    save(tmp_path / "a.png", noise(8, 8))
    save(tmp_path / "a_mask.png", square(0) // 255)
    save(tmp_path / "a_mask_1.png", square(2) // 255 * 2)
    table = read_table(MaskFolders(tmp_path, mask_name="{stem}_mask*"), MaskLabels(values=[1, 2]))
    with pytest.raises(InputError, match=r"a_mask_1\.png and another mask of a\.png have different structures in 1 "):
        table.annotation(0)


def test_a_folder_of_fields_of_view(tmp_path: Path) -> None:
    save(tmp_path / "images/21_test.png", noise(8, 8))
    save(tmp_path / "manual/21_manual1.png", square(0))
    save(tmp_path / "fov/21_test_mask.png", square(0, 5))
    layout = MaskFolders(
        tmp_path / "manual",
        tmp_path / "images",
        image_name="{stem}_test",
        mask_name="{stem}_manual1",
        field=tmp_path / "fov",
        field_name="{stem}_test_mask",
    )
    table = read_table(layout, MaskLabels(values=[255]))
    labels = table.annotation(0).labels  # type: ignore[union-attr]
    assert labels is not None and labels[0, 0] == 1 and labels[4, 4] == 0 and labels[5, 5] == IGNORE


def test_dicom_without_an_ending_may_be_a_mask(tmp_path: Path) -> None:
    for name in ("images/1.2.840", "masks/7"):
        saved(tmp_path / name, ct_slice(np.zeros((8, 8), dtype=np.int16), 0))
    (tmp_path / "masks/note").write_text("no image")
    assert mask_files(tmp_path) == ["images/1.2.840", "masks/7"]


def test_folders_of_runs_are_no_images(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "runs/one/images/a.png")
    (tmp_path / "runs/one/run.json").write_text("{}")
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "up").symlink_to(tmp_path)
    assert picture_files(tmp_path) == ["a.png"] == mask_files(tmp_path)
    with pytest.raises(InputError, match=r"gone is not a folder\. Give the folder of the masks"):
        mask_files(tmp_path / "gone")
