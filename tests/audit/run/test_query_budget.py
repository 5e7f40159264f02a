"""A budget of queries in a plan: what it refuses, and that a run that goes on spends it once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from palpate.audit.plan.items import items
from palpate.audit.plan.plan import parse_plan
from palpate.audit.run.runner import audit
from palpate.errors import PlanError
from palpate.storage.runs import RunFolder
from tests.audit import tiny
from tests.audit.tiny import Heard

HEAD, RUN = tiny.PLAN[: tiny.PLAN.index("[[attacks]]")], tiny.PLAN[tiny.PLAN.index("[run]") :]
SQUARE = '[[attacks]]\nattack = "square"\nqueries = 100\n'
BUDGETED = HEAD + SQUARE + "query_budget = 30\n\n" + RUN


def test_attacks_with_gradients_have_no_query_budget():
    with pytest.raises(PlanError, match=r"query_budget.*'pgd' uses gradients. Remove it, and set steps"):
        parse_plan(tiny.PLAN.replace("steps = 3", "steps = 3\nquery_budget = 30"), Path("plan.toml"))
    # Under a budget `strongest` is its search without gradients.
    (limited,) = items(parse_plan(BUDGETED.replace('"square"\nqueries = 100', '"strongest"'), Path("plan.toml")))
    assert limited.query_budget == 30
    with pytest.raises(PlanError, match="1 must be 2 or more"):
        parse_plan(BUDGETED.replace("= 30", "= 1"), Path("plan.toml"))


def test_a_budget_is_part_of_the_identity_and_is_shown_and_none_changes_nothing():
    (plain,), (budgeted,) = (items(parse_plan(text, Path("plan.toml"))) for text in (HEAD + SQUARE + RUN, BUDGETED))
    assert plain.identity != budgeted.identity and "query_budget" not in plain.parameters
    assert budgeted.parameters["query_budget"] == 30


def test_a_run_that_goes_on_spends_each_budget_once(tmp_path: Path):
    undisturbed = audit(tiny.write(tmp_path / "a", BUDGETED), tmp_path / "a" / "run")
    frame = RunFolder(undisturbed.folder).frame()
    spent = np.zeros(12)
    np.add.at(spent, frame["row"], frame["forwards"])
    assert spent.max() == 30
    skipped = frame["evidence"] == "spent"
    assert skipped.any() and not frame["forwards"][skipped].any() and not frame["success"][skipped].any()
    plan = tiny.write(tmp_path / "b", BUDGETED)
    first, second = Heard(stop_after=2), Heard()
    audit(plan, tmp_path / "b" / "run", progress=first)
    audit(plan, tmp_path / "b" / "run", progress=second)
    assert not set(first.shards) & set(second.shards)
    assert tiny.shards(tmp_path / "a" / "run") == tiny.shards(tmp_path / "b" / "run")
