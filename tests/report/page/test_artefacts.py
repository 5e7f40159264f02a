from __future__ import annotations

from xml.etree import ElementTree

import pytest

from palpate.report.draw.artefacts import MOST, chart, drawn
from palpate.report.model.description import read_description
from palpate.report.page.artefact_cards import cards
from tests.report.artefacts import make_graded, make_masks
from tests.report.known import measure, printed, render
from tests.report.pages import Page, section
from tests.report.world import HOSTILE, PLAIN, make_run


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    return make_graded(tmp_path_factory.mktemp("graded") / "run")


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    return make_masks(tmp_path_factory.mktemp("masks") / "run")


@pytest.fixture(scope="module")
def grades(graded):
    return measure(graded)


@pytest.fixture(scope="module")
def page(graded, grades):
    return Page(render(graded))


def test_the_first_screen_has_both_halves(grades, page):
    first = page.text[: page.text.index("What was tested, and how")]
    for text in (grades.verdict.sentence, grades.artefacts.sentence, grades.artefacts.side_by_side):
        assert text in first
    assert "Accuracy with the worst artefact found" in first
    assert all(item.name in first for item in grades.artefacts.items)


def test_the_table_gives_the_figures(graded, grades):
    text = Page(section(graded, "artefacts")).text
    for item in grades.artefacts.items:
        figures = [item.clean_acceptable, *(point.acceptable for point in item.points), item.worst.acceptable]
        assert all(f"{100 * figure.value:.1f}%" in text for figure in figures)
        assert f"{item.worst.failed}of {item.worst.eligible}" in text and f"{100 * item.added_error.value:+.1f}" in text
        assert item.first_failing.words in text
    for heading in ("Missed and invented disease", "How the search went", "where the ranges are from"):
        assert heading in text
    for source in ("Someone et al., 2020", "Physics of metal, 1990.", "2, 4, 6, 9, 12 mm", "titanium, iron"):
        assert source in text


def test_measures_of_masks_are_listed_before_and_after(masks):
    text = Page(section(masks, "artefacts")).text
    assert "Other measures" in text and "Hausdorff distance, 95th percentile (mm)" in text
    assert "the same images before" in text and "Missed and invented disease" not in text


def test_a_run_without_artefacts_has_no_trace_of_them(tmp_path):
    html = render(make_run(tmp_path / "run", attacks=("pgd",), pictures=0, task=PLAIN))
    assert 'id="artefacts"' not in html and "Artefact" not in Page(html).text and "gallery-artefacts" not in html


def test_the_gallery_shows_each_artefact_before_and_after(graded, page):
    pictures = [attrs["alt"] for attrs in page.all("img")]
    assert sum(alt.startswith("with ") for alt in pictures) == 2 and "with metal, row" in " ".join(pictures)
    assert "Severity 3: diameter 6 mm, rotation 2.1 degrees, place 25% of the width, material iron" in page.text
    assert "eye_0" not in page.text and "eye_0" in Page(render(graded, names=True)).text


def test_where_anatomy_moves_the_image_as_stored_has_its_own_annotation(masks):
    description = read_description(masks)
    metal, motion = cards(masks, description.artefacts.pictures, description.artefacts.items, measure(masks),
                          named=False)  # fmt: skip
    marks = description.artefacts.pictures[0].slices[0].marks
    assert marks.truth != marks.clean

    def truth(card, place):
        return [mark["path"] for mark in card["slices"][0]["pictures"][place]["marks"] if mark["by"] == "truth"]

    assert truth(metal, 0) == truth(metal, 1) == truth(motion, 1) != truth(motion, 0)


def test_a_picture_that_is_gone_leaves_a_note(tmp_path):
    run = make_graded(tmp_path / "run", task=PLAIN)
    for path in run.images.glob("artefact-*"):
        path.unlink()
    assert Page(render(run)).text.count("picture not in the run folder") == 4


