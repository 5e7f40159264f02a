"""Which order a plan that names none gets, in a new run and in one that an older palpate began."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from palpate.attacks import bisection
from palpate.audit.engines.worker import load_bench, setup_of
from palpate.audit.plan.items import items
from palpate.audit.run.runner import audit
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import load_subject
from palpate.audit.work.shards import run_shard, shards_of
from palpate.audit.work.survival import Survival
from palpate.storage.records import Record
from palpate.storage.runs import RunFolder
from palpate.victim import Tuning
from tests.audit import tiny

FGSM = '[[attacks]]\nattack = "fgsm"\n\n'
THREE = tiny.USUAL.replace('"16/255"', '"11/255", "16/255"').replace("[run]", f"{FGSM}[run]")
QUIET = THREE + "\n[stability]\nimages = 0\n\n[survival]\nsaved = false\nafter = []\n"


def curves(folder: Path, text: str) -> dict[str, str]:
    return {item.name: item.curve for item in items(tiny.write(folder, text))}


def test_three_budgets_are_bisected_except_by_a_single_step(tmp_path: Path) -> None:
    names = ("pgd", "hiding", "noise", "fgsm")
    assert curves(tmp_path / "three", THREE) == dict.fromkeys(names, "bisect") | {"fgsm": "rising"}
    # With two budgets there is nothing to choose, and plans keep the identities of their shards.
    assert set(curves(tmp_path / "two", tiny.USUAL).values()) == {"rising"}
    named = THREE.replace("[run]", '[run]\ncurve = "bisect"')
    assert set(curves(tmp_path / "named", named).values()) == {"bisect"}


def test_a_run_that_began_with_rising_budgets_goes_on_with_them(tmp_path: Path) -> None:
    """An older palpate wrote the same `run.json` for a plan without `curve` as for one with `curve = "rising"`."""
    plan, run = tiny.write(tmp_path / "plan", QUIET), tmp_path / "plan" / "run"
    audit(plan.in_order("rising"), run)
    stored, description = tiny.shards(run), json.loads((run / "run.json").read_text())
    assert description["tuning"]["curve"] == "rising" and (run / "plan.toml").read_text() == QUIET
    lost = RunFolder(run).shard(description["shards"][0])
    lost.unlink()
    audit(plan, run)
    assert tiny.shards(run) == stored
    audit(plan, tmp_path / "plan" / "new")
    # Only the single step has the same shards in a new run.
    assert len(set(stored) & set(tiny.shards(tmp_path / "plan" / "new"))) == len(stored) // 4


def test_workers_attack_in_the_order_of_the_run(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan", THREE)
    subject = load_subject(plan)
    setup = setup_of(plan.in_order("rising"), subject, Room(3), allow_pickle=False, device="cpu", scratch=tmp_path)
    assert {item.curve for item in load_bench(setup, tmp_path).items.values()} == {"rising"}
    other = load_bench(replace(setup, curve=None), tmp_path).items.values()
    assert {item.curve for item in other} == {"bisect", "rising"}


def test_the_pilot_is_that_of_the_shard_whatever_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny.write(tmp_path / "plan", THREE)
    subject = load_subject(plan)
    subject.victim.tuning = Tuning()
    survival = Survival.of(plan, subject, tmp_path)

    def what(record: Record) -> tuple[object, ...]:
        return record.image, record.eps, record.evidence, record.success, record.forwards, record.backwards

    def records(batch: int) -> list[Record]:
        room, made = Room(batch), shards_of(plan, survival, items(plan)[:1])
        batches = (batch for shard in made for batch in run_shard(plan, survival, shard, room))
        return [record for batch in batches for one in batch for record in one.records]

    with subject.victim:
        halved = records(4)
        monkeypatch.setattr(bisection, "PILOT", 2)
        begun = records(4)
        # Sums of other batches differ in their last bits; what was attacked where does not.
        assert [what(one) for one in begun] == [what(one) for one in records(1)]
    assert [one.row for one in begun] == [one.row for one in halved]
    assert [one.success for one in begun] == [one.success for one in halved]
    assert [one.evidence for one in begun] != [one.evidence for one in halved], "the pilot must change something here"
