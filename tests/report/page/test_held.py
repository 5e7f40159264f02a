"""Images that were not attacked at a budget, because they withstood a larger one: the page says how many."""

from dataclasses import replace

import pytest

from tests.report.known import measure, render
from tests.report.world import ATTACKS, EPS, Patients, make_run, shard


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("held") / "run"
    made = make_run(path, images=40, attacks=("fgsm", "apgd-margin"), pictures=0)
    press = next(one for one in ATTACKS if one.name == "apgd-margin")
    records = shard(press, Patients.make(40, 1, False), "")
    withstood = {one.row for one in records if one.eligible and not one.success and one.eps == EPS[1]}
    made.write_shard(
        "apgd-margin",
        [replace(one, evidence="held") if one.row in withstood and one.eps == EPS[0] else one for one in records],
    )
    return made, len(withstood)


def test_what_stands_without_an_attack_at_this_budget_is_counted(run):
    made, withstood = run
    single, many = measure(made).attacks
    assert withstood and [point.held for point in many.points] == [withstood] + [0] * (len(EPS) - 1)
    assert not any(point.held for point in single.points)
    for point in many.points:
        assert point.standing == point.success_rate.total - point.success_rate.count


def test_the_page_lists_the_attacks_with_such_images_alone(run):
    made, withstood = run
    page = render(made)
    part = page[page.index('id="held"') : page.index('id="paired"')]
    assert f"{withstood} not attacked here" in part and "apgd-margin" in part and "fgsm" not in part
