"""How peers are stopped and judged at equal queries; the table is `python -m benchmarks.black_box`."""

from __future__ import annotations

import pytest
import torch
from benchmarks.black_box import Asked, Spent, table, theirs
from benchmarks.parity.victims import Victim
from torch import Tensor, nn


class Bright(nn.Module):
    """Class 1 above a mean of a half."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean((1, 2, 3))
        return torch.stack([0.5 - mean, mean - 0.5], 1)


DARK = torch.full((1, 1, 2, 2), 0.4)


def asked(most: int) -> Asked:
    return Asked(Bright(), DARK, torch.tensor([0]), "linf", most)


def test_the_nearest_image_that_is_wrong_and_inside_the_box_counts() -> None:
    model = asked(10)
    model(torch.cat([DARK + 0.05, DARK + 0.3, DARK + 0.2, DARK + 0.7]))
    assert model.nearest == pytest.approx(0.2) and model.queries == 4
    model(DARK + 0.7)
    assert model.nearest == pytest.approx(0.2) and model.queries == 5


def test_images_after_the_last_query_are_not_looked_at() -> None:
    model = asked(2)
    with pytest.raises(Spent):
        model(torch.cat([DARK + 0.4, DARK, DARK + 0.2]))
    assert model.nearest == pytest.approx(0.4) and model.queries == 2
    with pytest.raises(Spent):
        model(DARK + 0.2)
    assert model.nearest == pytest.approx(0.4) and model.queries == 2


def test_a_peer_that_never_ends_is_stopped_at_each_image() -> None:
    images = torch.cat([DARK, DARK + 0.05])
    on = Victim("bright", 2, {"linf": 0.1}, Bright(), images, torch.zeros(2, dtype=torch.int64))

    def forever(model, image, label, norm, eps, classes):
        for step in range(1000):
            model(image + 0.01 * (step + 1))

    nearest, queries = theirs(on, forever, "linf", 0.1, 8)
    assert queries == 8 and nearest[0] == float("inf") and nearest[1] == pytest.approx(0.06, abs=0.011)


def test_the_table_shows_radii_as_they_are_given() -> None:
    one = {
        "victim": "bright", "norm": "linf", "radii": [3 / 255, 6 / 255], "images": 2,
        "attack": "square", "beaten": [1, 2], "queries": [7.6, 3.0],
    }  # fmt: skip
    assert table([one]).splitlines()[-1] == "| bright | L-inf | 3/255, 6/255 | 2 | `square` | 1, 2 | 8, 3 |"
