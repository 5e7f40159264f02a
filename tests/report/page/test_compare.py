"""The page and the terminal of a comparison: everything is there, escaped, and needs no network."""

import io
import re

import pytest
from rich.console import Console

from palpate.report.compute.compare.comparison import compare_runs
from palpate.report.compute.compare.gates import parse_gate
from palpate.report.model.schema_compare import ESTABLISHED
from palpate.report.page.compare_html import render_comparison
from palpate.report.page.compare_terminal import show_comparison
from tests.report.pages import Page
from tests.report.pair import make_pair, relabelled
from tests.report.world import HOSTILE, make_run


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folders = make_pair(tmp_path_factory.mktemp("pair"), images=40, attacks=("fgsm", "pgd"))
    gates = [parse_gate("robust accuracy at eps 1: not worse"), parse_gate("clean accuracy: at least 50 points better")]
    return compare_runs(folders, gates=gates, hardened=True)


@pytest.fixture(scope="module")
def html(found):
    return render_comparison(found)


def shown(comparison):
    sink = io.StringIO()
    show_comparison(comparison, Console(file=sink, width=200, highlight=False))
    return sink.getvalue()


def test_the_result_stands_first_and_all_sections_follow(found, html):
    page = Page(html)
    pair = found.pairs[0]
    places = [
        page.text.index(text) for text in (pair.sentence, pair.details[0], "Gates", "The runs", "How it was computed")
    ]
    assert places == sorted(places)
    ids = [attrs["id"] for _, attrs in page.elements if attrs.get("id")]
    for name in ("result-0", "classes-0", "clinical-0", "images-0", "attacks-0", "runs", "method"):
        assert name in ids
    links = {attrs["href"].removeprefix("#") for attrs in page.all("a")}
    assert links <= set(ids)


def test_every_figure_of_the_json_is_on_the_page(found, html):
    rows = html.count('<th scope="row">') - html[html.index('id="runs"') :].count('<th scope="row">')
    checks = len(found.pairs[0].hardening.checks)
    assert rows == len(found.pairs[0].changes) + checks


def test_the_page_asks_no_server_and_runs_only_its_own_script(html):
    page = Page(html)
    assert len(page.all("script")) == 1 and not page.all("link") and not page.all("img")
    policy = next(attrs["content"] for attrs in page.all("meta") if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'") and "sha256-" in policy
    assert "http://" not in html.replace("http://www.w3.org", "") and "https://" not in html


def test_texts_of_files_are_escaped(tmp_path):
    first = make_run(tmp_path / "a", hostile=True, attacks=("fgsm", "pgd"), pictures=0, images=30)
    second = relabelled(make_run(tmp_path / "b", hostile=True, attacks=("fgsm", "pgd"), pictures=0, images=30), seed=3)
    found = compare_runs([first, second], names=True, hardened=True)
    page = Page(render_comparison(found))
    assert len(page.all("script")) == 1 and not page.all("img")
    assert HOSTILE in page.text


def test_the_verdict_of_hardening_and_the_gates_are_shown(found, html):
    text = Page(html).text
    verdict = found.pairs[0].hardening
    assert verdict.sentence in text and all(check.sentence in text for check in verdict.checks)
    assert "The price" in text and text.count("not measured") >= 1
    assert "50 points better" in text


def test_the_terminal_has_sentences_tables_and_gates(found):
    text = shown(found)
    flat = " ".join(text.split())
    assert found.pairs[0].sentence in flat and found.pairs[0].hardening.sentence in flat
    assert "Under any attack, right only in B (new): " in flat
    assert "passed robust accuracy at eps 1: not worse" in flat and "failed clean accuracy: at least 50" in flat
    assert "more rows are on the page" in flat and "[" not in text


def test_rows_of_other_budgets_are_counted(found):
    assert "more rows are on the page" in shown(found)


def test_only_gates_have_a_colour_that_means_good_or_bad(found, html):
    rules = [line for line in html[: html.index("</style>")].splitlines() if re.search(r"var\(--(good|bad)\)", line)]
    assert rules and all(rule.lstrip().startswith(".gates") for rule in rules)
    drawing = html[html.index('aria-labelledby="forest-0-title') :]
    assert not re.search(r"var\(--s\d\)", drawing[: drawing.index("</svg>")])
    sink = io.StringIO()
    show_comparison(found, Console(file=sink, width=200, highlight=False, force_terminal=True, color_system="standard"))
    coloured = [line for line in sink.getvalue().splitlines() if re.search(r"\x1b\[[\d;]*3[123]m", line)]
    assert len(coloured) == len(found.gates) and all("passed" in line or "failed" in line for line in coloured)


def test_an_established_difference_has_a_filled_mark_and_its_word(found):
    pair = found.pairs[0]
    changes = [pair.changes[0].model_copy(update={"reading": "better"}), *pair.changes[1:]]
    known = sum(one.reading in ESTABLISHED for one in changes)
    html = render_comparison(found.model_copy(update={"pairs": [pair.model_copy(update={"changes": changes})]}))
    assert re.search(r'class="reading established"><i aria-hidden="true">●</i> better</span>', html)
    table = html[html.index('id="result-0"') :]
    assert table.count('class="reading established"') == known
    assert table.count("○</i> not established") == sum(one.reading == "not established" for one in changes)
