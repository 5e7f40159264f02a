from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys

import pytest

from palpate.report import write_report
from palpate.report.compute.results import summarise
from palpate.report.draw import figures
from palpate.report.model.description import read_description
from palpate.report.model.schema_quality import GoalJudgement
from palpate.report.model.words import percent, ratio
from palpate.report.page import views
from tests.report import world
from tests.report.known import render
from tests.report.pages import Page, section
from tests.report.world import ATTACKS, FEW, HOSTILE, PLAIN, Patients, make_run, shard


@pytest.fixture(scope="module")
def html(run, results) -> str:
    return render(run)


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_the_page_asks_nobody_for_anything(page):
    for _, attrs in page.elements:
        for name in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
            value = attrs.get(name)
            assert value is None or value.startswith(("#", "data:image/png;base64,")), (name, value)
    assert not page.all("link") and not page.all("iframe") and not page.all("object")


def test_the_policy_allows_the_one_script_and_nothing_from_outside(page):
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy
    assert "img-src data:" in policy and "http" not in policy


def test_no_text_from_a_file_becomes_markup(hostile, page):
    (hostile.path / "plan.toml").write_text(f'title = "{HOSTILE}"\n')
    html = render(hostile, names=True)
    attacked = Page(html)
    assert HOSTILE not in html and "<script>alert" not in html
    assert attacked.scripts == page.scripts and len(attacked.all("script")) == 1
    assert all(not any(name.startswith("on") for name in attrs) for _, attrs in attacked.elements)
    assert {attrs["src"][:22] for attrs in attacked.all("img")} == {"data:image/png;base64,"}
    assert {tag for tag, _ in attacked.elements} == {tag for tag, _ in page.elements}
    # Every field that was made hostile is still there to read.
    assert attacked.text.count(HOSTILE) > 40


def test_every_id_is_unique_and_every_anchor_leads_somewhere(page):
    ids = [attrs["id"] for _, attrs in page.elements if attrs.get("id")]
    assert len(ids) == len(set(ids))
    assert {attrs["href"][1:] for attrs in page.all("a")} <= set(ids)
    for _, attrs in page.elements:
        for target in (attrs.get("aria-labelledby") or "").split():
            assert target in ids


def test_the_first_screen_holds_verdict_gates_grade_and_notice(results, page):
    first = page.text[: page.text.index("What was tested, and how")]
    for text in (
        results.title,
        results.verdict.sentence,
        results.verdict.basis,
        "Synthetic images; not for diagnosis.",
        "Gate on clean accuracy: passed measured 0.85, required at least 0.7",
        "Gate on robust accuracy at eps 1: failed",
    ):
        assert text in first


def test_every_section_and_figure_is_there(run, page):
    actual = read_description(run)
    sections = {attrs["id"] for attrs in page.all("section")}
    assert sections >= {
        "gates", "tested", "robustness", "classes", "clinical", "grading", "attacks", "gallery", "validity",
        "glossary", "sources",
    }  # fmt: skip
    assert len(page.all("svg")) == 3 + 2 + 4 + len(actual.attacks)
    for text in (
        actual.threat.words,
        actual.model.sha256,
        actual.data.fingerprint,
        *(one.reference for one in actual.attacks),
    ):
        assert text in page.text
    for heading in ("How to reproduce", "Costs", "Is the difference real?", "What this audit does not show"):
        assert heading in page.text


def test_what_is_folded_opens_only_on_request(run, page):
    folded = page.all("details")
    assert len(folded) > 10 and not any("open" in one for one in folded)
    opened = Page(render(run, full=True))
    assert all("open" in one for one in opened.all("details")) and opened.all("body")[0]["class"] == "full"
    assert [one["id"] for one in page.all("section") if one.get("id") in ("tested", "results", "validity")] == [
        "tested", "results", "validity",
    ]  # fmt: skip
    css = render(run)
    assert "#tested, #results, #validity { break-before: page;" in css
    assert "body:not(.full) details, body:not(.full) .appendices { display: none; }" in css


