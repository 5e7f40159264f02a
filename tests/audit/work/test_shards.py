"""What names a shard: everything that decides its records, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from palpate.audit.plan.items import items
from palpate.audit.plan.plan import Plan
from palpate.audit.subject.subject import Subject, load_subject
from palpate.audit.work.shards import run_shard, shards_of
from palpate.audit.work.survival import Survival
from palpate.preprocess import Preprocess
from palpate.victim import Tuning, Victim
from tests.audit import tiny


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return tiny.write(tmp_path_factory.mktemp("shards") / "plan")


@pytest.fixture(scope="module")
def subject(plan: Plan) -> Subject:
    return load_subject(plan)


def identities(plan: Plan, subject: Subject) -> list[str]:
    return [shard.identity for shard in shards_of(plan, Survival.of(plan, subject, plan.root), items(plan))]


def test_all_shards_differ_and_cover_every_image_of_every_attack(plan: Plan, subject: Subject) -> None:
    found = shards_of(plan, Survival.of(plan, subject, plan.root), items(plan))
    assert len({shard.identity for shard in found}) == len(found) == 9
    for name in ("pgd", "hiding", "noise"):
        rows = [row for shard in found if shard.item.name == name for row in shard.rows]
        assert rows == list(range(12))


@pytest.mark.parametrize("part", ["model", "weights", "preprocess", "bounds"])
def test_the_model_is_part_of_every_identity(part: str, plan: Plan, subject: Subject) -> None:
    others = {
        "model": replace(subject, model="0" * 64),
        "weights": replace(subject, weights="0" * 64),
        "preprocess": replace(subject, preprocess=Preprocess(mean=(127.0,), std=(127.5,))),
        "bounds": replace(subject, victim=Victim(subject.victim.module, (0, 256))),
    }
    assert not set(identities(plan, others[part])) & set(identities(plan, subject))


def test_images_labels_groups_and_places_are_part_of_their_own_shards(plan: Plan, subject: Subject) -> None:
    table, own = subject.table, identities(plan, subject)
    case = table[7]
    for changed in (
        replace(case, label=0),
        replace(case, group="someone else"),
        replace(case, name="image12.png"),
    ):
        cases = (*table.cases[:7], changed, *table.cases[8:])
        other = identities(plan, replace(subject, table=replace(table, cases=cases)))
        # Row 7 is in the second of three shards of each attack.
        assert [one == two for one, two in zip(own, other, strict=True)] == [True, False, True] * 3
    rows = [6, *range(12)]
    headers, spacings = (tuple(facts[row] for row in rows) for facts in (subject.headers, subject.spacings))
    moved = replace(subject, table=table.take(rows), headers=headers, spacings=spacings)
    assert not set(identities(plan, moved)) & set(own)


def test_how_it_is_run_is_no_part(plan: Plan, subject: Subject) -> None:
    own = identities(plan, subject)
    victim = Victim(subject.victim.module, subject.victim.bounds, tuning=Tuning("channels_last", fold=True))
    assert identities(plan, replace(subject, victim=victim, device=torch.device("meta"))) == own
    text = plan.text.replace("batch = 3", 'batch = 5\nlayout = "channels_last"\ndevice = "cpu"')
    text = text.replace('\nlayout = "contiguous"', "").replace('name = "hiding"', 'name = "other"')
    text = text.replace('title = "Tiny"', 'title = "x"') + '\n[[gates]]\nmetric = "clean_accuracy"\nat_least = 0.5\n'
    assert identities(tiny.rewrite(Path(plan.root), text), subject) == own


def test_an_image_keeps_its_random_numbers_wherever_it_stands(plan: Plan, subject: Subject) -> None:
    def seeds(some: Subject) -> dict[str, int]:
        noise = [
            shard
            for shard in shards_of(plan, Survival.of(plan, some, plan.root), items(plan))
            if shard.item.name == "noise"
        ]
        with some.victim:
            records = [
                r
                for shard in noise
                for batch in run_shard(plan, Survival.of(plan, some, plan.root), shard)
                for found in batch
                for r in found.records
            ]
        return {record.image: record.seed for record in records}

    moved = replace(subject, table=subject.table.take(list(range(12))[::-1]))
    assert seeds(moved) == seeds(subject)
    assert len(set(seeds(subject).values())) == 12
