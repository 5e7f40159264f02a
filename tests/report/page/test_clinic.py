from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from palpate.report.compute.budgets import budget_columns
from palpate.report.draw import clinic as clinic_figures
from palpate.report.draw import figures
from palpate.report.model.description import read_description
from palpate.report.model.schema import Results
from palpate.units import amounts
from tests.report.clinic import HANDLINGS, SITES, dress, make_ct, site_of
from tests.report.json_schema import SCHEMA, fits
from tests.report.known import measure, printed, render
from tests.report.pages import Page, page, section
from tests.report.world import ATTACKS, HOSTILE, PLAIN, Patients, make_run, shard


@pytest.mark.parametrize("name", ["ct", "lattice", "endoscopy"])
def test_results_fit_the_schema_and_are_strict_json(name, request):
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    data = measure(request.getfixturevalue(name)).model_dump(mode="json")
    assert fits(json.loads(json.dumps(data, allow_nan=False)), schema, schema) == []
    assert Results.model_validate(data).model_dump(mode="json") == data


def test_budgets_are_given_in_every_unit_and_in_words(ct, ct_results):
    actual = read_description(ct)
    assert [one.eps for one in ct_results.budgets] == actual.threat.eps
    for one in ct_results.budgets:
        assert one.amounts == list(amounts(one.eps, actual.data.scale))
        frame = ct.frame()
        mine = (frame["eps"] == one.eps) & (frame["linf"] > 0)
        assert one.all.psnr == np.median(frame["psnr"][mine]) and one.all.lowest_psnr == frame["psnr"][mine].min()
        assert one.all.images == mine.sum() == sum(close.images for close in one.attacks.values())
        assert one.all.linf == one.eps
    assert ct_results.budgets[2].words == "at most 4 HU: a hundredth of the soft-tissue window −160 to 240 HU"
    assert ct_results.verdict.sentence.startswith(
        "Changes of at most 4 HU in each value (a hundredth of the soft-tissue window −160 to 240 HU) bring accuracy"
    )
    text = page(ct).text
    for part in ("0.2491/255", "0.098%", "1.000%", "a hundredth of the window", "eps 4 HU1% of window"):
        assert part in text, part


def test_the_amounts_of_the_audit_are_shown_as_they_are(tmp_path):
    run = make_ct(tmp_path / "run", names=("pgd",), task=PLAIN)
    run_json = run.describe()
    given = [[f"{one:g} HU", "7 stored steps", "9/255 of the range"] for one in run_json["threat"]["eps"]]
    run.save_description({**run_json, "threat": {**run_json["threat"], "amounts": given}})
    assert [one.amounts for one in measure(run).budgets] == given
    heads, rows = budget_columns(measure(run).budgets, measure(run).data)
    assert heads == ["stored steps", "x/255 of the range"] and rows[0] == ["1 HU", "7", "9/255", "1/400 of the window"]


def test_a_budget_of_another_norm_has_its_own_words(tmp_path):
    threat = {"norm": "l2", "eps": [0.25, 0.5, 1.0, 2.0, 4.0], "words": "Euclidean."}
    run = make_run(tmp_path / "run", attacks=("pgd",), pictures=0, threat=threat, task=PLAIN)
    found = measure(run).budgets
    assert found[0].words == "a Euclidean length of at most 0.25 over all values of an image"
    # A length is no share of the range of one value.
    assert [len(one.amounts) for one in found] == [1] * len(found)
    heads, rows = budget_columns(found, measure(run).data)
    assert heads == [] and rows[0] == [found[0].amounts[0], found[0].words]


def test_axes_and_pictures_are_in_the_images_unit(ct, ct_results):
    assert "eps in HU, and as a share of the window" in figures.robustness(ct_results)
    text = page(ct).text
    assert "−160 to 240 HU shown black to white" in text and re.search(r"(pgd|hide), eps 8 HU", text)
    assert "Values−1024 to 3071 HU, in steps of 1 HU" in text
    for word in ("DICOM", "confined to the region: inside body, outside text"):
        assert word in text


