from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palpate.report.draw import figures
from palpate.report.draw.axis import BudgetAxis, stagger
from palpate.report.draw.canvas import SvgCanvas, shorten, spread_labels
from tests.report.known import measure
from tests.report.world import FEW, make_run

SVG = "{http://www.w3.org/2000/svg}"


def drawings(results):
    made = [
        figures.robustness(results),
        figures.per_class(results),
        figures.direction(results, "missed_disease"),
        figures.direction(results, "invented_disease"),
    ]
    made += [figures.grading(results, name) for name in ("quadratic_kappa", "area_under_roc", "sensitivity")]
    return made + [figures.attack_panel(results, one, f"panel-{i}") for i, one in enumerate(results.attacks)]


@pytest.fixture(scope="module")
def drawn(results):
    return drawings(results)


def test_drawings_are_well_formed_and_named(drawn):
    for svg in drawn:
        root = ElementTree.fromstring(svg)
        title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
        assert root.get("role") == "img" and title.text and description.text
        assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


def test_ids_are_unique_on_the_page_and_references_resolve(drawn):
    ids = [found for svg in drawn for found in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(ids) == len(set(ids))
    for svg in drawn:
        for target in re.findall(r'(?:href="#|url\(#)([^")]+)', svg):
            assert target in ids


def test_colours_and_fonts_are_the_page_s(drawn):
    for svg in drawn:
        assert not re.findall(r"#[0-9a-f]{6}", svg) and "DejaVu" not in svg
        assert ("var(--sans)" in svg and "var(--ink)" in svg) or "var(--muted)" in svg


def test_the_same_run_gives_the_same_bytes(results, drawn):
    assert drawings(results) == drawn


def test_matplotlib_s_settings_are_left_alone(results):
    before = dict(mpl.rcParams)
    figures.robustness(results)
    assert dict(mpl.rcParams) == before


def test_texts_from_files_stay_text(hostile):
    for svg in drawings(measure(hostile)):
        root = ElementTree.fromstring(svg)
        assert not [node for node in root.iter() if node.tag in {f"{SVG}script", f"{SVG}image"}]


def test_a_dollar_sign_is_a_dollar_sign(tmp_path):
    task = {"kind": "ordinal", "head": "softmax", "classes": ["$x^2$", "$\\bad{", "c", "d", "e"], "disease": [2, 3, 4]}
    svg = figures.per_class(measure(make_run(tmp_path / "run", task=task, attacks=FEW, pictures=0)))
    texts = [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert "$x^2$" in texts and "$\\bad{" in texts


def test_a_class_without_images_says_so(tmp_path):
    svg = figures.per_class(measure(make_run(tmp_path / "run", images=4, attacks=FEW, pictures=0)))
    assert "no image" in [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_axis_is_logarithmic_only_for_a_wide_span():
    wide, narrow = BudgetAxis((0.25, 0.5, 1.0, 4.0), 255.0), BudgetAxis((1.0, 2.0, 4.0), 255.0)
    assert wide.logarithmic and not narrow.logarithmic
    places = [wide.place(eps) for eps in (0.0, 0.25, 0.5, 1.0, 4.0)]
    assert places == sorted(places) and places[2] - places[1] == pytest.approx(places[3] - places[2])
    assert [narrow.place(eps) for eps in (0.0, 1.0, 4.0)] == [0.0, 1.0, 4.0]
    assert not BudgetAxis((1.0,), 255.0).logarithmic


def test_every_budget_has_a_label_that_touches_no_other_and_a_logarithmic_axis_says_so():
    eps = (0.25, 0.5, 1.0, 1.25, 1.5, 2.0, 4.0)
    scale = BudgetAxis(eps, 255.0)
    with SvgCanvas(300, 206, (40, 44, 10, 10)) as canvas:
        scale.dress(canvas, fractions=False)
        drawn = canvas.svg("title", "words", "axis")
        labels = [label.get_text() for label in canvas.axes.get_xticklabels()]
    assert [label.strip() for label in labels] == ["clean", "0.25", "0.5", "1", "1.25", "1.5", "2", "4"]
    assert "logarithmic axis" in drawn and any(label.startswith("\n") for label in labels)
    assert stagger([0, 30, 35, 40], [3, 3, 3, 3]) == [0, 0, 1, 2]


def test_a_drawing_has_the_strongest_attack_of_each_family_and_noise(results):
    shown = [attack.name for attack in figures.compared(results)]
    assert shown == ["noise", "apgd-margin"]
    square = next(one for one in results.attacks if one.name == "fgsm").model_copy(update={"catalog": "square"})
    more = [
        square.model_copy(update={"name": name, "catalog": name}) for name in ("square", "fmn", "vafa", "universal")
    ]
    many = figures.compared(results.model_copy(update={"attacks": [*results.attacks, *more]}))
    assert len(many) == figures.LINES - 1 and {"noise", "apgd-margin"} <= {attack.name for attack in many}


def test_a_length_over_all_values_is_no_share_of_their_range():
    each, length = BudgetAxis((51.0,), 255.0), BudgetAxis((51.0,), 255.0, shares=False)
    assert each.share(51.0) == "20%" and "share" in each.title
    assert length.share(51.0) == "" and "share" not in length.title


@given(st.lists(st.floats(0, 1), min_size=1, max_size=14), st.floats(0.01, 0.07))
def test_labels_keep_their_order_their_distance_and_the_page(heights, gap):
    placed = spread_labels(heights, gap)
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    assert all(placed[b] - placed[a] >= gap - 1e-9 for a, b in pairwise(order))
    assert min(placed) >= -1e-9 and max(placed) <= 1 + 1e-9


def test_labels_that_are_apart_stay():
    assert spread_labels([0.9, 0.1, 0.5], 0.1) == [0.9, 0.1, 0.5]


def test_long_names_are_cut():
    assert shorten("short") == "short" and len(shorten("x" * 50)) == 22
