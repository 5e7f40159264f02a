"""Questions to a model are spent once: what a killed start was answered is used again, what it lost is counted."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from palpate.annotations import Candidates
from palpate.attacks.budgets import Budget
from palpate.audit.run import runner
from palpate.audit.run.runner import audit
from palpate.audit.work import questions as asking
from palpate.audit.work.questions import Questions
from palpate.contracts import Limits
from palpate.errors import InputError, NotAskedError, StorageError
from palpate.storage.questions import Answered, Asked, Dropped, QuestionFile
from palpate.storage.runs import RunFolder
from palpate.victim import Victim
from tests.audit import tiny

BUDGET = 30
PLAN = (
    tiny.PLAN[: tiny.PLAN.index("[[attacks]]")].replace("[task]", "limit = 6\n\n[task]")
    + f'[[attacks]]\nattack = "square"\nqueries = 100\nquery_budget = {BUDGET}\n\n'
    + tiny.PLAN[tiny.PLAN.index("[run]") :].replace("shard = 5", "shard = 6")
    + "\n[stability]\nimages = 0\n"
)


class Killed(BaseException):
    """Stands for kill -9: nothing in the program handles it, and files stay as they are."""


class Meter:
    """Counts what the model is asked about each row under the budget, over all starts; it can end a start."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.rows: Counter[int] = Counter()
        self.calls, self.end, self.whole = 0, 0, Victim._run
        patch.setattr(Victim, "_run", partialmethod(_metered, self))

    def count(self, samples: Tensor) -> None:
        self.rows.update(samples.tolist())
        self.calls += 1
        if self.calls == self.end:
            raise Killed


