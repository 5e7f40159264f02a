"""Plans whose budgets are read from one search for the smallest change."""

from pathlib import Path

import pytest

from palpate.audit.plan.items import items
from palpate.audit.subject.subject import load_subject
from palpate.audit.work.shards import run_shard, shards_of
from palpate.audit.work.survival import Survival
from palpate.errors import PlanError
from palpate.storage.records import ATTACKED, MINIMUM, NOT_ATTACKED, Record
from palpate.victim import Tuning
from tests.audit import tiny

FMN = '[[attacks]]\nattack = "fmn"\nsteps = 20\n'


def records(folder: Path, more: str) -> list[Record]:
    plan = tiny.write(folder, tiny.PLAN.replace("[run]", f"{more}\n[run]"))
    subject = load_subject(plan)
    subject.victim.tuning = Tuning()
    survival = Survival.of(plan, subject, folder)
    found: list[Record] = []
    with subject.victim:
        for shard in shards_of(plan, survival, [item for item in items(plan) if item.name in ("fmn", "pgd")]):
            found += [record for batch in run_shard(plan, survival, shard) for one in batch for record in one.records]
    return found


def test_one_attack_reads_its_budgets_from_one_search_while_others_attack_each(tmp_path: Path) -> None:
    found = records(tmp_path / "plan", FMN + 'curve = "minimum"')
    for record in found:
        if not record.eligible:
            assert record.evidence == NOT_ATTACKED
        elif record.attack == "fmn":
            assert record.evidence == (ATTACKED if record.eps == 16 else MINIMUM)
            assert (record.backwards == 20) == (record.eps == 16)
            assert not record.success or record.linf <= record.eps * (1 + 1e-6)
    won = {(record.attack, record.eps): [] for record in found}
    for record in found:
        won[record.attack, record.eps].append(record.success)
    assert 0 < sum(won["fmn", 6.0]) < sum(won["fmn", 16.0])
    assert all(small <= large for small, large in zip(won["fmn", 6.0], won["fmn", 16.0], strict=True))
    assert {record.evidence for record in found if record.attack == "pgd"} & {ATTACKED} and sum(won["pgd", 6.0])


def test_the_order_of_one_attack_is_part_of_its_shards_only(tmp_path: Path) -> None:
    shards = []
    for more in ("", '\ncurve = "rising"', '\ncurve = "minimum"'):
        plan = tiny.write(tmp_path / "plan", tiny.PLAN.replace("[run]", f"{FMN}{more}\n[run]"))
        subject = load_subject(plan)
        made = shards_of(plan, Survival.of(plan, subject, tmp_path), items(plan))
        shards.append({name: [one.identity for one in made if one.item.name == name] for name in ("pgd", "fmn")})
    assert shards[0] == shards[1]
    assert shards[0]["pgd"] == shards[2]["pgd"] and not set(shards[0]["fmn"]) & set(shards[2]["fmn"])


@pytest.mark.parametrize(
    ("old", "new"), [('attack = "pgd"', 'attack = "pgd"\ncurve = "minimum"'), ("[run]", '[run]\ncurve = "minimum"')]
)
def test_attacks_that_search_no_smallest_change_refuse_the_order(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(PlanError, match=r"reads all budgets from the smallest change, which 'pgd' does not search\."):
        tiny.write(tmp_path / "plan", tiny.PLAN.replace(old, new))
