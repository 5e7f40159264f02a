"""The page in a real browser, by its keys: once on the server, once as a folder with hostile names."""

import csv
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from palpate.view.folder import write_folder
from palpate.view.opened import opened
from palpate.view.server import Server
from palpate.view.site import Site
from tests.view.browser import Browser, chromium

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium is installed")

HOSTILE = "</script><script>window.harm = 1</script>\"'><img src=x onerror=window.harm=2>"
NAMES = [HOSTILE, '=cmd("calc")', "a\nb,c.png", "\u202egnp.exe", '"quoted"', " @SUM(1)"]


@pytest.fixture(scope="module")
def browser():
    with Browser() as page:
        yield page


@pytest.fixture(scope="module")
def found(masks):
    return opened(masks)


@pytest.fixture
def address(found):
    with Server(Site(found)) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running.address
        running.shutdown()
        thread.join(5)


def saved(browser, name):
    """The rows of a CSV that the page saves."""
    browser.run("document.getElementById('csv').click()")
    path, end = browser.downloads / name, time.monotonic() + 20
    while not path.is_file() or not path.stat().st_size:
        assert time.monotonic() < end, "nothing was saved"
        time.sleep(0.02)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    path.unlink()
    return rows


CHOSEN = "document.getElementById('which').textContent"
SHOWN = "[...document.querySelectorAll('#stage img')].every((one) => one.complete && one.naturalWidth === 16)"
LISTED = "document.getElementById('count').textContent"


def test_records_are_filtered_sorted_opened_and_saved_by_keys(browser, address, found):
    frame = found.frame
    browser.open(address)
    count = len(frame["row"])
    assert browser.run(LISTED).startswith(f"{count} records")
    assert browser.run("document.querySelectorAll('#table tbody tr[data-place]').length") > 10

    browser.run("document.querySelector('#filters [name=verdict]').focus()")
    browser.press("b")  # the choice that begins with this letter: beaten
    assert browser.wait(f"{LISTED}.startsWith('{int(frame['success'].sum())} of {count} ')")
    browser.run(
        "[...document.querySelectorAll('#table thead button')].find((one) => one.textContent === 'Margin').focus()"
    )
    browser.press("Enter")
    assert browser.run("document.querySelector('[aria-sort=ascending] button').textContent") == "Margin"
    rows = saved(browser, "attacks.csv")
    assert [float(row["Margin"]) for row in rows] == pytest.approx(sorted(frame["margin"][frame["success"]]), rel=1e-5)
    assert {row["Verdict"] for row in rows} == {"beaten"}

    browser.run("document.querySelector('#table tbody tr[tabindex=\"0\"]').focus()")
    browser.press("ArrowDown")
    browser.press("Enter")
    second = browser.wait(f"document.querySelectorAll('#stage img').length === 2 && {SHOWN} && {CHOSEN}")
    order = sorted(np.flatnonzero(frame["success"]), key=lambda place: (frame["margin"][place], place))
    wanted = [f"Image {frame['row'][place]}, {frame['attack'][place]} at budget" for place in order[:3]]
    assert second.startswith(wanted[1])
    browser.press("d")
    assert browser.wait(
        f"document.querySelector('#stage img.change') && {SHOWN} && !document.getElementById('scale').hidden"
    )
    browser.press("ArrowRight")
    assert browser.run(CHOSEN).startswith(wanted[2])
    browser.press("+")
    link = browser.run("location.href")
    assert "view=change" in link and "zoom=1.5" in link and "sort=margin" in link and "is.verdict=beaten" in link

    browser.press("?")
    assert browser.run("document.getElementById('help').open")
    browser.press("Escape")
    browser.wait("!document.getElementById('help').open")
    browser.press("Escape")
    assert browser.run("document.getElementById('opened').hidden")
    browser.open(link)
    assert browser.wait(f"{SHOWN} && document.querySelector('#stage img.change') && {CHOSEN}").startswith(wanted[2])
    assert browser.run("document.getElementById('zoom-said').textContent") == "150%"
    assert browser.complaints == []


def traced(found, rows):
    """A record whose attack was traced on an image that has a certificate, and its address."""
    frame = found.frame
    place = next(place for place in np.flatnonzero(found.traced) if frame["row"][place] in rows)
    return place, f"#open={frame['row'][place]}~{float(frame['eps'][place])!r}~{frame['attack'][place]}"


@pytest.fixture(scope="module")
def sure(certified):
    return opened(certified)


