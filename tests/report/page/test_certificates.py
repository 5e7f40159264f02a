"""Certificates on the page, in the terminal and in `results.json`."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from palpate.errors import StorageError
from palpate.report.compute.certificates.sentences import SPEAKS
from palpate.report.draw.certificates import chart
from tests.report.certificates import make_graded, make_masks
from tests.report.known import measure, printed, render
from tests.report.pages import Page, section
from tests.report.world import HOSTILE, PLAIN, make_run


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    return make_graded(tmp_path_factory.mktemp("graded") / "run")


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    return make_masks(tmp_path_factory.mktemp("masks") / "run")


def in_terminal(run):
    text = printed(run, 80)
    assert max(map(len, text.splitlines())) <= 80
    return " ".join(text.split())


def test_figures_are_those_of_the_rows_and_know_patients(graded):
    summary, frame = measure(graded).certificates, graded.certificate_frame()
    assert summary.images == 20 and [item.sigma for item in summary.items] == [5, 10]
    for item in summary.items:
        for point in item.points:
            rows = (frame["sigma"] == item.sigma) & (frame["radius"] == point.radius)
            assert point.certified.acceptable.value == pytest.approx(frame["least_acceptable"][rows].mean())
            assert point.attacked.acceptable.value == pytest.approx(frame["most_acceptable"][rows].mean())
            assert point.certified.acceptable.value <= point.attacked.acceptable.value
            assert point.abstained.value == pytest.approx(frame["abstained"][rows].mean())
            assert point.certified.acceptable.method == "Wilson, effective sample size"
        assert item.forwards == 20 * 2100 and item.unsettled.value == pytest.approx(2 / 20)


def test_the_section_says_what_is_certain_and_of_which_model(graded):
    text, results = Page(section(graded, "certificates")).text, measure(graded)
    first = Page(render(graded)).text.partition("What was tested, and how")[0]
    assert results.certificates.sentence in first and results.certificates.sentence in text
    for said in (*results.certificates.details, SPEAKS, "not known", "Clopper-Pearson", "2100 + 1920"):
        assert said in text, said
    for item in results.certificates.items:
        for point in item.points:
            assert f"{100 * point.certified.acceptable.value:.1f}".removesuffix(".0") in text


def test_the_sentence_names_both_bounds_at_one_radius(graded):
    results = measure(graded)
    (point,) = [one for one in results.certificates.items[0].points if one.radius == 5]
    sentence = results.certificates.sentence
    assert f"accuracy of at least {100 * point.certified.acceptable.value:.1f}%" in sentence
    assert f"at most {100 * point.attacked.acceptable.value:.1f}%" in sentence and "up to 5" in sentence
    assert "What lies between is not known." in sentence


def test_the_drawing_has_both_lines_and_the_region_between(graded):
    results = measure(graded)
    svg = chart(results.certificates, results.task, results.data)
    root = ElementTree.fromstring(svg)
    title, said = (root.find(f"{{http://www.w3.org/2000/svg}}{name}").text for name in ("title", "desc"))
    assert title == "Accuracy against L2 radius" and "sigma 5, radius 2: at least" in said and "nan" not in svg
    assert svg.count("certified at least") == svg.count("attacked at most") == 2


def test_masks_show_their_score_and_each_structure(masks):
    text, results = Page(section(masks, "certificates")).text, measure(masks)
    assert "mean Dice of at least" in results.certificates.sentence
    assert "Per structure" in text and "pixel accuracy" in text and "Holm’s correction" in text and "0.75" in text
    (item,) = results.certificates.items
    assert item.tau_radius == 5 and item.median_radius is None
    frame = masks.certificate_frame()
    rows = frame["radius"] == 2
    part = item.points[1].parts[1]
    assert (part.name, part.part) == ("dice", "liver")
    assert part.least.value == pytest.approx(np.mean([one[1] for one in frame["least_parts"][rows]]))


def test_the_terminal_shows_both_lines(graded, masks):
    for run in (graded, masks):
        text, summary = in_terminal(run), measure(run).certificates
        assert summary.sentence in text and SPEAKS in text
        assert "certified at least" in text and "attacked at most" in text and "by L2 radius" in text


def test_a_run_without_certificates_has_no_trace_of_them(tmp_path):
    run = make_run(tmp_path / "run", attacks=("pgd",), pictures=0, task=PLAIN)
    html = render(run)
    assert 'id="certificates"' not in html and "ertif" not in Page(html).text and "certified" not in in_terminal(run)
    assert measure(run).certificates is None


def test_without_an_attack_the_upper_line_is_missing(tmp_path):
    why = "The smoothed model is not attacked: no gradient."
    run = make_graded(tmp_path / "run", attack=False, sigmas=(5.0,), unattacked=why)
    results = measure(run)
    assert [point.attacked is None for point in results.certificates.items[0].points] == [False] + 4 * [True]
    assert "not attacked, so how far it really holds is not known" in results.certificates.sentence
    svg = chart(results.certificates, results.task, results.data)
    assert "attacked at most" not in svg and why in Page(section(run, "certificates")).text


def test_an_unfinished_run_makes_a_page(tmp_path):
    run = make_graded(tmp_path / "run")
    for path in sorted((run.path / "certificates").glob("sigma-10-*.parquet"))[:7]:
        path.unlink()
    assert "7 of 40 certificates are not finished" in Page(section(run, "certificates")).text
    for path in (run.path / "certificates").glob("*.parquet"):
        path.unlink()
    text = Page(section(run, "certificates")).text
    assert "No certificate has finished on any image." in text and "nan" not in text and "None" not in text
    assert "No certificate has finished" in in_terminal(run)


def test_no_text_from_a_file_becomes_markup(masks, tmp_path):
    html = render(make_masks(tmp_path / "run", hostile=True))
    plain, attacked = Page(render(masks)), Page(html)
    assert HOSTILE not in html and f"liver{HOSTILE}" in attacked.text and attacked.scripts == plain.scripts
    assert {tag for tag, _ in attacked.elements} == {tag for tag, _ in plain.elements}


def test_every_id_is_unique_and_every_anchor_leads_somewhere(graded):
    page = Page(render(graded))
    ids = [attrs["id"] for _, attrs in page.elements if attrs.get("id")]
    assert len(ids) == len(set(ids)) and {attrs["href"][1:] for attrs in page.all("a")} <= set(ids)


def test_rows_that_do_not_belong_to_the_run_are_refused(tmp_path):
    run = make_graded(tmp_path / "run", sigmas=(5.0,))
    stored = run.describe()
    item = {**stored["certificates"]["items"][0], "item": "another"}
    run.save_description({**stored, "certificates": {**stored["certificates"], "items": [item]}})
    with pytest.raises(StorageError, match=r"certificates sigma-5 that run\.json does not name"):
        measure(run)
    run.save_description({**stored, "certificates": {**stored["certificates"], "shards": "all"}})
    with pytest.raises(StorageError, match=r"certificates\.shards"):
        measure(run)
    run.save_description({**stored, "certificates": {**stored["certificates"], "parts": [["dice", "x"]]}})
    with pytest.raises(StorageError, match="different parts"):
        measure(run)
