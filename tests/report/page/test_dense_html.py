from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from palpate.report import write_report
from palpate.report.compute.parts import froc_attack, panels
from palpate.report.draw import figures
from palpate.report.draw import parts as part_figures
from palpate.report.model.description import read_description
from palpate.report.model.schema import Results
from palpate.report.page import views
from palpate.report.page.cards import card
from palpate.storage.runs import RunFolder
from tests.report.dense import STRENGTH, WORLDS, make_dense
from tests.report.known import measure, printed, render
from tests.report.pages import Page
from tests.report.world import HOSTILE

Made = tuple[RunFolder, Results, Page]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Made]:
    folder = tmp_path_factory.mktemp("dense")
    out = {}
    for kind in WORLDS:
        run = make_dense(folder / kind, kind, pictures=2)
        results = measure(run)
        out[kind] = (run, results, Page(render(run)))
    return out


@pytest.mark.parametrize("kind", list(WORLDS))
def test_a_page_has_the_sections_of_its_task_and_no_other(made, kind):
    _, results, page = made[kind]
    sections = {attrs["id"] for attrs in page.all("section")}
    assert "parts" in sections and not sections & {"classes", "clinical", "grading"}
    ids = [attrs["id"] for _, attrs in page.elements if attrs.get("id")]
    assert len(ids) == len(set(ids))
    assert {attrs["href"][1:] for attrs in page.all("a")} <= set(ids)
    for text in ("Clean accuracy", "Robust accuracy", "Missed disease", "None", "nan"):
        assert text not in page.text, text
    assert "Acceptable without an attack" in page.text and results.verdict.sentence in page.text
    part = {"multilabel": "finding", "detection": "class of box"}.get(kind, "structure")
    assert f"Per {part}" in page.text and all(name in page.text for name in results.task.classes)


@pytest.mark.parametrize("kind", list(WORLDS))
def test_every_series_is_in_a_table_with_its_worst_case(made, kind):
    _, results, page = made[kind]
    scale = figures.scale_of(results)
    for panel in panels(results, scale.eps):
        assert panel.title in page.text
        for row in panel.rows:
            order = {"higher": min, "lower": max}[row.series.better]
            for eps, worst in zip(scale.eps, row.worst, strict=True):
                at = [one.figure.value for points in row.series.attacks.values() for one in points if one.eps == eps]
                assert worst is not None and worst.eps == eps
                # It is as bad as the worst attack, or worse because attacks differ from image to image.
                alone = order(value for value in at if value is not None)
                assert order(worst.figure.value, alone) == worst.figure.value


@pytest.mark.parametrize("kind", list(WORLDS))
def test_charts_are_well_formed_named_and_in_the_page_s_colours(made, kind):
    _, results, _ = made[kind]
    scale = figures.scale_of(results)
    drawn = [part_figures.chart(results, panel, scale) for panel in panels(results, scale.eps)]
    if kind == "detection":
        drawn.append(part_figures.froc(results, scale, froc_attack(results, scale.eps)))
    for svg in drawn:
        root = ElementTree.fromstring(svg)
        title, description = (root.find(f"{{http://www.w3.org/2000/svg}}{name}") for name in ("title", "desc"))
        assert title.text and description.text and "nan" not in description.text
        assert not re.findall(r"#[0-9a-f]{6}", svg)
    assert drawn[0] == part_figures.chart(results, panels(results, scale.eps)[0], scale)


def test_outlines_and_boxes_lie_over_both_pictures_and_not_over_the_change(made):
    for kind, per_picture in (("segmentation", "M"), ("detection", "M")):
        run, results, page = made[kind]
        actual = read_description(run)
        shown = card(run, actual.gallery[0], results, named=False)
        before, after, change = shown["slices"][0]["pictures"]
        (plane,) = actual.gallery[0].slices
        assert len(before["marks"]) == len(plane.marks.truth) + len(plane.marks.clean) > 0
        assert len(after["marks"]) == len(plane.marks.truth) + len(plane.marks.adversarial)
        assert change["marks"] == [] and before["marks"][0]["path"].startswith(per_picture)
        paths = [attrs["class"] for attrs in page.all("path") if attrs.get("class")]
        assert {one.split()[0] for one in paths} == {"truth", "found"}


def test_a_box_is_drawn_at_its_fractions(made):
    run, results, _ = made["detection"]
    picture = read_description(run).gallery[0]
    wide = picture.model_copy(update={"slices": [picture.slices[0].model_copy(update={"aspect": 2.0})]})
    mark, drawn = picture.slices[0].marks.truth[0], card(run, wide, results, named=False)
    (x1, y1), (x2, y2) = mark.points
    left, top, right, bottom = round(2000 * x1), round(1000 * y1), round(2000 * x2), round(1000 * y2)
    path = drawn["slices"][0]["pictures"][0]["marks"][0]["path"]
    assert path == f"M{left} {top}L{right} {top}L{right} {bottom}L{left} {bottom}Z"


def test_drawings_are_described_for_readers_who_do_not_see_them(made):
    _, _, page = made["segmentation"]
    alts = [attrs["alt"] for attrs in page.all("img")]
    stored = next(alt for alt in alts if alt.startswith("as stored"))
    assert re.search(r"annotated: 1 left lung, 1 right lung.*; found: 1 left lung", stored)
    assert all(attrs.get("aria-hidden") == "true" for attrs in page.all("svg") if attrs.get("class") == "marks")


