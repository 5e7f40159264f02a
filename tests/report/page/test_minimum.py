"""A curve that was read from one search: its figures, and which budgets other attacks confirm."""

from dataclasses import replace

import pytest

from tests.report.known import measure, render
from tests.report.world import ATTACKS, EPS, Patients, make_run, shard


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("minimum") / "run"
    made = make_run(path, images=40, attacks=("fgsm", "apgd-margin"), pictures=0)
    press = next(one for one in ATTACKS if one.name == "fgsm")
    records = [
        replace(one, evidence="minimum" if one.eligible and one.eps < EPS[-1] else one.evidence)
        for one in shard(press, Patients.make(40, 1, False), "")
    ]
    made.write_shard("fgsm", records)
    return made


def test_figures_of_a_search_are_given_and_those_of_other_attacks_are_not(run):
    search, full = measure(run).attacks
    assert full.smallest_change is None and search.smallest_change is not None
    found = search.smallest_change
    assert (found.fallen, found.eligible) == (search.smallest_eps.fallen, search.smallest_eps.eligible)
    assert found.median == search.smallest_eps.median
    assert found.withstood.value is not None and 0 < found.withstood.low < found.withstood.value < found.withstood.high
    assert [point.eps for point in found.points] == list(EPS)
    assert any(point.fell and not point.confirmed for point in found.points)
    for point, shares in zip(found.points, search.points, strict=True):
        assert point.standing == found.eligible - round(shares.success_rate.value * found.eligible)


def test_the_page_says_of_each_budget_whether_it_is_confirmed(run):
    page = render(run)
    assert "Smallest changes found by fgsm" in page and "Smallest changes found by apgd" not in page
    assert "no: apgd-margin beat more" in page
