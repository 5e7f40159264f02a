"""Where `init` recognises nothing, it says what it looked at and why: file, line, column and the fix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from palpate.audit.starter.plan import starting_plan
from palpate.cli import app
from palpate.errors import InputError
from tests.data.dicom.making import ct_series
from tests.data.pictures import noise, save
from tests.first_hour.class_layouts import pictures, sheet

NAMES = [f"images/img{n}.png" for n in range(8)]


def labelled(folder: Path, rows: list[str], header: str = "file,label") -> None:
    pictures(folder, NAMES)
    sheet(folder / "labels.csv", header, rows)


def rows(change: Callable[[int, str], str] = lambda n, name: f"{name},{n % 2}") -> list[str]:
    return [change(n, name) for n, name in enumerate(NAMES)]


def a_missing_image(folder: Path) -> None:
    labelled(folder, rows())
    (folder / NAMES[3]).unlink()


def an_image_twice(folder: Path) -> None:
    labelled(folder, [*rows(), f"{NAMES[0]},0"])


def other_case(folder: Path) -> None:
    labelled(folder, rows(lambda n, name: f"{name.replace('.png', '.PNG')},{n % 2}"))


def an_empty_label(folder: Path) -> None:
    labelled(folder, rows(lambda n, name: f"{name},{'' if n == 2 else n % 2}"))


def one_class(folder: Path) -> None:
    labelled(folder, rows(lambda n, name: f"{name},1"))


def no_header(folder: Path) -> None:
    labelled(folder, rows()[1:], header=rows()[0])


def no_labels(folder: Path) -> None:
    labelled(folder, rows(lambda n, name: f"{name},{n}.5"), header="file,score")


def a_spreadsheet(folder: Path) -> None:
    pictures(folder, NAMES)
    (folder / "labels.xlsx").write_bytes(b"PK\3\4")


def a_list_of_text(folder: Path) -> None:
    pictures(folder, NAMES)
    (folder / "test.txt").write_text("".join(f"{name} {n % 2}\n" for n, name in enumerate(NAMES)))


def several_readers(folder: Path) -> None:
    pictures(folder, NAMES)
    lines = [f"img{n},R{reader},{n % 2},{reader % 2}" for n in range(8) for reader in range(3)]
    sheet(folder / "train.csv", "image_id,rad_id,Atelectasis,Mass", lines)


def patients_as_folders(folder: Path) -> None:
    pictures(folder, [f"patient{n:03}/scan.png" for n in range(4)])


def studies_of_mura(folder: Path) -> None:
    kinds = ("positive", "negative")
    parts = ("XR_HAND", "XR_WRIST")
    pictures(folder, [f"train/{part}/patient{n:05}/study1_{kinds[n % 2]}/i.png" for part in parts for n in range(4)])


def coco(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        pictures(folder, [f"val/{n}.png" for n in range(4)])
        document = {
            "images": [{"id": n, "file_name": f"{n}.png", "width": 9, "height": 8} for n in range(4)],
            "annotations": [{"id": n, "image_id": n, "category_id": 7, "bbox": [1, 1, 4, 4]} for n in range(4)],
            "categories": [{"id": 7, "name": "polyp"}],
        }
        change(document)
        (folder / "instances.json").write_text(json.dumps(document))

    return write


def without_box(document: dict) -> None:
    document["annotations"][2].pop("bbox")


def other_names(document: dict) -> None:
    for image in document["images"]:
        image["file_name"] = "gone.png"


def a_name_too_many(document: dict) -> None:
    document["images"][3]["file_name"] = "9.png"


def an_empty_box(document: dict) -> None:
    document["annotations"][1]["bbox"] = [5, 5, 0, 0]


REASONS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing image": (a_missing_image, r"labels.csv: 1 of 8 images in column 'file' do not .*img3.png' in line 5"),
    "image twice": (an_image_twice, r"labels.csv lists images/img0.png twice, in lines 2 and 10. Keep one line"),
    "other case": (other_case, r"labels.csv: 8 of 8 images .*There is 'img0.png': upper and lower case differ"),
    "empty label": (an_empty_label, r"labels.csv, line 4: column 'label' is empty \(1 of 8 lines\). Fill it in"),
    "one class": (one_class, r"column 'label' holds '1' in all 8 lines. An audit of classes needs .* two classes"),
    "no header": (no_header, r"labels.csv, line 1: 'images/img0.png' looks like an image.*such as file,label"),
    "no labels": (no_labels, r"no other column holds labels. Checked: score. Put a column label there"),
    "spreadsheet": (a_spreadsheet, r"labels.xlsx is not a CSV file.*Save it as CSV in UTF-8"),
    "text list": (a_list_of_text, r"test.txt lists images in plain text. Save it as CSV with a header"),
    "several readers": (several_readers, r"train.csv lists img0 twice, in lines 2 and 3, and 7 other images too"),
    "patients": (patients_as_folders, r"4 folders such as patient000, which look like patients"),
    "mura": (studies_of_mura, r"the label is in the name of the study's folder.*Write a CSV"),
    "coco, no box": (coco(without_box), r"instances.json, annotation id 2 has no bbox"),
    "coco, one image gone": (coco(a_name_too_many), r"instances.json: 1 of 4 image files .*'9.png'"),
    "coco, all images gone": (coco(other_names), r"instances.json: the image 'gone.png' .*images\[0\].file_name"),
    "coco, an empty box": (coco(an_empty_box), r"instances.json, annotation id 1: the box .* has no area"),
}


@pytest.mark.parametrize("fault", REASONS)
def test_init_says_what_is_wrong(tmp_path: Path, fault: str) -> None:
    write, said = REASONS[fault]
    write(tmp_path)
    with pytest.raises(InputError, match=said):
        starting_plan(tmp_path, tmp_path)


def test_the_command_says_it_too_and_writes_nothing(tmp_path: Path) -> None:
    an_empty_label(tmp_path)
    result = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert result.exit_code == 2 or isinstance(result.exception, InputError)
    assert not (tmp_path / "plan.toml").exists()


def test_series_that_cannot_be_read_do_not_become_classes(tmp_path: Path) -> None:
    for patient in ("s0", "s1", "s2", "s3"):
        ct_series(tmp_path / patient, noise(3, 8, 8, dtype="int16"), ImagePositionPatient=None)
    sheet(tmp_path / "labels.csv", "file,label", [f"s{n},{('neg', 'pos')[n % 2]}" for n in range(4)])
    with pytest.raises(InputError, match=r"s0.*ImagePositionPatient"):
        starting_plan(tmp_path, tmp_path)


def test_a_table_that_is_read_wins_and_the_broken_one_is_named(tmp_path: Path) -> None:
    a_missing_image(tmp_path)
    sheet(tmp_path / "good.csv", "file,label", [f"{name},{n % 2}" for n, name in enumerate(NAMES) if n != 3])
    text = starting_plan(tmp_path, tmp_path)
    assert 'table = "good.csv"' in text and "# Not read: " in text and "labels.csv: 1 of 8 images" in text


def test_a_damaged_log_beside_class_folders_is_no_reason_to_stop(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{name}/{n}.png" for name in ("normal", "tb") for n in range(3)])
    (tmp_path / "log.csv").write_text("epoch,loss\n1,2,3\n")
    (tmp_path / "results.json").write_text('{"images": 3}')
    np.savez(tmp_path / "features.npz", features=noise(3, 3))
    assert 'folders = "."' in starting_plan(tmp_path, tmp_path)


def test_grey_and_colour_in_one_folder_are_mentioned(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{name}/{n}.png" for name in ("normal", "tb") for n in range(3)])
    save(tmp_path / "tb/9.png", noise(8, 9, 3))
    text = starting_plan(tmp_path, tmp_path)
    assert "differ in channels (6 with 1 and 1 with 3, of those looked at)" in text


def test_a_damaged_table_of_patients_is_said_instead_of_taking_them_for_classes(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{name}/{n}.png" for name in ("anna", "bert") for n in range(2)])
    (tmp_path / "labels.csv").write_text("file,label\nanna/0.png,1\nbert/1.png,0,more\n")
    with pytest.raises(InputError, match=r"labels.csv, line 3: 3 cells under 2 columns"):
        starting_plan(tmp_path, tmp_path)


def test_splits_inside_class_folders_are_not_mixed(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{name}/{split}/0.png" for name in ("normal", "tb") for split in ("train", "test")])
    with pytest.raises(InputError, match=r"normal holds the splits test, train.*such as test/NORMAL"):
        starting_plan(tmp_path, tmp_path)


def test_of_two_tables_of_findings_the_one_to_audit_comes_first(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        pictures(tmp_path, [f"{split}/{n}.png" for n in range(4)])
        rows = [f"{split}/{n}.png,{n % 2},{n // 2},{(n + 1) % 2}" for n in range(4)]
        sheet(tmp_path / f"{split}.csv", "Path,Edema,Mass,Hernia", rows)
    text = starting_plan(tmp_path, tmp_path)
    assert 'table = "valid.csv"' in text and "train.csv" in text