def test_the_steps_of_a_trace_and_its_maps_are_walked_by_keys(browser, sure, tmp_path):
    place, link = traced(sure, set(sure.certificates["row"].tolist()))
    write_folder(sure, tmp_path / "out", 400)
    browser.open((tmp_path / "out" / "index.html").as_uri() + link)
    said = "document.getElementById('step-said').textContent"
    browser.wait("document.getElementById('step-said') !== null")
    mine = (sure.traces["row"] == sure.frame["row"][place]) & (sure.traces["item"] == sure.frame["item"][place])
    first = mine & (sure.traces["start"] == sure.traces["start"][mine][0])
    last = int(sure.traces["step"][first].max())
    assert browser.run(said).startswith(f"Step {last} of {last}: margin ")
    for step in range(last - 1, -1, -1):
        browser.press(",")
        margin = float(sure.traces["margin"][first & (sure.traces["step"] == step)][0])
        assert browser.run(said).startswith(f"Step {step} of {last}: ")
        assert float(browser.run(f"{said}.match(/margin (.+?),/)[1].replace('\u2212', '-')")) == pytest.approx(
            margin, rel=1e-3
        )
    browser.press(".")
    assert browser.run(said).startswith("Step 1 of")
    shown = "document.querySelector('#trace .maps img')"
    pressed = "document.querySelector('#trace .maps [aria-pressed=true]').textContent"
    there = browser.wait(f"{shown}.complete && {shown}.naturalWidth === 12 && {pressed}")
    browser.press("t")
    assert browser.wait(f"{shown}.complete && {shown}.naturalWidth === 12 && {pressed}") != there == "Change"
    assert browser.complaints == []


def test_certificates_are_sorted_filtered_and_stand_beside_the_attacks(browser, sure):
    with Server(Site(sure)) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        browser.open(running.address)
        tab = "[...document.querySelectorAll('#tabs button')].find((one) => one.textContent === 'Certificates')"
        browser.run(f"{tab}.click()")
        heading = "[...document.querySelectorAll('#table thead button')].find((one) => one.textContent.startsWith("
        browser.run(f"{heading}'Certified radius')).focus()")
        browser.press("Enter")
        rows = saved(browser, "certificates.csv")
        radii = [float(row["Certified radius (L2)"]) for row in rows]
        known = {(row, sigma): radius for row, sigma, radius in zip(
            *(sure.certificates[name].tolist() for name in ("row", "sigma", "certified")), strict=True
        )}  # fmt: skip
        assert radii == pytest.approx(sorted(known.values()), rel=1e-5)
        browser.run("document.querySelector('#filters [name=certified-least]').focus()")
        browser.press("9")
        wanted = {row for (row, _), radius in known.items() if radius >= 9}
        assert {int(row["Image"]) for row in saved(browser, "certificates.csv")} == wanted

        browser.run("document.querySelectorAll('#table tbody tr[data-place]')[0].click()")
        browser.wait("document.querySelectorAll('#certificate table').length === 2")
        body = browser.run("document.querySelector('#certificate tbody').innerText")
        assert "certain" in body and "falls" in body
        running.shutdown()
        thread.join(5)
    assert browser.complaints == []


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(sure, width):
    _, link = traced(sure, set(sure.certificates["row"].tolist()))
    with Server(Site(sure)) as running, Browser(width) as page:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        page.call("Emulation.setDeviceMetricsOverride", **size)
        page.open(running.address + link)
        page.wait(
            "document.querySelector('#trace svg') !== null && document.querySelector('#certificate table') !== null"
        )
        assert page.run("document.documentElement.scrollWidth") <= width
        for box in ("#trace", "#certificate"):
            assert page.run(
                f"document.querySelector('{box}').scrollWidth <= document.querySelector('{box}').clientWidth"
            )
        running.shutdown()
        thread.join(5)


def test_hostile_names_of_classes_are_text_in_certificates(browser, sure, tmp_path):
    task = sure.description.task.model_copy(update={"classes": [HOSTILE] * len(sure.description.task.classes)})
    described = sure.description.model_copy(update={"task": task})
    write_folder(replace(sure, description=described, names=True), tmp_path / "out", 60)
    browser.open((tmp_path / "out" / "index.html").as_uri() + "#table=certificates&sort=-certified")
    browser.press("ArrowRight")
    browser.wait("document.querySelectorAll('#certificate table').length === 2")
    assert HOSTILE in browser.run("document.getElementById('certificate').textContent")
    assert browser.run("window.harm === undefined && [...document.scripts].every((one) => one.src)")
    assert browser.complaints == []


def test_hostile_names_are_text_in_a_folder_on_the_disk(browser, found, tmp_path):
    frame = found.frame
    names = np.array([NAMES[row % len(NAMES)] for row in frame["row"]], dtype=object)
    described = found.description.model_copy(update={"title": HOSTILE})
    hostile = replace(found, frame={**frame, "image": names}, description=described, names=True)
    write_folder(hostile, tmp_path / "out", 60)
    address = (tmp_path / "out" / "index.html").as_uri()
    browser.open(address)
    cells = set(browser.run("[...document.querySelectorAll('#table td')].map((one) => one.textContent)"))
    assert {HOSTILE, '=cmd("calc")', "a b,c.png", "\ufffdgnp.exe", '"quoted"', " @SUM(1)"} <= cells
    assert browser.run("document.title") == f"palpate view: {HOSTILE}"
    browser.press("ArrowRight")
    browser.wait(f"document.querySelector('#stage img') && {SHOWN}")
    assert browser.run("window.harm === undefined && [...document.scripts].every((one) => one.src)")
    written = {row["File"] for row in saved(browser, "attacks.csv")}
    assert {HOSTILE, '\'=cmd("calc")', "a b,c.png", "' @SUM(1)"} <= written
    assert browser.complaints == []
