"""Masks as image files: what each format stores is the label, and what cannot be one is said with a way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.tables import load_table
from palpate.data.annotations.labels import MaskLabels
from palpate.data.annotations.mask_images import is_mask_image, mask_size, read_mask_image
from palpate.data.layouts.csv_table import CsvTable
from palpate.data.table import Table, read_table
from palpate.errors import InputError, PlanError
from tests.audit.plan.test_plan_tables import REST
from tests.data.png_bits import grey_png
from tests.data.test_masks import DRAWN, listing, pair
from tests.data.volumes import write

VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128, 128, 128, 128]
"""The first colours of Pascal VOC; the eighth is grey."""


def palette(path: Path, index: np.ndarray, colours: list[int]) -> Path:
    image = Image.fromarray(index.astype(np.uint8), "P")
    image.putpalette(colours)
    image.save(path, **({"optimize": False} if path.suffix == ".gif" else {}))
    return path


def read(path: Path, stored: np.ndarray) -> None:
    """The file holds these numbers, and its size is known without them."""
    assert is_mask_image(path) and mask_size(path) == stored.shape
    np.testing.assert_array_equal(read_mask_image(path), stored)


@pytest.mark.parametrize("suffix", ["png", "gif", "tif", "bmp"])
def test_the_index_of_a_palette_is_the_label(suffix: str, tmp_path: Path) -> None:
    path = palette(tmp_path / f"m.{suffix}", DRAWN * 3 + (DRAWN > 1), VOC)
    read(path, DRAWN * 3 + (DRAWN > 1))
    np.testing.assert_array_equal(read_mask_image(palette(path, DRAWN // 2 * 7, VOC)), DRAWN // 2 * 7)


@pytest.mark.parametrize("suffix", ["png", "gif", "tif", "bmp"])
def test_a_palette_of_greys_is_only_packing(suffix: str, tmp_path: Path) -> None:
    path = palette(tmp_path / f"m.{suffix}", DRAWN, [0, 0, 0, 127, 127, 127, 255, 255, 255])
    read(path, np.array([0, 127, 255])[DRAWN])


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("png", {}), ("bmp", {}), ("tif", {}), ("tif", {"compression": "group4"}), ("tif", {"compression": "group3"}),
     ("tif", {"compression": "tiff_lzw"}), ("tif", {"compression": "packbits"}), ("pbm", {}), ("gif", {})],
)  # fmt: skip
def test_one_bit_is_present_or_absent(suffix: str, options: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / f"m.{suffix}"
    Image.fromarray(DRAWN > 0).save(path, **options)
    assert is_mask_image(path) and mask_size(path) == DRAWN.shape
    np.testing.assert_array_equal(read_mask_image(path) != 0, DRAWN > 0)
    save = {"1": (1,), "255": (255,), "unsaid": None}
    for values in save.values() if suffix != "gif" else [(255,)]:
        table = Table.from_masks(_listed(tmp_path, path), tmp_path, values=values)
        np.testing.assert_array_equal(table.annotation(0).labels, DRAWN > 0)


def _listed(folder: Path, mask: Path) -> Path:
    Image.fromarray(np.zeros(DRAWN.shape, np.uint8)).save(folder / "a.png")
    return listing(folder, f"a.png,{mask.name}")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_few_bits_of_grey_are_the_stored_number(bits: int, tmp_path: Path) -> None:
    stored = np.minimum(DRAWN, 2**bits - 1)
    (tmp_path / "m.png").write_bytes(grey_png(stored, bits))
    read(tmp_path / "m.png", stored)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "zlib"}, {"byteorder": ">"}])
def test_tiff_of_every_kind(dtype: str, options: dict, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.tif", DRAWN.astype(dtype), **options)
    read(tmp_path / "m.tif", DRAWN.astype(dtype))


@pytest.mark.parametrize("mode", ["L", "I;16"])
def test_tiff_packed_by_lzw(mode: str, tmp_path: Path) -> None:
    stored = DRAWN.astype(np.uint8 if mode == "L" else np.uint16)
    Image.fromarray(stored).save(tmp_path / "m.tif", compression="tiff_lzw")
    read(tmp_path / "m.tif", stored)


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tif", "ppm"])
def test_three_equal_channels_are_one(suffix: str, tmp_path: Path) -> None:
    more = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(np.dstack([DRAWN] * 3)).save(tmp_path / f"m.{suffix}", **more)
    read(tmp_path / f"m.{suffix}", DRAWN)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_that_says_nothing_is_left_out(mode: str, tmp_path: Path) -> None:
    for number, alpha in enumerate([np.full_like(DRAWN, 255), np.where(DRAWN > 0, 255, 0).astype(np.uint8)]):
        path = tmp_path / f"{number}.png"
        Image.merge(mode, [Image.fromarray(part) for part in [DRAWN] * (len(mode) - 1) + [alpha]]).save(path)
        read(path, DRAWN)
    hidden = Image.merge(mode, [Image.fromarray(part) for part in [DRAWN] * (len(mode) - 1) + [DRAWN * 0]])
    hidden.save(tmp_path / "hidden.png")
    with pytest.raises(InputError, match=r"hidden\.png has transparent pixels that are not black"):
        read_mask_image(tmp_path / "hidden.png")


COLOURED = np.array([[0, 0, 0], [255, 0, 0], [0, 128, 255]], np.uint8)[DRAWN]


def test_colours_are_shown_as_the_values_to_write_and_then_read(tmp_path: Path) -> None:
    table = pair(tmp_path, COLOURED)
    with pytest.raises(InputError, match=r"stores colours.*data\.values = \[0x0080ff, 0xff0000\]"):
        Table.from_masks(table, tmp_path).annotation(0)
    held = Table.from_masks(table, tmp_path, values=(0xFF0000, 0x0080FF)).annotation(0)
    np.testing.assert_array_equal(held.labels, DRAWN)
    with pytest.raises(InputError, match=r"holds 0x0080ff in 10 pixels; structures are stored as 0xff0000"):
        Table.from_masks(table, tmp_path, values=(0xFF0000,)).annotation(0)
    white = np.where((DRAWN == 2)[..., None], 255, COLOURED).astype(np.uint8)
    kept = read_table(
        CsvTable(pair(tmp_path, white), tmp_path), MaskLabels(values=(0xFF0000,), ignore_value=0xFFFFFF)
    ).annotation(0)
    np.testing.assert_array_equal(kept.labels, np.where(DRAWN == 2, 255, DRAWN))


def test_colours_are_values_of_a_plan_too(tmp_path: Path) -> None:
    pair(tmp_path, COLOURED)
    task = '[task]\nkind = "segmentation"\nstructures = ["back", "front"]\n'
    data = '[data]\ntable = "labels.csv"\nmask = "mask"\nvalues = [0xff0000, 0x0080ff]\n'
    table = load_table(parse_plan(data + task + REST, tmp_path / "plan.toml"))
    np.testing.assert_array_equal(table.annotation(0).labels, DRAWN)


# -- a threshold -------------------------------------------------------------------------------------------------------


def jpeg(folder: Path, mode: str = "L", quality: int = 70) -> np.ndarray:
    """A disc as JPEG leaves it, and where it is."""
    rows, columns = np.mgrid[:40, :40]
    disc = (rows - 18) ** 2 + (columns - 22) ** 2 < 150
    Image.fromarray(np.where(disc, 255, 0).astype(np.uint8)).convert(mode).save(folder / "m.jpg", quality=quality)
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(folder / "a.png")
    return disc


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("exclusive", [True, False])
def test_a_threshold_reads_masks_that_jpeg_has_changed(mode: str, exclusive: bool, tmp_path: Path) -> None:
    disc = jpeg(tmp_path, mode)
    table = listing(tmp_path, "a.png,m.jpg")
    held = read_table(CsvTable(table, tmp_path), MaskLabels(["polyp"], threshold=128, exclusive=exclusive)).annotation(
        0
    )
    assert held.labels is not None
    np.testing.assert_array_equal(held.labels.reshape(disc.shape), disc)
    with pytest.raises(InputError, match=r"m\.jpg.*data\.threshold = 128"):
        Table.from_masks(table, tmp_path, values=(255,)).annotation(0)


def test_the_threshold_itself_is_present(tmp_path: Path) -> None:
    table = pair(tmp_path, DRAWN * 64)
    held = read_table(CsvTable(table, tmp_path), MaskLabels(threshold=128)).annotation(0)
    np.testing.assert_array_equal(held.labels, DRAWN == 2)


def test_a_threshold_is_part_of_what_was_computed(tmp_path: Path) -> None:
    table = pair(tmp_path, DRAWN * 64)
    prints = {
        read_table(CsvTable(table, tmp_path), MaskLabels(threshold=limit)).fingerprint() for limit in (None, 64, 128)
    }
    assert len(prints) == 3


def test_a_mask_that_was_resampled_is_named_with_its_numbers_and_a_way_out(tmp_path: Path) -> None:
    numbers = np.linspace(-115.5, 342, 60, dtype=np.float32).reshape(3, 5, 4)
    write(tmp_path / "v.nii", np.zeros((3, 5, 4), np.int16))
    write(tmp_path / "m.nii", numbers)
    table = listing(tmp_path, "v.nii,m.nii")
    with pytest.raises(InputError, match=r"m\.nii holds -115\.5, .*-115\.5 to 342: .*resampled.*data\.threshold"):
        Table.from_masks(table, tmp_path).annotation(0)
    held = read_table(CsvTable(table, tmp_path), MaskLabels(threshold=100.5)).annotation(0)
    np.testing.assert_array_equal(held.labels, numbers >= 100.5)


def test_values_that_fit_are_proposed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds 255 in 20 pixels.*write data\.values = \[255\]"):
        Table.from_masks(pair(tmp_path, (DRAWN > 0).astype(np.uint8) * 255), tmp_path).annotation(0)


@pytest.mark.parametrize(
    ("data", "structures", "said"),
    [
        ("threshold = 128\nvalues = [255]", '"a"', r"data\.threshold: it replaces data\.values"),
        ("threshold = 128\nignore_value = 9", '"a"', r"it replaces data\.ignore_value"),
        ("threshold = 128", '"a", "b"', "cannot tell several structures of one file apart"),
    ],
)
def test_a_plan_says_a_threshold_or_values(data: str, structures: str, said: str, tmp_path: Path) -> None:
    text = f'[data]\ntable = "labels.csv"\nmask = "mask"\n{data}\n[task]\nkind = "segmentation"\n'
    text += f"structures = [{structures}]\n"
    with pytest.raises(PlanError, match=said):
        parse_plan(text + REST, tmp_path / "plan.toml")


def test_a_threshold_of_a_plan_holds_for_a_column_per_structure(tmp_path: Path) -> None:
    disc = jpeg(tmp_path)
    listing(tmp_path, "a.png,m.jpg,m.jpg", header="file,left,right")
    text = '[data]\ntable = "labels.csv"\nmask = ["left", "right"]\nthreshold = 128\n[task]\nkind = "segmentation"\n'
    more = 'structures = ["left", "right"]\nexclusive = false\n'
    table = load_table(parse_plan(text + more + REST, tmp_path / "plan.toml"))
    np.testing.assert_array_equal(table.annotation(0).labels, np.stack([disc, disc]))


def test_an_animation_is_no_mask(tmp_path: Path) -> None:
    frames = [Image.fromarray(DRAWN * value) for value in (1, 2)]
    frames[0].save(tmp_path / "m.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=r"m\.gif is an animation"):
        read_mask_image(tmp_path / "m.gif")


@pytest.mark.parametrize("suffix", ["gif", "bmp", "webp", "tif", "png"])
def test_a_damaged_mask_is_one_sentence(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"m.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=rf"m\.{suffix} is truncated"):
        read_mask_image(path)
