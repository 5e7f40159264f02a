from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from palpate.errors import StorageError
from palpate.report.compute import survival_words
from palpate.report.model.description import read_description
from palpate.report.model.schema import Results
from palpate.report.model.schema_clinic import AttackSurvival
from palpate.storage.runs import RunFolder
from tests.report.clinic import HANDLINGS, dress, make_ct
from tests.report.known import measure, printed
from tests.report.pages import page
from tests.report.world import ATTACKS, PLAIN, Patients, make_run, shard


def column(run: RunFolder, attack: str, eps: float) -> dict[str, np.ndarray]:
    frame = run.frame()
    mine = (frame["attack"] == attack) & (frame["eps"] == eps)
    return {field: values[mine] for field, values in frame.items()}


def of(results: Results, attack: str | None, goal: str = "untargeted") -> AttackSurvival:
    return next(one for one in results.survival.attacks if (one.attack, one.goal) == (attack, goal))


def test_survival_is_that_of_the_records(ct, ct_results):
    for attack in ("pgd", "pgd-robust"):
        for point in of(ct_results, attack).points:
            rows = column(ct, attack, point.eps)
            eligible = rows["eligible"]
            assert (point.before.count, point.before.total) == (rows["success"].sum(), eligible.sum())
            assert point.saved_linf == rows["saved_linf"].max()
            for place, cell in enumerate(point.cells):
                beaten = np.array([one[place] <= 0 for one in rows["handled"]])
                alone = np.array([one[place] <= 0 for one in rows["clean_handled"]])
                assert (cell.after.count, cell.after.total) == ((beaten & rows["success"]).sum(), eligible.sum())
                assert cell.survived.count == cell.after.count
                assert cell.survived.total == rows["success"].sum()
                assert (cell.alone.count, cell.alone.total) == ((alone & rows["success"]).sum(), rows["success"].sum())
                assert cell.after.low <= cell.after.value <= cell.after.high


def test_all_attacks_together_keep_an_image_that_any_of_them_keeps(ct, ct_results):
    point = next(one for one in of(ct_results, None).points if one.eps == ct_results.survival.eps)
    for place, cell in enumerate(point.cells):
        stay = set()
        for attack in ("fgsm", "pgd", "pgd-robust"):
            rows = column(ct, attack, point.eps)
            kept = [one[place] <= 0 for one in rows["handled"]]
            stay |= set(rows["row"][np.array(kept) & rows["success"]].tolist())
        assert cell.survived.count == len(stay)


def test_the_sentences_say_the_figures_of_the_verdict_s_budget(ct, ct_results):
    actual = ct_results.survival
    assert actual.eps == ct_results.verdict.eps
    saved, *others = next(one for one in of(ct_results, None).points if one.eps == actual.eps).cells
    assert actual.sentences[0] == (
        f"Of {saved.survived.total} images that attacks beat at eps {actual.eps:g} HU, {saved.survived.count} stay "
        "beaten after saving in the format of the originals (DICOM) and reading again."
    )
    most = max(others, key=lambda cell: cell.survived.value)
    kept = f" keeps {most.survived.count} of {most.survived.total} attacks effective; "
    assert kept in actual.sentences[1]


def test_what_a_step_alone_does_to_beaten_images_is_a_sentence(ct, ct_results):
    whole = of(ct_results, None)
    point = next(one for one in whole.points if one.eps == ct_results.survival.eps)
    some = point.cells[1].alone.model_copy(update={"count": 3, "value": 3 / point.cells[1].alone.total})
    cells = [one.model_copy(update={"alone": some}) if one.handling == "blur1" else one for one in point.cells]
    (said,) = survival_words._alone(read_description(ct), point.model_copy(update={"cells": cells}), "untargeted")
    assert said == f"Blur by 1 pixel alone, without an attack, changes 3 of these {some.total} decisions."


def test_steps_that_leave_the_same_number_share_a_sentence(ct_results):
    point = of(ct_results, None).points[-1]
    same = point.model_copy(update={"cells": [point.cells[1], point.cells[1].model_copy(update={"handling": "other"})]})
    count = point.cells[1].survived
    assert list(survival_words._others(same)) == [
        f"Each of the other post-processing steps keeps {count.count} of {count.total} attacks effective."
    ]


