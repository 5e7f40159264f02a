"""The score of a model on validation images: clean, under the judge's attack, and under one step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.contracts import Attack, Task
from palpate.hardening.contracts import Scores
from palpate.hardening.data.reading import Reader, batches, read
from palpate.seeds import derive
from palpate.streams import Streams
from palpate.tensors import Tree
from palpate.victim import Victim


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
    """

    reader: Reader
    rows: tuple[int, ...]
    task: Task
    judge: Attack
    single: Attack
    size: int
    seed: int

    def examine(self, victim: Victim) -> Scores:
        """The mean scores of the model as it is now; images without a defined score (empty masks) do not count."""
        clean: list[Tensor] = []
        robust: list[Tensor] = []
        single: list[Tensor] = []
        reader = self.reader
        with victim:
            for rows in batches(reader, self.rows, self.size):
                reader.prepare(victim, rows[0])
                images, targets = read(reader, rows), reader.targets(rows)
                outputs = victim.judge(images)
                self.task.validate(outputs, targets)
                clean.append(self.task.score(outputs, targets).double().cpu())
                robust.append(self._attacked(self.judge, victim, images, targets, rows))
                single.append(self._attacked(self.single, victim, images, targets, rows))
        return Scores(*(_mean(parts) for parts in (clean, robust, single)))

    def _attacked(self, attack: Attack, victim: Victim, images: Tensor, targets: Tree, rows: tuple[int, ...]) -> Tensor:
        streams = Streams([derive(self.seed, "judge", self.reader.name(row)) for row in rows])
        result = attack(victim, self.task, images, targets, generator=streams, limits=self.reader.limits(rows))
        return self.task.score(result.outputs, targets).double().cpu()


def _mean(parts: list[Tensor]) -> float:
    scores = torch.cat(parts)
    return float(scores[~scores.isnan()].mean())