def test_the_gallery_embeds_its_pictures_and_hides_names_unless_asked(run, page):
    assert len(page.all("img")) == 2 + 3 * 2
    assert "eye_0" not in page.text
    assert "eye_0" in Page(render(run, names=True)).text


def test_a_long_gallery_is_cut_to_a_telling_choice(run, results):
    actual = read_description(run)
    (picture, *_) = actual.gallery

    def entry(attack, row, moved=True):
        after = (picture.clean_prediction + moved) % 5
        return picture.model_copy(update={"attack": attack, "row": row, "prediction": after})

    gallery = [entry("noise", row, moved=False) for row in range(6)]
    gallery += [entry(name, row) for name in ("fgsm", "pgd", "hide") for row in range(6)]
    chosen = views.chosen(gallery, results, 8)
    assert [one.attack for one in chosen] == ["hide", "noise", "fgsm", "pgd", "hide", "fgsm", "pgd", "hide"]
    assert len({one.row for one in chosen}) == 6
    assert views.chosen(gallery[:6], results, 8) == gallery[:1] and views.chosen([], results) == []
    assert len(views.chosen(gallery, results, 99)) == 19


def test_a_picture_that_is_gone_leaves_a_note(tmp_path):
    run = make_run(tmp_path / "run", attacks=["pgd"], pictures=1, task=PLAIN)
    shutil.rmtree(run.images)
    page = Page(render(run))
    assert not page.all("img") and page.text.count("picture not in the run folder") == 3


def test_an_unfinished_run_says_so_at_the_top(tmp_path, page):
    assert "unfinished" not in page.text
    run = make_run(tmp_path / "run", attacks=FEW, leave_out=["hide"], status="unfinished", finished=None, task=PLAIN)
    unfinished = Page(render(run))
    assert "This run is unfinished. 2 of 3 attacks" in unfinished.text
    assert unfinished.text.index("This run is unfinished") < unfinished.text.index("Clean accuracy")
    assert "has not run" in unfinished.text


def test_a_run_without_a_record_makes_a_page(empty):
    page = Page(render(empty))
    assert "This run is unfinished. 0 of 8 attacks" in page.text and "No figure can be given" in page.text
    assert not page.all("svg")


@pytest.mark.parametrize(
    "changes",
    [
        {"task": PLAIN},
        {"threat": {"norm": "l2", "eps": [1.0], "words": "Euclidean."}, "gates": [], "gallery": [], "task": PLAIN},
        {"attacks": ["hide"]},
        {"attacks": ["noise"], "task": PLAIN},
        {"images": 4, "pictures": 0},
        {"per_group": 5},
    ],
    ids=["no disease", "l2", "directed only", "noise only", "empty class", "groups"],
)
def test_other_kinds_of_runs_make_a_page(tmp_path, changes):
    page = Page(render(make_run(tmp_path / "run", **{"attacks": FEW, **changes})))
    assert "Can these figures be trusted?" in page.text and "None" not in page.text and "nan" not in page.text.split()


def test_an_attack_that_has_finished_no_image_makes_a_page(tmp_path):
    run = make_run(tmp_path / "run", attacks=["pgd"], status="unfinished", pictures=0)
    press = next(one for one in ATTACKS if one.name == "pgd")
    records = [
        one for one in shard(press, Patients.make(60, 1, False), "") if one.eps != (4.0 if one.row % 2 else 0.25)
    ]
    run.write_shard("pgd", records)
    page = Page(render(run))
    assert "No figure can be given" in page.text and "No untargeted attack has finished on any image yet" in page.text


