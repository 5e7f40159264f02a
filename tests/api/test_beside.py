"""Models that are given more than images, from Python: each image has its own row, in whatever way it was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import palpate
from palpate.errors import InputError
from palpate.victim import Victim
from palpate.victim.inference import SlidingWindow

AGES = torch.tensor([0.0, 0, 1, 2, 1, 1, 3])
COUNT = len(AGES)


class Knows(nn.Module):
    """The mean of an image, which no budget here hides, tells the age: the network knows if it got another image's."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3)).double()

    def forward(self, images: Tensor, age: Tensor, view: Tensor | None = None) -> Tensor:
        told = images.detach().mean((1, 2, 3))
        if age.shape != told.shape or not ((told - 0.2 * (1 + age)).abs() < 0.08).all():
            raise ValueError(f"ages {age.tolist()} were given for {told.tolist()}")
        if view is not None and not (view.mean((1, 2, 3)) == age).all():
            raise ValueError("another image's view")
        return self.body(10 * (images - told[:, None, None, None])) * torch.cos(age)[:, None]


@pytest.fixture(scope="module")
def model() -> Knows:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Knows()


@pytest.fixture(scope="module")
def images() -> Tensor:
    noise = torch.rand(COUNT, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noise -= noise.mean((1, 2, 3), keepdim=True)
    return 0.2 * (1 + AGES.double())[:, None, None, None] + 0.15 * noise


@pytest.fixture(scope="module")
def labels(model: Knows, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images, AGES.double()).argmax(1)


HOW: dict[str, Callable[[Tensor, Tensor], tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "rows": lambda x, y: ((x, y), {"inputs": {"age": AGES}}),
    "lists": lambda x, y: ((x, y), {"inputs": {"age": AGES.tolist()}}),
    "a loader with rows": lambda x, y: ((DataLoader(TensorDataset(x, y), 3),), {"inputs": {"age": AGES.numpy()}}),
    "its own in each batch": lambda x, y: (
        ([(x[i : i + 3], y[i : i + 3], {"age": AGES[i : i + 3]}) for i in range(0, COUNT, 3)],),
        {},
    ),
    "keys": lambda x, y: (
        ([{"image": x[i : i + 2], "label": y[i : i + 2], "age": AGES[i : i + 2]} for i in range(0, COUNT, 2)],),
        {"inputs": ["age"]},
    ),
}


@pytest.mark.parametrize("how", HOW)
def test_figures_are_those_of_images_that_are_alone_with_their_input(
    model: Knows, images: Tensor, labels: Tensor, how: str
) -> None:
    settings: dict[str, Any] = {"attacks": ["pgd", "noise"], "eps": [0.01, 0.05], "steps": 3}
    given, more = HOW[how](images, labels)
    table = palpate.evaluate(model, *given, **settings, **more)
    alone = [
        palpate.evaluate(lambda x, age=age: model(x, age.expand(len(x))), x[None], y[None], **settings)
        for x, y, age in zip(images, labels, AGES.double(), strict=True)
    ]
    for place, row in enumerate(table):
        if row.attack == "pgd":  # without random numbers, which follow the number of an image
            assert row.images == COUNT
            assert row.beaten == sum([*one][place].beaten for one in alone)
    assert table.robust_accuracy(0.01, "pgd") > table.robust_accuracy(0.05, "pgd")


def test_an_attack_keeps_the_order_of_images_and_radii(model: Knows, images: Tensor, labels: Tensor) -> None:
    eps = torch.linspace(0.01, 0.05, COUNT)
    views = AGES[:, None, None, None].expand(-1, 1, 4, 4)
    more = {"inputs": {"age": AGES, "view": views}}
    result = palpate.attack(model, images, labels, "bim", eps=eps, steps=3, **more)
    assert len(result) == COUNT and bool(result.eligible.all())
    for row in range(COUNT):
        one = slice(row, row + 1)
        age = AGES[row].double()
        alone = palpate.attack(
            lambda x, age=age: model(x, age.expand(len(x))),
            images[one],
            labels[one],
            "bim",
            eps=float(eps[row]),
            steps=3,
        )
        torch.testing.assert_close(result.images[one], alone.images)
        torch.testing.assert_close(result.margin[one], alone.margin)
        assert result.forwards[row] == alone.forwards[0]


def test_a_row_that_belongs_to_another_image_is_noticed_by_this_model(
    model: Knows, images: Tensor, labels: Tensor
) -> None:
    for wrong in (AGES.flip(0), AGES.roll(1)):
        with pytest.raises(InputError, match="were given for"):
            palpate.attack(model, images, labels, "pgd", eps=0.01, steps=1, inputs={"age": wrong})
        with pytest.raises(InputError, match="were given for"):
            palpate.evaluate(model, images, labels, attacks="pgd", eps=0.01, steps=1, inputs={"age": wrong})


def test_a_limit_leaves_rows_over_and_a_function_takes_inputs_too(model: Knows, images: Tensor, labels: Tensor) -> None:
    def function(x: Tensor, age: Tensor) -> Tensor:
        return model(x, age)

    table = palpate.evaluate(function, images, labels, attacks="fgsm", eps=0.01, limit=3, inputs={"age": AGES})
    assert table[0].images == 3


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"age": AGES[1:]}, "inputs: 'age' has 6 rows"),
        ({"age": 3.0}, "inputs: 'age' has one number"),
        ({"age": AGES / 0}, "inputs: 'age' holds NaN or infinity"),
        ({"age": ["old"] * COUNT}, "inputs: 'age' is no array of numbers. Give a number for each word"),
        ({"years": AGES}, r"inputs.years: forward of Knows does not take it"),
        (AGES, "inputs: it is of type Tensor. Give a dict with a row for each image"),
        ({}, "takes|missing"),
    ],
)
def test_inputs_that_cannot_be_given_are_refused(
    model: Knows, images: Tensor, labels: Tensor, inputs: Any, said: str
) -> None:
    for call, name in ((palpate.attack, {"name": "fgsm"}), (palpate.evaluate, {"attacks": "fgsm"})):
        with pytest.raises(InputError, match=said):
            call(model, images, labels, eps=0.01, inputs=inputs, **name)  # type: ignore[operator]


def test_what_cannot_follow_is_refused(model: Knows, images: Tensor, labels: Tensor) -> None:
    rows: dict[str, Any] = {"age": AGES}
    shuffled = DataLoader(TensorDataset(images, labels), 3, shuffle=True)
    view = {**rows, "view": np.zeros((COUNT, 1, 2, 2))}
    batches = [(images[:2], labels[:2], {"age": AGES[:2]}), (images[2:], labels[2:])]
    settings: dict[str, Any] = {"attacks": "fgsm", "eps": 0.01}
    for given, more, said in (
        ((model, shuffled), {"inputs": rows}, "random order, so they cannot be told whose rows"),
        ((model, images, labels), {"inputs": view, "inferer": SlidingWindow((4, 4))}, "would not follow the windows"),
        ((Victim(model, (0, 1)), images, labels), {"inputs": rows}, "inputs: a Victim has its own"),
        ((model, batches), {}, "the first batch has age, and another one none"),
        ((model, batches[:1]), {"inputs": rows}, "each batch has its own already"),
        ((model, [{"image": images, "label": labels}]), {"inputs": ["age"]}, "that of the input: age"),
        (
            (model, DataLoader(TensorDataset(images[:3], labels[:3]), 3)),
            {"inputs": rows},
            "7 rows, and there are 3 images",
        ),
    ):
        with pytest.raises(InputError, match=said):
            palpate.evaluate(*given, **settings, **more)
