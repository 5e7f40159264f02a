"""`threat.region` in words: what it allows of an image, and what is refused of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.regions import regions
from palpate.data.annotations.labels import MaskLabels
from palpate.data.layouts.csv_table import CsvTable
from palpate.data.listing import About
from palpate.data.table import Table, read_table
from palpate.errors import InputError, PlanError
from palpate.threats.ball import Linf
from palpate.threats.confined import Confined

STRUCTURES = ("lung", "heart")
SIDE = 64


def box(top: int, bottom: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[top:bottom, 10:50] = True
    return mask


BODY, LUNG, HEART, UNREAD, COLUMN = box(5, 60), box(10, 30), box(40, 50), box(55, 58), box(8, 20)


@pytest.fixture(scope="module", params=["exclusive", "overlapping"])
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Two images with structures and ignored pixels; the second has no mask in the column and an empty heart."""
    folder = tmp_path_factory.mktemp("regions")
    grey = np.where(BODY, 120, 2).astype(np.uint8)
    for name, heart in (("a", HEART), ("b", np.zeros_like(HEART))):
        Image.fromarray(grey).save(folder / f"{name}.png")
        Image.fromarray((LUNG + 2 * heart + 9 * UNREAD).astype(np.uint8)).save(folder / f"{name}_mask.png")
        for number, mask in enumerate((LUNG, heart), start=1):
            Image.fromarray((mask + 9 * UNREAD).astype(np.uint8)).save(folder / f"{name}_{number}.png")
    Image.fromarray((255 * COLUMN).astype(np.uint8)).save(folder / "a_region.png")
    lines = ["file,mask,m1,m2,where"] + [
        f"{name}.png,{name}_mask.png,{name}_1.png,{name}_2.png,{region}"
        for name, region in (("a", "a_region.png"), ("b", ""))
    ]
    (folder / "table.csv").write_text("\n".join(lines))
    masks: str | list[str] = "mask" if request.param == "exclusive" else ["m1", "m2"]
    return read_table(
        CsvTable(folder / "table.csv", folder, about=About(region="where")),
        MaskLabels(STRUCTURES, mask=masks, ignore_value=9),
    )


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["inside lung"], LUNG),
        (["inside heart"], HEART),
        (["outside lung"], ~LUNG & ~UNREAD),
        (["inside body"], BODY),
        (["inside body", "outside lung"], BODY & ~LUNG & ~UNREAD),
        (["inside column"], COLUMN),
        (["inside lung", "outside column"], LUNG & ~COLUMN),
        (["outside text"], np.ones_like(BODY)),
    ],
    ids=str,
)
def test_all_given_regions_hold(table: Table, given: list[str], wanted: np.ndarray) -> None:
    found = regions(given, table, 0, STRUCTURES)
    assert found.shape == (1, SIDE, SIDE)
    assert found.dtype == bool
    # Corners of what is thresholded are rounded off by the opening.
    assert (found[0] != wanted).sum() <= (8 if "inside body" in given else 0)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["inside heart"], "threat.region: no pixel of b.png is inside heart, so no attack"),
        (["inside lung", "outside body"], "no pixel of b.png is inside lung and outside body"),
        (["inside column"], "threat.region: the table names no mask for b.png"),
    ],
)
def test_an_image_without_the_region_is_named(table: Table, given: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        regions(given, table, 1, STRUCTURES)


def test_a_table_of_classes_has_no_structures(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 9, dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text("file,label\na.png,0\n")
    table = Table.from_csv(tmp_path / "table.csv", tmp_path)
    with pytest.raises(InputError, match=r"a\.png has no mask of 'lung'"):
        regions(["inside lung"], table, 0, STRUCTURES)


PLAN = """\
title = "lungs"
[model]
factory = "model.py:build"
bounds = [0, 255]
[data]
table = "labels.csv"
mask = "mask"
{data}
[task]
kind = "segmentation"
structures = ["lung", "heart"]
[threat]
norm = "linf"
eps = ["2/255"]
{threat}
[[attacks]]
attack = "{attack}"
"""


def plan(threat: str, data: str = "", attack: str = "bim") -> str:
    return PLAN.format(threat=threat, data=data, attack=attack)


@pytest.mark.parametrize(
    ("threat", "text"),
    [
        ('region = ["within body"]', "threat.region[0]: 'within body' must begin with inside or outside"),
        ('region = ["inside body", "inside lungs"]', "threat.region[1]: .* no region 'lungs'. Did you mean 'lung'"),
        ('region = ["inside column"]', "threat.region[0]: no column of masks is named. Add data.region"),
        (
            'region = ["inside lung", "outside lung"]',
            "threat.region[1]: 'lung' is listed as inside and as outside",
        ),
        ('region = ["inside lung", "inside lung"]', "threat.region[1]: 'lung' is listed twice"),
        ("channels = [1.0, 1.5]", "threat.channels[1]: 1.5 must be a share of the budget"),
        ("channels = [0.0]", "threat.channels: no channel may change"),
        ("channels = [1.0, 0.5]\ntied = true", "threat.channels: tied channels get the same change"),
        ("smooth = inf", "threat.smooth: inf must be a finite number"),
        ("smooth = -1.0", "threat.smooth: -1.0 must be 0.* or more"),
    ],
)
def test_each_mistake_gets_its_sentence(threat: str, text: str) -> None:
    with pytest.raises(PlanError, match=text.replace("[0]", r"\[0\]").replace("[1]", r"\[1\]")):
        parse_plan(plan(threat), Path("plan.toml"))


def test_a_column_that_is_named_may_be_told() -> None:
    parse_plan(plan('region = ["inside column"]', data='region = "where"'), Path("plan.toml"))


def test_an_attack_that_cannot_keep_it_is_refused() -> None:
    with pytest.raises(PlanError, match="attack 'vafa' leaves the ball that confines"):
        parse_plan(plan("lattice = true", attack="vafa"), Path("plan.toml"))


def test_a_plan_builds_its_threat() -> None:
    assert parse_plan(plan(""), Path("plan.toml")).threat.build(2.0) == Linf(2.0)
    text = plan('lattice = true\nregion = ["inside body", "outside text"]\nsmooth = 1.5')
    built = parse_plan(text, Path("plan.toml")).threat.build(2.0)
    assert built == Confined(2.0, "linf", True, "inside body, outside text", smooth=1.5)