def _metered(victim: Victim, meter: Meter, network: torch.nn.Module, images: Tensor, first: int) -> Tensor:
    if victim.samples is not None:
        meter.count(victim.samples)
    return meter.whole(victim, network, images, first)


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    return Meter(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "a"
    return audit(tiny.write(folder, PLAN), folder / "run").folder


def started(folder: Path, meter: Meter, end: int = 0) -> runner.AuditOutcome | None:
    meter.calls, meter.end = 0, end
    plan = tiny.write(folder, PLAN) if not folder.exists() else tiny.rewrite(folder, PLAN)
    with suppress(Killed):
        return audit(plan, folder / "run")
    return None


def spent(run: Path) -> Counter[int]:
    frame = RunFolder(run).frame()
    found: Counter[int] = Counter()
    for row, forwards in zip(frame["row"].tolist(), frame["forwards"].tolist(), strict=True):
        found[row] += forwards
    return found


@pytest.mark.parametrize("end", [1, 40])
def test_a_kill_while_the_model_answers_loses_one_answer_of_each_image_and_no_more(
    end: int, whole: Path, tmp_path: Path, meter: Meter
) -> None:
    assert started(tmp_path / "a", meter, end) is None
    outcome = started(tmp_path / "a", meter)
    assert outcome is not None and outcome.status == "finished"
    run = tmp_path / "a" / "run"
    assert spent(run) == meter.rows and max(meter.rows.values()) == BUDGET
    before, found = RunFolder(whole).frame(), RunFolder(run).frame()
    # An image that needs less than its budget, or that was not under way, ends as it would have.
    for row, count in spent(whole).items():
        here = found["row"] == row
        assert meter.rows[row] - count in ((0, 1) if count < BUDGET else (0,))
        assert count == BUDGET or np.array_equal(found["margin"][here], before["margin"][here])
    assert not (run / "questions").exists()
    (said,) = [finding.text for finding in outcome.findings if finding.subject == "questions"]
    assert "had no usable answer" in said


def test_a_kill_between_two_questions_changes_no_byte(
    whole: Path, tmp_path: Path, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        add, added = QuestionFile.add, []

        def killing(file: QuestionFile, entry: Asked | Answered | Dropped) -> None:
            added.append(entry)
            if len(added) == 61:
                raise Killed
            add(file, entry)

        patch.setattr(QuestionFile, "add", killing)
        assert started(tmp_path / "a", meter) is None
    assert isinstance(added[-1], Asked) and meter.rows
    outcome = started(tmp_path / "a", meter)
    assert outcome is not None and tiny.shards(tmp_path / "a" / "run") == tiny.shards(whole)
    assert meter.rows == spent(whole) and not any(finding.subject == "questions" for finding in outcome.findings)


def test_many_kills_spend_no_more_than_the_budget_of_an_image(tmp_path: Path, meter: Meter) -> None:
    starts = 0
    while started(tmp_path / "a", meter, 24) is None:
        starts += 1
    run = tmp_path / "a" / "run"
    assert starts == 2 and max(meter.rows.values()) <= BUDGET and spent(run) == meter.rows
    frame = RunFolder(run).frame()
    assert (frame["evidence"] == "spent").any()


def test_answers_that_had_no_room_are_counted_and_the_image_is_spent(
    tmp_path: Path, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_MOST_BYTES", 0)
    assert started(tmp_path / "a", meter, 55) is None
    before = Counter(meter.rows)
    assert started(tmp_path / "a", meter) is not None
    done = [row for row, count in before.items() if count == BUDGET]
    assert done and max(meter.rows.values()) == BUDGET
    frame = RunFolder(tmp_path / "a" / "run").frame()
    for row in done:
        assert set(frame["evidence"][frame["row"] == row]) == {"spent"} and meter.rows[row] == BUDGET
        assert not frame["success"][frame["row"] == row].any() and spent(tmp_path / "a" / "run")[row] == BUDGET


class Asking:
    """A victim that is only asked, and what it was asked."""

    def __init__(self, detector: bool = False):
        self.recorder, self.asked, self.detector = None, [], detector

    def ask(self, rows: list[int], *values: float) -> Tensor:
        images = torch.tensor(values).reshape(-1, 1, 1, 1)
        return self.recorder.answers(torch.tensor(rows), images, self._answer, "judge")

    def _answer(self, images: Tensor) -> Tensor | Candidates:
        self.asked.append(images.flatten().tolist())
        if self.detector:
            wide = len(self.asked)
            return Candidates(torch.ones(len(images), wide, 2), torch.ones(len(images), wide, 4))
        return images.flatten(1) * 2


@dataclass(frozen=True)
class Found:
    forwards: Tensor = torch.tensor([3, 3])


def opened(folder: Path, **options: int) -> Questions:
    return Questions(QuestionFile(folder / "q.log"), **options)


def test_another_machine_that_asks_differently_is_answered_anew_and_pays(tmp_path: Path) -> None:
    victim, given = Asking(), Limits(queries=torch.tensor([9, 9]))
    seen: list[list[int]] = []

    def attack(*values: float):
        def asked(limits: Limits):
            seen.append(limits.queries.tolist())
            for value in values:
                assert victim.ask([0, 1], value, -1.0).flatten().tolist() == [2 * value, -2]
            return [Budget(1.0, Found(), ())]

        return asked

    opened(tmp_path).run(victim, [0, 1], given, attack(1, 2, 3))
    victim.asked.clear()
    other = opened(tmp_path)
    (budget,) = other.run(victim, [0, 1], given, attack(1, 5, 3))
    assert budget.result.forwards.tolist() == [5, 3]
    # The first row goes another way at its second question; the other one is answered from the file.
    assert victim.asked == [[5.0], [3.0]] and seen == [[9, 9], [9, 9], [7, 9]]
    assert [other.lost(row) for row in (0, 1)] == [2, 0] and "2 questions" in other.describe()
    victim.asked.clear()
    opened(tmp_path).run(victim, [0, 1], given, attack(1, 5, 3))
    assert not victim.asked and seen[-1] == [7, 9]


def test_a_service_is_asked_about_one_image_at_a_time(tmp_path: Path) -> None:
    victim = Asking()
    opened(tmp_path, together=1).run(victim, [4, 7], Limits(), lambda limits: victim.ask([4, 7], 1, 2) is None or [])
    assert victim.asked == [[1.0], [2.0]]


def test_a_question_that_was_refused_before_it_was_asked_is_not_spent(tmp_path: Path) -> None:
    victim = Asking()

    def refused(images: Tensor) -> Tensor:
        raise NotAskedError("all queries of this start are spent")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(victim, "_answer", refused)
        with pytest.raises(NotAskedError):
            opened(tmp_path, together=1).run(victim, [4], Limits(), lambda limits: [victim.ask([4], 1)])
    again = opened(tmp_path, together=1)
    again.run(victim, [4], Limits(), lambda limits: victim.ask([4], 1) is None or [])
    assert again.lost(4) == 0 and victim.asked == [[1.0]] and again.describe() is None


def test_candidates_of_several_questions_are_padded(tmp_path: Path) -> None:
    victim, found = Asking(detector=True), []
    opened(tmp_path, together=1).run(
        victim, [0, 1], Limits(), lambda limits: found.append(victim.ask([0, 1], 1, 2)) or []
    )
    assert found[0].logits.shape == (2, 2, 2) and found[0].logits[0, 1].max() < -100 and found[0].boxes.shape[1] == 2


def test_without_any_answer_a_budget_ends(tmp_path: Path) -> None:
    file = QuestionFile(tmp_path / "q.log")
    for _ in range(2):
        file.add(Asked((5,), (b"k" * 16,)))
    file.close()
    with pytest.raises(InputError, match="query_budget: all queries about image 6 were spent"):
        opened(tmp_path).run(Asking(), [5], Limits(queries=torch.tensor([2])), lambda limits: [])


@pytest.mark.parametrize("left", [1, 9, 40])
def test_a_torn_end_is_cut_and_the_rest_is_used(left: int, tmp_path: Path) -> None:
    path, kept = tmp_path / "q.log", [Asked((1, 2), (b"a" * 16, b"b" * 16)), Answered((0, 1), (np.eye(2),))]
    file = QuestionFile(path)
    for entry in [*kept, Dropped(1, 0)]:
        file.add(entry)
    file.close()
    assert len(QuestionFile(path).entries) == 3
    path.write_bytes(path.read_bytes()[: -29 + min(left, 28)])
    again = QuestionFile(path)
    assert len(again.entries) == 2 and again.entries[0] == kept[0]
    again.add(Dropped(2, 0))
    again.close()
    assert QuestionFile(path).entries[2] == Dropped(2, 0)
    path.write_bytes(b"something else")
    assert not QuestionFile(path).entries


def test_a_full_disk_is_said_before_the_question(tmp_path: Path) -> None:
    (tmp_path / "q").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        QuestionFile(tmp_path / "q" / "q.log").add(Dropped(1, 0))
