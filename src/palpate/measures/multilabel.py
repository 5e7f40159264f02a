"""Labels and probabilities of several findings; figures over images are computed from the records."""

from __future__ import annotations

from torch import Tensor

from palpate.errors import InputError
from palpate.measures.measure import Measure
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.screening import answer_of


class MultiLabelReader:
    """Labels and probabilities of the findings; AUROC and sensitivity need many images, so one image has no figure.

    Args:
        task: reads outputs.
        findings: their names, in the task's order.

    Raises:
        InputError: names that do not fit the task.
    """

    measures: tuple[Measure, ...] = ()

    def __init__(self, task: MultiLabel, findings: tuple[str, ...]):
        if len(findings) != task.findings:
            raise InputError(f"task.findings: {len(findings)} names for {task.findings} findings; give one name each.")
        self.task, self.findings = task, findings

    def measure(self, outputs: Tensor, targets: Tensor) -> list[tuple[float, ...]]:
        """Nothing of each sample."""
        return [() for _ in targets]

    def truth(self, targets: Tensor) -> list[tuple[float, ...]]:
        """1, 0 or -1 (unknown) per finding."""
        return [tuple(float(label) for label in row) for row in targets.tolist()]

    def found(self, outputs: Tensor) -> list[tuple[float, ...]]:
        """Probability of each finding."""
        return [tuple(row) for row in self.task.probabilities(answer_of(outputs).double()).tolist()]