def test_sites_and_scanners_add_up_and_have_intervals(ct, ct_results):
    worst = next(one for one in ct_results.worst_case if one.goal == "untargeted")
    whole = next(point.figure for point in worst.points if point.eps == ct_results.verdict.eps)
    by = {one.by: one for one in ct_results.subgroups}
    assert set(by) == {"site", "scanner"} and [row.name for row in by["site"].rows] == [
        "Northern General",
        "St Anne",
        "",
    ]
    for found in by.values():
        assert sum(row.images for row in found.rows) == 60
        assert sum(row.robust.count for row in found.rows) == whole.count
        assert sum(row.clean.count for row in found.rows) == ct_results.clean.accuracy.count
        for row in found.rows:
            others = (whole.count - row.robust.count) / (whole.total - row.robust.total)
            assert row.difference.value == pytest.approx(row.robust.value - others)
            assert row.difference.low < row.difference.value < row.difference.high
    assert [row.small for row in by["site"].rows] == [False, False, True]
    assert by["site"].rows[0].images == sum(site_of(row) == 0 for row in range(60))


def test_no_difference_is_claimed_where_its_interval_holds_nothing_else(ct, ct_results):
    text = Page(section(ct, "subgroups")).text
    claims = text.count("than the others")
    established = [
        row
        for found in ct_results.subgroups
        for row in found.rows
        if not row.small and (row.difference.low > 0 or row.difference.high < 0)
    ]
    assert claims == len(established) and "too few images for a rate" in text and "not stated" in text
    assert "may show which hospital" in text


def test_without_a_verdict_sites_have_their_clean_figures(tmp_path):
    run = make_ct(tmp_path / "run", task=PLAIN)
    run.save_description({**run.describe(), "shards": ["hide"]})
    actual = measure(run)
    assert actual.verdict.eps is None and actual.survival.eps == 16.0
    for row in actual.subgroups[0].rows:
        assert row.clean.value is not None and row.robust.value is None and row.difference.value is None
    assert "nan" not in page(run).text.split()


def test_drawings_are_well_formed_named_and_in_the_page_s_colours(ct_results, endoscopy):
    for made in (ct_results, measure(endoscopy)):
        scale = figures.scale_of(made)
        drawn = [clinic_figures.survival(made, one, scale, f"s{at}") for at, one in enumerate(made.survival.attacks)]
        drawn += [clinic_figures.subgroups(one) for one in made.subgroups]
        for svg in drawn:
            root = ElementTree.fromstring(svg)
            title, description = (root.find(f"{{http://www.w3.org/2000/svg}}{name}") for name in ("title", "desc"))
            assert title.text and description.text and "nan" not in description.text
            assert not re.findall(r"#[0-9a-f]{6}", svg)


def test_the_page_asks_nobody_and_links_only_into_its_run_folder(ct):
    shown = page(ct)
    links = {attrs["href"] for attrs in shown.all("a") if not attrs["href"].startswith("#")}
    assert links == {"./exports/pgd/8%20HU%200001.dcm"}
    assert "marked as synthetic" in shown.text and "The run folder holds 2 adversarial images as files" in shown.text


def test_no_text_from_a_file_becomes_markup(ct, tmp_path):
    for made, plain in ((make_ct(tmp_path / "ct", hostile=True), page(ct)),):
        html = render(made, names=True)
        attacked = Page(html)
        assert HOSTILE not in html and "<script>alert" not in html
        assert attacked.scripts == plain.scripts
        assert all(not any(name.startswith("on") for name in attrs) for _, attrs in attacked.elements)
        assert {tag for tag, _ in attacked.elements} == {tag for tag, _ in plain.elements}
        for text in (f"HU{HOSTILE}", f"{SITES[0]}{HOSTILE}", f"Siemens SOMATOM{HOSTILE}", f"outside text{HOSTILE}",
                     f"{HANDLINGS['blur1']}{HOSTILE}", f"DICOM{HOSTILE}"):  # fmt: skip
            assert text in attacked.text, text


def test_letters_that_act_are_replaced_in_the_new_texts(tmp_path):
    bad = "\x1b[31m\u202e"
    run = make_ct(tmp_path / "run", names=("pgd",), task=PLAIN)
    stored = run.describe()
    handlings = [{"name": one["name"], "words": one["words"] + bad} for one in stored["handlings"]]
    data = {**stored["data"], "unit": "HU" + bad, "sites": [bad], "formats": [bad]}
    run.save_description({**stored, "handlings": handlings, "data": data})
    made = [dress(one, factor=4.0, text=bad) for one in shard(ATTACKS[2], Patients.make(60, 1, False), "")]
    run.write_shard("pgd", made)
    html = render(run)
    assert "\x1b" not in html and "\u202e" not in html
    text = printed(run, 100)
    assert "\x1b" not in text and "\u202e" not in text


def test_names_of_images_stay_hidden_and_sites_are_shown(ct):
    shown = page(ct)
    assert "eye_0" not in shown.text and "Northern General" in shown.text
    assert "eye_0" not in json.dumps(measure(ct).model_dump(mode="json"))
