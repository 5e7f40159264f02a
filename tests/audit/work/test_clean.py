"""Measures of clean images are taken once for equal outputs, and again for others."""

from pathlib import Path
from typing import Any

import torch

from palpate.audit.plan.items import items
from palpate.audit.work.clean import CleanMeasures
from tests.audit import tiny_dense


def test_equal_outputs_are_measured_once_and_others_again(tmp_path: Path) -> None:
    (item, *_) = items(tiny_dense.write(tmp_path, "segmentation"))
    outputs = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))[:, : item.task.structures + 1]
    masks = torch.zeros(3, 16, 16, dtype=torch.int64)
    masks[:, 2:9, 3:12] = 1
    counted: list[int] = []
    measure: Any = item.reader.measure

    def count(outputs: Any, targets: Any) -> Any:
        counted.append(len(outputs))
        return measure(outputs, targets)

    item.reader.measure = count  # type: ignore[method-assign]
    known = CleanMeasures()
    first = known.of(item, [4, 7, 9], outputs, masks)
    assert repr(first) == repr(measure(outputs, masks)) and counted == [3]
    assert repr(known.of(item, [9, 4], outputs[[2, 0]], masks[[2, 0]])) == repr([first[2], first[0]])
    assert counted == [3]
    other = -outputs[1:]
    assert repr(known.of(item, [7, 9], other, masks[1:])) == repr(measure(other, masks[1:])) and counted == [3, 2]
