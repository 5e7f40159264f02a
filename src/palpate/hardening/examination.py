"""The score of a model on validation images: clean, under the judge's attack, and under one step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from palpate.contracts import Attack, Task
from palpate.hardening.contracts import Scores
from palpate.hardening.data.reading import Reader, batches, read
from palpate.seeds import derive
from palpate.streams import Streams
from palpate.tasks.detection import Detection
from palpate.victim import Victim

CONFIDENCES = tuple(step / 20 for step in range(1, 20))
"""Operating points of detectors that are tried, besides that of the plan."""


@dataclass(frozen=True)
class Examination:
    """Scores on fixed images with fixed random numbers, so that epochs can be compared.

    The score of an image is the task's: right or wrong for classes, Dice or IoU for masks, F1 for boxes. A class that
    the model gets wrong without an attack scores 0 under attack too.

    Attributes:
        reader: reads the images.
        rows: the validation rows.
        task: what the outputs mean, untargeted.
        judge: chooses the best epoch; another attack and another loss than those trained on.
        single: one step of the gradient's sign.
        size: images attacked at once.
        seed: of the attacks' random numbers.
        choose: boxes: score each model at the confidence with its best clean score, and not at the task's.
    """

    reader: Reader
    rows: tuple[int, ...]
    task: Task
    judge: Attack
    single: Attack
    size: int
    seed: int
    choose: bool = False

    def examine(self, victim: Victim) -> Scores:
        """The mean scores of the model as it is now; images without a defined score (empty masks) do not count."""
        clean: list[Tensor] = []
        robust: list[Tensor] = []
        single: list[Tensor] = []
        reader, task = self.reader, self.task_for(victim)
        with victim:
            for rows in batches(reader, self.rows, self.size):
                reader.prepare(victim, rows[0])
                images, targets = read(reader, rows), reader.targets(rows)
                outputs = victim.judge(images)
                task.validate(outputs, targets)
                clean.append(task.score(outputs, targets).double().cpu())
                streams = [derive(self.seed, "judge", reader.name(row)) for row in rows]
                for attack, scores in ((self.judge, robust), (self.single, single)):
                    limits = reader.limits(rows)
                    result = attack(victim, task, images, targets, generator=Streams(streams), limits=limits)
                    scores.append(task.score(result.outputs, targets).double().cpu())
        return Scores(*(_mean(parts) for parts in (clean, robust, single)))

    def task_for(self, victim: Victim) -> Task:
        """The task at the operating point that a model is scored at: the given one unless it is chosen.

        Of several confidences with the same clean score, the one that is closest to the given one.
        """
        given = self.task
        if not (self.choose and isinstance(given, Detection)):
            return given
        tried = [replace(given, confidence=one) for one in sorted({given.confidence, *CONFIDENCES})]
        scores: list[list[Tensor]] = [[] for _ in tried]
        with victim, torch.no_grad():
            for rows in batches(self.reader, self.rows, self.size):
                self.reader.prepare(victim, rows[0])
                outputs, targets = victim.judge(read(self.reader, rows)), self.reader.targets(rows)
                given.validate(outputs, targets)
                for task, parts in zip(tried, scores, strict=True):
                    parts.append(task.score(outputs, targets).double().cpu())
        means = [_mean(parts) for parts in scores]
        best = max(range(len(tried)), key=lambda at: (means[at], -abs(tried[at].confidence - given.confidence)))
        return tried[best]


def _mean(parts: list[Tensor]) -> float:
    scores = torch.cat(parts)
    return float(scores[~scores.isnan()].mean())
