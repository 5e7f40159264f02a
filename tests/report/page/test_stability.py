from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from palpate.metrics.stability_run import along_the_run
from palpate.report.compute.stability import words as stability_words
from palpate.report.compute.stability.words import sentence
from palpate.report.model.schema_stability import Course
from palpate.report.page.stability_views import held
from tests.report.dense import make_dense
from tests.report.known import measure, printed
from tests.report.pages import Page, page, section
from tests.report.traced import WALKS, add_traces, make_traced, of
from tests.report.world import ATTACKS, HOSTILE, PLAIN, Patients, make_run, shard


@pytest.fixture(scope="module")
def shown(traced) -> Page:
    return page(traced)


def test_the_page_has_the_section_with_all_its_parts(traced, shown):
    assert "stability" in {attrs["id"] for attrs in shown.all("section")}
    assert "#stability" in {attrs.get("href") for attrs in shown.all("a")}
    ids = [attrs["id"] for _, attrs in shown.elements if attrs.get("id")]
    assert len(ids) == len(set(ids)) and {"disagreement", "terms", "paths", "maps", "meanings"} <= set(ids)
    markup = section(traced, "stability")
    # Four attacks with curves and paths, one with terms.
    assert markup.count("<svg") == 4 + 4 + 1
    # Each of two images once, what four attacks did to it, the spread of the two that draw, and four maps over images.
    assert markup.count("<img") == 2 * (1 + 4 + 2) + 4 and markup.count('alt="clean image') == 2
    assert "Disagreement (KL divergence)" in shown.text and "nan" not in re.findall(r"\w+", shown.text)
    assert "Not traced: it does not follow a gradient" in shown.text


@pytest.mark.parametrize("off", [True, False])
def test_without_traces_the_section_is_one_sentence(tmp_path, off):
    run = make_run(tmp_path / "run", attacks=("pgd",), pictures=0, task=PLAIN, **({"stability": None} if off else {}))
    stability = measure(run).stability
    assert stability.state == ("switched off" if off else "not known") and stability.attacks == []
    markup = section(run, "stability")
    assert ("images = 0" in markup) == off and "<svg" not in markup and "<table" not in markup


@pytest.mark.parametrize(
    "how",
    [
        {"smoothed": False},
        {"starts": 1},
        {"rows": (1,)},
        {"rows": (1,), "starts": 1, "walks": {"fgsm": WALKS["fgsm"]}},
        {"per_group": 2},
    ],
)
def test_little_that_was_traced_makes_no_hole_in_the_page(tmp_path, how):
    walks = how.pop("walks", WALKS)
    smoothed = how.get("smoothed", True)
    if not smoothed:
        walks = {name: replace(walk, smoothed=float("nan")) for name, walk in walks.items()}
    run = make_run(tmp_path / "run", attacks=("fgsm", "pgd", "smia"), pictures=0, task=PLAIN)
    add_traces(run, walks, **how)
    markup = section(run, "stability")
    text = Page(markup).text
    assert not {"nan", "None"} & set(re.findall(r"\w+", text))
    assert ("from the smoothed image's answer" in text) == smoothed
    assert ("smoothed = false" in text) == (not smoothed)
    if how.get("starts") == 1 and "pgd" in walks:
        assert "One start was traced" in of(measure(run).stability, "pgd").sentence
    if how.get("rows") == (1,):
        assert "One image was attacked once more" in text and "spread over images" not in markup
        assert all(value is None for curve in measure(run).stability.attacks[0].curves for value in curve.low)


def test_an_attack_of_one_step_has_no_path(stability, shown):
    assert of(stability, "fgsm").sentence.startswith("It takes one step, so it has no path to describe.")
    table = shown.text[shown.text.index("Along the run") : shown.text.index("From start to start")]
    assert "fgsm" not in table and "smia" in table


