"""Annotated images that `palpate init` sees in a folder, and that they can be read as they were seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from palpate.data.formats.forms import Form
from palpate.data.inspect.annotated import find_annotated
from palpate.data.inspect.seen import UnreadError
from tests.data.pictures import noise, save, shared
from tests.data.volumes import scan, write


def listing(folder: Path, name: str, header: str, lines: list[str]) -> Path:
    (folder / name).write_text("\n".join([header, *lines]) + "\n")
    return folder / name


def pictures(folder: Path, count: int = 8) -> list[str]:
    """Images and masks of 0 and 255, by name."""
    for number in range(count):
        save(folder / f"images/{number}.png", noise(6, 5, seed=number))
        save(folder / f"masks/{number}.png", (noise(6, 5, seed=number) > 99).astype(np.uint8) * 255)
    return [f"images/{number}.png" for number in range(count)]


def test_masks_beside_fields_of_view_and_patients(tmp_path: Path) -> None:
    names = pictures(tmp_path)
    lines = [
        f"p{n // 2},{'' if n == 3 else name},{name.replace('images', 'masks')},{name},{'train' if n < 6 else 'test'}"
        for n, name in enumerate(names)
    ]
    path = listing(tmp_path, "labels.csv", "patient,fov,lung_mask,image,split", lines)
    (layout,) = find_annotated(tmp_path)
    assert (layout.kind, layout.path, layout.images, layout.count) == ("masks", path, tmp_path, 8)
    assert (layout.file, layout.mask, layout.field, layout.group) == ("image", "lung_mask", "fov", "patient")
    assert layout.values == (255,) and layout.names == ("lung_mask",)
    assert layout.splits == (("test", 2), ("train", 6)) and layout.form == Form((1, 6, 5), "uint8") and layout.equal
    assert "8 images, grey, 6 x 5" in layout.describe() and "masks of lung_mask" in layout.describe()
    table = layout.table()
    assert len(table) == 2 and table[0].group == "p3" and len(layout.table("train")) == 6


def test_labels_that_are_like_names_of_images_are_no_masks(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / f"{number}.png", (noise(6, 5, seed=number) > 99).astype(np.uint8) * 255)
    listing(tmp_path, "cases.csv", "file,label", [f"{number}.png,{number % 2}" for number in range(4)])
    assert find_annotated(tmp_path) == ()


def test_volumes_of_several_structures(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"v{number}.nii.gz", scan(3, 5, 4, seed=number))
        write(tmp_path / f"m{number}.nii.gz", (scan(3, 5, 4, seed=number) % 3).astype(np.uint8))
    listing(tmp_path, "labels.csv", "image,label", [f"v{number}.nii.gz,m{number}.nii.gz" for number in range(4)])
    (layout,) = find_annotated(tmp_path)
    assert layout.values == (1, 2) and layout.names == ("1", "2") and layout.form == Form((1, 3, 5, 4), "float32")
    assert layout.table().annotation(1).spacing == pytest.approx((0.5, 2.0, 3.0))


def test_pictures_in_a_second_column_are_no_masks(tmp_path: Path) -> None:
    names = pictures(tmp_path)
    for name in names:
        save(tmp_path / name.replace("images", "before"), noise(6, 5))
    listing(tmp_path, "labels.csv", "image,before", [f"{name},{name.replace('images', 'before')}" for name in names])
    assert find_annotated(tmp_path) == ()


def test_boxes_with_the_listing_beside_them(tmp_path: Path) -> None:
    names = pictures(tmp_path)
    lines = [f"{name},{label},0,0,3,3" for name in names[:4] for label in ("clot", "cell")]
    path = listing(tmp_path, "boxes.csv", "image,label,X1,Y1,X2,Y2", lines)
    (alone,) = find_annotated(tmp_path)
    assert (alone.kind, alone.count, alone.listing) == ("boxes", 4, None)
    second = listing(
        tmp_path, "all.csv", "file,part", [f"{name},{'val' if n % 2 else 'test'}" for n, name in enumerate(names)]
    )
    (layout,) = find_annotated(tmp_path)
    assert (layout.path, layout.listing, layout.count) == (path, (second, "file"), 8)
    assert layout.corners == ("X1", "Y1", "X2", "Y2") and layout.names == ("cell", "clot")
    assert layout.split == "part" and layout.splits == (("test", 4), ("val", 4))
    assert [len(layout.table().annotation(row).classes) for row in range(4)] == [2, 2, 0, 0]  # type: ignore[arg-type]


def test_boxes_in_one_cell_are_refused_with_the_fix(tmp_path: Path) -> None:
    names = pictures(tmp_path)
    listing(tmp_path, "train.csv", "image_id,width,bbox", [f'{name},6,"[1.0, 2, 3, 4.5]"' for name in names])
    unread: list[UnreadError] = []
    assert find_annotated(tmp_path, unread) == ()
    assert any("column 'bbox' holds the four numbers of a box in one cell" in str(error) for error in unread)


def test_boxes_whose_class_could_be_in_several_columns(tmp_path: Path) -> None:
    names = pictures(tmp_path)
    lines = [f"{name},{'ab'[n % 2]},{'xyz'[n % 3]},0,0,3,3" for n, name in enumerate(names)]
    listing(tmp_path, "boxes.csv", "image,kind,shape,x1,y1,x2,y2", lines)
    (layout,) = find_annotated(tmp_path)
    assert (layout.label, layout.others, layout.names) == ("kind", ("shape",), ("a", "b"))
    listing(tmp_path, "boxes.csv", "image,x1,y1,x2,y2", [f"{name},0,0,3,3" for name in names])
    (layout,) = find_annotated(tmp_path)
    assert layout.label is None and layout.names == ("object",) and len(layout.table()) == 8


def test_findings_are_columns_of_present_and_absent(tmp_path: Path) -> None:
    names = pictures(tmp_path)
    lines = [f"{name},{n % 2},{(n // 2) % 2}.0,{'' if n < 4 else n % 2},{n},1" for n, name in enumerate(names)]
    listing(tmp_path, "labels.csv", "image,effusion,nodule,mass,age,seen", lines)
    (layout,) = find_annotated(tmp_path)
    assert (layout.kind, layout.names, layout.count) == ("findings", ("effusion", "nodule", "mass"), 8)
    assert layout.table().annotation(5).findings.tolist() == [1, 0, 1]  # type: ignore[union-attr]


def test_what_is_not_annotated(tmp_path: Path) -> None:
    assert find_annotated(tmp_path) == () == find_annotated(tmp_path / "gone")
    names = pictures(tmp_path)
    listing(tmp_path, "labels.csv", "image,label", [f"{name},{n % 2}" for n, name in enumerate(names)])
    listing(tmp_path, "broken.csv", "image,xmin,ymin,xmax,ymax", ["a,b"])
    listing(tmp_path, "other.csv", "name,xmin,ymin,xmax,ymax", ["a,1,1,2,2"])
    assert find_annotated(tmp_path) == ()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "kinds", "count"),
    [
        ("seg_ct_covid_infection", ["masks"], 98),
        ("seg_polyp_kvasir", ["masks", "boxes"], 1000),
        ("seg3d_mr_hippocampus", ["masks"], 80),
        ("det_blood_cells_bccd", ["boxes"], 364),
        ("seg_fundus_vessels", ["masks"], 68),
        ("cls_fundus_dr_aptos2019", [], 0),
    ],
)
def test_real_folders(name: str, kinds: list[str], count: int) -> None:
    layouts = find_annotated(shared(name))
    assert [layout.kind for layout in layouts] == kinds
    for layout in layouts:
        assert layout.count == count
        table = layout.table()
        assert 0 < len(table) < count and table.classes == layout.names
        table.annotation(0)
