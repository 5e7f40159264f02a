"""Masks: labels are what the files store, and every mask that does not fit its image is named."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from palpate.data.annotations.annotation import IGNORE
from palpate.data.annotations.labels import MaskLabels
from palpate.data.layouts.csv_table import CsvTable
from palpate.data.listing import About
from palpate.data.table import Table, read_table
from palpate.errors import InputError
from tests.data.pictures import noise, save, shared
from tests.data.volumes import AFFINE, scan, write

DRAWN = (np.arange(6 * 5).reshape(6, 5) % 3).astype(np.uint8)


def listing(folder: Path, *lines: str, header: str = "file,mask") -> Path:
    """A CSV as it stands."""
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def pair(folder: Path, mask: np.ndarray = DRAWN, name: str = "m.png") -> Path:
    """An image of 6 x 5 with one mask, listed."""
    save(folder / "a.png", noise(6, 5))
    save(folder / name, mask)
    return listing(folder, f"a.png,{name}")


# -- what is read ------------------------------------------------------------------------------------------------------


def test_labels_are_the_stored_values(tmp_path: Path) -> None:
    table = Table.from_masks(pair(tmp_path), tmp_path, structures=["left", "right"])
    annotation = table.annotation(0)
    assert annotation.labels is not None and annotation.labels.dtype == np.int64 and not annotation.overlapping
    np.testing.assert_array_equal(annotation.labels, DRAWN)
    assert table.classes == ("left", "right") and annotation.boxes is None and annotation.spacing is None
    assert table[0].label == -1 and table.counts() == (0, 0) and table.shape_of(0) == (1, 6, 5)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_values_name_what_stands_for_each_structure(tmp_path: Path, suffix: str, dtype: str) -> None:
    stored = np.array([0, 200, 7], dtype=dtype)[DRAWN]
    table = Table.from_masks(pair(tmp_path, stored, f"m.{suffix}"), tmp_path, values=(200, 7))
    np.testing.assert_array_equal(table.annotation(0).labels, DRAWN)
    assert table.classes == ("1", "2")


def test_one_structure_is_named_by_its_column(tmp_path: Path) -> None:
    table = Table.from_masks(pair(tmp_path, (DRAWN > 0).astype(np.uint8) * 255), tmp_path, values=(255,))
    assert table.classes == ("mask",)
    np.testing.assert_array_equal(table.annotation(0).labels, DRAWN > 0)


def test_a_grey_mask_saved_as_rgb(tmp_path: Path) -> None:
    table = Table.from_masks(pair(tmp_path, np.repeat(DRAWN[..., None], 3, 2)), tmp_path, structures=["a", "b"])
    np.testing.assert_array_equal(table.annotation(0).labels, DRAWN)


def test_an_ignored_value(tmp_path: Path) -> None:
    table = read_table(CsvTable(pair(tmp_path), tmp_path), MaskLabels(values=(1,), ignore_value=2))
    np.testing.assert_array_equal(table.annotation(0).labels, np.array([0, 1, IGNORE])[DRAWN])


def test_an_empty_mask_is_a_mask(tmp_path: Path) -> None:
    labels = Table.from_masks(pair(tmp_path, np.zeros_like(DRAWN)), tmp_path).annotation(0).labels
    assert labels is not None and labels.shape == (6, 5) and not labels.any()


def test_one_column_a_structure_may_overlap(tmp_path: Path) -> None:
    save(tmp_path / "a.png", noise(6, 5))
    save(tmp_path / "lung.png", (DRAWN > 0).astype(np.uint8) * 255)
    save(tmp_path / "spot.png", (DRAWN > 1).astype(np.uint8) * 255)
    path = listing(tmp_path, "a.png,lung.png,spot.png", header="file,lung,spot")
    table = Table.from_masks(path, tmp_path, mask=("lung", "spot"), values=(255,))
    annotation = table.annotation(0)
    assert table.classes == ("lung", "spot") and annotation.overlapping
    np.testing.assert_array_equal(annotation.labels, [DRAWN > 0, DRAWN > 1])
    alone = Table.from_masks(path, tmp_path, mask=("lung",), values=(255,)).annotation(0)
    assert alone.overlapping and alone.labels is not None and alone.labels.shape == (1, 6, 5)


@pytest.mark.parametrize("mask", ["mask", ("mask", "mask2")])
def test_outside_the_field_of_view_nothing_counts(tmp_path: Path, mask: str | tuple[str, ...]) -> None:
    pair(tmp_path, (DRAWN > 0).astype(np.uint8))
    view = np.ones((6, 5), dtype=np.uint8) * 255
    view[:2] = 0
    save(tmp_path / "v.png", view)
    save(tmp_path / "b.png", noise(6, 5, seed=1))
    path = listing(tmp_path, "a.png,m.png,m.png,v.png", "b.png,m.png,m.png,", header="file,mask,mask2,fov")
    table = read_table(CsvTable(path, tmp_path), MaskLabels(mask=mask, field="fov"))
    inside, whole = table.annotation(0).labels, table.annotation(1).labels
    assert inside is not None and whole is not None
    assert (inside[..., :2, :] == IGNORE).all()
    np.testing.assert_array_equal(inside[..., 2:, :], whole[..., 2:, :])
    assert not (whole == IGNORE).any()


def test_volumes_with_their_spacing(tmp_path: Path) -> None:
    drawn = scan(3, 5, 4) % 3
    write(tmp_path / "v.nii.gz", scan(3, 5, 4))
    write(tmp_path / "m.nii.gz", drawn.astype(np.uint8))
    path = listing(tmp_path, "v.nii.gz,m.nii.gz")
    table = Table.from_masks(path, tmp_path, structures=["front", "back"])
    annotation = table.annotation(0)
    np.testing.assert_array_equal(annotation.labels, drawn)
    assert annotation.spacing == pytest.approx((0.5, 2.0, 3.0))
    assert table.shape_of(0) == (1, 3, 5, 4) == table.image(0).shape
    given = read_table(CsvTable(path, tmp_path), MaskLabels(["front", "back"], spacing=(0.5, 2.0, 3.0)))
    assert given.annotation(0).spacing == (0.5, 2.0, 3.0)


def test_spacing_where_the_files_do_not_say(tmp_path: Path) -> None:
    path = pair(tmp_path, np.zeros_like(DRAWN))
    assert read_table(CsvTable(path, tmp_path), MaskLabels(spacing=(0.7, 0.8))).annotation(0).spacing == (0.7, 0.8)
    for name in ("v", "m"):
        write(tmp_path / f"{name}.nii", scan(3, 5, 4) * (name == "v"), np.eye(4), unit="unknown")
    path = listing(tmp_path, "v.nii,m.nii")
    assert Table.from_masks(path, tmp_path).annotation(0).spacing is None
    assert read_table(CsvTable(path, tmp_path), MaskLabels(spacing=(1, 1, 5))).annotation(0).spacing == (1, 1, 5)


def test_images_may_differ_in_size(tmp_path: Path) -> None:
    for name, size in (("a", (6, 5)), ("b", (7, 4))):
        save(tmp_path / f"{name}.png", noise(*size))
        save(tmp_path / f"{name}_m.png", np.zeros(size, dtype=np.uint8))
    table = Table.from_masks(listing(tmp_path, "a.png,a_m.png", "b.png,b_m.png"), tmp_path)
    assert [table.shape_of(row) for row in range(2)] == [(1, 6, 5), (1, 7, 4)]
    assert [table.annotation(row).labels.shape for row in range(2)] == [(6, 5), (7, 4)]  # type: ignore[union-attr]


def test_filters_groups_and_limits(tmp_path: Path) -> None:
    lines = []
    for number in range(8):
        save(tmp_path / f"{number}.png", noise(6, 5, seed=number))
        lines.append(f"{number}.png,m.png,p{number // 2},{'test' if number % 2 else 'train'}")
    save(tmp_path / "m.png", DRAWN)
    path = listing(tmp_path, *lines, header="file,mask,patient,split")
    table = read_table(
        CsvTable(path, tmp_path, about=About(group="patient"), where={"split": "test"}), MaskLabels(values=(1, 2))
    )
    assert [(case.name, case.group, case.origin) for case in table] == [
        (f"{n}.png", f"p{n // 2}", n) for n in (1, 3, 5, 7)
    ]
    two, three = table.limit(2, seed=3), table.limit(3, seed=3)
    assert len(two) == 2 and set(two) < set(three) < set(table)
    np.testing.assert_array_equal(two.annotation(0).labels, DRAWN)


def test_the_identity_is_that_of_images_masks_and_their_reading(tmp_path: Path) -> None:
    path = pair(tmp_path, np.zeros_like(DRAWN))
    first = Table.from_masks(path, tmp_path, values=(1,)).fingerprint()
    assert first == Table.from_masks(path, tmp_path, values=(1,)).fingerprint()
    others = {
        Table.from_masks(path, tmp_path, values=(2,)).fingerprint(),
        read_table(CsvTable(path, tmp_path), MaskLabels(values=(1,), ignore_value=2)).fingerprint(),
        read_table(CsvTable(path, tmp_path), MaskLabels(values=(1,), spacing=(1, 1))).fingerprint(),
        Table.from_masks(path, tmp_path, mask=("mask",), values=(1,)).fingerprint(),
    }
    save(tmp_path / "m.png", np.ones_like(DRAWN))
    others.add(Table.from_masks(path, tmp_path, values=(1,)).fingerprint())
    assert len(others) == 5 and first not in others
    table = Table.from_masks(path, tmp_path, values=(1,))
    (tmp_path / "m.png").unlink()
    with pytest.raises(InputError, match=r"m\.png cannot be read.*Put the file back"):
        table.fingerprint()


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    table = Table.from_masks(pair(tmp_path, np.zeros((5, 6), dtype=np.uint8)), tmp_path)
    with pytest.raises(InputError, match=r"m\.png has the size 5 x 6, and its image a\.png 6 x 5\. Give each image"):
        table.annotation(0)


def test_a_value_of_no_structure(tmp_path: Path) -> None:
    table = Table.from_masks(pair(tmp_path, DRAWN * 100), tmp_path)
    with pytest.raises(InputError, match=r"m\.png holds 100, 200 in 20 pixels.*stored as 1, .* or the mask"):
        table.annotation(0)


def test_a_mask_saved_as_jpeg(tmp_path: Path) -> None:
    table = Table.from_masks(pair(tmp_path, (DRAWN > 0).astype(np.uint8) * 255, "m.jpg"), tmp_path, values=(255,))
    with pytest.raises(InputError, match=r"m\.jpg holds .*data\.threshold = 128 .* save masks as PNG\."):
        table.annotation(0)


def test_a_mask_of_probabilities(tmp_path: Path) -> None:
    write(tmp_path / "v.nii", scan(3, 5, 4))
    write(tmp_path / "m.nii", np.full((3, 5, 4), 0.25, dtype=np.float32))
    with pytest.raises(InputError, match=r"m\.nii holds 0\.25 in 60 pixels"):
        Table.from_masks(listing(tmp_path, "v.nii,m.nii"), tmp_path).annotation(0)


def test_a_mask_in_colours(tmp_path: Path) -> None:
    table = Table.from_masks(pair(tmp_path, noise(6, 5, 3)), tmp_path)
    with pytest.raises(InputError, match=r"m\.png stores colours\. It has 30 of them, .*Save the mask as grey"):
        table.annotation(0)


@pytest.mark.parametrize(("cell", "words"), [("gone.png", "'gone.png', which does not exist"), ("", "holds nothing")])
def test_a_mask_that_is_not_there(tmp_path: Path, cell: str, words: str) -> None:
    pair(tmp_path)
    path = listing(tmp_path, f"a.png,{cell}")
    with pytest.raises(InputError, match=rf"labels\.csv, line 2: column 'mask'.*{words}.*needs a mask of zeros"):
        Table.from_masks(path, tmp_path)


@pytest.mark.parametrize(
    ("labels", "group"),
    [
        (MaskLabels(mask="masks"), None),
        (MaskLabels(field="vof"), None),
        (MaskLabels(mask=("mask", "lung")), None),
        (MaskLabels(), "p"),
    ],
)
def test_a_column_that_is_not_there(tmp_path: Path, labels: MaskLabels, group: str | None) -> None:
    with pytest.raises(InputError, match=r"labels\.csv has no column '(masks|vof|lung|p)'"):
        read_table(CsvTable(pair(tmp_path), about=About(group)), labels)


def test_a_mask_elsewhere_in_space(tmp_path: Path) -> None:
    write(tmp_path / "v.nii", scan(3, 5, 4))
    for affine in (np.diag([0.5, 2.0, 2.5, 1.0]), AFFINE @ np.diag([-1.0, 1, 1, 1])):
        write(tmp_path / "m.nii", np.zeros((3, 5, 4), dtype=np.uint8), affine)
        table = Table.from_masks(listing(tmp_path, "v.nii,m.nii"), tmp_path)
        with pytest.raises(InputError, match=r"m\.nii has another position in space .* than its image v\.nii"):
            table.annotation(0)


def test_a_plane_for_a_volume(tmp_path: Path) -> None:
    write(tmp_path / "v.nii", scan(3, 5, 4))
    save(tmp_path / "m.png", DRAWN)
    with pytest.raises(InputError, match=r"m\.png has the size 6 x 5, and its image v\.nii 3 x 5 x 4"):
        Table.from_masks(listing(tmp_path, "v.nii,m.png"), tmp_path).annotation(0)


def test_spacing_that_cannot_be(tmp_path: Path) -> None:
    path = pair(tmp_path, np.zeros_like(DRAWN))
    with pytest.raises(InputError, match=r"spacing: 3 numbers \(1\.0, 1\.0, 1\.0\) for a\.png, which has 2 axes"):
        read_table(CsvTable(path, tmp_path), MaskLabels(spacing=(1, 1, 1))).annotation(0)
    for wrong in ((0, 1), (-1, 1), (float("nan"), 1)):
        with pytest.raises(InputError, match=r"spacing: .* must be above 0"):
            read_table(CsvTable(path, tmp_path), MaskLabels(spacing=wrong))
    for name in ("v", "m"):
        write(tmp_path / f"{name}.nii", scan(3, 5, 4) * (name == "v"))
    with pytest.raises(InputError, match=r"spacing: \(1\.0, 1\.0, 1\.0\) is given, and v\.nii stores \(0\.5, 2\.0, 3"):
        read_table(CsvTable(listing(tmp_path, "v.nii,m.nii"), tmp_path), MaskLabels(spacing=(1, 1, 1))).annotation(0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"values": (0, 1)}, "0 is background"),
        ({"values": (1,), "ignore_value": 0}, "0 is background"),
        ({"values": (1, 2), "ignore_value": 2}, "ignore_value: 2 is among values"),
        ({"values": (3, 3)}, "hold a value twice"),
        ({"values": tuple(range(1, 256))}, "255 structures. Give 1 to 254"),
        ({"values": (1, 2), "names": ("lung",)}, "1 names for 2 values"),
        ({"names": ("lung", "lung")}, "'lung' appears twice"),
        ({"mask": ("mask", "mask")}, "or one for each structure"),
        ({"mask": ()}, "mask: nothing"),
        ({"mask": ("mask", "other"), "values": (1, 2, 3)}, "3 values for 2 columns"),
        ({"mask": ("mask", "other"), "names": ("a",)}, "1 names for 2 columns of masks"),
    ],
)
def test_codings_that_contradict_themselves(tmp_path: Path, given: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_table(CsvTable(pair(tmp_path)), MaskLabels(**given))  # type: ignore[arg-type]


# -- real data ---------------------------------------------------------------------------------------------------------


def cells(path: Path, *columns: str) -> list[list[float]]:
    """What the table of a shared set says of its own masks."""
    with open(path, newline="") as handle:
        return [[float(line[column] or 0) for column in columns] for line in csv.DictReader(handle)]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "column", "values", "fractions", "count", "within"),
    [
        ("seg_ct_covid_infection", "mask", (255,), ("infection_fraction",), 98, 1e-4),
        ("seg_ct_covid_infection", "mask3", (1, 2), ("ggo_fraction", "consolidation_fraction"), 98, 1e-4),
        (
            "seg_polyp_kvasir",
            "mask",
            (255,),
            ("polyp_fraction",),
            1000,
            3e-3,
        ),  # stated of masks before they were made smaller
        ("seg_fundus_vessels", "mask", (255,), ("vessel_fraction",), 68, 1e-4),
    ],
)
def test_real_masks_hold_what_their_tables_say(
    name: str, column: str, values: tuple[int, ...], fractions: tuple[str, ...], count: int, within: float
) -> None:
    folder = shared(name)
    table = Table.from_masks(folder / "labels.csv", folder, "image", column, values=values)
    assert len(table) == count
    for row, stated in enumerate(cells(folder / "labels.csv", *fractions)):
        labels = table.annotation(row).labels
        assert labels is not None and labels.shape == table.shape_of(row)[1:]
        found = [(labels == number).mean() for number in range(1, len(values) + 1)]
        np.testing.assert_allclose(found, stated, atol=within)


@pytest.mark.shared
def test_real_fields_of_view() -> None:
    folder = shared("seg_fundus_vessels")
    table = read_table(CsvTable(folder / "labels.csv", folder, file="image"), MaskLabels(field="fov", values=(255,)))
    for row, case in enumerate(table):
        ignored = (table.annotation(row).labels == IGNORE).mean()
        assert ignored == 0 if "chase" in case.name else 0.2 < ignored < 0.5


@pytest.mark.shared
def test_real_volumes_hold_what_their_table_says() -> None:
    folder = shared("seg3d_mr_hippocampus")
    path = folder / "labels.csv"
    table = Table.from_masks(path, folder, "image", "label", structures=("anterior", "posterior"))
    assert len(table) == 80
    for row, stated in enumerate(cells(path, "anterior_voxels", "posterior_voxels")):
        annotation, image = table.annotation(row), table.image(row)
        assert annotation.labels is not None and annotation.spacing == (1.0, 1.0, 1.0)
        assert image.shape == (1, *annotation.labels.shape) == table.shape_of(row) and image.dtype == np.float32
        assert np.bincount(annotation.labels.ravel())[1:].tolist() == stated
