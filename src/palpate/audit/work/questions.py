"""No question is asked twice: what an interrupted shard was answered is used again, and what it lost is counted.

An attack repeats itself exactly, because its random numbers come from seeds. So the next start asks the same questions
in the same order, and those that were answered are answered from the file. A question without a usable answer is
spent: it was under way when the start ended, there was no room for its answer, or another machine asks differently.
It counts in the records and against the budget.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from palpate.annotations import Candidates
from palpate.attacks.budgets import Budget
from palpate.contracts import Limits
from palpate.errors import InputError, NotAskedError
from palpate.storage.questions import Answered, Asked, Dropped, QuestionFile, Withdrawn
from palpate.tensors import Tree, leaves, mapped
from palpate.victim import Victim

QUESTIONS = "questions"
"""The subject of what is noticed about them."""
_MOST_BYTES = 2**30
"""A file that is larger keeps no more answers, but those to first questions, the clean images."""
_PADDING = -1e4
"""A logit that is never decided for."""


class _Known(NamedTuple):
    key: bytes
    answer: Tree


class _DivergedError(Exception):
    """A row asks something else than it asked before."""


class Questions:
    """What the model was asked about each row of an unfinished shard.

    Args:
        file: where it is kept.
        together: how many images the model is asked about at once; all of a batch by default. A service is asked about
            one at a time, so that a kill loses one answer.

    Attributes:
        again: answers of earlier starts that were used again.
    """

    def __init__(self, file: QuestionFile, together: int | None = None):
        self.file, self.together, self.again = file, together, 0
        self._known: dict[int, list[_Known]] = {}
        self._asked: dict[int, int] = {}
        self._at: dict[int, int] = {}
        self._charged: dict[int, int] = {}
        question = Asked((), ())
        for entry in file.entries:
            if isinstance(entry, Asked):
                question = entry
                self._count(question)
            elif isinstance(entry, Dropped):
                del self._known[entry.row][entry.first :]
            elif isinstance(entry, Withdrawn):
                self._count(question, -1)
            else:
                self._learn(question, entry)

    def lost(self, row: int) -> int:
        """Questions about a row that were spent without a usable answer."""
        return self._asked.get(row, 0) - len(self._known.get(row, ()))

    def describe(self) -> str | None:
        """A sentence for the report if questions of earlier starts were spent without a usable answer."""
        if not (count := sum(self._charged.values())):
            return None
        return (
            f"{count} question{'' if count == 1 else 's'} to the model had no usable answer when an earlier start "
            "ended. They are not asked again: they count as forward passes in the records, and against query_budget."
        )

    def run(
        self, victim: Victim, rows: Sequence[int], limits: Limits, attack: Callable[[Limits], list[Budget]]
    ) -> list[Budget]:
        """What `attack` finds for some rows within what is left of their queries; it is started anew if it diverges.

        Raises:
            InputError: all queries about an image are spent and not even the clean one was answered.
        """
        while True:
            lost = torch.tensor([self.lost(row) for row in rows])
            self._at.update(dict.fromkeys(rows, 0))
            try:
                with self._recording(victim):
                    budgets = attack(self._left(limits, rows, lost))
            except _DivergedError:
                continue
            self._charged.update(zip(rows, lost.tolist(), strict=True))
            return _counting(budgets, lost)

    def _left(self, limits: Limits, rows: Sequence[int], lost: Tensor) -> Limits:
        samples = torch.tensor(rows, dtype=torch.int64)
        if limits.queries is None:
            return limits._replace(samples=samples)
        left = limits.queries - lost.to(limits.queries)
        for row, number in zip(rows, left.tolist(), strict=True):
            if number < 1:
                raise InputError(
                    f"query_budget: all queries about image {row + 1} were spent in starts that ended before an "
                    "answer came. Raise it and use --update."
                )
        return limits._replace(samples=samples, queries=left)

    @contextmanager
    def _recording(self, victim: Victim) -> Iterator[None]:
        victim.recorder = self
        try:
            yield
        finally:
            victim.recorder = None

    def answers(self, samples: Tensor, images: Tensor, ask: Callable[[Tensor], Tree], kind: str) -> Tree:
        """The answers about `images` of the rows `samples`: those that are known, and for the others those of `ask`."""
        keys = [_key(image, kind) for image in images]
        rows = samples.tolist()
        found: list[Tree] = [self._repeated(row, key) for row, key in zip(rows, keys, strict=True)]
        missing = [place for place, answer in enumerate(found) if answer is None]
        self.again += len(found) - len(missing)
        if len(missing) == len(found) and self.together is None:
            return self._ask(missing, rows, keys, images, ask)
        each = self.together or max(1, len(missing))
        for start in range(0, len(missing), each):
            part = missing[start : start + each]
            fresh = self._ask(part, rows, keys, images, ask)
            for number, place in enumerate(part):
                found[place] = _one(fresh, number)
        return _together(found, images.device)

    def _repeated(self, row: int, key: bytes) -> Tree | None:
        """The known answer to the next question about a row; None if there is none."""
        known, at = self._known.get(row, []), self._at[row]
        if at >= len(known):
            return None
        if known[at].key != key:
            self.file.add(Dropped(row, at))
            del known[at:]
            raise _DivergedError
        self._at[row] += 1
        return known[at].answer

    def _ask(
        self,
        places: Sequence[int],
        rows: Sequence[int],
        keys: Sequence[bytes],
        images: Tensor,
        ask: Callable[..., Tree],
    ) -> Tree:
        question = Asked(tuple(rows[place] for place in places), tuple(keys[place] for place in places))
        self.file.add(question)
        self._count(question)
        try:
            outputs = ask(images if len(places) == len(images) else images[list(places)])
        except NotAskedError:
            self.file.add(Withdrawn())
            self._count(question, -1)
            raise
        kept = self._worth_keeping(question, outputs)
        if kept:
            held = mapped(lambda tensor: tensor[kept].cpu(), outputs)
            entry = Answered(tuple(kept), tuple(leaf.numpy() for leaf in leaves(held)))
            self.file.add(entry)
            self._learn(question, entry)
        for row in question.rows:
            self._at[row] = len(self._known.get(row, ()))
        return outputs

    def _worth_keeping(self, question: Asked, outputs: Tree) -> list[int]:
        if not isinstance(outputs, (Tensor, Candidates)):
            return []
        room = self.file.size < _MOST_BYTES
        return [place for place, row in enumerate(question.rows) if room or not self._known.get(row)]

    def _count(self, question: Asked, times: int = 1) -> None:
        for row in question.rows:
            self._asked[row] = self._asked.get(row, 0) + times

    def _learn(self, question: Asked, entry: Answered) -> None:
        tensors = [torch.from_numpy(array) for array in entry.arrays]
        for number, place in enumerate(entry.places):
            parts = [tensor[number] for tensor in tensors]
            answer = parts[0] if len(parts) == 1 else Candidates(*parts)
            self._known.setdefault(question.rows[place], []).append(_Known(question.keys[place], answer))


def _key(image: Tensor, kind: str) -> bytes:
    held = hashlib.blake2b(kind.encode(), digest_size=16)
    held.update(image.detach().contiguous().cpu().numpy().tobytes())
    return held.digest()


def _one(tree: Tree, place: int) -> Tree:
    return mapped(lambda tensor: tensor[place].cpu(), tree)


def _together(answers: Sequence[Tree], device: torch.device) -> Tree:
    """Answers about single images as one answer; candidates are padded to one number."""
    if isinstance(answers[0], Candidates):
        most = max(len(one.boxes) for one in answers)
        answers = [_padded(one, most) for one in answers]
    return mapped(lambda *parts: torch.stack(parts).to(device), *answers)


def _padded(found: Candidates, most: int) -> Candidates:
    more = most - len(found.boxes)
    if not more:
        return found
    logits = found.logits.new_full((more, found.logits.shape[1]), _PADDING)
    boxes = torch.cat([found.boxes, found.boxes.new_zeros(more, 4)])
    return found._replace(logits=torch.cat([found.logits, logits]), boxes=boxes)


def _counting(budgets: list[Budget], lost: Tensor) -> list[Budget]:
    """The budgets with the lost questions among the passes of the first one."""
    if not bool(lost.any()):
        return budgets
    first = budgets[0]
    forwards = first.result.forwards + lost.to(first.result.forwards)
    return [replace(first, result=replace(first.result, forwards=forwards)), *budgets[1:]]
