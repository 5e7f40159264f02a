"""The table of certificates; the figures are `python -m benchmarks.certified`."""

from __future__ import annotations

import torch
from benchmarks.certified import measured, sentence, table
from torch import Tensor, nn


class Ill(nn.Module):
    """Always class 1."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean((1, 2, 3)) / 255
        return torch.stack([mean - 2, 2 - mean], 1)


def test_a_network_that_never_changes_its_mind_is_certified_as_far_as_so_many_samples_go() -> None:
    images, labels = torch.full((2, 1, 2, 2), 100.0), torch.tensor([1, 0])
    found = measured("by hand", Ill(), (images, labels), samples=20, steps=1)
    assert (found.alone, found.smoothed, found.abstains) == (0.5, 0.5, 0.0)
    # 20 equal votes prove 16 * Phi^-1(0.001^(1/20)) = 8.8 at most.
    assert [row.certified for row in found.rows] == [0.5, 0.5, 0.0, 0.0, 0.0]
    assert [row.attacked for row in found.rows] == [0.5] * 5
    assert "50% right alone, 50% smoothed with 16" in sentence(found)
    lines = table([found, found]).splitlines()
    assert lines[0].count("certified") == 2 and lines[5] == "| 32 | 0% | 50% | 0% | 50% |"
