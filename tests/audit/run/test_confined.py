"""An audit whose changes are confined: what is found is still there after saving, and only where it may be."""

from pathlib import Path

import pytest
import torch

from palpate.audit.plan.items import items
from palpate.audit.subject.subject import Subject, load_subject
from palpate.audit.work.shards import run_shard, shards_of
from palpate.audit.work.survival import Survival
from palpate.storage.records import Record
from palpate.victim import Tuning
from tests.audit import tiny

EPS = 'eps = ["6/255", "16/255"]'


def records(folder: Path, confined: str) -> tuple[Subject, list[Record]]:
    plan = tiny.write(folder, tiny.PLAN.replace(EPS, f'eps = ["6.7/255", "16/255"]\n{confined}'))
    subject = load_subject(plan)
    subject.victim.tuning = Tuning()
    survival = Survival.of(plan, subject, folder)
    found: list[Record] = []
    with subject.victim:
        for shard in shards_of(plan, survival, items(plan)):
            found += [record for batch in run_shard(plan, survival, shard) for one in batch for record in one.records]
    return subject, found


@pytest.fixture(scope="module")
def on_lattice(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return records(tmp_path_factory.mktemp("lattice") / "plan", "lattice = true")[1]


def test_on_the_lattice_saving_changes_nothing(on_lattice: list[Record]) -> None:
    beaten = [record for record in on_lattice if record.success]
    assert beaten
    for record in beaten:
        assert record.saved_linf == 0
        # The image is the same to the last bit; sums over batches of another size are not.
        assert record.handled[0] == pytest.approx(record.margin, abs=1e-4)
        assert record.linf == int(record.linf) <= record.eps


def test_limits_of_a_subject_carry_the_files_steps(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan", tiny.PLAN.replace(EPS, f'{EPS}\nregion = ["inside body"]'))
    limits = load_subject(plan).limits((2, 5))
    assert limits.step is not None and limits.region is not None
    assert limits.step.dtype == torch.float64
    assert limits.step.tolist() == [1.0, 1.0]
    assert limits.region.shape == (2, 1, 8, 8)