def test_volumes_have_maps_of_their_planes_and_masks_their_words(tmp_path):
    run = make_dense(tmp_path / "run", "segmentation", pictures=0)
    add_traces(run, {"fgsm": WALKS["fgsm"], "cospgd": WALKS["pgd"]})
    stability = measure(run).stability
    assert [one.attack for one in stability.attacks if one.state == "traced"] == ["fgsm", "cospgd"]
    text = Page(section(run, "stability")).text
    assert "the mean over the pixels that count" in text and "nan" not in re.findall(r"\w+", text)


def test_names_of_images_are_shown_only_where_they_were_asked_for(traced, tmp_path):
    assert "eye_001.png" not in section(traced, "stability")
    run = make_traced(tmp_path / "run", attacks=("pgd",), task=PLAIN)
    assert "row 1 · eye_001.png" in Page(section(run, "stability", names=True)).text


def test_attacks_without_random_numbers_are_named_once_on_the_page_and_each_in_the_results(traced, stability):
    text = Page(section(traced, "stability")).text
    assert text.count("no random numbers") == 1 and "draw no random numbers, so their starts are the same" in text
    assert sum("draws no random numbers" in one.sentence for one in stability.attacks) == 2
    drawing = [one.model_copy(update={"draws": True}) for one in stability.attacks]
    assert stability_words.still(drawing) == ""


def test_no_name_of_an_attack_becomes_markup(tmp_path):
    names = ("fgsm", "pgd")
    run = make_run(tmp_path / "run", attacks=names, pictures=0, task=PLAIN)
    stored = run.describe()
    for attack in stored["attacks"]:
        attack["name"] += HOSTILE
    run.save_description(stored)
    for press in ATTACKS:
        if press.name in names:
            records = shard(press, Patients.make(60, 1, False), "")
            run.write_shard(press.name, [replace(one, attack=one.attack + HOSTILE) for one in records])
    add_traces(run, {f"{name}{HOSTILE}": WALKS[name] for name in names}, untraced=[f"noise{HOSTILE}"])
    html = section(run, "stability")
    text = Page(html).text
    assert HOSTILE not in html and "<script>alert" not in html and text.count(HOSTILE) > 10


def test_shares_of_paths_are_a_range():
    courses = [Course(row=0, start=place, share=share) for place, share in enumerate((0.301, None, 0.35))]
    assert held(courses) == "the planes hold 30 to 35%"
    assert held(courses[:1]) == "the plane holds 30%" and held(courses[1:2]) == "it did not change the image"


def test_the_terminal_says_it_in_one_line(traced, stability):
    text = printed(traced, 200)
    assert text.count(stability.sentences[0]) == 1 and stability.sentences[1] not in text


def test_the_tables_show_the_figures_of_the_metrics(traced, stability, shown):
    frame = traced.traces()
    for attack in ("pgd", "smia", "hide"):
        summary, one = along_the_run(frame, attack).summary, of(stability, attack)
        for name in ("cos_step", "falling", "half_time", "smoothed_end", "cos_final_half", "plane_share"):
            expected, figure = getattr(summary, name), one.along(name)
            assert figure.value == pytest.approx(expected.value)
        assert f"{one.along('cos_final_half').value:.2f}" in shown.text
        assert f"{100 * one.along('plane_share').value:.1f}%" in shown.text
        assert sentence(one, "linf", say_still=False) in shown.text
    last = frame["step"] == frame["steps"]
    for course in of(stability, "pgd").courses:
        at = last & (frame["attack"] == "pgd") & (frame["row"] == course.row) & (frame["start"] == course.start)
        (place,) = np.flatnonzero(at)
        x, y, length = (frame[name][place] for name in ("plane_x", "plane_y", "l2"))
        assert course.share == pytest.approx((x**2 + y**2) / length**2) and 0 < course.share < 1
    assert len(of(stability, "pgd").courses) == 4 * 3 and len(of(stability, "smia").courses) == 4
    shares = [round(100 * course.share) for course in of(stability, "pgd").courses]
    assert f"the planes hold {min(shares)} to {max(shares)}%" in shown.text
