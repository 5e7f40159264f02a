"""The page in print: four pages without `--full`, also with many budgets and artefacts, and nothing cut off."""

import base64
import re
import time

import pytest

from tests.report import artefacts, dense, world
from tests.report.certificates import add_certificates, item_of
from tests.report.known import render
from tests.view.browser import Browser, chromium

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium is installed")

EPS = (0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
MORE = {"low dose": 0.7, "ring": 0.9, "grain": 0.3, "blur by movement": 0.5, "beam hardening": 0.8, "gain": 0.2}
WIDTH = 687
"""Pixels between the margins of a page of A4."""


@pytest.fixture(scope="module")
def browser():
    with Browser() as page:
        yield page


@pytest.fixture
def crowded(monkeypatch):
    """Made-up runs get twelve budgets, all attacks and eight artefacts."""
    for module in (world, dense):
        monkeypatch.setattr(module, "EPS", EPS)
    monkeypatch.setattr(artefacts, "ATTACKS", world.NAMES)
    monkeypatch.setattr(artefacts, "ARTEFACTS", {**artefacts.ARTEFACTS, **MORE})


def graded(path):
    run = artefacts.make_graded(path)
    certified = [
        {"row": row, "image": f"{row}", "group": f"p{row}", "label": row % 5, "prediction": row % 5, "right": True,
         "score": 1.0}
        for row in range(20)
    ]  # fmt: skip
    return add_certificates(run, certified, [item_of(5.0), item_of(10.0)], [])


RUNS = {"grades": graded, "masks": artefacts.make_masks, "boxes": lambda path: artefacts.make_masks(path, "detection")}


def shown(browser, run, path, **options):
    path.write_text(render(run, **options), encoding="utf-8")
    browser.call("Page.navigate", url=path.as_uri())
    browser.wait("document.readyState === 'complete' && document.getElementById('validity') !== null")
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=900, deviceScaleFactor=1, mobile=False)
    time.sleep(0.1)


@pytest.mark.parametrize("kind", list(RUNS))
def test_a_crowded_run_prints_on_four_pages_with_nothing_cut_off(browser, crowded, kind, tmp_path):
    shown(browser, RUNS[kind](tmp_path / "run"), tmp_path / "page.html")
    assert browser.run("document.documentElement.scrollWidth") <= WIDTH
    printed = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= 4


def test_the_full_page_prints_whole_lines_of_the_plan(browser, tmp_path):
    run = world.make_run(tmp_path / "run", attacks=world.FEW)
    run.plan.write_text(f'title = "x"  # {"a long comment " * 20}\n', encoding="utf-8")
    shown(browser, run, tmp_path / "page.html", full=True)
    assert browser.run("[...document.querySelectorAll('pre')].every((one) => one.scrollWidth <= one.clientWidth)")
    assert "a long comment" in browser.run("document.body.innerText")
