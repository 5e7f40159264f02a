"""What the page shows is what the run holds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palpate.storage.runs import RunFolder
from palpate.view.opened import opened
from palpate.view.site import ASSETS, SCRIPTS, Site, asset
from tests.view.payload import column, data, pixels


@pytest.fixture(scope="module")
def site(masks):
    return Site(opened(masks))


@pytest.fixture(scope="module")
def frame(masks):
    return RunFolder(masks).frame()


def kept(site):
    return [place for place, (file, _) in enumerate(site.opened.places) if file]


def test_every_record_is_there_with_its_figures(site, frame):
    table = data(site, "run")["tables"]["attacks"]
    assert column(table, "row") == frame["row"].tolist()
    assert column(table, "attack") == frame["attack"].tolist()
    assert column(table, "eps") == frame["eps"].tolist()
    assert column(table, "margin") == pytest.approx(frame["margin"].tolist(), nan_ok=True, rel=1e-6)
    assert column(table, "clean_score") == pytest.approx(frame["clean_score"].tolist(), nan_ok=True, rel=1e-6)
    beaten = [verdict == "beaten" for verdict in column(table, "verdict")]
    assert beaten == frame["success"].tolist() and any(beaten) and not all(beaten)


def test_pictures_are_the_images_and_their_difference_has_a_sign(site, masks, frame):
    place = next(place for place in kept(site) if frame["linf"][place] > 0)
    row, file = int(frame["row"][place]), site.opened.places[place][0]
    clean = np.asarray(Image.open(masks.parents[1] / frame["image"][place])).astype(int)
    attacked = np.asarray(Image.open(masks / file)).astype(int)
    assert (pixels(site, f"pictures/clean-{row}-0.png") == clean).all()
    assert (pixels(site, f"pictures/attacked-{place}-0.png") == attacked).all()
    red, _, blue = np.moveaxis(pixels(site, f"pictures/change-{place}-0.png"), -1, 0)
    change = attacked - clean
    assert (change > 0).any() and (change < 0).any()
    assert (red > blue)[change > 0].all() and (red < blue)[change < 0].all() and (red <= 14)[change == 0].all()
    told = data(site, f"record-{place}")
    assert f"{frame['linf'][place]:g} stored values" in told["scale"] and told["slices"] == [0]
    assert set(told["marks"]["0"]) == {"truth", "before", "after"}


def test_names_that_may_identify_a_patient_are_shown_only_when_asked(masks, frame, tmp_path):
    from palpate.view.folder import write_folder

    for names in (False, True):
        write_folder(opened(masks, names=names), tmp_path / str(names), 40)
        everything = b"".join(path.read_bytes() for path in (tmp_path / str(names)).rglob("*") if path.is_file())
        assert all((name.encode() in everything) is names for name in set(frame["image"]))


def test_without_the_images_as_stored_the_page_says_so_and_shows_the_attacked_ones(masks, tmp_path):
    moved = shutil.copytree(masks, tmp_path / "a" / "b" / "c" / "moved")
    alone = Site(opened(moved))
    place = kept(alone)[0]
    told = data(alone, f"record-{place}")
    assert "--root" in data(alone, "run")["said"][0]
    assert told["after"] and pixels(alone, f"pictures/attacked-{place}-0.png").size
    again = Site(opened(moved, root=masks.parents[1]))
    assert data(again, "run")["said"] == [] and data(again, f"record-{place}")["before"].startswith("pictures/clean-")


def test_other_images_of_the_same_names_are_noticed(masks, frame, tmp_path):
    home = shutil.copytree(masks.parents[1], tmp_path / "home")
    run = home / "runs" / "masks"
    place = kept(Site(opened(run)))[0]
    path = home / frame["image"][place]
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert any("differs more" in why for why in data(Site(opened(run)), f"record-{place}")["why"])


def test_an_unfinished_run_shows_what_lies_in_its_folder(masks, site, tmp_path):
    run = shutil.copytree(masks, tmp_path / "run")
    described = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(described | {"status": "unfinished", "exports": [], "gallery": []}))
    found = opened(run, root=masks.parents[1])
    assert [file for file, _ in found.places] == [file for file, _ in site.opened.places]
    shown = [[one and one.slices[0].marks for _, one in places] for places in (found.places, site.opened.places)]
    assert shown[0] == shown[1] and any(shown[0])


def test_boxes_of_every_record_are_drawn(boxes):
    site = Site(opened(boxes))
    frame, least = site.opened.frame, site.opened.description.task.operating.confidence
    for place in range(len(frame["row"])):
        found = frame["found"][place].reshape(-1, 6)
        marks = data(site, f"record-{place}")["marks"]["0"]
        assert [one["score"] for one in marks["after"]] == found[found[:, 1] > least][:, 1].tolist()
        assert len(marks["truth"]) == len(frame["truth"][place]) // 5
    assert sum(column(data(site, "run")["tables"]["attacks"], "found-0")) == sum(
        (one.reshape(-1, 6)[:, 1] > least).sum() for one in frame["found"]
    )


@pytest.mark.parametrize(
    "name",
    [
        "../run.json",
        "data/../../run.json",
        "/etc/passwd",
        "data/record--1.js",
        "data/record-999999.js",
        "data/record-0-0.js",
        "pictures/clean-0.png",
        "pictures/clean-0-7.png",
        "pictures/clean-0-0.js",
        "images/",
        "",
    ],
)
def test_only_listed_files_are_given(site, name):
    assert site.find(name) is None


def test_pages_hold_no_script_and_write_no_html():
    page = asset("index.html").decode()
    assert "<script>" not in page and " on" not in page.replace(" on ", "").replace(" one", "").replace(" only", "")
    assert all(f'<script src="{name}" defer></script>' in page for name in SCRIPTS)
    for name in SCRIPTS:
        script = asset(name).decode()
        assert not any(word in script for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "fetch("))
    assert all(asset(name) for name in ASSETS)


def test_a_run_folder_is_not_changed(masks):
    before = {path: path.stat().st_mtime_ns for path in Path(masks).rglob("*")}
    Site(opened(masks)).find("data/run.js")
    assert {path: path.stat().st_mtime_ns for path in Path(masks).rglob("*")} == before


@pytest.mark.parametrize(
    "plan",
    ["", "[data]\n", "data = 3\n", "\xff = [", '[data]\ntable = "x.csv"\nimages = "s3://bucket"\n[task]\nkind = 1\n'],
)
def test_a_plan_that_cannot_be_read_hides_no_record(masks, tmp_path, plan):
    run = shutil.copytree(masks, tmp_path / "run")
    (run / "plan.toml").write_text(plan, encoding="latin-1")
    found = opened(run)
    assert found.originals.table is None and "images as stored" in found.originals.why and len(found.places)


def test_the_page_says_how_many_attacked_images_are_kept_and_how_to_get_all(site, frame):
    changed = [place for place in range(len(frame["row"])) if frame["linf"][place] > 0]
    there = sum(site.opened.places[place] != (None, None) for place in changed)
    said = " ".join(data(site, "run")["said"])
    assert (f"The run kept {there} of {len(changed)} attacked images" in said) == (there < len(changed))
    assert ('[export] images = "all"' in said) == (there < len(changed))


def test_a_record_without_pictures_has_the_outlines_of_the_image_as_stored(site, frame):
    shown = {int(frame["row"][place]) for place, (_, one) in enumerate(site.opened.places) if one is not None}
    place = next(
        place for place, (_, one) in enumerate(site.opened.places) if one is None and int(frame["row"][place]) in shown
    )
    marks = data(site, f"record-{place}")["marks"]["0"]
    assert marks["before"] and marks["truth"] and marks["after"] == []
