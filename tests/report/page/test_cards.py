from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palpate.report.model.description import read_description
from palpate.report.page.cards import LETTER, card, link, spread_scores
from palpate.storage.runs import RunFolder
from tests.report.dense import make_dense, records
from tests.report.known import measure
from tests.report.pages import page


@pytest.mark.parametrize(
    "path",
    ["javascript:alert(1)", "//example.org/x", "https://example.org/x", "../secret.dcm", "/etc/passwd", "gone.dcm", "",
     "a\0b"],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_no_link(tmp_path, path):
    run = RunFolder(tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "secret.dcm").write_text("x")
    assert link(run, path) is None


def test_an_export_that_is_a_link_out_of_the_folder_is_none(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "secret.dcm").write_text("x")
    (tmp_path / "run" / "x.dcm").symlink_to(tmp_path / "secret.dcm")
    assert link(RunFolder(tmp_path / "run"), "x.dcm") is None


def test_confidences_do_not_cover_each_other_and_stay_inside():
    rng = np.random.default_rng(0)
    marks = [
        {"score": ".87", "x": int(x), "y": int(y), "below": min(int(y) + 190, 986)}
        for x, y in rng.integers([0, LETTER], [990, 600], (24, 2))
    ]
    marks += [{"score": ".50", "x": 500, "y": 300, "below": 500} for _ in range(6)]
    marks += [{"score": None, "x": 5, "y": 5, "below": 9}]
    first = [dict(one) for one in marks[:1]]
    spread_scores(marks, 1000)
    placed = [(one["x"], one["y"]) for one in marks if one["score"]]
    for at, (x, y) in enumerate(placed):
        assert 0 <= x <= 1000 - 0.62 * LETTER * 3 and LETTER // 2 <= y <= 1000
        assert all(abs(x - a) >= 0.62 * LETTER * 3 or abs(y - b) >= LETTER for a, b in placed[:at])
    assert marks[-1] == {"score": None, "x": 5, "y": 5, "below": 9}
    assert spread_scores(first, 1000)[0]["y"] == first[0]["y"], "alone it stays at its place"


def test_one_class_of_box_is_listed_once(tmp_path):
    run = make_dense(tmp_path / "run", "detection", pictures=0)
    stored = run.describe()
    frame = {"classes": ["polyp"]}
    data = {**stored["data"], "per_class": [40]}
    run.save_description({**stored, "task": {**stored["task"], **frame}, "data": data})

    def only(flat: tuple[float, ...], width: int) -> tuple[float, ...]:
        return tuple(0.0 if place % width == 0 else value for place, value in enumerate(flat))

    for attack in stored["shards"]:
        rows = records("detection", attack)
        run.write_shard(
            attack,
            [
                replace(one, truth=only(one.truth, 5), found=only(one.found, 6), clean_found=only(one.clean_found, 6))
                for one in rows
            ],
        )
    shown = page(run)
    assert "all classes" not in shown.text
    legend = shown.text[shown.text.index("Per class of box") :]
    assert legend[: legend.index("F1 of the boxes")].count("polyp") == 1


def test_the_structure_that_is_scored_is_named_in_the_verdict(tmp_path):
    run = make_dense(tmp_path / "run", "segmentation", pictures=1)
    stored = run.describe()
    run.save_description({**stored, "task": {**stored["task"], "structure": "lesion"}})
    results = measure(run)
    assert "the Dice of “lesion” from" in results.verdict.sentence
    assert "Dice of “lesion” above 0.5" in results.verdict.details[0]
    shown = card(run, read_description(run).gallery[0], results, named=False)
    assert shown["scored"] == "Dice of “lesion”" and "mean over structures" not in page(run).text