@pytest.mark.parametrize("kind", ["graded", "masks"])
def test_no_text_from_a_file_becomes_markup(kind, tmp_path, graded, masks):
    plain = Page(render({"graded": graded, "masks": masks}[kind], names=True))
    run = (make_graded if kind == "graded" else make_masks)(tmp_path / "run", hostile=True)
    html = render(run, names=True)
    attacked = Page(html)
    assert HOSTILE not in html and "<script>alert" not in html
    assert attacked.scripts == plain.scripts
    assert all(not any(name.startswith("on") for name in attrs) for _, attrs in attacked.elements)
    assert {tag for tag, _ in attacked.elements} == {tag for tag, _ in plain.elements}
    for text in (f"metal{HOSTILE}", f"diameter{HOSTILE}", f"mm{HOSTILE}", f"iron{HOSTILE}", f"2020{HOSTILE}",
                 f"1990.{HOSTILE}", f"A made-up artefact, metal.{HOSTILE}"):  # fmt: skip
        assert text in attacked.text, text
    text = printed(run, 200)
    assert "metal<script>" in text


def test_a_reference_has_its_own_column(tmp_path, graded):
    assert "relative error" not in section(graded, "artefacts")
    run = make_graded(tmp_path / "run", task=PLAIN)
    stored, errors = run.describe(), {"metal-item": 0.5}
    reference = {"title": HOSTILE, "model": "old.py:build", "weights": "00", "errors": errors, "clean": {}}
    run.save_description({**stored, "artefacts": {**stored["artefacts"], "reference": reference}})
    part, error = section(run, "artefacts"), measure(run).artefacts.items[0].relative_error
    assert HOSTILE not in part and f"{HOSTILE}: old.py:build (1: as" in Page(part).text
    assert f"<b>{error:.2f}</b><small>added: –</small>" in part


def test_letters_that_act_are_replaced(tmp_path):
    run = make_graded(tmp_path / "run", task=PLAIN)
    stored = run.describe()
    item = {**stored["artefacts"]["items"][0], "summary": "\x1b[31m\u202e"}
    run.save_description({**stored, "artefacts": {**stored["artefacts"], "items": [
        item, stored["artefacts"]["items"][1]]}})  # fmt: skip
    html = render(run)
    assert "\x1b" not in html and "\u202e" not in html


@pytest.mark.parametrize("left", [["patient motion"], ["metal", "patient motion"]])
def test_an_unfinished_run_makes_a_page(tmp_path, left):
    run = make_graded(tmp_path / "run", leave_out=left, task=PLAIN)
    page = Page(render(run))
    assert "has not finished" in page.text and "nan" not in page.text.split() and "None" not in page.text
    text = printed(run, 100)
    assert "not finished: the figures of artefacts are provisional" in " ".join(text.split())


def test_every_id_is_unique_and_every_anchor_leads_somewhere(page):
    ids = [attrs["id"] for _, attrs in page.elements if attrs.get("id")]
    assert len(ids) == len(set(ids)) and {attrs["href"][1:] for attrs in page.all("a")} <= set(ids)


def test_the_drawing_has_at_most_six_lines_those_that_fall_lowest(grades):
    item = grades.artefacts.items[0]

    def named(place):
        worst = item.worst.model_copy(
            update={"acceptable": item.worst.acceptable.model_copy(update={"value": place / 10})}
        )
        return item.model_copy(update={"name": f"artefact {place}", "worst": worst})

    many = grades.artefacts.model_copy(update={"items": [named(place) for place in (9, 1, 8, 3, 2, 7, 4, 5)]})
    assert [place for place, _ in drawn(many, grades.task)] == [1, 3, 4, 5, 6, 7] and MOST == 6
    svg = chart(many, grades.task)
    root = ElementTree.fromstring(svg)
    title, said = (root.find(f"{{http://www.w3.org/2000/svg}}{name}").text for name in ("title", "desc"))
    assert title == "Accuracy against severity" and "artefact 1: 80.0% as stored" in said and "nan" not in said
    assert "artefact 9" not in svg


@pytest.mark.parametrize("kind", ["graded", "masks"])
def test_the_terminal_shows_them_in_eighty_columns(kind, graded, masks):
    run = {"graded": graded, "masks": masks}[kind]
    results, lines = measure(run), printed(run).splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert results.artefacts.sentence in text and results.artefacts.side_by_side in text
    worst = results.artefacts.items[0].worst
    assert any(line.startswith("metal") and f"{worst.failed}/{worst.eligible}" in line for line in lines)
