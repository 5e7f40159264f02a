"""Images and masks that belong together by the names of folders and files, in the trees that people download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from palpate.data.inspect.folders import find_folders
from palpate.data.inspect.found_annotations import FoundAnnotations
from palpate.data.inspect.seen import OtherKindError, UnreadError
from palpate.data.layouts.mask_pairs import Naming
from tests.data.pictures import noise, save


def tree(folder: Path, *names: str, values: Sequence[int] = (255,), count: int = 4) -> None:
    """Files of 12 x 12 of each name, `#` for their number; those after the first are masks."""
    mask = np.zeros((12, 12), dtype=np.uint8)
    for place, value in enumerate(values):
        mask[2 + 3 * place : 5 + 3 * place, 2:9] = value
    for number in range(1, count + 1):
        for place, name in enumerate(names):
            save(folder / name.replace("#", f"{number:02d}"), mask if place else noise(12, 12, seed=number))


def found(folder: Path) -> list[FoundAnnotations]:
    layouts = list(find_folders(folder))
    for layout in layouts:
        table = layout.table()
        assert len(table) and table.annotation(0) is not None
    return layouts


@pytest.mark.parametrize(
    ("names", "images", "masks", "naming"),
    [
        (("Images/T#.jpg", "GTs/T#.bmp"), "Images", "GTs", Naming()),
        (("images/#.JPG", "manual1/#.tif", "mask/#_mask.tif"), "images", "manual1", Naming(field="{stem}_mask")),
        (("PNG/Original/#.png", "PNG/Ground Truth/#.png"), "PNG/Original", "PNG/Ground Truth", Naming()),
        (
            ("stage/h#a/images/h#a.png", "stage/h#a/masks/m#1.png", "stage/h#a/masks/m#2.png"), "stage", "stage",
            Naming("{stem}/images/*", "{stem}/masks/*"),
        ),
        (("case_#/imaging.png", "case_#/segmentation.png"), "", "", Naming("{stem}/imaging", "{stem}/segmentation")),
        (("volume-#.png", "segmentation-#.png"), "", "", Naming("volume-{stem}", "segmentation-{stem}")),
        (("train/c#_01.jpg", "train_masks/c#_01_mask.gif"), "train", "train_masks", Naming(mask="{stem}_mask")),
        (("CXR_png/M_#_0.png", "mask/M_#_0_mask.png"), "CXR_png", "mask", Naming(mask="{stem}_mask")),
        (("imagesTr/p_#_0000.png", "labelsTr/p_#.png"), "imagesTr", "labelsTr", Naming("{stem}_0000")),
        (("I_#L.jpg", "I_#L_1stHO.png", "I_#L_2ndHO.png"), "", "", Naming(mask="{stem}_1stHO")),
        (("set/b (#).png", "set/b (#)_mask.png", "set/b (#)_mask_1.png"), "set", "set", Naming(mask="{stem}_mask*")),
    ],
)  # fmt: skip
def test_trees_of_one_set(tmp_path: Path, names: tuple[str, ...], images: str, masks: str, naming: Naming) -> None:
    tree(tmp_path, *names)
    (layout,) = found(tmp_path)
    assert (layout.images, layout.path) == (tmp_path / images, tmp_path / masks)
    assert layout.naming == naming and layout.count == 4 and not layout.unmatched and not layout.others


def test_the_split_to_audit_comes_first(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        tree(tmp_path, f"{split}_images/#.png", f"{split}_masks/#.png")
    assert [layout.path.name for layout in found(tmp_path)] == ["test_masks", "val_masks", "train_masks"]


def test_folders_of_masks_that_would_do_as_well(tmp_path: Path) -> None:
    tree(tmp_path, "img/#.png", "label/#.png", "label_colour/#.png")
    (layout,) = found(tmp_path)
    assert layout.path.name == "label" and layout.others == ("label_colour",)


def test_the_void_is_no_structure(tmp_path: Path) -> None:
    tree(tmp_path, "images/#.png", "masks/#.png", values=(1, 2, 255))
    (layout,) = found(tmp_path)
    assert layout.values == (1, 2) and layout.ignore_value == 255 and layout.names == ("1", "2")


def test_masks_of_another_size_are_said(tmp_path: Path) -> None:
    tree(tmp_path, "images/#.png", "masks/#.png")
    save(tmp_path / "images/02.png", noise(9, 12))
    (layout,) = find_folders(tmp_path)
    assert "1 of 4 masks that were checked differ in size from their image: 02.png is 9 x 12" in layout.describe()


def test_pictures_are_no_masks(tmp_path: Path) -> None:
    for number in range(4):
        for place in ("images", "masks"):
            save(tmp_path / f"{place}/{number}.png", noise(12, 12, seed=number))
    unread: list[UnreadError] = []
    assert find_folders(tmp_path, unread) == ()
    assert "different whole values" in str(unread[0]) and not isinstance(unread[0], OtherKindError)


@pytest.mark.parametrize(
    "names", [("benign/#.png", "malignant/#.png"), ("images/#.png",), ("x/images/#.png", "y/gt.txt")]
)
def test_trees_without_masks(tmp_path: Path, names: tuple[str, ...]) -> None:
    tree(tmp_path, *(name for name in names if name.endswith(".png")))
    assert find_folders(tmp_path) == () == find_folders(tmp_path / "gone")


def test_folders_of_runs_and_of_other_layouts_are_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, "runs/a/images/#.png", "runs/a/masks/#.png")
    tree(tmp_path, "set/images/#.png", "set/labels/#.png")
    (tmp_path / "runs/a/run.json").write_text("{}")
    (tmp_path / "set/dataset.json").write_text("{}")
    assert find_folders(tmp_path) == ()


@pytest.mark.parametrize(
    ("names", "listed", "masks"),
    [
        (("scan/#.png", "tumour/#.png"), ("scan",), "tumour"),
        (("scan/#.png", "tumour/#.png"), ("scan", "tumour"), None),
        (("scan/#.png", "tumour/#.png"), (), None),
        (("scan/#.png", "tumour/m#.png"), ("scan",), None),
        (("scan/#.png", "liver/#.png", "spleen/#.png"), ("scan",), None),
    ],
)
def test_masks_of_the_images_of_a_table_are_known_by_their_values(
    tmp_path: Path, names: tuple[str, ...], listed: tuple[str, ...], masks: str | None
) -> None:
    tree(tmp_path, *names)
    lines = [f"{folder}/0{number}.png,7,8,9,9" for folder in listed for number in range(1, 5)]
    (tmp_path / "prompts.csv").write_text("\n".join(["image,x1,y1,x2,y2", *lines]) + "\n")
    assert [layout.path.name for layout in found(tmp_path)] == ([masks] if masks else [])
    for path in (tmp_path / "tumour").glob("*.png"):
        save(path, noise(12, 12, seed=9))
    assert find_folders(tmp_path) == (), "pictures are no masks"


def test_a_split_that_nobody_drew_by_hand_has_fields_of_view_and_no_masks(tmp_path: Path) -> None:
    tree(tmp_path / "training", "images/#_training.png", "1st_manual/#_manual1.gif", "mask/#_training_mask.gif")
    tree(tmp_path / "test", "images/#_test.png", "mask/#_test_mask.gif")
    (layout,) = found(tmp_path)
    assert layout.path == tmp_path / "training" / "1st_manual"
    (alone,) = find_folders(tmp_path / "test")
    assert alone.path == tmp_path / "test" / "mask", "alone, a folder of that name holds masks"