def test_what_robust_to_bought_is_measured_on_the_same_images(ct, ct_results):
    (pair,) = ct_results.survival.bought
    assert (pair.attack, pair.plain, ct_results.survival.unpaired) == ("pgd-robust", "pgd", [])
    robust, plain = column(ct, "pgd-robust", pair.eps), column(ct, "pgd", pair.eps)
    assert [row.handling for row in pair.rows] == ["", *HANDLINGS]
    assert [row.handling for row in pair.rows if row.climbed] == ["jpeg75", "blur1"]
    for place, row in enumerate(pair.rows[1:]):
        mine = np.array([one[place] <= 0 for one in robust["handled"]]) & robust["success"]
        theirs = np.array([one[place] <= 0 for one in plain["handled"]]) & plain["success"]
        assert (row.success.count, row.plain_success.count) == (mine.sum(), theirs.sum())
        assert (row.only_attack, row.only_plain) == ((mine & ~theirs).sum(), (theirs & ~mine).sum())
        assert row.p_holm >= row.p
    frame = ct.frame()
    for name, passes in (("pgd-robust", pair.passes), ("pgd", pair.plain_passes)):
        spent = frame["backwards"][frame["attack"] == name].sum()
        assert passes == pytest.approx(spent / column(ct, name, pair.eps)["eligible"].sum())
    assert "“pgd-robust” is “pgd” with robust_to" in ct_results.survival.sentences[-1]


def test_without_the_same_attack_nothing_is_said_to_be_bought(ct, tmp_path):
    run = make_ct(tmp_path / "run", names=("pgd",), task=PLAIN)
    stored = run.describe()
    for attack in stored["attacks"]:
        attack["parameters"] = {**attack["parameters"], "steps": len(attack["name"])}
    run.save_description(stored)
    survival = measure(run).survival
    assert survival.bought == [] and survival.unpaired == ["pgd-robust"]
    assert "No attack of the plan differs from pgd-robust only in robust_to" in page(run).text


def test_saving_that_removes_success_is_a_warning_and_the_lattice_fixes_it(ct, ct_results, lattice):
    checks = {check.subject: check for check in ct_results.validity.checks}
    assert checks["Success in files"].level == "warning"
    assert re.search(r"beat at eps \d+ HU, \d+ stay beaten", checks["Success in files"].text)
    fixed = measure(lattice)
    assert "all stay beaten after saving" in fixed.survival.sentences[0]
    assert {check.subject: check.level for check in fixed.validity.checks}["Success in files"] == "pass"
    for attack in fixed.survival.attacks:
        for point in attack.points:
            assert point.saved_linf == 0 and point.cells[0].after == point.before
    text = page(lattice).text
    assert (
        "largest rounding error 0 HU" in text and "to the integer lattice: only values that the files can store" in text
    )


def test_a_run_without_post_processing_has_no_such_section_and_says_what_is_not_known(tmp_path):
    run = make_run(tmp_path / "run", attacks=("pgd",), pictures=0, task=PLAIN)
    actual, shown = measure(run), page(run)
    assert actual.survival.handlings == [] and actual.survival.attacks == [] and actual.subgroups == []
    assert not {"survival", "subgroups"} & {attrs["id"] for attrs in shown.all("section")}
    assert {check.subject: check.level for check in actual.validity.checks}["Success in files"] == "note"


def test_records_of_other_post_processing_are_refused(tmp_path):
    run = make_ct(tmp_path / "run", names=("pgd",), task=PLAIN)
    stored = run.describe()
    run.save_description({**stored, "handlings": stored["handlings"][:3]})
    with pytest.raises(StorageError, match=r"margins after 8 post-processing steps and run\.json names 3"):
        measure(run)


def test_what_was_never_measured_of_an_attack_is_a_dash(tmp_path):
    run, nothing = make_ct(tmp_path / "run", names=("pgd",), task=PLAIN), (float("nan"),) * 8
    made = [dress(one, factor=4.0) for one in shard(ATTACKS[2], Patients.make(60, 1, False), "")]
    run.write_shard("pgd", [replace(one, handled=nothing, clean_handled=(), saved_linf=nothing[0]) for one in made])
    point = of(measure(run), "pgd").points[0]
    assert point.saved_linf is None and point.before.value is not None
    assert all((cell.after.value, cell.after.note) == (None, "Not measured on any image.") for cell in point.cells)
    assert "nan" not in page(run).text.split() and "None" not in page(run).text


def test_the_terminal_says_what_survives_in_eighty_columns(ct, ct_results):
    text = printed(ct, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert all(sentence in " ".join(text.split()) for sentence in ct_results.survival.sentences)
    assert "by eps in HU, and as a share of the window" in " ".join(text.split())


def test_a_detector_has_its_own_survival(endoscopy):
    actual = measure(endoscopy)
    assert of(actual, None).points[0].saved_linf == 11.0
    assert [one.by for one in actual.subgroups] == ["site"], "no scanner is known"
    assert "largest rounding error 11" in page(endoscopy).text


@pytest.mark.parametrize(("curve", "said"), [("rising", True), ("bisect", True), ("each", False)])
def test_the_page_says_where_images_beaten_at_smaller_budgets_were_not_attacked_again(tmp_path, curve, said):
    run = make_ct(tmp_path / "run", names=("pgd",), task=PLAIN)
    known = run.describe()
    run.save_description({**known, "tuning": {**known["tuning"], "curve": curve}})
    assert ("At larger budgets its earlier adversarial image counts" in page(run).text) == said
