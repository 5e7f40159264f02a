"""What each stage of an attack did, from records written by hand."""

import math

import numpy as np

from palpate.metrics.stages import attacked, carried, least_passes, stage_rows
from tests.metrics.handmade import panel, record

NAMES = ("margin", "square")
ROWS = (  # budget, image, eligible, stage that won, passes of both stages
    (1.0, 0, True, "margin", (8.0, 0.0)),
    (1.0, 1, True, "", (20.0, 100.0)),
    (1.0, 2, True, "", (20.0, 100.0)),
    (1.0, 3, False, "", (1.0, 0.0)),
    (2.0, 0, True, "margin", (0.0, 0.0)),
    (2.0, 1, True, "square", (20.0, 30.0)),
    (2.0, 2, True, "", (20.0, 90.0)),
    (2.0, 3, False, "", (0.0, 0.0)),
)


def outcome():
    (made,) = panel(
        record(row, attack="strongest", eps=eps, eligible=eligible, success=bool(stage), stage=stage,
               stage_passes=passes, forwards=int(sum(passes)), backwards=0)
        for eps, row, eligible, stage, passes in ROWS
    ).outcomes  # fmt: skip
    return made


def test_images_and_passes_of_each_stage_at_each_budget():
    margin, square = stage_rows(outcome(), NAMES, 0)
    assert (margin.came, margin.won, margin.passes) == (3, 1, 49), "an image without a goal is not one that came"
    assert (square.came, square.won, square.passes, square.share) == (2, 0, 200, 200 / 249)
    margin, square = stage_rows(outcome(), NAMES, 1)
    assert (margin.came, margin.won, square.came, square.won) == (2, 0, 2, 1), "the earlier win is not counted again"
    assert carried(outcome(), 1) == 1 and carried(outcome(), 0) == 0


def test_the_stages_add_up_to_the_records():
    made = outcome()
    for budget in range(2):
        rows = stage_rows(made, NAMES, budget)
        assert sum(row.passes for row in rows) == made.forwards[budget].sum() + made.backwards[budget].sum()
        assert sum(row.won for row in rows) + carried(made, budget) == made.success[budget].sum()
        assert rows[0].came == attacked(made, budget).sum() and math.isclose(sum(row.share for row in rows), 1.0)


def test_the_least_that_a_stage_spent_counts_budgets_from_the_given_one_up():
    assert least_passes(outcome(), 1.0, np.array([1, 2])).tolist() == [20.0, 100.0]
    assert least_passes(outcome(), 2.0, np.array([1, 2])).tolist() == [20.0, 30.0], "the image that it spent least on"


def test_an_attack_without_stages_has_no_rows():
    (plain,) = panel([record(0)]).outcomes
    assert plain.stage_passes.shape == (1, 1, 0) and stage_rows(plain, (), 0) == ()
