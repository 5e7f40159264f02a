"""Paths as people's tables hold them: written on Windows, in other case, or leading out of the folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palpate.cli import main
from palpate.data.listing import locate
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.storage.runs import RunFolder
from tests.audit import tiny
from tests.test_privacy import leaks


def pictures(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(root / name)


def listed(root: Path, *cells: str) -> Path:
    (root / "labels.csv").write_text("file,label\n" + "".join(f"{cell},{n % 2}\n" for n, cell in enumerate(cells)))
    return root / "labels.csv"


def test_backslashes_lead_to_the_files_that_are_there(tmp_path: Path) -> None:
    pictures(tmp_path, "images/deep/a.png", "images/b.png")
    table = Table.from_csv(listed(tmp_path, r"images\deep\a.png", r".\images\b.png"), tmp_path)
    assert [case.name for case in table] == ["images/deep/a.png", "images/b.png"]


def test_a_file_whose_name_holds_a_backslash_comes_first(tmp_path: Path) -> None:
    pictures(tmp_path, "x\\a.png", "x/a.png")
    assert locate(tmp_path, "x\\a.png") == "x\\a.png" and locate(tmp_path, "x/a.png") == "x/a.png"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("images/A.PNG", r"There is 'a\.png': upper and lower case differ"),
        ("images/a.jpg", r"There is 'a\.png', with another ending"),
        ("IMAGES/a.png", r"1 of 1 image files do not exist"),
        ("C:\\data\\a.png", r"first 'C:\\data\\a\.png' \(line 2\)"),
        ("images/\0.png", "a zero byte"),
    ],
)
def test_a_missing_file_is_told_with_the_nearest_name(cell: str, said: str, tmp_path: Path) -> None:
    pictures(tmp_path, "images/a.png")
    with pytest.raises(InputError, match=said):
        Table.from_csv(listed(tmp_path, cell), tmp_path)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.mark.parametrize("way", ["dots", "absolute", "link to a file", "link to a folder", "images"])
def test_an_audit_refuses_what_leads_out_and_runs_with_the_line_it_shows(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, away = tmp_path / "home", tmp_path / "ward 7"
    tiny.write(home)
    away.mkdir()
    (home / "image3.png").rename(away / "image3.png")
    text, plan = (home / "labels.csv").read_text(), tiny.PLAN.partition("[[attacks]]")[0]
    plan += '[[attacks]]\nattack = "fgsm"\n[run]\nlayout = "contiguous"\n'
    plan += "[quality]\nimages = 0\n[stability]\nimages = 0\n"
    if way == "link to a file":
        (home / "image3.png").symlink_to(away / "image3.png")
    elif way == "link to a folder":
        (home / "there").symlink_to(away)
        text = text.replace("image3.png", "there/image3.png")
    elif way == "images":
        for path in home.glob("image*.png"):
            path.rename(away / path.name)
        plan = plan.replace("[data]\n", '[data]\nimages = "../ward 7"\n')
    else:
        text = text.replace("image3.png", "../ward 7/image3.png" if way == "dots" else str(away / "image3.png"))
    (home / "labels.csv").write_text(text)
    (home / "plan.toml").write_text(plan)
    assert run("audit", home / "plan.toml", "--out", tmp_path / "run") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "outside of the plan's folder" in said and not list((tmp_path / "run").glob("records/*"))
    line = said.rpartition("write in [data]: ")[2]
    assert line == 'roots = ["there"]' if way == "link to a folder" else line == 'roots = ["../ward 7"]'

    (home / "plan.toml").write_text(plan.replace("[data]\n", f"[data]\n{line}\n"))
    assert run("audit", home / "plan.toml", "--out", tmp_path / "run") == 0
    names = set(RunFolder(tmp_path / "run").frame()["image"].tolist())
    assert ("there/image3.png" if way == "link to a folder" else "image3.png") in names
    assert leaks(tmp_path / "run", also=(str(tmp_path),)) == set()
