"""Files of an audit lie in the plan's folder or below `data.roots`, in every layout; records name none by its place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palpate.audit.plan.changes import plan_changes
from palpate.audit.plan.plan import Plan, parse_plan
from palpate.audit.plan.tables import load_table
from palpate.audit.run.runner import audit
from palpate.audit.starter.plan import starting_plan
from palpate.errors import InputError
from palpate.storage.runs import RunFolder
from tests.audit import tiny
from tests.audit.plan.test_plan_tables import BOXES, CLASSES, MASKS, POLYPS, REST
from tests.data import layouts
from tests.data.dicom.making import ct_slice, noise, saved
from tests.test_privacy import leaks


def plan(home: Path, data: str, task: str = CLASSES) -> Plan:
    home.mkdir(exist_ok=True)
    return parse_plan(f"[data]\n{data}\n{task}{REST}", home / "plan.toml")


def picture(path: Path, value: int = 9) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(path)
    return path


def table(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def linked(link: Path, to: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(to)


def by_dots(home: Path, away: Path) -> tuple[str, str]:
    table(home / "labels.csv", "file,label", f"../{picture(away / 'x.png').relative_to(home.parent)},0")
    return 'table = "labels.csv"', CLASSES


def by_absolute_path(home: Path, away: Path) -> tuple[str, str]:
    table(home / "labels.csv", "file,label", f"{picture(away / 'x.png')},0")
    return 'table = "labels.csv"', CLASSES


def by_linked_file(home: Path, away: Path) -> tuple[str, str]:
    linked(home / "x.png", picture(away / "x.png"))
    table(home / "labels.csv", "file,label", "x.png,0")
    return 'table = "labels.csv"', CLASSES


def by_linked_folder(home: Path, away: Path) -> tuple[str, str]:
    picture(away / "x.png")
    linked(home / "images", away)
    table(home / "labels.csv", "file,label", "images/x.png,0")
    return 'table = "labels.csv"', CLASSES


def by_images(home: Path, away: Path) -> tuple[str, str]:
    picture(away / "x.png")
    table(home / "labels.csv", "file,label", "x.png,0")
    return f'table = "labels.csv"\nimages = "{away}"', CLASSES


def by_table(home: Path, away: Path) -> tuple[str, str]:
    picture(home / "x.png")
    table(away / "labels.csv", "file,label", "x.png,0")
    return f'table = "{away}/labels.csv"\nimages = "."', CLASSES


def by_class_folder(home: Path, away: Path) -> tuple[str, str]:
    picture(home / "set/well/x.png")
    linked(home / "set/ill", picture(away / "x.png").parent)
    return 'folders = "set"', CLASSES


def by_mask(home: Path, away: Path) -> tuple[str, str]:
    picture(home / "x.png")
    linked(home / "mask.png", picture(away / "mask.png", 1))
    table(home / "labels.csv", "file,mask", "x.png,mask.png")
    return 'table = "labels.csv"\nmask = "mask"\nvalues = [1, 2]', MASKS


def by_field_of_view(home: Path, away: Path) -> tuple[str, str]:
    picture(home / "x.png")
    picture(home / "mask.png", 1)
    table(home / "labels.csv", "file,mask,fov", f"x.png,mask.png,{picture(away / 'fov.png', 1)}")
    return 'table = "labels.csv"\nmask = "mask"\nvalues = [1, 2]\nfield = "fov"', MASKS


def by_region(home: Path, away: Path) -> tuple[str, str]:
    picture(home / "x.png")
    table(home / "labels.csv", "file,label,lung", f"x.png,0,{picture(away / 'lung.png')}")
    return 'table = "labels.csv"\nregion = "lung"', CLASSES


def by_box(home: Path, away: Path) -> tuple[str, str]:
    table(home / "boxes.csv", "image,label,xmin,ymin,xmax,ymax", f"{picture(away / 'x.png')},cell,1,1,4,4")
    return 'table = "boxes.csv"\nboxes = "boxes.csv"\nfile = "image"', BOXES


def by_datalist(home: Path, away: Path) -> tuple[str, str]:
    home.mkdir(exist_ok=True)
    (home / "list.json").write_text(json.dumps([{"image": str(picture(away / "x.png")), "label": 0}]))
    return 'datalist = "list.json"', CLASSES


def by_coco(home: Path, away: Path) -> tuple[str, str]:
    home.mkdir(exist_ok=True)
    layouts.coco(home / "set")
    document = json.loads((home / "set/instances.json").read_text())
    for number, image in enumerate(document["images"]):
        (away / "x.png").parent.mkdir(exist_ok=True)
        moved = away / f"{number}.png"
        os.replace(home / "set" / image["file_name"], moved)
        image["file_name"] = str(moved)
    (home / "set/instances.json").write_text(json.dumps(document))
    return 'coco = "set/instances.json"', POLYPS


def by_nnunet_link(home: Path, away: Path) -> tuple[str, str]:
    home.mkdir(exist_ok=True)
    away.mkdir()
    layouts.nnunet(home / "set")
    image = sorted((home / "set/labelsTr").iterdir())[0]
    os.replace(image, away / image.name)
    image.symlink_to(away / image.name)
    return 'nnunet = "set"', MASKS


def by_slice_of_a_series(home: Path, away: Path) -> tuple[str, str]:
    away.mkdir()
    (home / "ct").mkdir(parents=True)
    for number in range(3):
        saved(away / f"{number}.dcm", ct_slice(noise(8, 8, dtype="int16"), float(number)))
        if number:
            os.replace(away / f"{number}.dcm", home / f"ct/{number}.dcm")
    linked(home / "ct/0.dcm", away / "0.dcm")
    table(home / "labels.csv", "file,label", "ct,0")
    return 'table = "labels.csv"', CLASSES


WAYS: list[Callable[[Path, Path], tuple[str, str]]] = [
    by_dots, by_absolute_path, by_linked_file, by_linked_folder, by_images, by_table, by_class_folder, by_mask,
    by_field_of_view, by_region, by_box, by_datalist, by_coco, by_nnunet_link, by_slice_of_a_series,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_what_leads_elsewhere_is_refused_and_allowed_by_the_line_that_is_shown(
    way: Callable[[Path, Path], tuple[str, str]], tmp_path: Path
) -> None:
    home, away = tmp_path / "home", tmp_path / "away" / "set"
    away.parent.mkdir()
    data, task = way(home, away)
    with pytest.raises(InputError, match=r"outside of the plan's folder.*write in \[data\]: roots = ") as refused:
        load_table(plan(home, data, task))
    line = str(refused.value).rpartition("[data]: ")[2]
    read = load_table(plan(home, f"{data}\n{line}", task))
    for row, case in enumerate(read):
        assert not Path(case.name).is_absolute() and ".." not in case.name and not Path(case.group).is_absolute()
        read.image(row)
        read.annotation(row)
        read.region(row)


def test_names_below_a_root_start_from_it_and_others_stay(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    for path in (home / "data/a.png", home / "other/b.png", away / "ward/c.png"):
        picture(path)
    table(home / "data/labels.csv", "file,label", "a.png,0", "../other/b.png,1", "../../away/ward/c.png,0")
    held = load_table(plan(home, 'table = "data/labels.csv"\nroots = ["../away"]'))
    assert [case.name for case in held] == ["a.png", "../other/b.png", "ward/c.png"]
    assert [case.group for case in held] == [case.name for case in held]


def test_an_absolute_path_inside_the_plans_folder_needs_no_root(tmp_path: Path) -> None:
    home = tmp_path / "home"
    table(home / "data/labels.csv", "file,label", f"{picture(home / 'other/b.png')},1")
    assert [case.name for case in load_table(plan(home, 'table = "data/labels.csv"'))] == ["other/b.png"]


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    one, two = picture(tmp_path / "one/x.png"), picture(tmp_path / "two/x.png")
    table(home / "labels.csv", "file,label", f"{one},0", f"{two},1")
    with pytest.raises(InputError, match=r"both be called 'x\.png'"):
        load_table(plan(home, 'table = "labels.csv"\nroots = ["../one", "../two"]'))
    held = load_table(plan(home, 'table = "labels.csv"\nroots = [".."]'))
    assert [case.name for case in held] == ["one/x.png", "two/x.png"]


def test_a_root_must_be_a_folder(tmp_path: Path) -> None:
    picture(tmp_path / "x.png")
    table(tmp_path / "labels.csv", "file,label", "x.png,0")
    with pytest.raises(InputError, match=r"data\.roots: 'gone' is not a folder"):
        load_table(plan(tmp_path, 'table = "labels.csv"\nroots = ["gone"]'))


def test_a_neighbour_with_a_longer_name_is_not_inside(tmp_path: Path) -> None:
    table(tmp_path / "home/labels.csv", "file,label", f"{picture(tmp_path / 'home2/x.png')},0")
    with pytest.raises(InputError, match=r'roots = \["\.\./home2"\]'):
        load_table(plan(tmp_path / "home", 'table = "labels.csv"'))


def test_roots_are_no_part_of_what_was_computed_and_reach_no_record(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    tiny.write(home)
    away.mkdir()
    for path in [*home.glob("*.png"), home / "labels.csv"]:
        os.replace(path, away / path.name)
    text = tiny.PLAN.replace('table = "labels.csv"', f'table = "{away}/labels.csv"\nroots = ["../away"]')
    moved = tiny.rewrite(home, text)
    audit(moved, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert sorted(set(run.frame()["image"].tolist()))[0] == "image0.png"
    run.plan.unlink()  # the plan is kept word for word
    assert leaks(run.path, also=(str(tmp_path),)) == set()
    other = parse_plan(text.replace('"../away"', '"../away", "."'), home / "plan.toml")
    assert plan_changes(text, other) == []

    beside = tiny.write(tmp_path / "beside")
    audit(beside, tmp_path / "run2")
    assert {path.name for path in run.path.glob("records/*")} == {
        path.name for path in (tmp_path / "run2").glob("records/*")
    }, "the same images have the same identity wherever they lie"


@pytest.mark.parametrize("link", [False, True])
def test_init_writes_roots_where_the_images_lie_elsewhere(link: bool, tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "scans"
    home.mkdir()
    for number in range(8):
        picture(away / f"images/{number}.png", number)
    table(away / "labels.csv", "file,label", *(f"images/{number}.png,{number % 2}" for number in range(8)))
    if link:
        (home / "data").symlink_to(away)
    text = starting_plan(home if link else away, home)
    assert f'roots = ["{"data" if link else "../scans"}"]' in text
    assert len(load_table(parse_plan(text, home / "plan.toml"))) == 8
    assert "\nroots = " not in starting_plan(away, away)


@pytest.mark.parametrize(
    ("whole", "field"), [("labels", "yolo"), ("labels/0.txt", "yolo"), ("Annotations/0.xml", "voc")]
)
def test_a_link_among_descriptions_is_refused_before_a_message_can_quote_it(
    whole: str, field: str, tmp_path: Path
) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    (home / "set/images").mkdir(parents=True)
    (home / "set" / whole).parent.mkdir(exist_ok=True)
    away.mkdir()
    for name in ("secret", "0.txt"):
        (away / name).write_text("a secret text")
    (home / "set" / whole).symlink_to(away if whole == "labels" else away / "secret")
    task = 'kind = "detection"\nclasses = ["a"]'
    with pytest.raises(InputError, match=rf"data.{field}: 1 of 2 files are outside") as refused:
        load_table(plan(home, f'{field} = "set"', f"[task]\n{task}"))
    assert "a secret" not in str(refused.value)