def test_the_page_gives_the_worst_case_of_every_grading_figure(run, results):
    scale, grading = figures.scale_of(results), section(run, "grading")
    for name, _ in views.gradings(results):
        row = views.worst_gradings(results, name, scale)
        clean = getattr(results.clean.grading, name).value
        for eps, figure in zip(scale.eps, row, strict=True):
            kept = [one for one in results.attacks if not one.outside_budget]
            alone = [getattr(p.grading, name).value for one in kept for p in one.points if p.eps == eps]
            assert figure.value <= min(clean, *alone)
        written = ratio if name in {"quadratic_kappa", "area_under_roc"} else percent
        assert all(f"<b>{written(figure.value)}</b>" in grading for figure in row)


def test_the_ninth_attack_looks_unlike_the_first(results):
    attacks = [one.model_copy(update={"name": f"attack {index}"}) for index, one in enumerate(results.attacks * 2)]
    looks = list(figures.styles(results.model_copy(update={"attacks": attacks})).values())
    assert looks[0]["color"] == looks[8]["color"]
    assert looks[0]["linestyle"] != looks[8]["linestyle"] and looks[8]["markerfacecolor"] == "none"


def test_an_image_that_held_is_not_shown_as_moved(tmp_path):
    run = make_run(tmp_path / "run", attacks=["pgd"], pictures=1, task=PLAIN)
    stored = run.describe()
    (picture,) = stored["gallery"]
    run.save_description({**stored, "gallery": [{**picture, "prediction": picture["clean_prediction"]}]})
    assert "not changed by the attack" in Page(render(run)).text


def test_the_report_and_its_results_are_written_whole_and_alike_each_time(tmp_path):
    run = make_run(tmp_path / "run", attacks=("fgsm", "pgd"), task=PLAIN)
    assert write_report(run) == run.report
    first = run.report.read_bytes(), run.results.read_bytes()
    write_report(run)
    assert (run.report.read_bytes(), run.results.read_bytes()) == first
    assert json.loads(first[1]) == summarise(run)
    assert not list(run.path.rglob("*.tmp"))


def test_the_report_imports_no_torch():
    loaded = "print([m for m in ('torch', 'monai') if m in sys.modules])"
    code = f"import sys, palpate.report, palpate.metrics.validity.health; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_attacks_knew_of_the_model_is_read_from_their_passes(results):
    blind = [attack for attack in results.attacks if attack.kind == "gradient-free"]
    seeing = [attack for attack in results.attacks if attack.kind != "gradient-free"]
    assert blind and seeing

    def knowledge(attacks):
        return views.knowledge(results.model_copy(update={"attacks": attacks}))

    assert knowledge(seeing).startswith("Every attack knew the model's weights")
    assert f"except {blind[0].name}" in knowledge([*seeing, blind[0]])
    assert "only its outputs (black box)" in knowledge(blind)


def test_the_tiles_of_trust_show_the_lowest_of_all_goals_and_name_them():
    def goal(name, quality):
        return GoalJudgement(goal=name, quality=quality, quality_reasons=[], indicators=[], precision="high",
                             precision_reasons=[])  # fmt: skip

    goals = [goal("untargeted", "high"), goal("to no disease", "medium"), goal("to disease", "medium")]
    quality, precision = views.trust(goals)
    assert quality == ("Attack quality", "medium", "read with care; 2 goals: medium; untargeted: high")
    assert precision == ("Precision", "high", "by the width of the 95% intervals")
    assert views.trust(goals[:1])[0] == ("Attack quality", "high", "no sign of a missed attack")
    assert views.trust([]) == []


@pytest.mark.parametrize(("count", "classes"), [(6, ""), (7, "many")])
def test_a_page_with_many_budgets_is_laid_out_for_them(count, classes, monkeypatch, tmp_path):
    monkeypatch.setattr(world, "EPS", tuple(0.25 * (place + 1) for place in range(count)))
    page = Page(render(make_run(tmp_path / "run", images=20, attacks=FEW, pictures=0)))
    assert [attrs["class"] for attrs in page.all("body")] == [classes]
