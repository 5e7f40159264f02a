"""What the records hold of several findings."""

import pytest
import torch

from palpate.errors import InputError
from palpate.measures.multilabel import MultiLabelReader
from palpate.tasks.multilabel import MultiLabel


def test_truth_and_found_are_labels_and_probabilities():
    reader = MultiLabelReader(MultiLabel(3, thresholds=(0.2,)), ("effusion", "mass", "nodule"))
    labels = torch.tensor([[1, 0, -1], [0, 0, 1]])
    probabilities = torch.tensor([[0.1, 0.5, 0.9], [0.25, 0.75, 0.6]])
    assert reader.truth(labels) == [(1, 0, -1), (0, 0, 1)]
    for row, expected in zip(reader.found(probabilities.logit()), probabilities.tolist(), strict=True):
        assert row == pytest.approx(expected, rel=1e-5)
    assert reader.measures == () and reader.measure(probabilities, labels) == [(), ()]


def test_names_must_fit():
    with pytest.raises(InputError, match="2 names for 3"):
        MultiLabelReader(MultiLabel(3), ("a", "b"))
