"""Files that are masks of others by their names."""

from __future__ import annotations

import pytest

from palpate.data.annotations.mask_names import mask_owners, owners_beside, stem_of


def test_the_masks_of_a_class_folder() -> None:
    names = [
        "b/b (1).png",
        "b/b (1)_mask.png",
        "b/b (1)_mask_1.png",
        "b/b (10).png",
        "b/b (10)_mask.png",
        "n/n (1).png",
    ]
    assert mask_owners(names) == {
        "b/b (1)_mask.png": "b/b (1).png",
        "b/b (1)_mask_1.png": "b/b (1).png",
        "b/b (10)_mask.png": "b/b (10).png",
    }


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("ISIC_0000.jpg", "ISIC_0000_segmentation.png"),
        ("x.nii.gz", "x_seg.nii.gz"),
        ("Image_01L.jpg", "Image_01L_1stHO.png"),
        ("a.png", "a-Mask.PNG"),
        ("7.png", "mask_7.png"),
        ("a.png", "a_gt2.png"),
    ],
)
def test_usual_marks(image: str, mask: str) -> None:
    assert mask_owners([mask, image]) == {mask: image}


@pytest.mark.parametrize(
    "names", [["a_mask.png"], ["x/a.png", "y/a_mask.png"], ["a.png", "amask.png"], ["a.png", "a_2.png"]]
)
def test_a_mask_needs_its_image_and_a_mark(names: list[str]) -> None:
    assert mask_owners(names) == {}


def test_the_masks_in_a_folder_beside_that_of_the_images() -> None:
    names = ["c/images/1.png", "c/masks/1.png", "c/masks/2.png", "n/3.png", "n/Mask/3_mask.png", "n/other/3.png"]
    assert owners_beside(names) == {"c/masks/1.png": "c/images/1.png", "n/Mask/3_mask.png": "n/3.png"}
    assert owners_beside(["masks/1.png", "images/1.png"]) == {"masks/1.png": "images/1.png"}


def test_a_stem_ends_before_both_endings_of_a_volume() -> None:
    assert [stem_of(name) for name in ("x/a.nii.gz", "a.b.png", "a.txt")] == ["a", "a.b", "a"]