def test_layers_and_structures_can_be_hidden_without_a_script(made):
    run, _, page = made["segmentation"]
    boxes = {attrs["id"] for attrs in page.all("input")}
    assert boxes == {"show-truth", "show-found", "show-part-0", "show-part-1", "show-part-2"}
    html = render(run)
    for name in boxes:
        part = name.removeprefix("show-")
        assert f"#gallery:has(#{name}:not(:checked)) .marks .{part} {{ display: none; }}" in html
    assert not made["multilabel"][2].all("input")


def test_a_volume_lists_its_slices_and_starts_at_the_one_that_changed_most(made):
    run, _, page = made["volume"]
    actual = read_description(run)
    viewers = [attrs for attrs in page.all("div") if attrs.get("class") == "slices"]
    slices = [attrs["data-words"] for attrs in page.all("div") if attrs.get("class") == "slice"]
    assert len(viewers) == 2 and len(slices) == 12 and not any("hidden" in attrs for attrs in page.all("div"))
    assert slices[0] == "slice 8 of 24 along axis 3, 103 pixels changed" and {one["data-start"] for one in viewers} == {
        "5"
    }
    assert len(page.all("img")) == 2 + 3 * sum(len(one.slices) for one in actual.gallery)


def test_the_page_stops_adding_volumes_before_it_is_too_large(made):
    run, results, _ = made["volume"]
    (picture, *_) = read_description(run).gallery
    gallery = [picture.model_copy(update={"row": row, "success": True}) for row in range(12)]
    assert len(views.chosen(gallery, results)) == 8, "of six slices each"


def test_findings_are_listed_before_and_after(made):
    run, results, _ = made["multilabel"]
    picture = read_description(run).gallery[0]
    rows = card(run, picture, results, named=False)["table"]
    assert [row["part"] for row in rows] == results.task.classes
    thresholds = results.task.operating.thresholds
    for place, row in enumerate(rows):
        annotated, before, after = row["cells"]
        assert annotated == {1.0: "present", 0.0: "absent", -1.0: "unknown"}[picture.truth[place]]
        assert (before, after) == (f"{picture.clean_found[place]:.2f}", f"{picture.found[place]:.2f}")
        flipped = (picture.clean_found[place] > thresholds[place]) != (picture.found[place] > thresholds[place])
        assert row["turned"] == flipped
    assert any(row["turned"] for row in rows)


def test_sources_and_words_are_those_of_the_task(made):
    assert "Metrics Reloaded" in made["segmentation"][2].text and "Hausdorff distance" in made["volume"][2].text
    assert "LUNA16" in made["detection"][2].text and "FROC" in made["detection"][2].text
    assert not any("Kappa" in made[kind][2].text for kind in WORLDS)


def test_grey_values_that_are_shown_are_said(made):
    assert "stored values −980 to 420 shown black to white" in made["segmentation"][2].text
    assert "shown black to white" not in made["detection"][2].text


def test_spacing_shape_and_operating_point_are_said(made):
    assert "0.8 × 0.8 mm" in made["segmentation"][2].text and "of different shapes" in made["volume"][2].text
    assert "confidence 0.5, overlap 0.5" in made["detection"][2].text
    assert "effusion above 0.5, mass above 0.4" in made["multilabel"][2].text


def test_without_spacing_the_page_says_what_distances_are_in(tmp_path):
    run = make_dense(tmp_path / "run", "segmentation", pictures=0)
    stored = run.describe()
    run.save_description({**stored, "data": {**stored["data"], "spacing": None}})
    assert "distances and sizes are in pixels or voxels" in Page(render(run)).text


@pytest.mark.parametrize("kind", ["segmentation", "multilabel"])
def test_no_text_from_a_file_becomes_markup(made, tmp_path, kind):
    run = make_dense(tmp_path / "run", kind, hostile=True, pictures=2)
    html = render(run, names=True)
    attacked, plain = Page(html), made[kind][2]
    assert HOSTILE not in html and "<script>alert" not in html
    assert attacked.scripts == plain.scripts
    assert all(not any(name.startswith("on") for name in attrs) for _, attrs in attacked.elements)
    assert {tag for tag, _ in attacked.elements} == {tag for tag, _ in plain.elements}
    assert attacked.text.count(HOSTILE) > 40


def test_names_of_images_are_hidden_unless_asked(made):
    run, _, page = made["volume"]
    assert "case_0" not in page.text
    assert "case_0" in Page(render(run, names=True)).text


@pytest.mark.parametrize("kind", list(WORLDS))
def test_an_unfinished_run_makes_a_page(tmp_path, kind):
    run = make_dense(tmp_path / "a", kind, leave_out=["pgd", "cospgd"], status="unfinished", finished=None, pictures=1)
    page = Page(render(run))
    assert "This run is unfinished. 2 of 4 attacks" in page.text and "Per " in page.text
    run = make_dense(tmp_path / "b", kind, leave_out=list(STRENGTH), status="unfinished", finished=None, pictures=0)
    write_report(run)
    assert "whose result was acceptable" in run.report.read_text()


@pytest.mark.parametrize("kind", list(WORLDS))
def test_the_terminal_shows_the_leading_series_in_eighty_columns(made, kind):
    run, results, _ = made[kind]
    text = printed(run, 80)
    assert max(map(len, text.splitlines())) <= 80 and "Robust accuracy" not in text
    scale = figures.scale_of(results)
    for panel in panels(results, scale.eps):
        assert (f"{panel.title}, {panel.order}" in " ".join(text.split())) == panel.leading
