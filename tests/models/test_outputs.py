"""Models that return a dict, a tuple or a list: the plan names the part that is read."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from palpate.annotations import Masks
from palpate.errors import InputError
from palpate.models.endpoint import Endpoint
from palpate.models.loading import ModelSource, load_model
from palpate.models.outputs import Chosen
from palpate.tasks.segmentation import Segmentation
from palpate.victim import Victim
from tests.models.networks import images, small


class Answer(NamedTuple):
    loss: None
    logits: Tensor


class Output(OrderedDict):  # type: ignore[type-arg]
    """As transformers' ModelOutput."""


class Giving(nn.Module):
    def __init__(self, kind: str = "dict"):
        super().__init__()
        self.net, self.kind = small(), kind

    def forward(self, images: Tensor) -> Any:
        found = self.net(images)
        return {
            "dict": {"out": found, "aux.head": -found, "deep": [found * 2, {"x": found * 3}]},
            "tuple": (found, found * 2),
            "list": [found, found * 2],
            "answer": Answer(None, found),
            "output": Output(logits=found),
            "stacked": torch.stack([images, images * 2], 1),
        }[self.kind]


@pytest.mark.parametrize(
    ("kind", "output", "factor"),
    [
        ("dict", "out", 1),
        ("dict", "aux.head", -1),
        ("dict", "deep.0", 2),
        ("dict", "deep.1.x", 3),
        ("tuple", 0, 1),
        ("tuple", 1, 2),
        ("tuple", "1", 2),
        ("list", -1, 2),
        ("answer", "logits", 1),
        ("output", "logits", 1),
    ],
)
def test_the_named_part_is_read(kind: str, output: str | int, factor: int) -> None:
    source = ModelSource(factory="tests.models.test_outputs:Giving", arguments={"kind": kind}, output=output)
    module = load_model(source, Path()).eval()
    torch.testing.assert_close(module(images()), small()(images()) * factor)
    with Victim(module, (0, 1)) as victim:
        batch = images().requires_grad_()
        assert float(victim.gradient(victim.search(batch)[:, 0], batch).abs().max()) > 0


@pytest.mark.parametrize(("kind", "output"), [("dict", "logits"), ("tuple", 2), ("list", "a"), ("answer", "_fields")])
def test_a_part_that_is_not_there_is_said_with_those_that_are(kind: str, output: str | int) -> None:
    with pytest.raises(InputError, match=r"model.output: the model returned .* of shape \[2, 3\].* no '") as caught:
        Chosen(Giving(kind), output)(images())
    assert "There is no" in str(caught.value)


def test_stacked_scales_are_read_by_their_place_and_proposed_for_masks() -> None:
    torch.testing.assert_close(Chosen(Giving("stacked"), 1)(images()), images() * 2)
    with pytest.raises(InputError, match=r"a tensor of shape \[2, 3\]. There is no '0'. Leave model.output out"):
        Chosen(small(), 0)(images())
    maps = torch.zeros(2, 3, 1, 8, 8)
    with pytest.raises(InputError, match=r"stacks 3 scales of deep supervision, read one: model.output = 0"):
        Segmentation(1).validate(maps, Masks(torch.zeros(2, 8, 8, dtype=torch.int64), None))


def test_without_a_name_the_parts_are_listed() -> None:
    with Victim(Giving(), (0, 1)) as victim, pytest.raises(InputError) as caught:
        victim.judge(images())
    text = str(caught.value)
    assert "a dict with out: a tensor of shape [2, 3], aux.head: a tensor of shape [2, 3], deep: list of 2" in text
    assert "model.output" in text


def test_torchscript_and_exported_programs_too(tmp_path: Path) -> None:
    network = Giving("tuple").eval()
    torch.jit.trace(network, images(), check_trace=False).save(tmp_path / "m.ts")
    torch.export.save(torch.export.export(network, (images(),)), tmp_path / "m.pt2")
    for field, name in (("torchscript", "m.ts"), ("exported", "m.pt2")):
        module = load_model(ModelSource(**{field: name}, output=1), tmp_path)
        torch.testing.assert_close(module(images()), small()(images()) * 2)


def test_the_first_place_is_another_model_than_none(tmp_path: Path) -> None:
    def digest(**fields: Any) -> str:
        return ModelSource(factory="tests.models.test_outputs:Giving", **fields).digest(tmp_path)

    assert len({digest(), digest(output=0), digest(output=1), digest(output="0")}) == 4


@pytest.mark.parametrize("origin", ["endpoint", "huggingface"])
def test_where_the_part_is_known_none_is_named(origin: str) -> None:

    given: dict[str, Any] = (
        {"endpoint": Endpoint("http://127.0.0.1/")} if origin == "endpoint" else {"huggingface": "h"}
    )
    with pytest.raises(InputError, match=r"model\.output: "):
        ModelSource(**given, output="logits")
